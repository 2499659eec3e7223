"""Task numbers as people type them: `1-1000:2`, `1,5,10-20`.

array   = segment *("," segment)
segment = number ["-" number [":" step]]
"""

import re
from collections.abc import Iterable

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.numbering import ArraySegment

_SEGMENT = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})(?::([0-9]{1,18}))?)?")
_EXAMPLES = "use FIRST-LAST[:STEP] and single numbers, as in 1-1000:2 or 1,5,10-20"


def parse_array(text: str) -> tuple[ArraySegment, ...]:
    """The segments, in the order given; InvalidInput names the part that is wrong.

    The last number is one that is reached: `1-10:4` becomes 1-9:4. Overlaps are left to `spec.validate`.
    """
    return tuple(_segment(part.strip(), text) for part in text.split(","))


def format_array(segments: Iterable[ArraySegment]) -> str:
    """The reverse of `parse_array`, in the shortest form."""
    return ",".join(_format(segment) for segment in segments)


def _segment(part: str, text: str) -> ArraySegment:
    match = _SEGMENT.fullmatch(part)
    if not match:
        where = "" if part == text else f" in {text!r}"
        raise InvalidInput(f"{part!r}{where} names no task numbers: {_EXAMPLES}")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    step = int(match[3]) if match[3] else 1
    if step < 1:
        raise InvalidInput(f"the step in {part!r} is 0: {_EXAMPLES}")
    if last < first:
        raise InvalidInput(f"{part!r} goes down: {_EXAMPLES}")
    return ArraySegment(first, last - (last - first) % step, step)


def _format(segment: ArraySegment) -> str:
    first, last, step = segment.first, segment.last, segment.step
    if first == last:
        return str(first)
    return f"{first}-{last}" if step == 1 else f"{first}-{last}:{step}"
