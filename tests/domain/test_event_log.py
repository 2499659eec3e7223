"""What is told of jobs and workers, and that nothing is told twice or left out."""

from dataclasses import replace

import pytest

from cluster.domain.base.intervals import Range
from cluster.domain.job.pause import Pause
from cluster.domain.job.target import Target
from cluster.domain.scheduler import event_log
from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.events import (
    CancelRequested,
    HeartbeatReceived,
    JobsDeleted,
    JobsPaused,
    JobsResumed,
    QueuePaused,
    QueueResumed,
    SessionClosed,
    WorkerDeregistered,
    WorkerRemoved,
    WorkersDrained,
    WorkersResumed,
)
from cluster.domain.scheduler.retention import EndedJob
from cluster.domain.scheduler.state import LEASE
from cluster.domain.session.messages import Hello
from tests.domain.core_bench import Bench, attempts, failed, ok, spec


@pytest.fixture
def bench() -> Bench:
    return Bench()


def last(bench: Bench, kind: str) -> EventRecord:
    return [event for event in bench.events if event.kind.value == kind][-1]


def test_the_life_of_a_job_is_three_events_however_many_tasks_it_has(bench: Bench) -> None:
    session = bench.worker("w", 1_000_000)
    assert bench.told() == ["worker.joined"]
    bench.submit(spec(1000, name="sweep"))
    assert bench.told() == ["job.submitted"]
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.report(session, 2, ok=(ok(1, 0, 500),))
    bench.report(session, 3, ok=(ok(1, 500, 1000),))
    assert bench.told() == ["job.started", "job.ended"]
    assert [event.sequence for event in bench.events] == [1, 2, 3, 4]
    submitted, ended = last(bench, "job.submitted"), last(bench, "job.ended")
    assert (submitted.job, submitted.name, submitted.owner, submitted.count) == (1, "sweep", "alice", 1000)
    assert submitted.state == "ready"
    assert (ended.state, ended.reason, ended.exit_code, ended.detail) == ("succeeded", "ok", 0, "succeeded: 1000")


def test_ends_out_of_the_ordinary_are_told_as_ranges_of_one_kind(bench: Bench) -> None:
    session = bench.worker("w", 100_000)
    bench.submit(spec(20, retries=0))
    bench.told()
    killed = failed(1, 6, reason="signal:SIGKILL", code=137)
    ended = (*(failed(1, index) for index in (*range(5), 7)), killed)
    bench.report(session, 1, ended=ended)
    assert bench.told() == ["tasks.failed", "tasks.failed"]  # nobody knows when the first started
    told = [(e.tasks, e.count, e.attempt, e.reason, e.exit_code, e.worker) for e in bench.events[-2:]]
    assert told == [("1-5,8", 6, 1, "exit:3", 3, "w"), ("7", 1, 1, "signal:SIGKILL", 137, "w")]


def test_a_task_that_is_tried_again_has_not_failed(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(retries=1))
    bench.told()
    bench.report(session, 1, ended=(failed(1, 0),))
    assert bench.told() == ["tasks.retried"]
    bench.turn(after=10.0)
    bench.report(session, 2, ended=(failed(1, 0, attempt=2),))
    assert bench.told()[-2:] == ["tasks.failed", "job.ended"]
    assert last(bench, "tasks.failed").reason == "attempts_exhausted:exit:3"
    assert (last(bench, "job.ended").state, last(bench, "job.ended").exit_code) == ("failed", 3)


def test_pieces_of_tasks_that_are_many_are_not_all_written_out(bench: Bench) -> None:
    session = bench.worker("w", 1_000_000)
    bench.submit(spec(200))
    bench.report(session, 1, ended=tuple(failed(1, index) for index in range(0, 200, 2)))
    event = last(bench, "tasks.failed")
    assert event.count == 100
    assert event.tasks == f"{','.join(map(str, range(1, 40, 2)))},…"


def test_an_array_that_fails_task_by_task_does_not_push_all_else_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "MOST_OF_ENDS", 3)
    session = bench.worker("w", 100_000)
    bench.submit(spec(10))
    bench.told()
    for index in range(10):
        bench.report(session, index + 1, ended=(failed(1, index),))
    assert bench.told() == [*["tasks.failed"] * 3, "job.ended"]
    assert last(bench, "tasks.failed").detail == "no more ends of tasks of this job are told"
    assert last(bench, "job.ended").detail == "failed: 10"


def test_a_job_that_waits_is_told_to_be_ready_once_nothing_of_it_waits(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec())
    bench.submit(spec(after=("1",)))
    assert last(bench, "job.submitted").state == "waiting"
    bench.told()
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert bench.told() == ["job.started", "job.ended", "job.ready"]


