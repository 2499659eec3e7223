"""Workers that somebody drains: they get nothing more, give back what has not started, and are taken back."""

from math import ceil

import pytest

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.base.intervals import Range
from cluster.domain.base.wall_time import iso
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Replied, Reply, Send
from cluster.domain.scheduler.events import (
    CancelRequested,
    SessionClosed,
    WorkerDeregistered,
    WorkerRegistered,
    WorkerRemoved,
    WorkersDrained,
    WorkersResumed,
)
from cluster.domain.scheduler.views import job_view
from cluster.domain.scheduler.worker_states import Drain, WorkerState
from cluster.domain.session.messages import Assign, Attempts, Hello, Recall, Stop
from tests.domain.core_bench import Bench, Effect, attempts, ok, spec


@pytest.fixture
def bench() -> Bench:
    return Bench()


def drain(bench: Bench, *workers: str, by: str = "ada", reason: str = "", within: float | None = None) -> list[Effect]:
    return bench.turn(WorkersDrained(5, workers, by, reason, within))


def resume(bench: Bench, *workers: str) -> list[Effect]:
    return bench.turn(WorkersResumed(5, workers))


def reply(effects: list[Effect]) -> Replied:
    (found,) = [effect.value for effect in effects if isinstance(effect, Reply)]
    return found


def state(bench: Bench, worker: str = "w") -> WorkerState:
    return bench.core.workers[worker].state


def wish(bench: Bench, worker: str = "w") -> Drain | None:
    """As it is on disk."""
    return bench.workers[worker].drain


def assigned(effects: list[Effect]) -> list[Attempts]:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message.attempts for message in messages if isinstance(message, Assign)]


def recalled(effects: list[Effect]) -> list[Attempts]:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message.attempts for message in messages if isinstance(message, Recall)]


def test_it_gets_nothing_more_until_it_is_resumed(bench: Bench) -> None:
    bench.worker("w")
    assert reply(drain(bench, "w", reason="new kernel")) == 1
    assert state(bench) is WorkerState.DRAINED
    assert wish(bench) == Drain("ada", bench.now.wall, "new kernel")
    assert assigned(bench.submit(spec(2))) == []
    bench.restart()
    assert assigned(bench.hello("w")) == []  # whoever restarts meanwhile
    bench.register("w")
    assert assigned(bench.hello("w")) == []
    assert state(bench) is WorkerState.DRAINED
    effects = resume(bench, "w")
    assert (reply(effects), assigned(effects)) == (1, [attempts(1, 1, (0, 2))])
    assert (state(bench), wish(bench)) == (WorkerState.ONLINE, None)


def test_what_has_not_started_comes_back_and_what_runs_goes_on(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(30))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))  # from now on it gets some in advance
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),))
    waiting = bench.core.jobs[1].held["w", 1].copy()
    waiting.difference_update([(1, 2)])
    assert waiting
    assert recalled(drain(bench, "w")) == [Attempts(1, 1, tuple(waiting.ranges()))]
    assert state(bench) is WorkerState.DRAINING
    assert recalled(drain(bench, "w")) == []  # once in a session
    other = bench.worker("v", 1000)
    bench.report(session, 0, returned=(Attempts(1, 1, tuple(waiting.ranges())),))
    assert {holder for holder, _ in bench.core.jobs[1].held} == {"w", "v"}
    bench.report(session, 3, ok=(ok(1, 1, 2, worker="w"),))
    assert state(bench) is WorkerState.DRAINED
    assert bench.state(1, 1) == "succeeded"
    while not bench.core.jobs[1].ended_at:  # all else ends elsewhere
        held = bench.core.jobs[1].held["v", 1]
        bench.report(other, 0, ok=tuple(ok(1, *piece, run=0.01) for piece in held.ranges()))


def test_what_waits_on_one_that_is_away_is_asked_for_when_it_is_back(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(3))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.turn(SessionClosed(session))
    assert reply(drain(bench, "w")) == 1
    assert state(bench) is WorkerState.UNREACHABLE
    hello = Hello("inc", 2000, 1, backlog=(attempts(1, 1, (1, 2)),), running=(attempts(1, 1, (0, 1)),))
    assert recalled(bench.hello("w", hello)) == [attempts(1, 1, (1, 2))]
    bench.restart()
    assert recalled(bench.hello("w", hello)) == [attempts(1, 1, (1, 2))]
    assert (state(bench), bench.state(1)) == (WorkerState.DRAINING, "running")


def test_its_end_and_its_next_start_leave_it_drained(bench: Bench) -> None:
    bench.worker("w")
    drain(bench, "w")
    bench.turn(WorkerDeregistered(4, "w"))
    assert state(bench) is WorkerState.OFFLINE
    bench.turn(WorkerRegistered(8, "w", "w", 4000, "h:1", "0.2"))
    bench.hello("w")
    assert state(bench) is WorkerState.DRAINED
    assert assigned(bench.submit(spec())) == []


