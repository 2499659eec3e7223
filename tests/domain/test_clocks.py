"""Queue clock and deadline of a job: what waits too long fails, and what has not ended in time is stopped."""

from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.wall_time import iso
from cluster.domain.job.clocks import AFTER_A_START, STEPS
from cluster.domain.job.job import Job
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobRecord, LastEnd, TaskEnd
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.states import TRANSITIONS, TaskEvent, TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.time_kinds import DEADLINE
from cluster.domain.job.times import resolved
from cluster.domain.job.unbegun import Unbegun, reason_unbegun
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Reply, Send
from cluster.domain.scheduler.events import (
    CancelRequested,
    JobsChanged,
    JobsPaused,
    JobsResumed,
    ReopenRequested,
    ReportReceived,
    SessionClosed,
    SessionOpened,
)
from cluster.domain.session.messages import Assign, Attempts, Hello, Report, Stop
from cluster.scheduler.tasks_shown import _Shown, _task
from tests.domain.core_bench import WALL, Bench, attempts, failed, ok, spec
from tests.domain.test_dependencies import states

W, R, A, B, S, F, C = (
    TaskState.WAITING,
    TaskState.READY,
    TaskState.ASSIGNED,
    TaskState.BACKOFF,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)
HOUR = 3600.0
YEAR = 365 * 24 * HOUR


def patient() -> Bench:
    """Its workers need not say that they are there."""
    return Bench(SchedulerCore(epoch=1, lease=1e6))


def at(seconds: float) -> str:
    """So long after the first moment of a bench."""
    return iso(WALL + 100.0 + seconds)


def stops(sent: list[Any]) -> list[tuple[Attempts, float]]:
    return [(m.attempts, m.grace) for _, m in sent if isinstance(m, Stop)]


# ── the queue clock ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_starts_in_time_fails() -> None:
    bench = patient()
    bench.submit(spec(3, queue_timeout=HOUR))
    bench.turn(after=HOUR - 0.01)
    assert states(bench, 1) == {R: [(0, 3)]}
    bench.turn(after=0.01)
    assert states(bench, 1) == {F: [(0, 3)]}
    job = bench.core.jobs[1]
    assert (job.reason, job.exit_code, job.outcome) == ("timeout:queue", 124, F)
    assert reason_unbegun(job, F) == "timeout:queue"
    assert 1 in bench.ended
    assert bench.core.next_deadline() is None


def test_what_has_begun_has_no_queue_clock_and_the_rest_has() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(3, queue_timeout=HOUR))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.turn(after=HOUR)
    assert states(bench, 1) == {TaskState.RUNNING: [(0, 1)], F: [(1, 3)]}
    bench.report(session, 2, ok=(ok(1, 0, 1),))
    assert bench.core.jobs[1].reason == "timeout:queue"


def test_it_counts_from_when_a_task_is_ready() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(2))
    bench.submit(spec(2, millicpus=9000, after_each=("1",), delay=60.0, queue_timeout=HOUR))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    bench.turn(after=60.0 + HOUR / 2)
    bench.report(session, 2, ok=(ok(1, 1, 2),))
    bench.turn(after=HOUR / 2 + 0.01)  # when it was started, by another clock
    assert states(bench, 2) == {F: [(0, 1)], R: [(1, 2)]}
    bench.turn(after=HOUR / 2)
    assert states(bench, 2) == {F: [(0, 2)]}


def test_each_attempt_has_a_queue_clock_of_its_own() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(queue_timeout=60.0, retries=1))
    bench.turn(after=50.0)
    bench.report(session, 1, ended=(failed(1, 0),))
    bench.submit(spec())  # takes the cpu
    bench.turn(after=1.0)
    assert bench.state(1) == "ready"
    bench.turn(after=59.0)
    assert bench.state(1) == "ready"
    bench.turn(after=1.0)
    assert bench.state(1) == "failed"


def test_what_comes_back_unstarted_was_ready_all_the_time() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(queue_timeout=60.0))
    assert bench.state(1) == "assigned"
    bench.turn(after=61.0)
    assert bench.state(1) == "assigned", "what a worker has is not taken from it"
    due = bench.core.next_deadline()
    assert due is None or due > bench.mono, "nor is anybody asked again and again"
    bench.report(session, 1, returned=(attempts(1, 1, (0, 1)),))
    assert states(bench, 1) == {F: [(0, 1)]}


