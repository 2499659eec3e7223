"""Which attempts have written nothing for too long, whatever the wall clock says."""

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.worker.quiet import QuietClocks, Written

ONE, TWO = AttemptKey(1, 0, 1), AttemptKey(1, 1, 1)


def test_who_writes_nothing_is_quiet_from_its_start() -> None:
    clocks = QuietClocks()
    assert clocks.due() is None
    clocks.begin(ONE, 10.0, 100.0)
    clocks.begin(TWO, 30.0, 101.0)
    assert clocks.due() == 110.0
    assert not clocks.over(109.9)
    assert clocks.over(110.0) == [ONE]
    assert clocks.looked(ONE, Written(0, 1e9), 110.0)
    clocks.forget(ONE)
    assert clocks.due() == 131.0
    assert not clocks.looked(ONE, Written(0, 0.0), 200.0), "it has ended since"


def test_every_byte_begins_it_anew_and_an_old_one_does_not() -> None:
    clocks = QuietClocks()
    clocks.begin(ONE, 10.0, 100.0)
    assert not clocks.looked(ONE, Written(5, 2.0), 110.0)
    assert clocks.due() == 118.0
    assert clocks.looked(ONE, Written(5, 10.0), 118.0)
    assert not clocks.looked(ONE, Written(6, 0.5), 118.5)
    assert clocks.due() == 128.0


@pytest.mark.parametrize(("ago", "due"), [(-3600.0, 120.0), (3600.0, 110.0)])
def test_a_wall_clock_that_was_set_moves_it_by_one_look_at_most(ago: float, due: float) -> None:
    """What is new since the last look was written after that, and not in the future."""
    clocks = QuietClocks()
    clocks.begin(ONE, 10.0, 100.0)
    clocks.looked(ONE, Written(5, ago), 110.0)
    assert clocks.due() == due


def test_a_start_that_is_told_twice_changes_nothing() -> None:
    clocks = QuietClocks()
    clocks.begin(ONE, 10.0, 100.0)
    clocks.begin(ONE, 10.0, 105.0)
    assert clocks.due() == 110.0
