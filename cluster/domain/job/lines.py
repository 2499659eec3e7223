"""The lines of a job, as they were handed in: one text of up to 16 MiB, in which lines are found by index.

Nothing is kept for each line. A job of two million lines costs the scheduler its text, and four bytes for each 16 KiB.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.numbering import ArraySegment

_BLOCK = 16 * 1024  # bytes that are looked through for one line


class LineIndex:
    def __init__(self, lines: bytes) -> None:
        self._lines = lines
        counts = (lines.count(b"\n", at, at + _BLOCK) for at in range(0, len(lines), _BLOCK))
        self._ends = array("I", accumulate(counts, initial=0))  # of lines, before each block

    @property
    def count(self) -> int:
        """The number of lines; the empty text has one."""
        return self._ends[-1] + 1

    def slice(self, start: int, stop: int) -> list[bytes]:
        """Lines start … stop-1."""
        return self._lines[self._begin(start) : self._begin(stop) - 1].split(b"\n")

    def _begin(self, line: int) -> int:
        """The position at which that line begins; for the one after the last, the end of the text."""
        if line == 0:
            return 0
        if line > self._ends[-1]:
            return len(self._lines) + 1
        block = bisect_right(self._ends, line - 1) - 1
        at = block * _BLOCK
        for _ in range(line - self._ends[block]):
            at = self._lines.index(b"\n", at) + 1
        return at


def picked(lines: bytes, numbers: Iterable[ArraySegment], *, rows: bool) -> bytes:
    """Those lines of these numbers, from 1, in their order. InvalidInput for a number that no line has; `rows`: they
    are called rows."""
    index, what = LineIndex(lines), "row" if rows else "line"
    found: list[bytes] = []
    for first, last, step in numbers:
        missing = first if not 1 <= first <= index.count else last
        if not 1 <= missing <= index.count:
            raise InvalidInput(f"--array {missing}: there is no {what} {missing}; there are {index.count}, from 1 on")
        found += index.slice(first - 1, last)[::step]
    return b"\n".join(found)


def first_longer(lines: bytes, most: int) -> tuple[int, int] | None:
    """The first line of more than `most` bytes: its number, from 1, and its size. None: there is none.

    Looks from one end of a line to the last that is within reach, so that short lines cost next to nothing."""
    begin = 0
    while begin + most < len(lines):
        end = lines.rfind(b"\n", begin, begin + most + 1)
        if end < 0:
            after = lines.find(b"\n", begin)
            return lines.count(b"\n", 0, begin) + 1, (len(lines) if after < 0 else after) - begin
        begin = end + 1
    return None