def test_while_a_job_is_paused_its_queue_clock_is_not_counted() -> None:
    bench = patient()
    bench.submit(spec(queue_timeout=60.0, deadline="2h"))
    bench.turn(after=50.0)
    bench.turn(JobsPaused(5, (1,), Pause("alice", 0.0)))
    bench.turn(after=HOUR)
    assert bench.state(1) == "ready"
    bench.turn(JobsResumed(6, (1,), by_admin=False))
    bench.turn(after=59.0)
    assert bench.state(1) == "ready"
    bench.turn(JobsPaused(7, (1,), Pause("alice", 0.0)))
    bench.turn(after=HOUR)
    assert bench.state(1) == "failed", "its deadline comes all the same"


def test_a_clock_that_jumps_moves_no_queue_clock() -> None:
    bench = patient()
    bench.submit(spec(queue_timeout=60.0))
    bench.jumped = HOUR
    bench.turn(after=59.0)
    assert bench.state(1) == "ready"
    bench.jumped = -HOUR
    bench.turn(after=1.0)
    assert bench.state(1) == "failed"


def test_a_restart_keeps_the_time_that_a_job_was_ready() -> None:
    bench = patient()
    bench.submit(spec(queue_timeout=HOUR))
    bench.submit(spec(queue_timeout=HOUR, delay=1800.0))
    bench.turn(after=2400.0)
    bench.restart(after=600.0)
    bench.turn(after=599.9)
    assert (bench.state(1), bench.state(2)) == ("ready", "ready")
    bench.turn(after=0.1)
    assert (bench.state(1), bench.state(2)) == ("failed", "ready")
    bench.turn(after=1800.0)
    assert bench.state(2) == "failed"


@pytest.mark.parametrize(("limit", "left"), [(HOUR, AFTER_A_START), (30.0, 30.0)])
def test_after_a_restart_a_task_has_time_to_meet_a_worker(limit: float, left: float) -> None:
    bench = patient()
    bench.submit(spec(queue_timeout=limit))
    bench.restart(after=2 * HOUR)
    bench.turn(after=left - 0.1)
    assert bench.state(1) == "ready"
    bench.turn(after=0.1)
    assert bench.state(1) == "failed"


def test_a_restart_by_a_clock_that_is_a_year_ahead_ends_nothing_that_it_need_not() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(2, queue_timeout=HOUR))
    bench.submit(spec(queue_timeout=HOUR, millicpus=9000))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.turn(after=600.0)
    bench.jumped = YEAR
    bench.restart(after=600.0)
    bench.turn(after=AFTER_A_START / 2)
    bench.jumped = 0.0
    bench.turn(after=0.1)
    bench.turn(after=HOUR - 1200.0 - AFTER_A_START)
    assert bench.state(2) == "ready"
    bench.turn(after=AFTER_A_START)
    assert bench.state(2) == "failed", "by the right clock its time is over"


def test_what_becomes_ready_bit_by_bit_has_few_clocks_and_none_too_early() -> None:
    job = Job(JobRecord(1, "id", "alice", spec(1000, after_each=("9",), queue_timeout=float(STEPS)), 0.0))
    for index in range(1000):
        now = index / 4
        job.go_on(IntervalSet([(index, index + 1)]))
        job.obey_clocks(now)
        assert len(job.clocks._queue._cohorts) <= STEPS + 2  # type: ignore[union-attr]
        over = job.sets[F]
        assert not over or over.last() / 4 <= now - STEPS
        assert job.ready.first() / 4 >= now - STEPS - 1.25, "nor later than a step"


# ── the deadline ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("deadline", ["1h", at(HOUR)])
def test_at_its_deadline_nothing_of_a_job_waits_and_what_runs_is_stopped(deadline: str) -> None:  # S3.12
    bench = patient()
    session = bench.worker("w", 2000)
    bench.submit(spec(4, deadline=deadline, grace=7.0, retries=3))
    bench.report(session, 1, ok=(ok(1, 0, 1),), started=(attempts(1, 1, (1, 2)),))
    assert not stops(bench.sent(after=HOUR - 0.01))
    assert stops(bench.sent(after=0.01)) == [(attempts(1, 1, (1, 3)), 7.0)]
    assert states(bench, 1)[F] == [(3, 4)]
    stopped = TaskEnd(1, 1, 1, "cancelled", signal="SIGTERM", exit_code=143)
    effects = bench.report(session, 2, ended=(stopped,), returned=(attempts(1, 1, (2, 3)),))
    assert states(bench, 1) == {S: [(0, 1)], F: [(1, 4)]}
    (end,) = [e for e in effects if isinstance(e, TaskEnd)]
    assert (end.reason, end.exit_code) == ("timeout:deadline", 143)
    job = bench.core.jobs[1]
    assert (job.reason, job.exit_code) == ("timeout:deadline", 143)
    assert bench.core.next_deadline() is None or bench.core.wall_timers.next() is None


