"""What people can put into names, arguments, labels, output and file names is shown by the page, and never run."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.selectors import check_name
from tests.acceptance.browser import needs_browser
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.page_browser import chromium, opened, own_page

pytestmark = [pytest.mark.slow, pytest.mark.extra_page, needs_browser]

_RUN = "window.ran=1"
_TAGS = (
    "img src=x",
    "svg",
    "body",
    "video src=x",
    "audio src=x",
    "iframe",
    "object data=x",
    "details open",
    "input autofocus",
)
_EVENTS = ("onerror", "onload", "ontoggle", "onfocus", "onmouseover", "onanimationstart", "onpointerover", "onwheel")
_BREAKS = ("", '">', "'>", "</pre>", "</textarea>", "</script>", "-->", "]]>", "\x00", "\x1b]0;")
_WHOLE = (
    *(f"<script>{_RUN}</script>", f"<SCRIPT>{_RUN}</SCRIPT>", f"<script src=data:,{_RUN}></script>"),
    *(f"javascript:{_RUN}", f"<a href=javascript:{_RUN}>x</a>", f"<iframe srcdoc='<script>parent.{_RUN}</script>'>"),
    *("{{constructor.constructor('window.ran=1')()}}", "${window.ran=1}", "<style>@import'//evil.example'</style>"),
    *(
        "<base href=//evil.example>",
        "<meta http-equiv=refresh content=0;url=//evil.example>",
        "<form action=//evil.example>",
    ),
    *(
        "__proto__",
        "constructor",
        "\u202etxt.exe",
        "\U0001f4a3" * 1000,
        "\x1b[2J\x1b[H",
        "\x1b]8;;javascript:window.ran=1\x07x",
    ),
)
CORPUS = [
    *_WHOLE,
    *(f"<{tag} {event}={_RUN}>" for tag, event in itertools.product(_TAGS, _EVENTS)),
    *(f"{begin}<img src=x onerror={_RUN}>{end}" for begin, end in itertools.product(_BREAKS, _BREAKS)),
    *(f"{begin}<script>{_RUN}</script>" for begin in _BREAKS),
    *(f"<img{blank}src=x{blank}onerror={_RUN}>" for blank in ("/", "+", "\t", "\n", "\x0c", "%20", "&nbsp;")),
]


def is_name(text: str) -> bool:
    """Whether a job may be called so."""
    try:
        check_name(text)
    except InvalidInput:
        return False
    return bool(text)


def test_the_corpus_is_large() -> None:
    assert len(set(CORPUS)) >= 200


def test_nothing_that_people_write_runs_on_the_page(tmp_path: Path) -> None:
    with Daemons(Command(tmp_path)) as daemons:
        daemons.start_scheduler()
        daemons.start_worker("box", "--cpus", "2", "--label", "site=<img src=x onerror=window.ran=1>")
        texts = [text.replace("\x00", "") for text in CORPUS]
        with daemons.client() as client:
            jobs = [client.submit(["sh", "-c", 'printf %s "$@"; printf %s "$@" >&2; exit 3', "-", *texts])]
            jobs += [client.submit(["printf", "%s\n", text]) for text in texts]
            named = [client.submit(["true"], name=name) for name in filter(is_name, texts)]
            assert len(named) > 50
            files = [text.replace("/", "\u2215")[:60] for text in texts]
            leaves = 'for name in "$@"; do : > "./$name"; done'
            left = client.submit(["sh", "-c", leaves, "-", *files], out=["*"], max_files=1000)
            jobs += [*named, left]
            client.wait(*(job.number for job in jobs))
        with own_page(daemons.command) as url, chromium() as browser, opened(browser, url) as seen:
            dialogs: list[str] = []
            seen.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
            for view in (
                "#/",
                "#/jobs",
                "#/jobs/1",
                "#/workers",
                "#/workers/box",
                f"#/jobs/{named[0].number}",
                f"#/jobs/{left.number}",
                f"#/jobs/{len(texts) // 2}",
                f"#/{texts[0]}",
                f"#/jobs/{texts[0]}",
            ):
                seen.go(view)
                seen.page.get_by_role("heading", level=1).wait_for()
                if view == "#/jobs/1":
                    # It is one line, folded; what a terminal wipes out is gone, and the end of it is in sight.
                    expect(seen.page.get_by_role("log")).to_contain_text("onerror")
                if view == f"#/jobs/{left.number}":
                    expect(seen.page.get_by_role("listitem").filter(has_text="onerror").first).to_be_visible()
            assert (seen.page.evaluate("window.ran"), dialogs, seen.complaints) == (None, [], [])
