"""Every reason and every state of a task has its words in `cluster job why`."""

import time
from dataclasses import replace
from math import ceil
from typing import Any

import pytest

from cluster.cli.explanations import ENDS, memory_asked, why_job, why_task
from cluster.cli.several_jobs import SeveralJobs, newest_alone
from cluster.client.job_fields import Counts
from cluster.client.types import Job, Task
from cluster.domain.base.wall_time import iso
from cluster.domain.job import endings
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import COUNTED, TaskState

JOB = Job(
    number=5,
    id="",
    owner="ada",
    spec=JobSpec(("true",), timeout=90.0, grace=5.0, queue_timeout=300.0, quiet_timeout=60.0, deadline="2h"),
    state=TaskState.FAILED,
    reason="",
    counts=Counts(failed=1),
    submitted_at=1.0,
    started_at=1.0,
    ended_at=2.0,
    exit_code=1,
    pending_because=(),
    no_worker_can=False,
    cancelled_by="",
    cancel_reason="",
)


def task(reason: str = "", state: TaskState = TaskState.FAILED, **fields: Any) -> Task:
    values: dict[str, Any] = {"attempt": 1, "exit_code": 1, "signal": "", "detail": "", "worker_name": "box", **fields}
    return Task(
        0, 0, state, reason=reason, worker_id="", started_at=1, ended_at=2, cpu_seconds=0, peak_memory=0, **values
    )


def test_every_reason_has_words() -> None:
    inside = {endings.LEASE, endings.RETURNED}  # nobody else hears of these
    named = {value for name, value in vars(endings).items() if name.isupper() and isinstance(value, str)}
    prefixes = {value for name, value in vars(endings).items() if name.startswith("_") and isinstance(value, str)}
    assert named - inside - prefixes == set(ENDS), "a reason of an end is explained in cluster/cli/explanations.py"


def test_memory_that_grows_is_told_as_it_was_asked_for() -> None:
    job = replace(JOB, spec=JobSpec(("true",), memory=1 << 30, retries=3, grow="mem=2x,max=3G"))
    between = task("oom", TaskState.BACKOFF, grown=1)
    assert why_task(job, between) == [
        "it took more memory than --mem 1G, and the kernel ended it",
        "it is tried again after a pause: this was attempt 1, and --retries is 3; it asks for 2G of memory then",
    ]
    over = task("attempts_exhausted:oom", grown=3, attempt=4)
    brought = "it took more memory than 3G, to which --grow had brought its --mem 1G, and the kernel ended it"
    assert why_task(job, over)[0] == brought
    assert memory_asked(job, over) == 3 << 30
    assert memory_asked(job, task("exit:1", grown=1)) == 2 << 30


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (task("exit:3", exit_code=3), "it left with exit code 3"),
        (task("exit:127", exit_code=127), "it left with exit code 127, as a shell does that does not find a command"),
        (task("exit:126", exit_code=126), "it left with exit code 126, as a shell does that cannot run a command"),
        (
            task("exit:137", exit_code=137),
            "it left with exit code 137, as a shell does whose command was ended by SIGKILL: often the kernel does so "
            "where memory is short",
        ),
        (task("exit:255", exit_code=255), "it left with exit code 255"),
        (task("signal:SIGSEGV", signal="SIGSEGV"), "SIGSEGV ended it, and neither cluster nor a user asked for it"),
        (
            task("signal:SIGKILL", signal="SIGKILL"),
            "SIGKILL ended it, and neither cluster nor a user asked for it: often the kernel does so where memory is "
            "short",
        ),
        (task("timeout:run", signal="SIGTERM"), "it ran longer than --timeout 1m30s, and was stopped"),
        (
            task("timeout:run", signal="SIGKILL"),
            "it ran longer than --timeout 1m30s, and was stopped, by SIGKILL after --grace 5.0s",
        ),
        (task("timeout:queue", attempt=0), "it was ready for --queue-timeout 5m00s, and no worker started it"),
        (task("timeout:quiet", signal="SIGTERM"), "it wrote nothing for --quiet-timeout 1m00s, and was stopped"),
        (task("timeout:deadline", attempt=0), "its --deadline 2h came before it had started"),
        (
            task("timeout:deadline", signal="SIGKILL"),
            "its --deadline 2h came before it had ended, and it was stopped, by SIGKILL after --grace 5.0s",
        ),
        (
            task("format_error", detail="stdout is no JSON: line 1, column 1: Expecting value"),
            "it left with exit code 0, and stdout is no JSON: line 1, column 1: Expecting value",
        ),
        (task("launch_failed", detail="no such program"), "it could not be started: no such program"),
        (task("dependency", TaskState.CANCELLED), "it never ran: what it waited for did not happen"),
        (task("stopped"), "its worker was told to end its jobs"),
        (
            task("stopped", detail="box1 was drained by ada until 2026-11-27T06:00:00Z (kernel)", signal="SIGKILL"),
            "box1 was drained by ada until 2026-11-27T06:00:00Z (kernel), by SIGKILL after --grace 5.0s",
        ),
        (
            task("lost", detail="worker box was unreachable for 60 s"),
            "nobody can know how it ended: worker box was unreachable for 60 s",
        ),
        (
            task("lost"),
            "nobody can know how it ended: its worker was silent for longer than --lost-after 1m00s, or does not know "
            "it any more",
        ),
        (task("cancelled", TaskState.CANCELLED), "it was cancelled"),
        (task("ok", TaskState.SUCCEEDED), "it left with exit code 0"),
        (task("of a later version"), "of a later version"),
    ],
    ids=lambda value: value.reason if isinstance(value, Task) else "",
)
def test_an_end_is_told_in_words(ended: Task, words: str) -> None:
    assert why_task(JOB, ended) == [words]


