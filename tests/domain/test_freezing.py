"""Jobs that are paused with what runs of them: who is told so, what stands still meanwhile, and what does not."""

from dataclasses import replace

import pytest

from cluster.domain.job import endings
from cluster.domain.job.pause import Pause
from cluster.domain.job.target import Target
from cluster.domain.launcher.core import LauncherCore
from cluster.domain.launcher.messages import (
    AgentConnected,
    Effect,
    FreezeRequested,
    FreezeTree,
    Greet,
    Kill,
    LeaseConfirmed,
    ProcessStarted,
    RecallFromSlot,
    Signal,
    Started,
    StartRequested,
    StopRequested,
    Tick,
)
from cluster.domain.launcher.template import Item, Template
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import CancelRequested, JobsPaused, JobsResumed, SessionClosed
from cluster.domain.scheduler.views import job_view
from cluster.domain.session import messages as session
from cluster.domain.session.messages import Hello, Recall
from cluster.domain.worker.messages import FreezeAttempts, SendHello, SessionReady
from cluster.domain.worker.quiet import QuietClocks, Written
from tests.domain import core_bench
from tests.domain.core_bench import Bench, attempts, ok, spec
from tests.domain.worker_bench import Bench as WorkerBench
from tests.domain.worker_bench import assign, connected, ended, key, reported, some

NOW, WALL = 1000.0, 1_700_000_000_000_000
A, B = Item("1.0#1"), Item("1.1#1")


# -- the launcher


def running(timeout: float | None = None, leash: float | None = None) -> LauncherCore:
    """A core in which A runs since NOW, and B waits."""
    core = LauncherCore(1000)
    core.turn([AgentConnected(1000), LeaseConfirmed(NOW)], NOW)
    core.turn([StartRequested(Template(("true",), (), "/out", timeout=timeout, leash=leash), [A, B])], NOW)
    core.turn([ProcessStarted(A.key, 7, WALL, NOW)], NOW)
    return core


def freeze(core: LauncherCore, now: float, *items: Item, thaw: bool = False) -> list[Effect]:
    return core.turn([FreezeRequested([item.key for item in items], thaw)], now)


def test_the_time_that_it_may_run_stands_still_with_it() -> None:
    core = running(timeout=10.0)
    assert freeze(core, NOW + 4.0, A) == [FreezeTree(0, A.key)]
    assert freeze(core, NOW + 5.0, A) == [], "said twice is done once"
    assert core.next_deadline() is None
    assert core.turn([Tick()], NOW + 500.0) == []
    assert freeze(core, NOW + 1000.0, A, thaw=True) == [FreezeTree(0, A.key, thaw=True)]
    assert core.next_deadline() == NOW + 1006.0
    assert core.turn([Tick()], NOW + 1006.0) == [Signal(0, A.key, "SIGTERM", 7)]
    assert freeze(core, NOW + 1007.0, A) == [], "it is being stopped"


def test_what_has_not_begun_is_frozen_once_it_has_and_the_agent_is_told_what_is() -> None:
    core = LauncherCore(1000)
    core.turn([AgentConnected(1000), StartRequested(Template(("true",), (), "/out", timeout=5.0), [A, B])], NOW)
    assert freeze(core, NOW, A, B) == []
    effects = core.turn([ProcessStarted(A.key, 7, WALL, NOW)], NOW)
    assert effects[-1] == FreezeTree(0, A.key)
    (greet,) = core.turn([AgentConnected(1000)], NOW)
    assert isinstance(greet, Greet)
    assert (greet.running, greet.backlog, greet.frozen) == ([A.key], [B.key], [A.key, B.key])


def test_whoever_stops_a_frozen_one_thaws_it() -> None:
    core = running(timeout=10.0)
    freeze(core, NOW, A)
    assert core.turn([StopRequested([A.key], grace=2.0)], NOW + 50.0) == [Signal(0, A.key, "SIGTERM", 7)]
    assert freeze(core, NOW + 50.0, A, thaw=True) == []
    assert core.turn([Tick()], NOW + 52.0) == [Kill(0, A.key)]


def test_the_lease_does_not_stand_still() -> None:
    core = running(leash=5.0)
    freeze(core, NOW, A)
    effects = core.turn([Tick()], NOW + 5.1)
    assert Kill(0, A.key) in effects
    assert core.attempts[A.key].cause == endings.LEASE


def test_what_its_slot_has_in_advance_comes_back_before_it_is_frozen() -> None:
    core = running()
    core.attempts[A.key].slot.queue.append(core.attempts[B.key])  # type: ignore[union-attr]
    assert freeze(core, NOW, A) == [RecallFromSlot(0), FreezeTree(0, A.key)]


# -- the worker


def test_a_worker_freezes_what_it_holds_and_says_so_in_its_hello() -> None:
    bench = WorkerBench().opened()
    bench.down(assign(0, 2))
    bench.turn(reported(Started(1, str(key(0)), 77, WALL)))
    assert bench.down(session.Freeze(some(0, 9))) == [FreezeAttempts((key(0), key(1)), thaw=False)]
    assert bench.down(session.Freeze(some(0, 2))) == [], "said twice is done once"
    assert bench.down(session.Freeze(some(1, 2), thaw=True)) == [FreezeAttempts((key(1),), thaw=True)]
    assert list(bench.core.held.frozen) == [key(0)]
    again = WorkerBench()
    again.turn(replace(connected("inc", [str(key(0))], [str(key(1))]), frozen=[key(0)]))
    (hello,) = [e.hello for e in again.turn(SessionReady(1)) if isinstance(e, SendHello)]
    assert (hello.frozen, hello.running) == ((some(0, 1),), (some(0, 1),))
    bench.turn(reported(ended(2, 0)))
    assert not bench.core.held.frozen


