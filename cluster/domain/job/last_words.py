"""The last words of an attempt that failed: the end of its stderr, and what its program raised."""

from typing import NamedTuple

from cluster.domain.job.raised_exception import RaisedException
from cluster.domain.job.traceback_reader import read_exception

TAIL_BYTES = 16 * 1024  # of the end of a stderr, in which a traceback is looked for
SHOWN_BYTES = 2048  # of it


class LastWords(NamedTuple):
    exception: RaisedException | None = None
    stderr_tail: bytes = b""


def last_words(tail: bytes) -> LastWords:
    """`tail`: the last TAIL_BYTES of what it wrote to stderr."""
    return LastWords(read_exception(tail), tail[-SHOWN_BYTES:])
