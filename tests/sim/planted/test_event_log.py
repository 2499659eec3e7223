"""Event logs that tell something else than what happens: bugs that must be caught."""

from typing import Any

import pytest

from cluster.domain.scheduler.event_log import EventLog
from cluster.domain.scheduler.recovered import Recovered
from tests.sim.planted.catching import Bug, Method, Patch, must_be_caught, planted


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
@planted(
    what_was_told_is_forgotten_with_a_crash,
    events_are_saved_with_the_next_turn,
    ends_of_tasks_are_not_told,
)
def test_what_is_told_otherwise_than_it_happens_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)
