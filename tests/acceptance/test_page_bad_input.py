"""What can be wrong around the page, and is said on it: never a page that is blank, or that tells what is not so."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.acceptance.browser import needs_browser
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tests.acceptance.page_browser import chromium, opened, own_page
from tests.integration.schedulers import Cluster
from tests.integration.test_gateway_live import with_workers
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.extra_page, needs_browser]

NO_CANVAS = "HTMLCanvasElement.prototype.getContext = () => null"
A_DAY_AHEAD = "{ const now = Date.now; Date.now = () => now() + 86460000 }"  # and a minute: ages are cut to whole hours
EXTENSION = """
  setInterval(() => { throw new Error("of an extension") }, 50);
  addEventListener("DOMContentLoaded", () => { document.body.append(document.createElement("extension-bar")) });
"""
TAKES_THE_VIEW_AWAY = """() => {
  for (const node of document.querySelectorAll("main *")) if (node.childNodes.length === 1) node.textContent = "bork";
}"""


@dataclass
class Shown:
    """A cluster, its user's page, and a browser."""

    command: Command
    url: str
    browser: Browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    expect.set_options(timeout=PATIENCE * 1000)
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        daemons.start_scheduler()
        daemons.start_worker("box", "--cpus", "2")
        with own_page(daemons.command) as url, chromium() as browser:
            yield Shown(daemons.command, url, browser)


def test_a_gateway_that_dies_is_told_and_what_was_known_stays(shown: Shown) -> None:
    shown.command.ok("job", "submit", "--name", "known", "--", "true")
    with own_page(shown.command) as url, opened(shown.browser, url) as seen:
        seen.go("#/jobs")
        expect(seen.page.locator(".row").filter(has_text="known")).to_be_visible()
        seen.page.route("**/v1/**", lambda route: route.abort())  # as where nobody listens any more
        seen.page.evaluate("location.hash = '#/jobs/1'")
        expect(seen.page.get_by_role("main")).to_contain_text("Failed to fetch")
    with own_page(shown.command) as url:
        context = shown.browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.goto(f"{url.partition('#')[0]}#/jobs")
        expect(page.locator(".row").filter(has_text="known")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="cannot be reached")).to_be_visible()  # it has ended meanwhile
    expect(page.locator(".row").filter(has_text="known")).to_be_visible()
    context.close()