def test_draining_it_again_changes_nothing_but_the_reason(bench: Bench) -> None:
    bench.worker("w")
    drain(bench, "w", reason="new kernel")
    since = bench.now.wall
    bench.turn(after=60.0)
    assert reply(drain(bench, "w", by="bob")) == 1
    assert wish(bench) == Drain("ada", since, "new kernel")
    drain(bench, "w", by="bob", reason="new disk")
    assert wish(bench) == Drain("bob", since, "new disk")


def test_of_several_all_are_drained_or_none(bench: Bench) -> None:
    bench.worker("w")
    bench.worker("v")
    error = reply(drain(bench, "w", "x"))
    assert isinstance(error, NotFound)
    assert "no worker 'x'" in str(error)
    assert isinstance(reply(resume(bench, "w", "x")), NotFound)
    assert (state(bench), wish(bench)) == (WorkerState.ONLINE, None)
    assert reply(drain(bench, "w", "v", "w")) == 2
    assert reply(resume(bench, "v")) == 1
    assert reply(resume(bench, "w", "v")) == 1  # only one of them was drained
    assert [state(bench, worker) for worker in ("w", "v")] == [WorkerState.ONLINE] * 2


def test_one_that_was_removed_is_not_drained_and_one_that_is_back_is_free_of_it(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec())
    drain(bench, "w")
    bench.turn(SessionClosed(session))
    bench.turn(WorkerRemoved(5, "w"))
    assert isinstance(reply(drain(bench, "w")), Conflict)
    bench.register("w")
    bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 1)),)))
    assert state(bench) is WorkerState.ONLINE


def test_a_worker_that_ends_is_draining_and_not_drained(bench: Bench) -> None:
    session = bench.worker("w")
    bench.report(session, 0, draining=True)
    assert state(bench) is WorkerState.DRAINING
    drain(bench, "w")
    assert state(bench) is WorkerState.DRAINING
    resume(bench, "w")
    assert assigned(bench.submit(spec())) == []


def why(bench: Bench, job: int = 1) -> tuple[str, ...]:
    return job_view(bench.core, bench.core.jobs[job]).pending_because


def test_why_a_job_waits_for_drained_workers(bench: Bench) -> None:
    for worker in ("w", "v"):
        bench.worker(worker)
    drain(bench, "w", reason="new kernel")
    drain(bench, "v")
    bench.submit(spec())
    assert why(bench) == ("needs 1 cpu a task; all that fit are draining: w (new kernel), v",)
    assert job_view(bench.core, bench.core.jobs[1]).no_worker_can
    bench.worker("small", 500)
    assert why(bench) == (
        "needs 1 cpu a task; all that fit are draining: w (new kernel), v",
        "needs 1 cpu a task; the largest worker online, small, has 0.5: --cpus 0.5 fits small",
    )
    session = bench.worker("u")
    bench.turn(SessionClosed(session))
    resume(bench, "v")  # who takes it
    bench.submit(spec(worker="u"))
    assert why(bench, 2) == ("worker u is unreachable",)
    drain(bench, "u")
    assert why(bench, 2) == ("needs 1 cpu a task; all that fit are draining: u",)


def test_many_that_drain_are_one_line(bench: Bench) -> None:
    for number in range(8):
        bench.worker(f"w{number}")
    drain(bench, *(f"w{number}" for number in range(8)))
    bench.submit(spec())
    assert why(bench) == ("needs 1 cpu a task; all that fit are draining: w0, w1, w2, w3, w4 and 3 more",)


def test_what_it_gives_back_may_be_assigned_to_it_again_once_it_is_resumed(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2))
    assert recalled(drain(bench, "w")) == [attempts(1, 1, (0, 2))]
    resume(bench, "w")
    effects = bench.report(session, 1, returned=(attempts(1, 1, (0, 2)),))
    assert assigned(effects) == [attempts(1, 1, (0, 2))]
    assert recalled(drain(bench, "w")) == [Attempts(1, 1, (Range(0, 2),))]


def stops(effects: list[Effect]) -> list[Stop]:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message for message in messages if isinstance(message, Stop)]


def was_stopped(index: int, attempt: int = 1) -> TaskEnd:
    """As its worker tells it, which knows no more."""
    return TaskEnd(1, index, attempt, "cancelled", exit_code=143, signal="SIGTERM")


def running(bench: Bench, session: int, tasks: int = 2, **fields: object) -> None:
    bench.submit(spec(tasks, **fields))
    bench.report(session, 1, started=(attempts(1, 1, (0, tasks)),))


def ends(effects: list[Effect]) -> list[tuple[int, str, str]]:
    return [(e.index, e.reason, e.detail) for e in effects if isinstance(e, TaskEnd)]


