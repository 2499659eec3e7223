"""What is known of when tasks end on a worker."""

from math import inf

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.scheduler.promises import Promises


def promised() -> Promises:
    promises = Promises()
    promises.add(7, [Range(0, 3)], 20.0)
    promises.add(5, [Range(0, 1)], 30.0)
    promises.add(7, [Range(3, 4)], 9.2)
    return promises


def test_the_soonest_comes_first_and_what_should_have_ended_does_not_come() -> None:
    promises = promised()
    assert list(promises.after(0.0)) == [(10, 7, 1), (20, 7, 3), (30, 5, 1)]
    assert list(promises.after(10.0)) == [(20, 7, 3), (30, 5, 1)]
    assert (promises.first(), promises.count(7, 10.0), promises.count(7, 0.0)) == (10, 3, 4)
    assert promises.until(7, 10.0) == IntervalSet([(3, 4)])


def test_what_is_held_no_longer_is_forgotten() -> None:
    promises = promised()
    promises.drop(7, IntervalSet([(0, 2), (3, 4)]))
    assert list(promises.after(0.0)) == [(20, 7, 1), (30, 5, 1)]
    promises.forget(7)
    promises.drop(5, IntervalSet([(0, 1)]))
    assert (list(promises.after(0.0)), bool(promises), promises.first()) == ([], False, inf)
