"""Workers that leave the list: removed, expelled, or replaced by a machine that was installed anew."""

import pytest

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.job.records import TaskEnd
from cluster.domain.scheduler.effects import CloseSession, Replied, Reply, WorkerForgotten
from cluster.domain.scheduler.events import SessionClosed, WorkerDeregistered, WorkerRegistered, WorkerRemoved
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.state import LEASE
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.domain.session.messages import Hello
from tests.domain.core_bench import Bench, Effect, attempts, spec

LOST_AFTER = 60.0


@pytest.fixture
def bench() -> Bench:
    return Bench()


def reply(effects: list[Effect]) -> Replied:
    (found,) = [effect.value for effect in effects if isinstance(effect, Reply)]
    return found


def names(bench: Bench) -> dict[str, str]:
    return {worker.id: worker.record.name for worker in bench.core.workers.values()}


def lost(effects: list[Effect]) -> list[int]:
    return [effect.index for effect in effects if isinstance(effect, TaskEnd) and effect.reason == "lost"]


def test_a_worker_that_is_gone_is_forgotten_for_good(bench: Bench) -> None:
    session = bench.worker("w")
    bench.turn(SessionClosed(session))
    effects = bench.turn(WorkerRemoved(5, "w"))
    assert reply(effects) == 0
    assert WorkerForgotten("w") in effects
    bench.restart()
    assert names(bench) == {}
    assert isinstance(reply(bench.turn(WorkerRemoved(5, "w"))), NotFound)


def test_one_that_is_connected_is_removed_only_with_its_rights(bench: Bench) -> None:
    session = bench.worker("w")
    assert isinstance(reply(bench.turn(WorkerRemoved(5, "w"))), Conflict)
    assert bench.core.workers["w"].state is WorkerState.ONLINE
    effects = bench.turn(WorkerRemoved(5, "w", expelled=True))
    assert [e for e in effects if isinstance(e, CloseSession)] == [CloseSession(session, "the worker was expelled")]
    assert names(bench) == {}
    bench.turn(SessionClosed(session))  # the driver's last word about it


def test_what_it_holds_is_lost_no_sooner_than_without_removal(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2, lost_after=LOST_AFTER))
    bench.report(session, 1, started=(attempts(1, 1, (0, 2)),))
    assert reply(bench.turn(WorkerRemoved(5, "w", expelled=True), after=10)) == 2
    bench.restart(after=5)  # which gives everybody a lease from the start
    assert bench.core.workers["w"].state is WorkerState.REMOVED
    assert lost(bench.turn(after=LOST_AFTER - 0.5)) == []
    effects = bench.turn(after=0.5)
    assert lost(effects) == [0, 1]
    assert WorkerForgotten("w") in effects
    assert not [e for e in bench.turn(after=3600) if not isinstance(e, ShareRecord)]


def test_one_that_is_back_before_that_is_a_worker_again(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.report(session, 1, started=(attempts(1, 1, (0, 2)),))
    bench.turn(SessionClosed(session))
    bench.turn(WorkerRemoved(5, "w"))
    bench.register("w")
    bench.hello("w", Hello("inc", 2000, 1, running=(attempts(1, 1, (0, 2)),)))
    assert bench.core.workers["w"].state is WorkerState.ONLINE
    assert lost(bench.turn(after=10)) == []
    bench.restart()
    assert not bench.core.workers["w"].record.removed


def test_one_that_is_removed_between_its_registration_and_its_session_registers_again(bench: Bench) -> None:
    """Seed 1188 of the simulation."""
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.turn(SessionClosed(session))
    bench.register("w")
    bench.turn(WorkerRemoved(5, "w"))
    assert [e for e in bench.hello("w") if isinstance(e, CloseSession)] == [
        CloseSession(session + 1, "not registered: call Register first")
    ]
    bench.register("w")
    bench.hello("w")
    assert bench.core.workers["w"].state is WorkerState.ONLINE


def installed_anew(bench: Bench, name: str = "w") -> str:
    """The name that a new worker gets which would like to be called so."""
    found = reply(bench.turn(WorkerRegistered(9, "new", name, 2000)))
    assert isinstance(found, str)
    return found


def test_a_machine_that_was_installed_anew_takes_its_old_name(bench: Bench) -> None:
    bench.worker("w")
    bench.turn(WorkerDeregistered(4, "w"))
    assert installed_anew(bench) == "w"
    assert names(bench) == {"new": "w"}


def test_so_does_one_that_said_no_goodbye_once_its_lease_is_out(bench: Bench) -> None:
    session = bench.worker("w")
    bench.turn(SessionClosed(session), after=1)
    assert installed_anew(bench) == "w-2"
    bench.turn(WorkerRemoved(5, "new"))
    bench.turn(after=LEASE)
    assert installed_anew(bench) == "w"


def test_the_old_ones_tasks_are_kept_until_they_are_certainly_dead(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2, lost_after=LOST_AFTER))
    bench.report(session, 1, started=(attempts(1, 1, (0, 2)),))
    bench.turn(SessionClosed(session))
    assert lost(bench.turn(after=LEASE)) == []
    assert installed_anew(bench) == "w"
    assert names(bench) == {"w": "w-old", "new": "w"}
    assert bench.state(1) == "running"
    assert lost(bench.turn(after=LOST_AFTER - LEASE - 0.5)) == []
    assert lost(bench.turn(after=0.5)) == [0, 1]
    assert names(bench) == {"new": "w"}


def test_one_that_is_connected_keeps_its_name(bench: Bench) -> None:
    bench.worker("w")
    bench.turn(after=LEASE - 1)
    assert installed_anew(bench) == "w-2"


def test_a_scheduler_that_has_just_started_gives_nobodys_name_away(bench: Bench) -> None:
    bench.worker("w")
    bench.restart(after=3600)
    assert installed_anew(bench) == "w-2"


def test_a_known_worker_takes_nobodys_name(bench: Bench) -> None:
    bench.worker("w")
    bench.worker("v")
    bench.turn(WorkerDeregistered(4, "w"))
    assert reply(bench.turn(WorkerRegistered(9, "v", "w", 2000))) == "w-2"
