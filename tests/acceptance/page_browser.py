"""A browser on the page of a real cluster, as `cluster ui` opens it for its user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.acceptance.browser import PROGRAM
from tests.acceptance.command import Command
from tools import npm, page
from tools.environments import BUILD

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Rules of other bodies than the WCAG are kept, too: axe's own advice.
_AUDIT = """async () => (await axe.run()).violations.map(
  (found) => found.id + ": " + found.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; "))"""


@dataclass
class OpenPage:
    """A page, and what it has complained of: violations of its policy, and errors of its script."""

    page: Page
    base: str  # its URL up to the fragment
    complaints: list[str] = field(default_factory=list)

    def go(self, view: str) -> None:
        """To the view of that hash."""
        self.page.evaluate("to => { location.hash = to }", view)

    def has(self, text: str) -> None:
        """Waits until it stands in the view."""
        self.page.locator("main").get_by_text(text).first.wait_for()

    def audit(self) -> list[str]:
        """What axe finds in the view that is open."""
        self.page.evaluate((BUILD / "page" / "node_modules" / "axe-core" / "axe.min.js").read_text())
        found: list[str] = self.page.evaluate(_AUDIT)
        return found


@contextmanager
def own_page(command: Command) -> Iterator[str]:
    """`cluster ui`; the address that it prints."""
    page.make()
    npm.modules("page")
    with command.started("ui", "--no-open") as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
        process.terminate()
        assert process.wait() == 0


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[OpenPage]:
    """The page in a context of its own. `options`: of the context."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    shown = context.new_page()
    opened_page = OpenPage(shown, url.partition("#")[0])
    shown.on("console", lambda said: opened_page.complaints.append(said.text) if said.type == "error" else None)
    shown.on("pageerror", lambda error: opened_page.complaints.append(str(error)))
    shown.goto(url)
    shown.locator("main h1").wait_for()
    yield opened_page
    context.close()
