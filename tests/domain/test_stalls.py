"""Agents and schedulers that were stopped: what waits for them is heard before anybody is called silent."""

import pytest

from cluster.domain.base.stalls import LISTENING
from cluster.domain.scheduler.effects import CloseSession, Send
from cluster.domain.scheduler.events import HeartbeatReceived, SessionClosed, SessionOpened
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.session.leashes import leash_of
from cluster.domain.session.messages import HeartbeatAnswered, Hello, Welcome
from cluster.domain.worker.closing import GOODBYE
from cluster.domain.worker.messages import (
    ConfirmLease,
    Finished,
    HangUp,
    SendHeartbeat,
    SessionReady,
    ShutdownRequested,
)
from cluster.domain.worker.session import WELCOME_WITHIN
from tests.domain import worker_bench
from tests.domain.core_bench import Bench, attempts, spec
from tests.domain.worker_bench import LEASE, NOTHING, connected

# ── the scheduler ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bench() -> Bench:
    """Worker "w" holds two tasks, and has just been heard."""
    bench = Bench()
    bench.worker("w")
    bench.submit(spec(2))
    return bench


def states(bench: Bench) -> list[str]:
    return [bench.state(1, index) for index in (0, 1)]


@pytest.mark.parametrize("seconds", [14.0, 16.0, 40.0, 90.0])
def test_a_scheduler_that_was_stopped_hears_who_waits_before_it_closes_a_session(bench: Bench, seconds: float) -> None:
    """The timer fires first, the socket is read a moment later."""
    bench.turn(after=4.9)
    assert not any(isinstance(e, CloseSession) for e in bench.sleep(seconds))
    assert bench.turn(HeartbeatReceived(1, 1), after=4.0) == [Send(1, HeartbeatAnswered(1))]
    assert not [e for e in bench.turn(after=14.0) if not isinstance(e, ShareRecord)]
    assert any(isinstance(e, CloseSession) for e in bench.turn(after=2.0))


@pytest.mark.parametrize("before", [0.1, 20.0, 55.0, 59.9])
def test_who_could_not_come_because_the_scheduler_was_stopped_is_not_given_up(bench: Bench, before: float) -> None:
    """Its time goes on where it stood, and a heartbeat's interval is added."""
    bench.turn(SessionClosed(1))
    bench.turn(after=before)
    bench.sleep(90.0)
    bench.turn(after=4.9)
    assert states(bench) == ["assigned", "assigned"]
    held = (attempts(1, 1, (0, 2)),)
    bench.turn(SessionOpened(2, "w", Hello("inc", 2000, 1, running=held)))
    assert states(bench) == ["running", "running"]


@pytest.mark.parametrize(("seconds", "left"), [(0.0, 60.0), (3.0, 57.0), (7.0, 60.0), (90.0, 60.0)])
def test_who_does_not_come_is_given_up_all_the_same(bench: Bench, seconds: float, left: float) -> None:
    """The second stall is shorter than what anybody notices."""
    bench.turn(SessionClosed(1))
    bench.sleep(seconds)
    bench.turn(after=left - 0.1)
    assert states(bench) == ["assigned", "assigned"]
    bench.turn(after=0.2)
    assert states(bench) == ["failed", "failed"]


def test_no_stall_ever_makes_a_scheduler_give_up_sooner(bench: Bench) -> None:
    bench.turn(SessionClosed(1))
    before = bench.core.workers["w"].last_heard
    for _ in range(20):
        bench.sleep(4.0)
        assert before <= bench.core.workers["w"].last_heard <= bench.mono
    assert states(bench) == ["assigned", "assigned"]
    assert leash_of(60.0) < 60.0


# ── the agent ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [16.0, 90.0])
def test_an_agent_that_was_stopped_hears_what_waits_before_it_hangs_up(seconds: float) -> None:
    worker = worker_bench.Bench().opened()
    asked = worker.now = 105.0
    assert worker.turn() == [SendHeartbeat(1, 1)]
    worker.now += seconds
    assert worker.turn() == [SendHeartbeat(1, 2)]
    assert worker.core.next_deadline() == worker.now + LISTENING
    assert worker.down(HeartbeatAnswered(1)) == [ConfirmLease(asked)]
    worker.now += LISTENING
    assert worker.turn() == []
    assert worker.core.connected


def test_an_agent_that_was_stopped_hangs_up_where_nothing_waits() -> None:
    worker = worker_bench.Bench().opened()
    worker.now += 60.0
    worker.turn()
    worker.now += LISTENING
    assert [type(effect) for effect in worker.turn()] == [HangUp]


def test_a_welcome_that_waits_for_a_stopped_agent_counts() -> None:
    worker = worker_bench.Bench()
    worker.turn(NOTHING)
    worker.turn(SessionReady(1))
    asked, worker.now = worker.now, worker.now + WELCOME_WITHIN + 30.0
    assert worker.turn() == []
    worker.now += 0.5
    assert worker.down(Welcome(1, LEASE))[-1] == ConfirmLease(asked)


def test_an_answer_that_waits_for_an_agent_that_ends_counts() -> None:
    worker = worker_bench.Bench().opened(connected("inc", (), (), ()))
    worker.turn(ShutdownRequested())
    worker.now += GOODBYE + 60.0
    assert Finished() not in worker.turn()
    assert worker.down(HeartbeatAnswered(1))[-1] == Finished()
