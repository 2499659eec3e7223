"""Between the indexes of a job's tasks (positions from 0) and their numbers, what people type, for arrays of many
segments: each question is a search, not a walk.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from math import gcd
from typing import NamedTuple


class ArraySegment(NamedTuple):
    """Task numbers first, first+step, … up to last."""

    first: int
    last: int
    step: int = 1

    @property
    def size(self) -> int:
        return (self.last - self.first) // self.step + 1


class Numbering:
    """The numbers of a job's tasks. Its segments are valid: each ascends, and none begins within another."""

    def __init__(self, segments: Sequence[ArraySegment]) -> None:
        self._segments = segments
        self._offsets = list(accumulate((segment.size for segment in segments), initial=0))

    @property
    def count(self) -> int:
        """The number of tasks."""
        return self._offsets[-1]

    def number_of(self, index: int) -> int:
        """IndexError for an index that there is not."""
        place = bisect_right(self._offsets, index) - 1
        segment = self._segments[place]
        return segment.first + (index - self._offsets[place]) * segment.step

    def index_of(self, number: int) -> int | None:
        """None when no task has the number."""
        place = bisect_right(self._firsts, number) - 1
        if place < 0:
            return None
        segment, offset = self._ascending[place]
        steps, rest = divmod(number - segment.first, segment.step)
        return offset + steps if rest == 0 and steps < segment.size else None

    def reach(self, first: int, last: int) -> range:
        """Which segments, in the order of their numbers, reach into first … last: what `common` may be asked of."""
        return range(bisect_left(self._lasts, first), bisect_right(self._firsts, last))

    def common(self, place: int, wanted: ArraySegment) -> range:
        """The indexes of the tasks of one segment that have a wanted number."""
        segment, offset = self._ascending[place]
        # Of the members that are not below wanted.first: the first one whose distance to it is a multiple of the step.
        start = max(0, -((segment.first - wanted.first) // segment.step))
        stop = min(segment.size, (wanted.last - segment.first) // segment.step + 1)
        shared = gcd(segment.step, wanted.step)
        distance, rest = divmod(wanted.first - segment.first - start * segment.step, shared)
        if rest or start >= stop:
            return range(0)
        stride = wanted.step // shared
        start += distance * pow(segment.step // shared, -1, stride) % stride
        return range(offset + start, offset + stop, stride)

    def __iter__(self) -> Iterator[ArraySegment]:
        return iter(self._segments)

    @cached_property
    def _ascending(self) -> list[tuple[ArraySegment, int]]:
        """The segments in the order of their numbers, each with the index of its first task."""
        return sorted(zip(self._segments, self._offsets, strict=False))

    @cached_property
    def _firsts(self) -> list[int]:
        return [segment.first for segment, _ in self._ascending]

    @cached_property
    def _lasts(self) -> list[int]:
        return [segment.last for segment, _ in self._ascending]
