"""The scheduler's decisions: events in, the exact list of effects out."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import Conflict
from cluster.domain.base.intervals import Range
from cluster.domain.job.endings import CANCELLED_EXIT, LOST_EXIT
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobEnded, JobRecord, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Amended, CloseSession, Notify, Reply, Send
from cluster.domain.scheduler.events import (
    CancelRequested,
    HeartbeatReceived,
    JobSubmitted,
    SessionClosed,
    SessionOpened,
    WorkerDeregistered,
    WorkerRegistered,
)
from cluster.domain.scheduler.state import LEASE
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.domain.session.leashes import WATCHDOG_MARGIN
from cluster.domain.session.messages import Assign, Disown, HeartbeatAnswered, Hello, ReportAcknowledged, Stop, Welcome
from tests.domain.core_bench import Bench, assign, attempts, effects, failed, ok, spec, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_is_saved_before_its_number_is_told(bench: Bench) -> None:
    effects = bench.submit(spec(3))
    record = JobRecord(1, uuid(1), "alice", spec(3), bench.now.wall)
    assert effects == [record, bench.core.jobs[1].progress(), Reply(7, 1), Notify(1)]


def test_when_a_worker_was_given_some_of_a_job_is_known_after_a_restart(bench: Bench) -> None:
    bench.submit(spec(3))
    assert bench.core.jobs[1].given_at == 0.0
    bench.worker("w", 1000)
    given_at = bench.now.wall
    assert bench.core.jobs[1].given_at == given_at
    bench.restart(after=5.0)
    assert bench.core.jobs[1].given_at == given_at


def test_a_repeated_submit_answers_the_same_number_and_makes_nothing(bench: Bench) -> None:
    bench.submit(spec(3))
    assert bench.turn(JobSubmitted(9, uuid(1), "alice", spec(3))) == [Reply(9, 1)]
    bench.restart()
    assert bench.turn(JobSubmitted(9, uuid(1), "alice", spec(3))) == [Reply(9, 1)]


def test_a_job_id_of_somebody_else_is_a_conflict(bench: Bench) -> None:
    bench.submit(spec())
    (reply,) = bench.turn(JobSubmitted(9, uuid(1), "mallory", spec()))
    assert isinstance(reply, Reply)
    assert isinstance(reply.value, Conflict)


def test_the_life_of_a_job(bench: Bench) -> None:
    session = bench.worker("w")
    job = spec(3)
    assert bench.sent(JobSubmitted(7, uuid(1), "alice", job)) == [(session, assign(1, 1, (0, 2), first=job))]
    progress = bench.core.jobs[1].progress
    assert bench.report(session, 1, started=(attempts(1, 1, (0, 2)),)) == [
        progress(),
        Send(session, ReportAcknowledged(1)),
        Notify(1),
    ]
    assert bench.report(session, 2, ok=(ok(1, 0, 2, run=10.0),)) == [
        ok(1, 0, 2, run=10.0, worker="w"),
        progress(),
        Send(session, ReportAcknowledged(2)),
        Send(session, assign(1, 1, (2, 3))),
        Notify(1),
    ]
    assert bench.report(session, 3, ended=(failed(1, 2),)) == [
        failed(1, 2, worker="w"),
        progress(),
        JobEnded(1, TaskState.FAILED),
        Send(session, ReportAcknowledged(3)),
        Notify(1),
    ]
    done = bench.core.jobs[1]
    assert (done.ended_at, done.exit_code, done.reason) == (bench.now.wall, 3, "exit:3")
    assert not list(bench.core.unfinished())
    assert bench.core.workers["w"].allocated == 0


def test_each_worker_gets_a_spec_once_in_a_session(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(3))
    effects = bench.report(session, 1, ok=(ok(1, 0, 1, run=10.0),))
    assert Send(session, assign(1, 1, (1, 2))) in effects
    bench.turn(SessionClosed(session))
    effects = bench.hello("w")
    assert Send(session + 1, assign(1, 1, (1, 2), first=spec(3))) in effects


def test_lines_go_with_their_tasks_and_never_with_the_spec(bench: Bench) -> None:
    session = bench.worker("w")
    job = replace(spec(), lines=b"a\nb\nc")
    ((_, message),) = bench.sent(JobSubmitted(7, uuid(1), "alice", job))
    assert isinstance(message, Assign)
    assert (message.lines, message.spec) == ((b"a", b"b"), job.without_lines())
    effects = bench.report(session, 1, ok=(ok(1, 0, 1, run=10.0),))
    assert [e.message.lines for e in effects if isinstance(e, Send) and isinstance(e.message, Assign)] == [(b"c",)]


# ── retries ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_attempt_is_tried_again_after_a_pause_that_doubles(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=2))
    bench.report(session, 1, ended=(failed(1, 0),))
    assert bench.state(1) == "backoff"
    assert bench.sent(HeartbeatReceived(session, 1), after=0.74) == [(session, HeartbeatAnswered(1))]
    assert bench.sent(after=0.27) == [(session, assign(1, 2, (0, 1)))]
    bench.report(session, 2, ended=(failed(1, 0, attempt=2),))
    assert bench.sent(after=1.49) == []
    assert bench.sent(after=0.52) == [(session, assign(1, 3, (0, 1)))]
    bench.report(session, 3, ended=(failed(1, 0, attempt=3),))
    assert (bench.state(1), bench.core.jobs[1].exit_code) == ("failed", 3)


def test_after_a_restart_pauses_are_over(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=1))
    bench.report(session, 1, ended=(failed(1, 0),))
    bench.restart()
    bench.hello("w", Hello("inc", 1000, 1))
    assert bench.state(1) == "assigned"
    assert list(bench.core.jobs[1].held) == [("w", 2)]


def test_no_plain_end_is_without_a_code(bench: Bench) -> None:
    """Found by the simulation: a launcher that died cannot say a code, and `wait` must not return 0."""
    session = bench.worker("w", 1000)
    bench.submit(spec())
    effects = bench.report(session, 1, ended=(failed(1, 0, reason="lost", code=0),))
    assert effects[0] == failed(1, 0, reason="lost", code=LOST_EXIT, worker="w")
    assert bench.core.jobs[1].exit_code == LOST_EXIT


def test_the_end_of_a_pause_leaves_alone_what_was_cancelled_in_it(bench: Bench) -> None:
    """A job that has ended is neither saved again nor do its watchers hear of it."""
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=2))
    bench.report(session, 1, ended=(failed(1, 0),))
    bench.turn(CancelRequested(9, (Target(1),), "alice"))
    assert bench.state(1) == "cancelled"
    assert bench.turn(HeartbeatReceived(session, 1), after=2.0) == [Send(session, HeartbeatAnswered(1))]


# ── cancel ──────────────────────────────────────────────────────────────────────────────────────────────────────


def cancel(job: int, *ranges: tuple[int, int], grace: float | None = None) -> CancelRequested:
    return CancelRequested(5, (Target(job, tuple(Range(*r) for r in ranges) or None),), "bob", grace, "enough")


def test_cancel_ends_what_waits_and_stops_what_is_held(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(5))
    assert bench.turn(cancel(1, grace=2.0)) == [
        bench.core.jobs[1].progress(),
        Send(session, Stop(attempts(1, 1, (0, 2)), 2.0)),
        Reply(5, 5),
        Notify(1),
    ]
    assert [bench.state(1, i) for i in range(5)] == ["assigned", "assigned", "cancelled", "cancelled", "cancelled"]
    bench.report(session, 1, ended=(failed(1, 0, reason="cancelled", code=143),), returned=(attempts(1, 1, (1, 2)),))
    job = bench.core.jobs[1]
    assert (job.live, job.exit_code, job.reason, job.cancelled_by) == (False, 143, "cancelled", "bob")
    assert bench.turn(cancel(1)) == [Reply(5, 0)]


def test_a_job_that_is_cancelled_before_any_task_started_says_so(bench: Bench) -> None:
    """Found by the simulation: every task was assigned and given back, and the job showed exit code 0."""
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.turn(cancel(1))
    bench.report(session, 1, returned=(attempts(1, 1, (0, 2)),))
    job = bench.core.jobs[1]
    assert (bench.state(1), job.exit_code, job.reason) == ("cancelled", CANCELLED_EXIT, "cancelled")


def test_cancelling_no_tasks_cancels_none(bench: Bench) -> None:
    bench.submit(spec(5))
    assert bench.turn(CancelRequested(5, (Target(1, ()),), "bob")) == [Reply(5, 0)]


def test_a_cancelled_attempt_is_not_tried_again(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=3))
    bench.turn(cancel(1))
    bench.report(session, 1, ended=(failed(1, 0, reason="exit:1", code=1),))
    assert bench.state(1) == "failed"


def test_a_task_that_succeeds_all_the_same_has_succeeded(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec())
    bench.turn(cancel(1))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert (bench.state(1), bench.core.jobs[1].exit_code) == ("succeeded", 0)


def test_what_nobody_wished_cancelled_has_failed(bench: Bench) -> None:
    """A worker that is told to end its jobs with itself: the system's decision, which may be tried again."""
    session = bench.worker("w", 1000)
    bench.submit(spec(retries=1))
    end = replace(failed(1, 0, reason="cancelled", code=143), signal="SIGTERM")
    effects = bench.report(session, 1, ended=(end,))
    saved = failed(1, 0, reason="stopped", code=143, worker="w")
    assert effects[0] == replace(saved, signal="SIGTERM", detail="its worker was told to end its jobs")
    assert bench.state(1) == "backoff"


