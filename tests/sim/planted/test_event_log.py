"""Event logs that tell something else than what happens must be caught by the seeds that the real one passes."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.domain.scheduler.event_log import EventLog
from cluster.domain.scheduler.recovered import Recovered
from tests.sim.planted.test_leashes import Method, Patch, _simulate_all


def what_was_told_is_forgotten_with_a_crash(patch: Patch) -> None:
    def knows_nothing(self: EventLog, loaded: Recovered) -> None:
        self._next = loaded.next_event

    patch.setattr(EventLog, "restore", knows_nothing)


def events_are_saved_with_the_next_turn(patch: Patch) -> None:
    of_turn: Method = EventLog.of_turn
    late: dict[EventLog, list[Any]] = {}

    def later(self: EventLog) -> Any:
        late[self], now = of_turn(self), late.get(self, [])
        return now

    patch.setattr(EventLog, "of_turn", later)


def ends_of_tasks_are_not_told(patch: Patch) -> None:
    patch.setattr(EventLog, "_of_ends", lambda *_: iter(()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "break_it",
    [what_was_told_is_forgotten_with_a_crash, events_are_saved_with_the_next_turn, ends_of_tasks_are_not_told],
    ids=lambda f: f.__name__,
)
def test_it_is_caught(break_it: Callable[[Patch], None], monkeypatch: Patch) -> None:
    break_it(monkeypatch)
    with pytest.raises(AssertionError, match="replay with CLUSTER_SIM_SEED"):
        _simulate_all()
