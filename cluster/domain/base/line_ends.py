"""Finding where the last lines of some bytes begin, from their end back."""

from collections.abc import Callable

from cluster.domain.base.intervals import Range

_BLOCK = 1 << 16  # bytes that are read at once


def lines_back(read: Callable[[int, int], bytes], part: Range, wanted: int) -> tuple[int, int]:
    """Goes back over line ends from the end of a part. `read` answers so many bytes (second) from a position (first).

    Answers the position behind the `wanted`-th line end from the back, and 0. Where the part has fewer: its start, and
    how many are still wanted before it.
    """
    at = part.stop
    while at > part.start:
        begin = max(part.start, at - _BLOCK)
        block = read(begin, at - begin)
        breaks = block.count(b"\n")
        if breaks >= wanted:
            position = len(block)
            for _ in range(wanted):
                position = block.rindex(b"\n", 0, position)
            return begin + position + 1, 0
        wanted -= breaks
        at = begin
    return part.start, wanted
