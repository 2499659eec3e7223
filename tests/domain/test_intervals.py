"""Interval sets behave as sets of whole numbers do, whatever the order of operations."""

import sys
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.intervals import IntervalSet, Range

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
        assert [i for r in ours.within(a, b) for i in range(*r)] == sorted(model & set(range(a, b)))
        assert list(ours.part(a, b)) == sorted(model & set(range(a, b)))
        assert len(ours.part(a, b)) == len(model & set(range(a, b)))
        assert list(ours.bounds()) == list(ours.ranges())
        assert not model or ours.last() == max(model)
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


several = st.lists(bounds, max_size=40)  # more than are added one by one


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {member for start, stop in ranges for member in range(start, stop)}


@given(several, several)
def test_many_ranges_at_once_are_what_they_are_one_by_one(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]]
) -> None:
    left, right = IntervalSet(ours), IntervalSet(theirs)
    assert list(left) == sorted(members(ours))
    assert list(left.intersection(right)) == sorted(members(ours) & members(theirs))
    for other in (theirs, right):
        union, rest = left.copy(), left.copy()
        union.update(other)
        rest.difference_update(other)
        for result, model in ((union, members(ours) | members(theirs)), (rest, members(ours) - members(theirs))):
            assert list(result) == sorted(model)
            assert len(result) == len(model)
            assert all(a.stop < b.start for a, b in pairwise(result.ranges()))
    assert right == IntervalSet(theirs), "what is only read stays as it is"


@given(several, st.integers(0, 60), st.integers(0, 60), st.integers(1, 5))
def test_a_progression_is_its_members(ours: list[tuple[int, int]], start: int, stop: int, step: int) -> None:
    result = IntervalSet(ours)
    result.update_each(range(start, stop, step))
    assert list(result) == sorted(members(ours) | set(range(start, stop, step)))


@given(several, st.integers(1, 5))
def test_cuts_leave_parts_of_so_many_ranges(ours: list[tuple[int, int]], count: int) -> None:
    tasks = IntervalSet(ours)
    edges = [0, *tasks.cuts(count), 61]
    parts = [tasks.part(*edge) for edge in pairwise(edges)]
    assert [member for part in parts for member in part] == list(tasks)
    assert all(part.range_count() == count for part in parts[:-1])
    assert parts[-1].range_count() <= count


@given(several)
def test_bounds_in_any_order_are_a_set(ours: list[tuple[int, int]]) -> None:
    flat = [bound for start, stop in ours for bound in (start, stop)]
    assert IntervalSet.from_flat(flat) == IntervalSet(ours)


def test_whoever_looks_at_the_first_ranges_pays_for_no_more() -> None:
    tasks = IntervalSet()
    tasks.update_each(range(0, 2_000_000, 2))
    before = sys.getallocatedblocks()
    first = list(islice(tasks.within(100, 2_000_000), 3))
    assert first == [(100, 101), (102, 103), (104, 105)]
    assert sys.getallocatedblocks() - before < 1000


def test_a_million_members_are_one_range() -> None:
    tasks = IntervalSet([(0, 1_000_000)])
    assert tasks.range_count() == 1
    assert tasks.take(3) == [Range(0, 3)]
    assert len(tasks) == 999_997


def test_a_million_fragments_are_merged_and_not_moved_one_by_one() -> None:
    """Each would move a list of megabytes: minutes."""
    odd, even = IntervalSet(), IntervalSet()
    odd.update_each(range(1, 2_000_000, 2))
    even.update(reversed([(i, i + 1) for i in range(0, 2_000_000, 2)]))
    assert not odd.intersection(even)
    everything = odd.copy()
    everything.update(even)
    assert list(everything.ranges()) == [Range(0, 2_000_000)]
    everything.difference_update(even.ranges())
    assert everything == odd
    assert sum(r.size for r in everything.take(999_999)) == 999_999
    assert list(everything) == [1_999_999]