def test_what_waits_for_others_or_for_its_next_attempt_ends_at_the_deadline() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(deadline="10s", retries=9))
    bench.submit(spec(after=("1",), deadline="5s"))
    bench.turn(after=9.5)
    assert states(bench, 2) == {F: [(0, 1)]}
    bench.report(session, 1, ended=(failed(1, 0),))
    assert bench.state(1) == "backoff"
    bench.turn(after=0.5)
    assert states(bench, 1) == {F: [(0, 1)]}
    assert bench.core.jobs[1].reason == "timeout:deadline"


def test_what_fails_after_the_deadline_is_not_tried_again_and_what_succeeds_has() -> None:
    bench = patient()
    session = bench.worker("w", 3000)
    bench.submit(spec(3, deadline="10s", retries=9))
    bench.turn(after=10.0)
    bench.report(session, 1, ended=(failed(1, 0), failed(1, 1, reason="lost", code=70)), ok=(ok(1, 2, 3),))
    assert states(bench, 1) == {F: [(0, 2)], S: [(2, 3)]}


def test_a_worker_that_was_away_hears_of_the_deadline_when_it_is_back() -> None:
    bench = Bench()
    bench.worker("w", 2000)
    bench.submit(spec(deadline="20s", grace=3.0))
    bench.turn(after=21.0)  # its lease is over
    hello = Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 1)),))
    sent = [(e.session, e.message) for e in bench.hello("w", hello) if isinstance(e, Send)]
    assert stops(sent) == [(attempts(1, 1, (0, 1)), 3.0)]


def test_a_deadline_that_was_counted_by_a_clock_that_was_a_year_ahead_comes_in_its_time() -> None:
    bench = patient()
    bench.worker("w", 1000)
    bench.jumped = YEAR
    bench.submit(spec(deadline="1h", grace=3.0))
    bench.submit(spec(deadline="1h", delay=1800.0))
    bench.submit(spec(deadline=at(YEAR + HOUR)))
    bench.turn(after=600.0)
    bench.jumped = 0.0
    bench.turn()
    assert [bench.core.jobs[job].record.spec.deadline for job in (1, 2)] == [at(HOUR)] * 2
    assert bench.core.followers.waits[2].until == pytest.approx(WALL + 100.0 + 1800.0)
    assert bench.core.jobs[1].as_submitted.spec.deadline == "1h"
    assert not stops(bench.sent(after=HOUR - 600.01))
    assert stops(bench.sent(after=0.01)) == [(attempts(1, 1, (0, 1)), 3.0)]
    assert states(bench, 2) == {F: [(0, 1)]}
    assert states(bench, 3) == {R: [(0, 1)]}, "a time is that time"


def test_a_clock_that_is_set_right_in_steps_leaves_a_deadline_its_time() -> None:
    bench = patient()
    bench.jumped = YEAR
    bench.submit(spec(deadline="1h"))
    for ahead in (YEAR / 2, 5 * HOUR, 0.0):
        bench.turn(after=60.0)
        bench.jumped = ahead
        bench.turn()
    assert bench.core.jobs[1].record.spec.deadline == at(HOUR)


@pytest.mark.parametrize(
    ("set_right", "left"), [("before", HOUR - 600.0), ("meanwhile", HOUR), ("after", HOUR - 600.0)]
)
def test_a_deadline_that_was_counted_by_a_wrong_clock_outlives_a_restart(set_right: str, left: float) -> None:
    """Where the clock is set right while the scheduler is away, nobody knows how much is over: all of it begins anew,
    once."""
    bench = patient()
    bench.jumped = YEAR
    bench.submit(spec(deadline="1h"))
    bench.turn(after=600.0)
    for when in ("before", "meanwhile", "after"):
        if when == set_right:
            bench.jumped = 0.0
        if when == "meanwhile":
            bench.restart()
        bench.turn()
    until = iso(bench.now.wall + left)
    assert bench.core.jobs[1].record.spec.deadline == until
    bench.restart(after=30.0)
    bench.turn()
    assert bench.core.jobs[1].record.spec.deadline == until