def test_a_token_that_is_revoked_is_told_and_asked_for_anew(tmp_path: Path, shown: Shown) -> None:
    with Daemons(Command(tmp_path)) as daemons:
        door = Door(daemons)
        door.start()
        context = shown.browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{door.url}/ui")
        page.get_by_label("Token").fill(door.token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        door.command.ok("user", "revoke", "ada", "--yes")
        expect(page.get_by_role("alert")).to_contain_text("revoked")
        expect(page.get_by_label("Token")).to_be_focused()
        context.close()


def test_a_thousand_workers_are_found_drained_and_leafed_through(tmp_path: Path, shown: Shown) -> None:
    command = Command(tmp_path)

    async def fill() -> None:
        cluster = Cluster(command.home / "scheduler", lease=15.0)
        await cluster.start()
        await with_workers(cluster, 1000)
        await cluster.stop()

    filling = threading.Thread(target=lambda: asyncio.run(fill()))  # this thread has the browser's loop
    filling.start()
    filling.join()
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        with own_page(command) as url, opened(shown.browser, url) as seen:
            expect(seen.page.get_by_role("main")).to_contain_text("60 fullest of 1,000")
            seen.go("#/workers")
            rows = seen.page.locator("table").first.locator("tbody tr")  # another table tells of the scheduler's disk
            expect(rows).to_have_count(100)
            seen.page.get_by_role("button", name="Next").click()
            expect(rows.first).to_contain_text("w0100")
            seen.page.get_by_label("Search workers by name").fill("w0999")
            expect(rows).to_have_count(1)
            command.ok("worker", "drain", "w0999", "--reason", "its fan")
            seen.page.get_by_role("link", name="w0999").click()
            expect(seen.page.locator("p.headline")).to_contain_text("its fan")
            assert seen.complaints == []


def test_who_is_not_let_in_any_more_is_told_why(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        refusal = '{"type": "", "title": "Unauthorized", "status": 401, "detail": "this token was revoked"}'
        headers = {"Content-Type": "application/problem+json"}
        seen.page.route("**/v1/live", lambda route: route.fulfill(status=401, body=refusal, headers=headers))
        seen.page.reload()
        expect(seen.page.get_by_role("alert")).to_contain_text("this token was revoked")
        expect(seen.page.get_by_label("Token")).to_be_focused()


def test_a_cluster_that_is_too_busy_is_asked_again(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        refusals = iter([429, 503])

        def refuse(route: Route) -> None:
            status = next(refusals, 0)
            detail = f'{{"detail": "busy with {status}"}}'
            if status:
                route.fulfill(status=status, body=detail, headers={"Content-Type": "application/problem+json"})
            else:
                route.continue_()

        seen.page.route("**/v1/workers?*", refuse)
        seen.page.reload()
        expect(seen.page.get_by_role("status").filter(has_text="busy with 429")).to_be_visible()
        expect(seen.page.get_by_role("main")).to_contain_text("box")
        expect(seen.page.locator(".trouble")).to_be_hidden()
        assert next(refusals, None) is None


def test_a_job_that_is_gone_and_a_worker_that_is_gone_are_said_to_be(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        seen.go("#/jobs/4000000")
        expect(seen.page.get_by_role("main")).to_contain_text("there is no job")
        seen.go("#/workers/nobody")
        expect(seen.page.get_by_role("main")).to_contain_text("There is no such worker")
        seen.go("#/workers/%zz")
        expect(seen.page.get_by_role("main")).to_contain_text("There is no such worker")


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("head -c 10000000 /dev/zero | tr '\\0' x; echo the end", "the end"),
        (
            'awk \'BEGIN { for (i = 0; i < 1000000; i++) printf "\\033[3%dm%d", i % 8, i % 10; print "the end" }\'',
            "the end",
        ),
    ],
    ids=["10 MB on one line", "a million colours"],
)
def test_output_that_no_terminal_likes_is_shown_to_its_end(shown: Shown, line: str, end: str) -> None:
    job = shown.command.ok("job", "submit", "--json", "--max-output", "100MB", "--", "sh", "-c", line).json["number"]
    shown.command.ok("job", "wait", str(job))
    with opened(shown.browser, shown.url) as seen:
        seen.go(f"#/jobs/{job}")
        expect(seen.page.get_by_role("log")).to_contain_text(end)
        seen.go("#/jobs")
        expect(seen.page.get_by_role("heading", name="Jobs")).to_be_visible()  # it still answers
        assert seen.complaints == []


def test_a_name_of_a_thousand_emoji_breaks_no_view(shown: Shown) -> None:
    name = "\U0001f4a3" * 60
    with opened(shown.browser, shown.url) as seen:
        shown.command.ok("job", "submit", "--name", name, "--", "echo", "\U0001f4a3" * 1000)
        for view in ("#/", "#/jobs", "#/jobs/last"):
            seen.go(view)
            seen.page.get_by_role("heading", level=1).wait_for()
            assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert seen.complaints == []
        seen.go("#/run")
        seen.page.get_by_label("Text").fill("true")
        seen.page.get_by_label("Name").fill("\U0001f4a3" * 1000)
        seen.page.get_by_role("button", name="Submit").click()
        expect(seen.page.get_by_role("alert")).to_contain_text("name of 1000 characters: the limit is")
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_clock_that_is_off_is_told_and_ages_are_the_clusters(shown: Shown) -> None:
    shown.command.ok("job", "submit", "--name", "young", "--", "true")
    with opened(shown.browser, shown.url) as seen:
        expect(seen.page.get_by_text("browser's clock")).to_be_hidden()
        seen.page.add_init_script(A_DAY_AHEAD)
        seen.page.reload()
        expect(seen.page.get_by_text("This browser's clock is 24 h ahead of the cluster's")).to_be_visible()
        seen.go("#/jobs")
        age = seen.page.locator(".row").filter(has_text="young").locator(".ago")
        expect(age).not_to_contain_text("h")


def test_a_browser_that_draws_nothing_shows_the_table(shown: Shown) -> None:
    job = shown.command.ok("job", "submit", "--json", "--array", "1-5", "--", "true").json["number"]
    shown.command.ok("job", "wait", str(job))
    with opened(shown.browser, shown.url) as seen:
        seen.page.add_init_script(NO_CANVAS)
        seen.page.reload()
        seen.go(f"#/jobs/{job}")
        expect(seen.page.get_by_role("alert").filter(has_text="draws no pictures")).to_be_visible()
        seen.page.get_by_text("As a table").click()
        expect(seen.page.get_by_role("row").filter(has_text="succeeded").first).to_contain_text("5")


def test_errors_of_an_extension_leave_the_page_as_it_is(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        seen.page.add_init_script(EXTENSION)
        seen.page.reload()
        seen.go("#/jobs")
        expect(seen.page.locator(".row").first).to_be_visible()
        seen.page.evaluate(TAKES_THE_VIEW_AWAY)  # as one that translates does
        shown.command.ok("job", "submit", "--name", "later", "--", "true")
        seen.go("#/workers")
        expect(seen.page.get_by_role("heading", level=1)).to_be_visible()
        seen.go("#/jobs")
        expect(seen.page.locator(".row").filter(has_text="later")).to_be_visible()
