"""Jobs and workers as people see them."""

import pytest

from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.events import CancelRequested, SessionClosed, WorkerDeregistered
from cluster.domain.scheduler.pending_in_words import WhyNot
from cluster.domain.scheduler.views import job_view, overall, worker_view, worker_views
from tests.domain.core_bench import Bench, attempts, failed, ok, spec


def why(bench: Bench, job: int = 1) -> tuple[str, ...]:
    return job_view(bench.core, bench.core.jobs[job]).pending_because


def none_can(bench: Bench, job: int = 1) -> bool:
    return job_view(bench.core, bench.core.jobs[job]).no_worker_can


def test_why_a_job_waits() -> None:
    bench = Bench()
    bench.submit(spec(millicpus=3000))
    bench.submit(spec(worker="nobody"))
    assert why(bench) == ("no worker has registered: start one with `cluster worker`",)
    session = bench.worker("w", 2000)
    assert why(bench) == ("needs 3 cpus a task; the largest worker online, w, has 2: --cpus 2 fits w",)
    assert why(bench, 2) == ("no worker is called 'nobody': `cluster worker list` tells which there are",)
    assert none_can(bench, 1)
    assert none_can(bench, 2)
    bench.submit(spec(2))
    assert why(bench, 3) == ()
    assert not none_can(bench, 3)
    bench.submit(spec())
    assert not none_can(bench, 4)
    assert why(bench, 4) == ("needs 1 cpu a task; all that fit are busy, 3 unfinished jobs come first",)
    bench.turn(CancelRequested(0, (Target(1), Target(2)), "ann"))
    assert why(bench, 4) == ("needs 1 cpu a task; all that fit are busy, 1 unfinished job comes first",)
    bench.turn(SessionClosed(session))
    assert why(bench, 4) == ("worker w is unreachable",)
    assert none_can(bench, 4)
    bench.turn(WorkerDeregistered(1, "w"))
    assert why(bench, 4) == ("worker w is offline",)


def test_a_job_that_goes_on_waits_for_nothing() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(3))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.state, view.pending_because) == (TaskState.RUNNING, ())
    assert (view.counts[TaskState.READY], view.started_at) == (2, bench.now.wall)


def test_how_a_job_ended() -> None:
    bench = Bench()
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.report(session, 1, ok=(ok(1, 0, 2),))
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.state, view.reason, view.exit_code) == (TaskState.SUCCEEDED, "ok", 0)
    bench.submit(spec(2))
    bench.report(session, 2, ended=(failed(2, 0, reason="exit:9", code=9), failed(2, 1, reason="exit:4", code=4)))
    view = job_view(bench.core, bench.core.jobs[2])
    assert (view.state, view.reason, view.exit_code) == (TaskState.FAILED, "exit:9", 9)


def test_who_cancelled_a_job_and_why() -> None:
    bench = Bench()
    bench.submit(spec())
    bench.turn(CancelRequested(1, (Target(1),), "bob", None, "enough"))
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.state, view.reason, view.cancelled_by, view.cancel_reason) == (
        TaskState.CANCELLED,
        "cancelled",
        "bob",
        "enough",
    )


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ("ready running succeeded", "running"),
        ("ready assigned failed", "assigned"),
        ("backoff failed", "backoff"),
        ("succeeded failed cancelled", "failed"),
        ("succeeded cancelled", "cancelled"),
        ("succeeded", "succeeded"),
    ],
)
def test_one_word_for_all_tasks(states: str, word: str) -> None:
    assert overall({TaskState[state.upper()]: 1 for state in states.split()}).word == word


def test_a_worker() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(30))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),))
    bench.turn(after=3.0)
    view = worker_view(bench.core, bench.core.workers["w"])
    assert (view.used_millicpus, view.running, view.assigned) == (2000, 1, 21)
    assert view.silent_for == 3.0
    bench.restart()
    assert worker_view(bench.core, bench.core.workers["w"]).silent_for is None  # nobody knows since when


def test_a_worker_is_told_of_as_its_jobs_are_on_disk_and_none_of_them_is_looked_at_for_it() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec())
    bench.submit(spec())
    before = Job.restored(bench.records[1], bench.progress[1])
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    worker = bench.core.workers["w"]
    seen = bench.core.seen_with({1: before, 2: None})
    assert [(view.running, view.assigned) for view in worker_views(seen, [worker])] == [(0, 1)]
    unread = bench.core.seen_with({})
    unread.jobs = {}
    assert [(view.running, view.assigned) for view in worker_views(unread, [worker])] == [(1, 1)]
    (view,) = worker_views(bench.core, [worker], with_jobs=True)
    assert [(job.number, job.running, job.assigned) for job in view.jobs] == [(1, 1, 0), (2, 0, 1)]


def test_jobs_of_one_kind_are_explained_by_one_look_at_the_workers() -> None:
    bench = Bench()
    bench.worker("w", 1000)
    for _ in range(3):
        bench.submit(spec(millicpus=5000))
    known: WhyNot = {}
    reasons = {job_view(bench.core, bench.core.jobs[number], known).pending_because for number in (1, 2, 3)}
    assert reasons == {("needs 5 cpus a task; the largest worker online, w, has 1: --cpus 1 fits w",)}
    assert list(known) == [Request(5000)]


def test_jobs_that_come_first_are_counted_without_walking_them() -> None:
    bench = Bench()
    for _ in range(5):
        bench.submit(spec(millicpus=5000))
    bench.turn(CancelRequested(9, (Target(2), Target(4)), "alice"))
    assert [bench.core.unfinished_before(number) for number in range(1, 7)] == [0, 1, 1, 2, 2, 3]
    assert [job.number for job in bench.core.unfinished()] == [1, 3, 5]
    bench.restart()
    assert [bench.core.unfinished_before(number) for number in range(1, 7)] == [0, 1, 1, 2, 2, 3]