def test_a_deadline_that_was_given_later_is_counted_anew_as_well() -> None:
    bench = patient()
    bench.submit(spec(deadline="2h", queue_timeout=9 * HOUR))
    bench.jumped = YEAR
    bench.turn(JobsChanged(5, (1,), {"deadline": "1h"}, by_admin=False))
    bench.turn(JobsChanged(6, (1,), {"queue_timeout": 8 * HOUR}, by_admin=False))
    bench.jumped = 0.0
    bench.turn()
    assert bench.core.jobs[1].record.spec.deadline == at(HOUR)
    bench.turn(JobsChanged(5, (1,), {"deadline": at(3 * HOUR)}, by_admin=False))
    bench.turn()
    assert bench.core.jobs[1].record.spec.deadline == at(3 * HOUR)


def test_one_that_was_given_later_by_a_wrong_clock_is_counted_anew_after_a_restart() -> None:
    bench = patient()
    for deadline in ("2h", "", ""):
        bench.submit(spec(deadline=deadline))
    bench.jumped = YEAR
    bench.turn(JobsChanged(5, (1, 2), {"deadline": "1h"}, by_admin=False))
    bench.turn(JobsChanged(6, (3,), {"deadline": at(YEAR + HOUR)}, by_admin=False))
    bench.turn(JobsChanged(7, (1,), {"priority": -1}, by_admin=False))
    bench.restart()
    bench.turn()
    assert bench.core.jobs[1].record.spec.deadline == at(YEAR + HOUR), "nobody knows yet that the clock is wrong"
    bench.jumped = YEAR / 2
    bench.restart()
    bench.turn()
    bench.jumped = 0.0  # it was set right in two steps
    bench.restart()
    bench.turn()
    assert [bench.core.jobs[job].record.spec.deadline for job in (1, 2)] == [at(HOUR)] * 2
    assert bench.core.jobs[3].record.spec.deadline == at(YEAR + HOUR), "a time is that time"


@pytest.mark.parametrize("down", [5.0, 60.0])
def test_a_deadline_outlives_a_restart(down: float) -> None:
    bench = patient()
    bench.worker("w", 1000)
    bench.submit(spec(deadline="30s"))
    bench.submit(spec(deadline="30s"))
    bench.restart(after=down)
    bench.turn()
    assert states(bench, 2) == ({R: [(0, 1)]} if down < 30 else {F: [(0, 1)]})
    bench.turn(after=30.0)
    assert states(bench, 2) == {F: [(0, 1)]}
    assert bench.core.jobs[1].overdue


def test_who_is_stopped_after_a_restart_ended_by_the_deadline() -> None:
    """The report is heard in the first turn, before the deadline has its."""
    bench = patient()
    bench.worker("w", 1000)
    bench.submit(spec(deadline="30s"))
    bench.turn(after=31.0)
    bench.restart()
    stopped = TaskEnd(1, 0, 1, "cancelled", signal="SIGTERM", exit_code=143)
    hello = Hello("inc", 1000, 1, ended=(attempts(1, 1, (0, 1)),))
    effects = bench.turn(SessionOpened(9, "w", hello), ReportReceived(9, Report(1, ended=(stopped,))))
    assert [e.reason for e in effects if isinstance(e, TaskEnd)] == ["timeout:deadline"]


def test_who_was_cancelled_by_a_user_stays_so() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(deadline="30s", grace=1.0))
    bench.turn(CancelRequested(5, (Target(1, None),), "alice", 99.0))
    assert not stops(bench.sent(after=30.0))
    bench.report(session, 1, ended=(TaskEnd(1, 0, 1, "cancelled", signal="SIGTERM", exit_code=143),))
    assert states(bench, 1) == {C: [(0, 1)]}


def test_a_job_that_ends_in_time_leaves_no_clock() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(deadline="30s", queue_timeout=10.0))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert bench.core.wall_timers.next() is None
    assert not [m for _, m in bench.sent(after=60.0) if isinstance(m, Assign | Stop)]


def test_of_two_clocks_the_first_that_ended_a_task_is_told() -> None:
    bench = patient()
    bench.submit(spec(deadline="30s", queue_timeout=10.0))
    bench.submit(spec(deadline="10s", queue_timeout=30.0))
    bench.turn(after=30.0)
    assert [reason_unbegun(bench.core.jobs[n], F) for n in (1, 2)] == ["timeout:queue", "timeout:deadline"]


def unbegun(job: Job, *ends: TaskEnd) -> tuple[list[int], dict[str, list[int]]]:
    """The ends that say why their tasks have ended, by their tasks; and by their reasons the tasks that have none."""
    found = Unbegun(job, IntervalSet([(0, job.record.spec.task_count)]))
    counting = found.leave_begun([LastEnd(end.index, end.reason, end.exit_code) for end in ends])
    return [end.index for end in counting], {reason: list(tasks) for reason, tasks in found.by_reason()}


