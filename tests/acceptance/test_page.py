"""The page in a real browser, against a real cluster of two workers, as its user opens it by `cluster ui`."""

import http.client
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.acceptance.browser import needs_browser
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.page_browser import PHONE, chromium, opened, own_page
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, needs_browser]

VIEWS = ("#/", "#/jobs", "#/jobs/1", "#/workers", "#/run", "#/nowhere")


@dataclass
class Shown:
    """A cluster, its user's page, and a browser."""

    daemons: Daemons
    url: str
    browser: Browser

    @property
    def command(self) -> Command:
        return self.daemons.command


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    expect.set_options(timeout=PATIENCE * 1000)
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        daemons.start_scheduler()
        for name in ("box1", "box2"):
            daemons.start_worker(name, "--cpus", "2")
        with own_page(daemons.command) as url, chromium() as browser:
            yield Shown(daemons, url, browser)


def test_a_job_is_submitted_followed_cancelled_and_tried_again(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        seen.page.on("dialog", lambda dialog: dialog.accept())
        seen.go("#/run")
        seen.page.get_by_label("Text").fill("echo came from $CLUSTER_TASK; exec sleep 1000")
        seen.page.get_by_label("Name").fill("endless")
        seen.page.get_by_label("Tasks").fill("2")
        seen.page.get_by_role("button", name="Submit").click()
        expect(seen.page.get_by_role("log")).to_contain_text("came from 1")
        headline = seen.page.locator("p.headline")
        expect(headline).to_contain_text("running")
        seen.page.get_by_role("button", name="Cancel").click()
        expect(headline).to_contain_text("cancelled")
        assert shown.command.ok("job", "list", "--json").json[0]["state"] == "cancelled"
        seen.page.get_by_role("button", name="Retry").click()
        expect(headline).to_contain_text("running")
        shown.command.ok("job", "cancel", "endless")
        expect(headline).to_contain_text("cancelled")  # by an event: nobody has touched the page
        assert seen.complaints == []


def test_a_worker_is_drained_and_takes_work_again(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        seen.page.on("dialog", lambda dialog: dialog.accept())
        seen.go("#/workers")
        row = seen.page.get_by_role("row").filter(has_text="box2")
        row.get_by_role("button", name="Drain").click()
        expect(row).to_contain_text("drained")
        row.get_by_role("button", name="Resume").click()
        expect(row).to_contain_text("online")
        assert seen.complaints == []


def test_what_a_job_has_left_is_fetched_and_why_others_wait_and_fail_is_said(shown: Shown, tmp_path: Path) -> None:
    leaves = "mkdir out; printf 'all is well with %s' $CLUSTER_TASK > 'out/the 100% report?.txt'"
    submit = ("job", "submit", "--json", "--out", "out/*", "--array", "1-2", "--", "sh", "-c", leaves)
    left = shown.command.ok(*submit).json["number"]
    with opened(shown.browser, shown.url) as seen:
        seen.go(f"#/jobs/{left}")
        file = seen.page.get_by_role("listitem").filter(has_text="task 2 out/the 100% report?.txt")
        file.get_by_role("button", name="Fetch").wait_for()
        with seen.page.expect_download() as fetched:
            file.get_by_role("button", name="Fetch").click()
        fetched.value.save_as(tmp_path / "fetched")
        assert (tmp_path / "fetched").read_text() == "all is well with 2"
        wide = shown.command.ok("job", "submit", "--json", "--cpus", "64", "--", "true").json["number"]
        seen.go(f"#/jobs/{wide}")
        expect(seen.page.get_by_role("main")).to_contain_text("needs 64 cpus a task; the largest worker online")
        shown.command.ok("job", "cancel", str(wide))
        fails = "test $CLUSTER_TASK != 2 || { echo '\033[31mrow 4711 is bad' >&2; exit 3; }"
        failed = shown.command.ok("job", "submit", "--json", "--array", "1-3", "--", "sh", "-c", fails).json["number"]
        seen.go(f"#/jobs/{failed}")
        expect(seen.page.locator(".why")).to_contain_text("task 2: exit:3")
        expect(seen.page.locator(".last-words")).to_contain_text("row 4711 is bad")
        seen.page.get_by_role("button", name="Show the output of task 2").click()
        expect(seen.page.get_by_role("log")).to_contain_text("row 4711 is bad")
        assert seen.complaints == []


@pytest.mark.extra_page
def test_a_drawing_of_200_jobs_changes_as_they_start_and_end(shown: Shown, tmp_path: Path) -> None:
    gates = [tmp_path / name for name in ("first", "second")]
    held = ["sh", "-c", 'until [ -e "$0" ]; do sleep 0.1; done']
    with shown.daemons.client() as client, opened(shown.browser, shown.url) as seen:
        first = client.submit([*held, str(gates[0])])
        for _ in range(99):
            client.submit(["true"], after=[first.number])
        second = client.submit([*held, str(gates[1])], after=[first.number])
        for _ in range(99):
            client.submit(["true"], after=[second.number])
        seen.go(f"#/jobs/{second.number}")
        drawn = seen.page.locator(".dag-job")
        expect(drawn).to_have_count(200)

        def has(**counts: int) -> None:
            for state, count in counts.items():
                expect(seen.page.locator(f".dag-job.dag-{state}")).to_have_count(count)

        has(running=1, waiting=199)
        gates[0].touch()
        has(succeeded=100, running=1, waiting=99)
        gates[1].touch()
        has(succeeded=200)
        assert seen.complaints == []


@pytest.mark.extra_page
def test_a_million_tasks_are_zoomed_to_one_that_is_opened_by_keys_alone(shown: Shown) -> None:
    array = ("job", "submit", "--json", "--hold", "--array", "1-1000000", "--", "true")
    number = shown.command.ok(*array).json["number"]
    with opened(shown.browser, shown.url) as seen:
        seen.go(f"#/jobs/{number}")
        expect(seen.page.locator(".grid-legend")).to_contain_text("1,000,000")
        seen.page.locator(".tasks-grid canvas").focus()
        said = seen.page.locator(".tasks-grid").get_by_role("status")
        seen.page.keyboard.press("End")
        expect(said).to_contain_text(re.compile(r"Tasks [\d,]+ to 1,000,000: "))
        for _ in range(20):
            seen.page.keyboard.press("+")
        seen.page.keyboard.press("End")
        expect(said).to_contain_text("Task 1000000: ")
        seen.page.keyboard.press("Enter")
        expect(seen.page.get_by_role("heading", name="Output of task 1000000")).to_be_visible()
        shown.command.ok("job", "cancel", str(number))
        assert seen.complaints == []


def test_jobs_are_found_and_opened_by_keys_alone_on_a_phone(shown: Shown) -> None:
    shown.command.ok("job", "submit", "--name", "needle", "--", "true")
    with opened(shown.browser, shown.url, viewport=PHONE) as seen:
        seen.page.keyboard.press("g")
        seen.page.keyboard.press("j")
        expect(seen.page.get_by_role("heading", name="Jobs")).to_be_visible()
        seen.page.keyboard.press("/")
        seen.page.keyboard.type("needle")
        expect(seen.page.get_by_text("1 shown", exact=True)).to_be_visible()
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for key in ("Tab", "Tab", "Tab", "j", "Enter"):  # past the choices into the list, and down it
            seen.page.keyboard.press(key)
        expect(seen.page.get_by_role("heading", name="needle")).to_be_visible()


def test_a_row_of_the_list_follows_its_job_without_being_asked_for(shown: Shown) -> None:
    shown.command.ok("job", "submit", "--name", "followed", "--", "sleep", "1000")
    with opened(shown.browser, shown.url) as seen:
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        seen.go("#/jobs")
        row = seen.page.locator(".row").filter(has_text="followed")
        expect(row).to_contain_text("running")
        asked.clear()
        shown.command.ok("job", "cancel", "followed")
        expect(row).to_contain_text("cancelled")
        assert "The page is loading" not in seen.page.locator("body").inner_text()
        assert asked == []  # the stream has brought the row with the event
        shown.command.ok("job", "delete", "followed")
        expect(row).to_be_hidden()
        assert asked == []


def test_what_was_asked_before_an_event_is_not_shown_after_it(shown: Shown) -> None:
    shown.command.ok("job", "submit", "--name", "overtaken", "--", "sleep", "1000")
    with opened(shown.browser, shown.url) as seen:
        seen.go("#/jobs")
        row = seen.page.locator(".row").filter(has_text="overtaken")
        expect(row).to_contain_text("running")
        number = row.locator("a").inner_text()
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        seen.page.route(f"**/v1/jobs/{number}?*", hold)
        seen.go(f"#/jobs/{number}")
        while not held:
            seen.page.wait_for_timeout(10)
        late = held[0].fetch()  # it tells of a job that runs
        shown.command.ok("job", "cancel", "overtaken")
        seen.go("#/jobs")
        expect(row).to_contain_text("cancelled")
        held[0].fulfill(response=late)
        seen.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert "cancelled" in row.inner_text()


def test_a_scheduler_that_goes_is_told_and_the_page_comes_back_by_itself(shown: Shown) -> None:
    with opened(shown.browser, shown.url) as seen:
        trouble = seen.page.get_by_role("status").filter(has_text="Trying again")
        shown.daemons.kill("scheduler")
        expect(trouble).to_be_visible()
        shown.daemons.start_scheduler()
        expect(trouble).to_be_hidden()
        shown.command.ok("job", "submit", "--name", "afterwards", "--", "true")
        expect(seen.page.get_by_role("main")).to_contain_text("afterwards")


def test_others_of_this_machine_and_pages_of_other_names_get_nothing(shown: Shown) -> None:
    with opened(shown.browser, shown.url.partition("#")[0] + "#secret=H1.somebody-else") as seen:
        expect(seen.page.get_by_role("alert")).to_contain_text("another `cluster ui`")
        assert "secret" not in seen.page.url
    where = urlsplit(shown.url)
    secret = where.fragment.removeprefix("secret=")
    for headers, status in (
        ({}, 401),
        ({"Authorization": f"Bearer {secret[:-1]}"}, 401),
        ({"Authorization": f"Bearer {secret}", "Host": "evil.example"}, 421),
        ({"Authorization": f"Bearer {secret}", "Origin": "http://evil.example"}, 403),
        ({"Authorization": f"Bearer {secret}"}, 200),
    ):
        connection = http.client.HTTPConnection(where.netloc, timeout=PATIENCE)
        connection.request("GET", "/v1/whoami", headers=headers)
        assert connection.getresponse().status == status, headers
        connection.close()


@pytest.mark.extra_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_breaks_a_rule_of_accessibility(shown: Shown, scheme: str) -> None:
    fails = "echo out; test $CLUSTER_TASK != 2 || { echo bad >&2; exit 3; }"
    failed = shown.command.ok("job", "submit", "--json", "--array", "1-3", "--", "sh", "-c", fails).json["number"]
    for viewport in (None, PHONE):
        options = {"viewport": viewport} if viewport else {}
        with opened(shown.browser, shown.url, color_scheme=scheme, **options) as seen:
            for view in (*VIEWS, "#/workers/box1", f"#/jobs/{failed}"):
                seen.go(view)
                seen.page.get_by_role("heading", level=1).wait_for()
                if view == f"#/jobs/{failed}":
                    expect(seen.page.locator(".last-words")).to_contain_text("bad")
                assert seen.audit() == [], view


def test_a_browser_is_started_without_the_secret_on_its_command_line(shown: Shown, tmp_path: Path) -> None:
    starter, told = tmp_path / "browser", tmp_path / "told"
    os.mkfifo(told)
    starter.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    starter.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    with shown.command.started("ui", BROWSER=str(starter), HOME=str(home)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        argument = told.read_text().strip()
        assert argument.startswith("file://")
        assert urlsplit(url).fragment not in argument
        file = Path(urlsplit(argument).path)
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        page = shown.browser.new_context().new_page()
        page.goto(argument)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.context.close()
        process.terminate()
        assert process.wait() == 0
    assert list(home.iterdir()) == []