def test_the_clock_of_what_writes_nothing_stands_still_with_it() -> None:
    clocks = QuietClocks()
    clocks.begin(key(0), 10.0, 100.0)
    clocks.freeze(key(0), 104.0)
    clocks.freeze(key(1), 105.0)
    clocks.begin(key(1), 10.0, 106.0)  # it begins, and stands still at once
    assert (clocks.due(), clocks.over(500.0)) == (None, [])
    assert not clocks.looked(key(0), Written(0, 400.0), 500.0)
    clocks.freeze(key(0), 1000.0, thaw=True)
    clocks.freeze(key(1), 2000.0, thaw=True)
    assert (clocks.over(1006.0), clocks.over(2009.9), clocks.over(2010.0)) == ([key(0)], [key(0)], [key(0), key(1)])
    clocks.freeze(key(0), 2010.0)
    clocks.forget(key(0))
    clocks.forget(key(1))
    assert not clocks


# -- the scheduler


@pytest.fixture
def bench() -> Bench:
    return Bench()


def pause(bench: Bench, *, stop_running: bool = True) -> list[core_bench.Effect]:
    return bench.turn(JobsPaused(5, (1,), Pause("ann", bench.now.wall, stop_running=stop_running)))


def told(effects: list[core_bench.Effect]) -> list[session.Freeze]:
    return [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, session.Freeze)]


def test_what_runs_and_what_may_have_begun_is_frozen_until_it_is_resumed(bench: Bench) -> None:
    worker = bench.worker("w", 2000)
    bench.submit(spec(5))
    bench.report(worker, 1, started=(attempts(1, 1, (0, 1)),))
    effects = pause(bench)
    assert told(effects) == [session.Freeze(attempts(1, 1, (0, 2)))]
    assert Send(worker, Recall(attempts(1, 1, (1, 2)))) in effects
    assert told(pause(bench)) == [], "once in a session"
    view = job_view(bench.core, bench.core.jobs[1])
    assert view.pending_because == ("paused by ann", "frozen meanwhile: 1 task that had begun")
    assert told(pause(bench, stop_running=False)) == [], "who wants it paused besides thaws nothing"
    bench.report(worker, 2, returned=(attempts(1, 1, (1, 2)),))
    assert told(bench.turn(JobsResumed(5, (1,), by_admin=False))) == [session.Freeze(attempts(1, 1, (0, 1)), thaw=True)]
    assert bench.report(worker, 3, ok=(ok(1, 0, 1),))
    assert not bench.core.workers["w"].frozen


def test_a_pause_alone_freezes_nothing(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.submit(spec(2))
    bench.report(worker, 1, started=(attempts(1, 1, (0, 2)),))
    assert told(pause(bench, stop_running=False)) == []
    assert told(pause(bench)) == [session.Freeze(attempts(1, 1, (0, 2)))]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_worker_that_was_away_hears_what_is_to_be_frozen_and_what_is_not_any_more(
    bench: Bench, restarts: bool
) -> None:
    worker = bench.worker("w")
    bench.submit(spec(2))
    bench.report(worker, 1, started=(attempts(1, 1, (0, 2)),))
    bench.turn(SessionClosed(worker))
    assert told(pause(bench)) == []
    if restarts:
        bench.restart()
    hello = Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),))
    assert told(bench.hello("w", hello)) == [session.Freeze(attempts(1, 1, (0, 2)))]
    knows = replace(hello, frozen=(attempts(1, 1, (0, 1)), attempts(9, 1, (0, 1))))
    assert told(bench.hello("w", knows)) == [session.Freeze(attempts(1, 1, (1, 2)))]
    if restarts:
        bench.restart()
    bench.turn(JobsResumed(5, (1,), by_admin=False))
    assert told(bench.hello("w", knows)) == [session.Freeze(attempts(1, 1, (0, 1)), thaw=True)]
    assert told(bench.hello("w", hello)) == []


def test_its_deadline_does_not_wait_and_it_can_be_cancelled(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.submit(spec(deadline="10s"))
    bench.report(worker, 1, started=(attempts(1, 1, (0, 1)),))
    pause(bench)
    stops = [e.message for e in bench.turn(after=11.0) if isinstance(e, Send) and isinstance(e.message, session.Stop)]
    assert [stop.attempts for stop in stops] == [attempts(1, 1, (0, 1))]
    bench.submit(spec())
    bench.report(worker, 2, started=(attempts(2, 1, (0, 1)),))
    bench.turn(JobsPaused(5, (2,), Pause("ann", bench.now.wall, stop_running=True)))
    effects = bench.turn(CancelRequested(4, (Target(2),), "ann"))
    assert any(isinstance(e, Send) and isinstance(e.message, session.Stop) for e in effects)