def test_a_stop_is_repeated_in_the_next_session_and_after_a_restart(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(2))
    bench.turn(cancel(1, grace=3.0))
    bench.restart()
    effects = bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),)))
    assert Send(2, Stop(attempts(1, 1, (0, 2)), 3.0)) in effects


# ── workers and sessions ────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_registers_and_is_greeted(bench: Bench) -> None:  # S2.4 S2.6
    record = WorkerRecord("id", "box", 2000, "", "", bench.now.wall)
    assert bench.turn(WorkerRegistered(3, "id", "box", 2000)) == [record, Reply(3, "box")]
    assert bench.turn(WorkerRegistered(4, "other", "box", 2000))[1] == Reply(4, "box-2")
    assert bench.turn(SessionOpened(1, "id", Hello("inc", 4000, 0))) == [
        Amended(replace(record, incarnation="inc", millicpus=4000)),
        Send(1, Welcome(1, LEASE)),
    ]


def test_a_worker_that_comes_back_under_its_name_is_surely_called_so(bench: Bench) -> None:
    bench.worker("w")
    bench.turn(WorkerDeregistered(4, "w", "SIGTERM"))
    saved, reply = bench.turn(WorkerRegistered(5, "w", "w", 4000, "elsewhere:1"))
    assert saved == Amended(replace(bench.workers["w"], offline=False, millicpus=4000, address="elsewhere:1"))
    assert reply == Reply(5, "w", sure=True)
    assert bench.turn(WorkerRegistered(6, "w", "w", 4000, "elsewhere:1")) == [Reply(6, "w", sure=True)]
    assert bench.turn(WorkerRegistered(7, "w", "another", 4000))[1] == Reply(7, "another")


