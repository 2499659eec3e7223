"""Whether what shuts an attempt in has failed, or the attempt: nothing that this writes or leaves with counts."""

from pathlib import Path
from typing import Any

import pytest

from cluster.domain.job.sandbox import STATUS_FD
from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Template
from tests.integration.launchers import Lab, one, run
from tests.sandboxes import needs_sandbox

pytestmark = [pytest.mark.slow, needs_sandbox]

BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--json-status-fd", str(STATUS_FD))
BROKEN = (*BWRAP, "--ro-bind", "/no/such", "/x")
FEIGNED = "echo 'bwrap: no room' >&2; exit 1"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def shut_in(lab: Lab, *words: str, **changes: Any) -> Template:
    return lab.template(*words, status_fd=STATUS_FD, **changes)


def ends(lab: Lab, *templates: Template) -> list[Ended]:
    """Of an attempt of each, one after another."""
    found: list[Ended] = []

    async def main() -> None:
        async with lab.agent() as agent:
            for index, template in enumerate(templates):
                found.append(await agent.end_of(one(agent, template, f"1.{index}#1")))

    run(main())
    return found


def test_who_speaks_as_bubblewrap_does_has_failed_itself(lab: Lab) -> None:
    feigned, broken = shut_in(lab, *BWRAP, "sh", "-c", FEIGNED), shut_in(lab, *BROKEN, "true")
    ok = shut_in(lab, *BWRAP, "true")
    first, second, third, merged, last = ends(
        lab, feigned, broken, ok, shut_in(lab, *BROKEN, "true", merge_output=True), feigned
    )
    assert (first.reason, first.code, first.text) == ("exit:1", 1, "")
    for unmade in (second, merged):
        assert (unmade.reason, unmade.code) == ("launch_failed", 1)
        assert unmade.text == (
            "the sandbox could not be made: bwrap: Can't find source path /no/such: No such file or directory"
        )
    assert (third.reason, last.reason) == ("ok", "exit:1")


def test_of_several_commands_each_may_be_the_one_that_could_not_be_shut_in(lab: Lab) -> None:
    well, feigned, broken = (*BWRAP, "true"), (*BWRAP, "sh", "-c", FEIGNED), (*BROKEN, "true")
    said = ends(
        lab,
        shut_in(lab, *well, then=(feigned, well)),
        shut_in(lab, *well, then=(well, broken)),
        shut_in(lab, *well, then=(well, well)),
    )
    assert [end.reason for end in said] == ["exit:1", "launch_failed", "ok"]
    assert "Can't find source path" in said[1].text


def test_what_is_shut_in_finds_no_descriptor_on_which_it_could_tell_that_itself(lab: Lab) -> None:
    look = 'ls -l /proc/[0-9]*/fd | grep -c memfd; echo "{ \\"exit-code\\": 9 }" >&3; exit 7'
    (end,) = ends(lab, shut_in(lab, *BWRAP, "sh", "-c", look))
    assert lab.output("0.1") == "0\n"
    assert (end.reason, end.code) == ("exit:7", 7)