def test_what_still_runs_at_the_deadline_is_stopped_and_tried_again_elsewhere(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session, retries=1, grace=7.0)
    drain(bench, "w", reason="kernel", within=10.0)
    assert wish(bench) == Drain("ada", bench.now.wall, "kernel", bench.now.wall + 10.0)
    over = f"w was drained by ada until {iso(ceil(bench.now.wall + 10.0))} (kernel)"
    bench.worker("v")
    assert stops(bench.turn(after=9.9)) == []
    assert stops(bench.turn(after=0.2)) == [Stop(attempts(1, 1, (0, 2)), 7.0)]
    effects = bench.report(session, 2, ended=(was_stopped(0), was_stopped(1)))
    assert ends(effects) == [(0, "stopped", over), (1, "stopped", over)]
    assert state(bench) is WorkerState.DRAINED
    bench.turn(after=2.0)
    assert dict(bench.core.jobs[1].held.keys()) == {"v": 2}


def test_it_uses_up_no_last_retry_but_starts_nothing_twice_that_has_none(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(retries=1))
    bench.report(session, 1, ended=(TaskEnd(1, 0, 1, "exit:3", exit_code=3),))
    bench.turn(after=2.0)
    bench.submit(spec())
    drain(bench, "w", within=10.0)
    bench.turn(after=10.0)
    bench.report(session, 2, ended=(was_stopped(0, attempt=2), TaskEnd(2, 0, 1, "cancelled", exit_code=143)))
    assert (bench.state(1), bench.state(2)) == ("backoff", "failed")
    assert bench.core.jobs[2].reason == "stopped"


def test_one_that_ends_by_itself_in_that_moment_keeps_its_end(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session, retries=0)
    drain(bench, "w", within=10.0)
    bench.turn(after=10.0)
    effects = bench.report(session, 2, ok=(ok(1, 0, 1),), ended=(TaskEnd(1, 1, 1, "exit:3", exit_code=3),))
    assert ends(effects) == [(1, "exit:3", "")]
    assert [bench.core.jobs[1].reason, bench.state(1), bench.state(1, 1)] == ["exit:3", "succeeded", "failed"]


def test_one_that_a_user_has_cancelled_is_cancelled(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session, retries=3)
    drain(bench, "w", within=10.0)
    bench.turn(CancelRequested(6, (Target(1),), "bob"))
    assert stops(bench.turn(after=10.0)) == []
    bench.report(session, 2, ended=(was_stopped(0), was_stopped(1)))
    assert [bench.state(1, index) for index in (0, 1)] == ["cancelled", "cancelled"]


def test_who_is_away_at_the_deadline_is_told_when_it_is_back(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session, retries=1, lost_after=3600.0)
    drain(bench, "w", within=10.0)
    bench.turn(SessionClosed(session))
    assert stops(bench.turn(after=70.0)) == []
    hello = Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),))
    assert stops(bench.hello("w", hello)) == [Stop(attempts(1, 1, (0, 2)), 10.0)]
    bench.restart()  # who had said it, and may not have been heard
    assert stops(bench.hello("w", hello)) == [Stop(attempts(1, 1, (0, 2)), 10.0)]
    resume(bench, "w")  # too late for these
    effects = bench.report(bench.core.workers["w"].session or 0, 2, ended=(was_stopped(0), was_stopped(1)))
    over = "w was drained, and the deadline of that was over"
    assert ends(effects) == [(0, "stopped", over), (1, "stopped", over)]


def test_a_restart_in_the_meantime_does_not_move_the_deadline(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session)
    drain(bench, "w", within=10.0)
    bench.restart(after=6.0)
    bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),)))
    assert stops(bench.turn(after=3.0)) == []
    assert stops(bench.turn(after=1.0)) == [Stop(attempts(1, 1, (0, 2)), 10.0)]


def test_who_is_resumed_in_time_stops_nothing(bench: Bench) -> None:
    session = bench.worker("w")
    running(bench, session)
    drain(bench, "w", within=10.0)
    drain(bench, "w", within=12.0)  # what is said anew counts
    assert stops(bench.turn(after=11.0)) == []
    resume(bench, "w")
    assert stops(bench.turn(after=3600.0)) == []


def test_many_workers_are_looked_at_in_several_turns(bench: Bench) -> None:
    """Also where nothing is to be asked back: to look at what 990 workers hold took 70 ms."""
    workers = [f"w{number}" for number in range(20)]
    for worker in workers:
        running(bench, bench.worker(worker))
    bench.core.most = 5
    for _ in range(2):
        bench.turn(WorkersDrained(5, tuple(workers), "ada"))
        turns = 1
        while (due := bench.core.next_deadline()) is not None and due <= bench.mono:
            bench.turn()
            turns += 1
        assert turns >= 4