def test_what_was_cancelled_and_tried_again_and_had_no_time_left_ended_by_its_deadline() -> None:
    bench = patient()
    session = bench.worker("w", 2000)
    bench.submit(spec(2, deadline="1h"))
    bench.report(session, 1, started=(attempts(1, 1, (0, 2)),))
    bench.turn(CancelRequested(5, (Target(1, (Range(0, 1),)),), "alice"))
    ends = (failed(1, 0, reason="cancelled", code=143), failed(1, 1))
    bench.report(session, 2, ended=ends)
    bench.turn(SessionClosed(session), JobsPaused(6, (1,), Pause("alice", 0.0)))
    job = bench.core.jobs[1]
    assert unbegun(job, *ends) == ([0, 1], {})
    every = (TaskState.CANCELLED, TaskState.FAILED)
    bench.turn(ReopenRequested(9, 1, (Range(0, 2),), every, None, bench.core.openings))
    bench.turn(after=HOUR)
    assert states(bench, 1) == {F: [(0, 2)]}
    assert unbegun(job, *ends) == ([], {"timeout:deadline": [0, 1]})
    shown = _Shown(0, F, 0, "", 1)
    task = _task(bench.core, job, shown, ends[0])
    assert (task.state, task.reason, task.exit_code, task.attempt) == (F, "timeout:deadline", 124, 1)
    task = _task(bench.core, job, shown, ends[0], of_attempt=True)
    assert (task.state, task.reason, task.exit_code) == (C, "cancelled", 143)


def test_what_is_cancelled_between_two_attempts_did_not_end_as_the_first_of_them() -> None:
    bench = patient()
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=3, backoff=(HOUR,) * 2))
    bench.report(session, 1, ended=(failed(1, 0),))
    assert states(bench, 1) == {B: [(0, 1)]}
    job = bench.core.jobs[1]
    bench.turn(CancelRequested(5, (Target(1, None),), "alice"))
    assert unbegun(job, failed(1, 0)) == ([], {"cancelled": [0]})
    task = _task(bench.core, job, _Shown(0, C, 0, "", 1), failed(1, 0))
    assert (task.state, task.reason, task.exit_code) == (C, "cancelled", 143)


# ── what they may be ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"deadline": at(-1.0)}, f"--deadline {at(-1.0)} is past: it is {at(0)} now; give a later time, or none"),
        (
            {"deadline": "1h", "delay": HOUR},
            f"--deadline 1h ends the job at {at(HOUR)}, and it starts no sooner than {at(HOUR)}: give a later one",
        ),
    ],
)
def test_a_deadline_that_comes_in_vain_is_refused(fields: dict[str, Any], words: str) -> None:
    bench = patient()
    (reply,) = [e for e in bench.submit(spec(**fields)) if isinstance(e, Reply)]
    assert str(reply.value) == words
    assert not bench.core.jobs


def test_clocks_of_zero_are_none() -> None:
    bench = patient()
    bench.submit(spec(deadline=DEADLINE.parse("0"), queue_timeout=0.0))
    bench.submit(spec(deadline="0s"))  # of a client that says so
    bench.turn(after=HOUR)
    assert (bench.state(1), bench.state(2)) == ("ready", "ready")


def test_a_duration_stays_one_and_a_time_is_told_in_utc() -> None:
    assert resolved(JobSpec(("true",), deadline="2h"), WALL, None).deadline == "2h"
    assert resolved(JobSpec(("true",), deadline="2099-01-01T01:00+01:00"), WALL, None).deadline == (
        "2099-01-01T00:00:00Z"
    )
    assert DEADLINE.taken(90) == "90"
    assert DEADLINE.taken(0) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"deadline": "soon"}, "--deadline 'soon': 'soon' is no time"),
        ({"deadline": "99999d"}, "--deadline '99999d': use 0 to 1000000000 seconds, or a time"),
        ({"queue_timeout": -1.0}, "--queue-timeout -1: use 0 to"),
    ],
)
def test_what_is_none_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(JobSpec(("true",), **fields))


def test_a_lone_worker_refuses_them_by_name() -> None:
    for what in (JobSpec(("true",), deadline="2h"), JobSpec(("true",), queue_timeout=5.0)):
        with pytest.raises(InvalidInput, match=r"^--(deadline|queue-timeout) .* needs a scheduler"):
            refuse_what_needs_a_scheduler(what)


def test_the_table_has_no_other_way_to_expire() -> None:
    finishing = TaskState.FINISHING
    assert {at for at, event in TRANSITIONS if event is TaskEvent.EXPIRED} == {W, R, B, finishing}