def test_a_stranger_is_sent_away(bench: Bench) -> None:
    (effect,) = bench.turn(SessionOpened(1, "nobody", Hello("inc", 4000, 0)))
    assert isinstance(effect, CloseSession)


def test_a_worker_that_obeyed_a_newer_scheduler_is_sent_away(bench: Bench) -> None:
    bench.register("w")
    (effect,) = bench.hello("w", Hello("inc", 2000, epoch=2))
    assert isinstance(effect, CloseSession)


def test_a_newer_session_replaces_the_older_whose_words_then_count_nothing(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec())
    assert isinstance(bench.hello("w", Hello("inc", 2000, 1, backlog=(attempts(1, 1, (0, 1)),)))[0], CloseSession)
    assert bench.report(1, 1, ok=(ok(1, 0, 1),)) == []
    assert bench.turn(HeartbeatReceived(1, 1), SessionClosed(1)) == []
    assert bench.state(1) == "assigned"


def test_a_silent_worker_loses_its_lease_then_its_attempts(bench: Bench) -> None:  # S2.2
    bench.worker("w")
    bench.submit(spec(2))
    noted, closed, *_ = bench.turn(after=LEASE)
    assert (noted, closed) == (Amended(bench.workers["w"]), CloseSession(1, "nothing heard for 15 s"))
    assert bench.workers["w"].is_silent
    assert bench.turn(after=44.9) == []
    effects = bench.turn(after=0.2)
    assert [e.reason for e in effects if isinstance(e, TaskEnd)] == ["lost", "lost"]
    assert bench.state(1) == "failed"


def test_a_heartbeat_renews_the_lease(bench: Bench) -> None:
    bench.worker("w")
    assert bench.turn(HeartbeatReceived(1, 1), after=14.0) == [Send(1, HeartbeatAnswered(1))]
    assert bench.turn(after=14.9) == []
    assert bench.turn(after=0.2) == [Amended(bench.workers["w"]), CloseSession(1, "nothing heard for 15 s")]


def test_a_leash_never_ends_before_a_healthy_worker_could_renew_it(bench: Bench) -> None:
    """With `lost_after` of 2 s and a heartbeat every 5 s, attempts would be killed on a cluster that is well."""
    bench.worker("w")
    ((_, message),) = bench.sent(JobSubmitted(7, uuid(1), "alice", spec(lost_after=2.0)))
    assert isinstance(message, Assign)
    assert message.leash >= LEASE
    bench.turn(SessionClosed(1))
    bench.turn(after=message.leash + WATCHDOG_MARGIN)
    assert bench.state(1) == "assigned"


