"""Workers that leave when they have had nothing to do for so long."""

from cluster.domain.base.stalls import LISTENING, STALL
from cluster.domain.worker.idling import Idling


def look(idling: Idling, now: float, *, busy: bool = False, news: bool = False) -> bool:
    return bool(idling.look(busy=busy, news=news, now=now))


def test_it_leaves_when_it_has_had_nothing_for_so_long_and_no_sooner() -> None:
    idling = Idling(60.0)
    assert idling.due() is None
    assert not look(idling, 100.0)
    assert idling.due() == 160.0
    assert not look(idling, 159.9)
    assert look(idling, 160.0)
    assert idling.due() is None
    assert not look(idling, 1000.0)


def test_it_counts_from_its_last_work_on() -> None:
    idling = Idling(60.0)
    look(idling, 100.0)
    assert not look(idling, 150.0, busy=True)
    assert idling.due() is None
    assert not look(idling, 1000.0, busy=True)
    assert not look(idling, 1001.0)
    assert idling.due() == 1061.0


def test_what_began_and_ended_between_two_looks_was_work() -> None:
    idling = Idling(60.0)
    look(idling, 100.0)
    assert not look(idling, 160.0, news=True)
    assert idling.due() == 220.0


def test_one_that_was_stopped_hears_first_what_waits_for_it() -> None:
    idling = Idling(60.0)
    look(idling, 100.0)
    late = 160.0 + STALL + 10.0
    assert not look(idling, late)
    assert idling.due() == late + LISTENING
    assert look(idling, late + LISTENING)


def test_one_that_is_to_stay_never_leaves() -> None:
    idling = Idling(None)
    assert not look(idling, 100.0)
    assert idling.due() is None
    assert not look(idling, 1e9)


def test_whose_time_is_over_leaves_as_soon_as_it_has_nothing() -> None:
    idling = Idling(None, leaves_at=500.0)
    assert not look(idling, 100.0)
    assert idling.due() == 500.0
    assert not look(idling, 400.0, busy=True)
    assert not look(idling, 600.0, busy=True), "it waits for what runs"
    assert idling.look(busy=False, news=True, now=700.0) == "its time is over"
    assert idling.due() is None


def test_the_sooner_of_both_counts() -> None:
    idling = Idling(60.0, leaves_at=150.0)
    assert not look(idling, 100.0)
    assert idling.due() == 150.0
    assert idling.look(busy=False, news=False, now=150.0) == "its time is over"
    idling = Idling(60.0, leaves_at=500.0)
    assert not look(idling, 100.0)
    assert idling.look(busy=False, news=False, now=160.0) == "nothing to do for 1m00s"
