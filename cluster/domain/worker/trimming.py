"""Which running attempts' output is cut, and to how much: what nobody will keep, and when a disk is nearly full, more.

Cut is the middle of a stream. Its beginning and its end stay, and the job that writes it does not notice.
"""

from collections.abc import Iterable
from typing import NamedTuple

LEAST_KEPT = 1 << 20  # bytes that stay of a stream, however full the disk is
LEAST_GAIN = 2 << 20  # bytes: less is not worth it, and readers take smaller holes for the zeros that they stand for
SLACK = 4  # a stream may grow to its limit and a quarter of it before it is cut


class Stream(NamedTuple):
    """One that grows. In bytes: what it holds on disk, and what is kept of it in the end."""

    path: str
    stored: int
    limit: int


class Cut(NamedTuple):
    path: str
    keep: int  # bytes, half of them at its beginning


def cuts(streams: Iterable[Stream], shortage: int) -> list[Cut]:
    """What is to be cut. `shortage`: bytes that the disk lacks; the largest streams make up for it first."""
    keep: dict[str, int] = {}
    left: list[Stream] = []
    for stream in streams:
        if stream.stored > stream.limit + max(stream.limit // SLACK, LEAST_GAIN):
            keep[stream.path] = stream.limit
            shortage -= stream.stored - stream.limit
            stream = stream._replace(stored=stream.limit)
        left.append(stream)
    for stream in sorted(left, key=lambda stream: stream.stored, reverse=True):
        if shortage <= 0 or stream.stored - LEAST_KEPT < LEAST_GAIN:
            break
        rest = max(LEAST_KEPT, stream.stored - max(shortage, LEAST_GAIN))
        shortage -= stream.stored - rest
        keep[stream.path] = rest
    return [Cut(path, bytes_) for path, bytes_ in keep.items()]
