"""Interval sets behave as sets of whole numbers do, whatever the order of operations."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.intervals import IntervalSet, Range

bounds = st.tuples(st.integers(0, 60), st.integers(0, 60))
steps = st.lists(st.tuples(st.sampled_from(["add", "discard", "take"]), bounds), max_size=40)


@given(steps)
def test_it_behaves_as_a_set(steps: list[tuple[str, tuple[int, int]]]) -> None:
    ours, model = IntervalSet(), set[int]()
    for what, (a, b) in steps:
        if what == "add":
            ours.add(a, b)
            model |= set(range(a, b))
        elif what == "discard":
            ours.discard(a, b)
            model -= set(range(a, b))
        else:
            taken = [i for r in ours.take(a) for i in range(r.start, r.stop)]
            assert taken == sorted(model)[:a]
            model -= set(taken)
        assert list(ours) == sorted(model)
        assert len(ours) == len(model)
        assert [i for r in ours.overlap(a, b) for i in range(*r)] == sorted(model & set(range(a, b)))
        assert ours.covers(a, b) == (set(range(a, b)) <= model)
        assert (a in ours) == (a in model)
        assert IntervalSet.from_flat(ours.flat()) == ours


@given(steps)
def test_ranges_are_sorted_apart_and_not_empty(steps: list[tuple[str, tuple[int, int]]]) -> None:
    ours = IntervalSet()
    for what, (a, b) in steps:
        (ours.add if what == "add" else ours.discard)(a, b)
        ranges = list(ours.ranges())
        assert all(r.start < r.stop for r in ranges)
        assert all(left.stop < right.start for left, right in pairwise(ranges))


def test_a_million_members_are_one_range() -> None:
    tasks = IntervalSet([(0, 1_000_000)])
    assert tasks.range_count() == 1
    assert tasks.take(3) == [Range(0, 3)]
    assert len(tasks) == 999_997