def test_a_worker_back_in_time_keeps_what_it_holds(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(4))
    bench.turn(SessionClosed(1), after=10)
    effects = bench.hello(
        "w", Hello("inc", 2000, 1, backlog=(attempts(1, 1, (1, 2)),), running=(attempts(1, 1, (0, 1)),))
    )
    assert [e for e in effects if isinstance(e, Send)] == [Send(2, Welcome(1, LEASE))]
    assert [bench.state(1, i) for i in range(3)] == ["running", "assigned", "ready"]
    assert bench.turn(after=14.0) == []


def test_what_never_reached_a_worker_that_remembers_is_ready_again(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(2))
    bench.turn(SessionClosed(1))
    effects = bench.hello("w", Hello("inc", 2000, 1, ended=(attempts(1, 1, (0, 1)),)))
    assert Send(2, assign(1, 1, (1, 2), first=spec(2))) in effects


def test_what_a_worker_forgot_is_lost(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(2))
    bench.turn(SessionClosed(1))
    bench.hello("w", Hello("another", 2000, 1, ended=(attempts(1, 1, (0, 1)),)))
    assert [bench.state(1, i) for i in range(2)] == ["assigned", "failed"]


def test_what_was_started_and_is_not_there_any_more_is_lost_even_if_the_launcher_remembers(bench: Bench) -> None:
    """It cannot be; but if it ever is, a task must not be held for ever."""
    bench.worker("w")
    bench.submit(spec())
    bench.report(1, 1, started=(attempts(1, 1, (0, 1)),))
    bench.hello("w")
    assert (bench.state(1), bench.core.jobs[1].reason) == ("failed", "lost")


def test_what_is_not_a_workers_own_any_more_is_disowned(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(lost_after=20.0, retries=1))
    bench.turn(after=LEASE)
    bench.turn(after=20.0)
    effects = bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 1)),)))
    assert Send(2, Disown(attempts(1, 1, (0, 1)))) in effects


def test_a_worker_says_goodbye(bench: Bench) -> None:  # S2.2 S2.4
    bench.worker("w")
    effects = bench.turn(WorkerDeregistered(4, "w", "SIGTERM"))
    assert effects == [Amended(replace(bench.workers["w"], offline=True)), CloseSession(1, "SIGTERM"), Reply(4, "w")]
    assert bench.core.workers["w"].state.word == "offline"
    bench.hello("w")
    assert bench.core.workers["w"].state.word == "online"


# ── restart ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_restart_gives_every_worker_its_time_anew(bench: Bench) -> None:
    bench.worker("w")
    bench.submit(spec(2))
    bench.restart(after=1000.0)
    assert bench.turn(after=59.9) == [Amended(bench.workers["w"])]  # that nothing is heard of it
    bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),)))
    assert bench.state(1) == "running"
    assert bench.core.epoch == 2


def test_numbers_go_on_after_a_restart(bench: Bench) -> None:
    bench.submit(spec())
    bench.restart()
    assert Reply(7, 2) in bench.submit(spec())


def test_nothing_is_due_on_an_idle_core() -> None:
    core = SchedulerCore(1)
    assert core.next_deadline() is None
    assert effects(core.turn((), Bench().now)) == []


def test_a_worker_that_drains_gets_nothing_more_in_its_session(bench: Bench) -> None:
    """Else what it gives back comes to it again, and is lost with its goodbye."""
    session = bench.worker("w")
    bench.submit(spec(4))
    answer = bench.report(session, 0, draining=True, returned=(attempts(1, 1, (0, 2)),))
    assert answer == [bench.core.jobs[1].progress(), Notify(1)]
    assert bench.core.workers["w"].state is WorkerState.DRAINING
    bench.turn(SessionClosed(session))
    assert any(isinstance(e, Send) and isinstance(e.message, Assign) for e in bench.hello("w"))


def test_what_is_not_on_disk_yet_is_not_in_what_is_seen_of_the_core() -> None:
    bench = Bench()
    for _ in range(3):
        bench.submit(spec(name="same"))
    before = Job.restored(bench.records[1], bench.progress[1])
    bench.turn(CancelRequested(9, (Target(1),), "alice"))
    seen = bench.core.seen_with({1: before, 3: None})
    assert list(seen.jobs) == [1, 2]
    assert (seen.unfinished_before(2), bench.core.unfinished_before(2)) == (1, 0)
    assert list(bench.core.jobs) == [1, 2, 3]