def test_who_cancelled_it_is_told_with_the_words_that_were_given() -> None:
    job = replace(JOB, cancelled_by="ada")
    assert why_task(job, task("cancelled", TaskState.CANCELLED)) == ["ada cancelled it"]
    assert why_job(replace(job, cancel_reason="wrong input")) == ["ada cancelled it: wrong input"]


def test_what_is_tried_again_is_told_and_what_is_not_any_more() -> None:
    job = replace(JOB, spec=replace(JOB.spec, retries=2, retry_on=("exit:1", "lost")))
    failed = task("exit:1")
    assert why_task(job, replace(failed, state=TaskState.BACKOFF)) == [
        "it left with exit code 1",
        "it is tried again after a pause: this was attempt 1, and --retries is 2",
    ]
    again = replace(failed, state=TaskState.BACKOFF, next_try_at=time.time() + 90.4)
    assert why_task(job, again)[1] == (
        f"it is tried again at {iso(ceil(again.next_try_at))}, in 1m30s: this was attempt 1, and --retries is 2"
    )
    assert why_task(job, failed) == ["it left with exit code 1"]  # a former attempt
    assert why_task(job, replace(failed, reason="attempts_exhausted:exit:1")) == [
        "it left with exit code 1",
        "it is not tried again: it has failed more often than --retries 2",
    ]
    lost = why_task(job, replace(failed, reason="attempts_exhausted:lost"))
    assert lost[1] == "it is not tried again: it was lost more often than --retries 2"
    assert why_task(job, task("exit:3"))[1:] == ["it is not tried again: that is none of --retry-on exit:1,lost"]
    assert why_task(job, task("ok", TaskState.SUCCEEDED, attempt=3)) == ["it left with exit code 0"]


def test_what_it_waits_for_is_told() -> None:
    ready = replace(
        JOB, state=TaskState.READY, pending_because=("needs 64 cpus a task",), no_worker_can=True, no_worker_ever=True
    )
    because = ["no worker that there is now can run it, however long it waits", "needs 64 cpus a task"]
    assert why_task(ready, task(state=TaskState.READY)) == why_job(ready) == because
    only_drained = replace(ready, no_worker_ever=False)
    assert why_job(only_drained)[0] == "no worker that has what it needs takes work now: it starts when one does"
    others = replace(JOB, spec=replace(JOB.spec, array=(ArraySegment(1, 3),)), counts=Counts(ready=2, running=1))
    assert why_job(others) == ["of 3 tasks 2 ready, 1 running"]
    assert why_task(others, task(state=TaskState.READY)) == [
        "its turn has not come: other tasks of its job are at work"
    ]
    limited = replace(others, spec=replace(others.spec, max_running=1))
    assert why_task(limited, task(state=TaskState.READY)) == [
        "its turn has not come: --max-running 1 of its job are at work"
    ]


@pytest.mark.parametrize("state", COUNTED)
def test_every_state_has_words(state: TaskState) -> None:
    assert all(why_task(JOB, task("ok", state)))
    assert why_task(JOB, task("ok", state))


def test_of_a_task_that_waits_for_its_upload_that_is_said() -> None:
    fetches = "worker box fetches what its tasks find, 120 MiB of 500 MiB"
    job = replace(JOB, pending_because=(fetches,))
    waits = task("", TaskState.ASSIGNED, worker_name="box")
    assert why_task(job, waits) == ["worker box has it", fetches]
    assert why_task(JOB, waits) == ["worker box has it, and starts it as soon as cpus are free there"]


def test_who_names_several_jobs_is_told_once_how_the_newest_alone_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("nightly", "nightly.3", "nightly:failed", "nightly@last", "5", "last", "all")
    assert [newest_alone(text) for text in texts] == [
        *("nightly@last", "nightly@last.3", "nightly@last:failed", "", "", "", "")
    ]
    for text in texts:
        several = SeveralJobs(text)
        for job in (5, 5, 7, 7, 9):
            several.heard(job)
    first, *others = capsys.readouterr().err.splitlines()
    assert (first, len(others)) == ("cluster: nightly means several jobs: the newest alone is nightly@last", 2)
