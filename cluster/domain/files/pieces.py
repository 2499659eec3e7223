"""Contents on their way: in pieces, of which small contents are one each."""

from typing import NamedTuple

SMALL = 64 * 1024  # bytes: what is larger comes as several pieces, and is kept as a file of its own
MOST_TOGETHER = 1024 * 1024 - SMALL  # bytes of small contents that go in one message
MOST_PIECES = 2000  # of one message
AT_ONCE = 20_000  # digests of one question


class ContentPiece(NamedTuple):
    """Some bytes of a content; of its first piece also which it is, all of its bytes, and where `data` begins."""

    data: bytes
    digest: bytes = b""
    size: int = 0
    offset: int = 0