def test_wishes_are_told_with_who_had_them(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec(10))
    bench.told()
    bench.turn(JobsPaused(1, (1,), Pause("ada", 5.0, "lunch")))
    bench.turn(JobsResumed(1, (1,), by_admin=True))
    bench.turn(QueuePaused(1, Pause("root", 5.0, "upgrade")), QueueResumed(1), QueueResumed(1))
    assert bench.told() == ["job.paused", "job.resumed", "queue.paused", "queue.resumed"]
    assert (last(bench, "job.paused").by, last(bench, "job.paused").detail) == ("ada", "lunch")
    bench.turn(CancelRequested(9, (Target(1, (Range(0, 6),)),), "ada", reason="wrong data"))
    cancelled = last(bench, "job.cancelled")
    assert (cancelled.count, cancelled.by, cancelled.detail) == (6, "ada", "wrong data")
    stopped = replace(failed(1, 0, reason="cancelled", code=143), signal="SIGTERM")
    bench.report(session, 1, ended=(stopped,))
    assert bench.told() == ["job.cancelled", "tasks.cancelled"]


def test_a_worker_that_is_back_within_its_lease_was_never_away(bench: Bench) -> None:
    session = bench.worker("w")
    bench.told()
    bench.turn(SessionClosed(session))
    bench.turn(after=LEASE - 1)
    bench.hello("w")
    bench.turn(HeartbeatReceived(2, 1), after=10)
    assert bench.told() == []


def test_a_worker_that_stays_away_is_told_once_also_across_a_restart(bench: Bench) -> None:
    session = bench.worker("w")
    bench.told()
    bench.turn(SessionClosed(session))
    bench.turn(after=LEASE + 1)
    assert bench.told() == ["worker.unreachable"]
    bench.restart()
    bench.turn(after=100.0)
    assert bench.told() == []
    bench.hello("w")
    assert bench.told() == ["worker.back"]


def test_a_worker_that_left_is_back_once_it_registers_also_if_it_was_away_before(bench: Bench) -> None:
    session = bench.worker("w")
    bench.turn(SessionClosed(session))
    bench.turn(after=LEASE + 1)
    bench.told()
    bench.turn(WorkerDeregistered(1, "w"))
    bench.register("w")
    assert bench.told() == ["worker.left", "worker.back"]
    bench.turn(after=LEASE + 1)  # without a session
    assert bench.told() == ["worker.unreachable"]


def test_a_worker_that_does_not_come_back_after_a_restart_is_told(bench: Bench) -> None:
    bench.worker("w")
    bench.told()
    bench.restart()
    bench.turn(after=LEASE + 1)
    assert bench.told() == ["worker.unreachable"]


def test_a_worker_leaves_comes_back_is_drained_and_removed(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec())
    bench.told()
    bench.turn(WorkersDrained(1, ("w",), "root", "new disk"))
    assert bench.told() == ["worker.draining"]
    assert (last(bench, "worker.draining").by, last(bench, "worker.draining").detail) == ("root", "new disk")
    bench.turn(WorkersResumed(1, ("w",)))
    assert bench.told() == ["worker.resumed"]
    bench.turn(WorkersDrained(1, ("w",), "root"))
    assert bench.told()[0] == "worker.draining"
    bench.turn(WorkerDeregistered(1, "w"), SessionClosed(session))
    assert "worker.left" in bench.told()
    bench.turn(WorkersResumed(1, ("w",)))
    bench.worker("w")
    assert "worker.back" in bench.told()
    bench.turn(WorkerDeregistered(1, "w"))
    bench.turn(WorkerRemoved(1, "w"))
    assert bench.told() == ["worker.left", "worker.removed"]
    bench.worker("w")
    assert bench.told() == ["worker.joined"]


def test_that_a_drained_worker_holds_nothing_any_more_is_told_once(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec())
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.turn(WorkersDrained(1, ("w",), "root"))
    bench.told()
    bench.restart()
    bench.turn()
    assert bench.told() == []
    bench.hello("w")  # it does not know of the attempt, which is lost
    assert bench.told()[-1] == "worker.drained"
    bench.restart()
    bench.hello("w")
    assert "worker.drained" not in bench.told()


def test_nothing_of_a_job_is_told_again_after_a_restart(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec(4))
    bench.submit(spec(after=("1",)))
    bench.report(session, 1, started=(attempts(1, 1, (0, 4)),))
    bench.turn(JobsPaused(1, (2,), Pause("ada", 5.0)))
    bench.told()
    bench.restart()
    bench.hello("w", Hello("inc", 4000, 1, running=(attempts(1, 1, (0, 4)),)))
    bench.report(2, 1, ok=(ok(1, 0, 2),))
    assert bench.told() == []
    bench.report(2, 2, ok=(ok(1, 2, 4),))
    assert bench.told() == ["job.ended", "job.ready"]


def test_deleted_jobs_are_one_event_of_each_owner(bench: Bench) -> None:
    jobs = tuple(EndedJob(5.0, number, f"id-{number}", "bob" if number == 4 else "alice", 0) for number in (1, 2, 4, 7))
    bench.turn(JobsDeleted(0, jobs, "by root", refuses=True))
    found = [(each.kind.value, each.job, each.owner, each.tasks, each.count, each.detail) for each in bench.events]
    assert found == [
        ("jobs.deleted", 0, "alice", "1-2,7", 3, "by root"),
        ("jobs.deleted", 0, "bob", "4", 1, "by root"),
    ]
    bench.told()
    bench.turn(JobsDeleted(0, jobs, "by root", refuses=False))
    assert bench.told() == [], "they were deleted before"
