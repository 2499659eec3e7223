"""What lists of jobs say, and what they say about themselves."""

from dataclasses import replace
from typing import Any

import pytest

from cluster.cli.line_tags import LONGEST, MOST_OPEN, LineTags
from cluster.cli.quick.nearby import FIRST_USER
from cluster.cli.render import in_brackets, job_row, print_jobs, reason_of, words_of
from cluster.client.job_fields import Counts
from cluster.client.types import Job, Output
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.trust.identity import ADMIN_NAME


def job(number: int, state: TaskState = TaskState.SUCCEEDED, reason: str = "ok", **fields: Any) -> Job:
    spec = fields.pop("spec", JobSpec(("true",)))
    return Job(
        number, f"id-{number}", "ann", spec, state, reason, Counts(), 1.0, 0.0, 0.0, 0, (), False, "", "", **fields
    )


def test_what_keeps_a_job_from_going_on_stands_where_its_reason_will() -> None:
    waits = job(1, TaskState.WAITING, "", waits_for="after 5")
    assert job_row(waits, 2.0)[1:3] == ("waiting", "after 5")
    assert in_brackets(waits, reason_of(waits)) == " (after 5)"
    assert job_row(job(2, TaskState.FAILED, "exit:3", waits_for="after 5"), 2.0)[1:3] == ("failed", "exit:3")
    assert in_brackets(job(3), reason_of(job(3))) == ""


def test_a_script_is_called_as_its_file_was_where_that_is_known() -> None:
    spec = JobSpec((), script_text=b"#!/bin/sh\n", script_args=("10",), script_name="count.sh")
    assert words_of(spec, None) == ["count.sh", "10"]
    assert words_of(JobSpec((), script_text=b"#!/bin/sh\n", script_args=("10",)), None) == ["-", "10"]


@pytest.mark.parametrize(
    ("owners", "me", "shown"),
    [
        (("ann", "ann"), "ann", []),
        (("ann", "bob"), "ann", ["OWNER", "ann", "bob"]),
        (("bob", "bob"), "ann", ["OWNER", "bob", "bob"]),
        (("bob", "bob"), "", []),
        ((), "ann", []),
    ],
)
def test_whose_jobs_they_are_is_said_where_not_all_are_ones_own(
    owners: tuple[str, ...], me: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [replace(job(number), owner=owner) for number, owner in enumerate(owners)]
    print_jobs(jobs, 0, me=me, asked=True, as_json=False, quiet=False)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[7] for line in lines if len(line) > 7] == shown
    assert {len(line) for line in lines} == {8 if shown else 7}


def test_who_commands_on_this_machine_call_as_is_the_first_user() -> None:
    assert FIRST_USER == ADMIN_NAME


@pytest.mark.parametrize("form", ["", "as_json", "quiet"])
def test_who_asks_for_no_more_is_told_of_no_more(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    how = {name: name == form for name in ("as_json", "quiet")}
    for asked, said in ((True, ""), (False, "cluster: these are the newest 1; --limit 0 lists all\n")):
        print_jobs([job(2), job(1)], 1, me="ann", asked=asked, **how)
        assert capsys.readouterr().err == said


def test_lines_of_several_tasks_come_whole_and_say_whose_they_are() -> None:
    tags = LineTags()

    def written(task: int, data: bytes, *, attempt: int = 1, stderr: bool = False) -> bytes:
        return tags.tagged(Output(5, task, attempt, stderr, data, 0))

    assert written(1, b"one\ntw") == b"5.1\tone\n"
    assert written(2, b"and\n\n", stderr=True) == b"5.2\tand\n5.2\t\n"
    assert written(2, b"x") == b""
    assert written(1, b"o\n") == b"5.1\ttwo\n"
    assert written(2, b"again", attempt=2) == b"", "another attempt ends no line of the one before"
    assert (tags.rest(stderr=True), tags.rest(stderr=False)) == (b"", b"5.2\tx\n5.2\tagain\n")
    assert tags.rest(stderr=False) == b""
    assert written(3, b"x" * LONGEST) == b""
    assert len(written(3, b"y")) == LONGEST + 6, "so long is no line"
    said = b"".join(written(task, b"z") for task in range(MOST_OPEN + 2))
    assert said == b"5.0\tz\n5.1\tz\n".replace(b"5.0", AttemptKey(5, 0, 1).shown(0).rpartition("#")[0].encode())
    assert LineTags().tagged(Output(7, AttemptKey(7, 0, 1).index, 1, False, b"one task\n", 0)) == b"7\tone task\n"
