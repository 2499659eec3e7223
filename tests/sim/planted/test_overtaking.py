"""Who goes before whom, and who never gets a turn: bugs that must be caught."""

import pytest

from cluster.domain.scheduler import assigning, reserving
from cluster.domain.scheduler.reserving import ALL, Foreseen, Reservations, Round
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


def whoever_finds_room_takes_it(patch: Patch) -> None:
    patch.setattr(Reservations, "most", lambda *_, **__: ALL)


def it_is_foreseen_too_late(patch: Patch) -> None:
    """So that others are let pass for longer."""
    real: Method = reserving.foreseen

    def late(*said: object) -> Foreseen:
        there: Foreseen = real(*said)
        return there._replace(at=there.at + 30.0)

    patch.setattr(reserving, "foreseen", late)


def more_is_left_over_than_there_is(patch: Patch) -> None:
    patch.setattr(reserving, "_left_for", lambda *_: ALL)


def nothing_is_kept_for_anybody(patch: Patch) -> None:
    patch.setattr(Round, "found_no_room", lambda *_, **__: None)


@found_by(128)
def nobody_looks_when_a_promise_is_broken(patch: Patch) -> None:
    patch.setattr(Round, "looks", lambda self: iter(()))


def who_has_had_least_does_not_go_first(patch: Patch) -> None:
    patch.setattr(assigning, "partial", lambda *_, **__: lambda owner: 0.0)


@pytest.mark.slow
@planted(
    whoever_finds_room_takes_it,
    it_is_foreseen_too_late,
    more_is_left_over_than_there_is,
    nothing_is_kept_for_anybody,
    nobody_looks_when_a_promise_is_broken,
    who_has_had_least_does_not_go_first,
)
def test_who_goes_before_others_wrongly_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_a_crowd, 300)
