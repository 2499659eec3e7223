"""Sets of whole numbers, kept as sorted, disjoint, non-touching half-open ranges.

A million pending tasks are one range here. Every operation on a range costs O(log n + k) in the number of
ranges n and of ranges touched k (plus the list's own memory move), never the number of members. One on many ranges
merges sorted lists, in some 0.1 µs for each range of the two sets, so a set of a million fragments stays usable.

The merging rests on this: let S be the starts of all ranges of two sets in order, and E their stops. Just before
S[i], i ranges have begun; if E[i-1] < S[i] all of them have ended, so a range of the union begins there; and if
S[i] < E[i-1] the other set's range is still open, so S[i] … E[i-1] belongs to both.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import gt, lt
from typing import NamedTuple

_NONE: list[int] = []  # never changed
_FEW = 16  # ranges that are added or removed one by one, which is quicker then than merging
_SEARCH = 16  # ranges that are merged in the time in which one is looked up


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
        self._starts = self._stops = _NONE  # of the sets of a job most are empty
        self._size = 0
        if ranges:
            self.update(ranges)

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

    def bounds(self) -> Iterator[tuple[int, int]]:
        """The ranges as plain pairs: to walk over many of those takes a third of the time."""
        return zip(self._starts, self._stops, strict=True)

    def range_count(self) -> int:
        """How many ranges the set is made of: what it costs in memory and on disk."""
        return len(self._starts)

    def first(self) -> int:
        """The smallest member; IndexError when empty."""
        return self._starts[0]

    def last(self) -> int:
        """The largest member; IndexError when empty."""
        return self._stops[-1] - 1

    def copy(self) -> "IntervalSet":
        other = IntervalSet()
        other._starts, other._stops, other._size = self._starts[:], self._stops[:], self._size
        return other

    def add(self, start: int, stop: int) -> None:
        """Adds start … stop-1, members or not. An empty range adds nothing."""
        if start >= stop:
            return
        if not self._starts:
            self._starts, self._stops, self._size = [start], [stop], stop - start
            return
        lo = bisect_left(self._stops, start)  # first range that touches or follows
        hi = bisect_right(self._starts, stop)  # one past the last that touches
        if lo < hi:
            self._size -= self._size_of(lo, hi)
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
        self._size -= self._size_of(lo, hi)
        starts, stops = [], []
        if self._starts[lo] < start:
            starts, stops = [self._starts[lo]], [start]
        if stop < self._stops[hi - 1]:
            starts.append(stop)
            stops.append(self._stops[hi - 1])
        self._starts[lo:hi], self._stops[lo:hi] = starts, stops
        self._size += sum(stops) - sum(starts)

    def overlap(self, start: int, stop: int) -> list[Range]:
        """The parts of start … stop-1 that are members, in ascending order."""
        lo = bisect_right(self._stops, start)
        hi = bisect_left(self._starts, stop)
        return [Range(max(start, self._starts[i]), min(stop, self._stops[i])) for i in range(lo, hi) if start < stop]

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yields what `overlap` answers, one range after another: whoever needs the first alone pays for no more."""
        if start < stop:
            lo, hi = bisect_right(self._stops, start), bisect_left(self._starts, stop)
            for i in range(lo, hi):
                yield (
                    start if self._starts[i] < start else self._starts[i],
                    stop if self._stops[i] > stop else self._stops[i],
                )

    def part(self, start: int, stop: int) -> "IntervalSet":
        """The members among start … stop-1."""
        if start >= stop:
            return IntervalSet()
        lo, hi = bisect_right(self._stops, start), bisect_left(self._starts, stop)
        starts, stops = self._starts[lo:hi], self._stops[lo:hi]
        if starts:
            starts[0], stops[-1] = max(starts[0], start), min(stops[-1], stop)
        return _of_sorted(starts, stops)

    def cuts(self, count: int) -> list[int]:
        """Members before which the set can be cut into parts of `count` ranges each, the last of fewer."""
        return self._starts[count::count]

    def covers(self, start: int, stop: int) -> bool:
        """Whether every one of start … stop-1 is a member."""
        i = bisect_right(self._starts, start) - 1
        return start >= stop or (i >= 0 and stop <= self._stops[i])

    def take(self, count: int) -> list[Range]:
        """Removes the smallest members, at most `count`, and returns them as ranges."""
        taken: list[Range] = []
        for start, stop in zip(self._starts, self._stops, strict=True):
            if count <= 0:
                break
            taken.append(Range(start, min(stop, start + count)))
            count -= taken[-1].size
        if taken:
            self._cut_before(taken[-1].stop)
        return taken

    def split(self, count: int) -> "IntervalSet":
        """Removes the smallest members, at most `count`, and returns them as a set."""
        taken = IntervalSet()
        if count < self._size:
            taken.update(self.take(count))
            return taken
        taken._starts, taken._stops, taken._size = self._starts, self._stops, self._size
        self._starts, self._stops, self._size = _NONE, _NONE, 0
        return taken

    def _cut_before(self, member: int) -> None:
        """Removes all members below this one."""
        whole = bisect_right(self._stops, member)
        gone = self._size_of(0, whole)
        del self._starts[:whole], self._stops[:whole]
        if self._starts and self._starts[0] < member:
            gone += member - self._starts[0]
            self._starts[0] = member
        self._size -= gone

    def update(self, ranges: "Iterable[tuple[int, int]] | IntervalSet") -> None:
        """Adds them all; in any order, and they may overlap."""
        starts, stops = _lists(ranges)
        if not self._starts and isinstance(ranges, IntervalSet):
            self._starts, self._stops, self._size = starts[:], stops[:], ranges._size
            return
        if len(starts) > _FEW:
            self._unite(starts, stops)
            return
        for start, stop in zip(starts, stops, strict=True):
            self.add(start, stop)

    def update_each(self, members: range) -> None:
        """Adds the members of an ascending progression."""
        if members.step == 1:
            self.add(members.start, members.stop)
        elif members:
            self._unite(list(members), [member + 1 for member in members])

    def difference_update(self, ranges: "Iterable[tuple[int, int]] | IntervalSet") -> None:
        """Removes whatever of these are members; in any order, and they may overlap."""
        if not self._starts:
            return
        starts, stops = _lists(ranges)
        if len(starts) > _FEW:
            self._subtract(ranges if isinstance(ranges, IntervalSet) else IntervalSet(zip(starts, stops, strict=True)))
            return
        for start, stop in zip(starts, stops, strict=True):
            self.discard(start, stop)

    def intersection(self, other: "IntervalSet") -> "IntervalSet":
        """The members of both."""
        few, many = (self, other) if len(self._starts) <= len(other._starts) else (other, self)
        if not few._starts or few._starts[0] >= many._stops[-1] or many._starts[0] >= few._stops[-1]:
            return IntervalSet()
        if len(many._starts) == 1:  # as most sets are, of the jobs of one task all
            start, stop = max(few._starts[0], many._starts[0]), min(few._stops[0], many._stops[0])
            return _of_sorted([start], [stop]) if start < stop else IntervalSet()
        # Only what lies within the reach of the smaller one can be in both.
        first, last = few._starts[0], few._stops[-1]
        lo, hi = bisect_right(many._stops, first), bisect_left(many._starts, last)
        if len(few._starts) <= _FEW or len(few._starts) * _SEARCH < hi - lo:
            pieces = [piece for start, stop in few.bounds() for piece in many.overlap(start, stop)]
            return _of_sorted([start for start, _ in pieces], [stop for _, stop in pieces])
        return _of_sorted(*_common(few._starts, few._stops, many._starts[lo:hi], many._stops[lo:hi]))

    def _unite(self, starts: list[int], stops: list[int]) -> None:
        """Adds these ranges, none of them empty."""
        if not self._starts:
            self._starts, self._stops = [], []
        lo, hi = bisect_left(self._stops, min(starts)), bisect_right(self._starts, max(stops))
        begins, ends = sorted(self._starts[lo:hi] + starts), sorted(self._stops[lo:hi] + stops)
        apart = list(map(gt, islice(begins, 1, None), ends))
        self._splice(lo, hi, [begins[0], *compress(islice(begins, 1, None), apart)], [*compress(ends, apart), ends[-1]])

    def _subtract(self, other: "IntervalSet") -> None:
        """Removes the members of the other set: keeps what is common with all that lies around them."""
        lo, hi = bisect_right(self._stops, other._starts[0]), bisect_left(self._starts, other._stops[-1])
        if lo >= hi:
            return
        other = other.part(self._starts[lo], self._stops[hi - 1])
        first, last = self._starts[lo] - 1, self._stops[hi - 1] + 1
        around = [first, *other._stops], [*other._starts, last]
        self._splice(lo, hi, *_common(self._starts[lo:hi], self._stops[lo:hi], *around))

    def _splice(self, lo: int, hi: int, starts: list[int], stops: list[int]) -> None:
        """Puts these ranges in the place of those from `lo` to `hi`-1."""
        self._size += sum(stops) - sum(starts) - self._size_of(lo, hi)
        self._starts[lo:hi], self._stops[lo:hi] = starts, stops

    def _size_of(self, lo: int, hi: int) -> int:
        """The number of members in the ranges from `lo` to `hi`-1."""
        if hi - lo == 1:  # nearly always
            return self._stops[lo] - self._starts[lo]
        return sum(self._stops[lo:hi]) - sum(self._starts[lo:hi])

    def flat(self) -> list[int]:
        """[start, stop, start, stop, …]: the form in which sets are stored."""
        if len(self._starts) <= 1:
            return self._starts + self._stops
        bounds = [0] * (2 * len(self._starts))
        bounds[::2], bounds[1::2] = self._starts, self._stops
        return bounds

    @classmethod
    def from_flat(cls, bounds: Iterable[int]) -> "IntervalSet":
        """The reverse of `flat`. Ranges may touch or overlap, and come in any order, but in this one it is quickest."""
        flat = list(bounds)
        if all(map(lt, flat, islice(flat, 1, None))):
            return _of_sorted(flat[::2], flat[1::2])
        return cls(zip(flat[::2], flat[1::2], strict=True))


def _common(
    starts: Sequence[int], stops: Sequence[int], others: Sequence[int], other_stops: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Starts and stops of what is in both of two sets."""
    begins, ends = sorted([*starts, *others]), sorted([*stops, *other_stops])
    both = list(map(lt, islice(begins, 1, None), ends))
    return list(compress(islice(begins, 1, None), both)), list(compress(ends, both))


def _lists(ranges: Iterable[tuple[int, int]] | IntervalSet) -> tuple[list[int], list[int]]:
    """Starts and stops of those that are not empty."""
    if isinstance(ranges, IntervalSet):
        return ranges._starts, ranges._stops
    several = [(start, stop) for start, stop in ranges if start < stop]
    return [start for start, _ in several], [stop for _, stop in several]


def _of_sorted(starts: list[int], stops: list[int]) -> IntervalSet:
    """A set of ranges that are sorted, apart and not empty already."""
    result = IntervalSet.__new__(IntervalSet)
    result._starts, result._stops = starts, stops
    result._size = stops[0] - starts[0] if len(starts) == 1 else sum(stops) - sum(starts)
    return result
