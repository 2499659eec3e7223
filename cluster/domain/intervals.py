"""Sets of whole numbers, kept as sorted, disjoint, non-touching half-open ranges.

A million pending tasks are one range here. Every operation on a range costs O(log n + k) in the number of
ranges n and of ranges touched k (plus the list's own memory move), never the number of members.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Range(NamedTuple):
    """Members start, start+1, … stop-1."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


class IntervalSet:
    """A mutable set of whole numbers. Two parallel lists hold the ranges' starts and stops."""

    __slots__ = ("_size", "_starts", "_stops")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._size = 0
        for start, stop in ranges:
            self.add(start, stop)

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return self._size > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntervalSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"IntervalSet({[(r.start, r.stop) for r in self.ranges()]})"

    def __contains__(self, member: int) -> bool:
        i = bisect_right(self._starts, member) - 1
        return i >= 0 and member < self._stops[i]

    def __iter__(self) -> Iterator[int]:
        for start, stop in zip(self._starts, self._stops, strict=True):
            yield from range(start, stop)

    def ranges(self) -> Iterator[Range]:
        """The ranges in ascending order."""
        return map(Range, self._starts, self._stops)

    def range_count(self) -> int:
        """How many ranges the set is made of: what it costs in memory and on disk."""
        return len(self._starts)

    def first(self) -> int:
        """The smallest member; IndexError when empty."""
        return self._starts[0]

    def copy(self) -> "IntervalSet":
        other = IntervalSet()
        other._starts, other._stops, other._size = self._starts[:], self._stops[:], self._size
        return other

    def add(self, start: int, stop: int) -> None:
        """Adds start … stop-1, members or not. An empty range adds nothing."""
        if start >= stop:
            return
        lo = bisect_left(self._stops, start)  # first range that touches or follows
        hi = bisect_right(self._starts, stop)  # one past the last that touches
        if lo < hi:
            self._size -= sum(self._stops[i] - self._starts[i] for i in range(lo, hi))
            start = min(start, self._starts[lo])
            stop = max(stop, self._stops[hi - 1])
        self._starts[lo:hi] = [start]
        self._stops[lo:hi] = [stop]
        self._size += stop - start

    def discard(self, start: int, stop: int) -> None:
        """Removes whichever of start … stop-1 are members."""
        if start >= stop:
            return
        lo = bisect_right(self._stops, start)  # first range with members above start
        hi = bisect_left(self._starts, stop)  # one past the last with members below stop
        if lo >= hi:
            return
        left = (self._starts[lo], start) if self._starts[lo] < start else None
        right = (stop, self._stops[hi - 1]) if stop < self._stops[hi - 1] else None
        kept = [piece for piece in (left, right) if piece]
        self._size -= sum(self._stops[i] - self._starts[i] for i in range(lo, hi))
        self._starts[lo:hi] = [piece[0] for piece in kept]
        self._stops[lo:hi] = [piece[1] for piece in kept]
        self._size += sum(piece[1] - piece[0] for piece in kept)

    def overlap(self, start: int, stop: int) -> list[Range]:
        """The parts of start … stop-1 that are members, in ascending order."""
        lo = bisect_right(self._stops, start)
        hi = bisect_left(self._starts, stop)
        return [Range(max(start, self._starts[i]), min(stop, self._stops[i])) for i in range(lo, hi) if start < stop]

    def covers(self, start: int, stop: int) -> bool:
        """Whether every one of start … stop-1 is a member."""
        i = bisect_right(self._starts, start) - 1
        return start >= stop or (i >= 0 and stop <= self._stops[i])

    def take(self, count: int) -> list[Range]:
        """Removes the smallest members, at most `count`, and returns them as ranges."""
        taken: list[Range] = []
        while count > 0 and self._starts:
            start = self._starts[0]
            stop = min(self._stops[0], start + count)
            self.discard(start, stop)
            taken.append(Range(start, stop))
            count -= stop - start
        return taken

    def update(self, ranges: Iterable[tuple[int, int]]) -> None:
        for start, stop in ranges:
            self.add(start, stop)

    def difference_update(self, ranges: Iterable[tuple[int, int]]) -> None:
        for start, stop in ranges:
            self.discard(start, stop)

    def intersection(self, other: "IntervalSet") -> "IntervalSet":
        return IntervalSet(piece for r in other.ranges() for piece in self.overlap(r.start, r.stop))

    def flat(self) -> list[int]:
        """[start, stop, start, stop, …]: the form in which sets are stored."""
        bounds = [0] * (2 * len(self._starts))
        bounds[::2], bounds[1::2] = self._starts, self._stops
        return bounds

    @classmethod
    def from_flat(cls, bounds: Iterable[int]) -> "IntervalSet":
        """The reverse of `flat`."""
        it = iter(bounds)
        return cls(zip(it, it, strict=True))
