"""Whether a worker has room for more work: it takes nothing while a file system that its jobs need is nearly full.

What is kept free is for what runs already, for its output, and for the journals that make sure of its end.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cluster.domain.base.quantities import format_size

SHARE, MOST = 0.05, 1 << 30  # kept free unless somebody says otherwise: so much of its size, but no more bytes
MOST_FILES = 1000  # inodes that are kept free, where a file system counts them; again no more than SHARE of them
# Seconds in which a worker takes nothing after a start that failed for want of room; each is twice the one before.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
AGAIN = 1.25  # times the reserve that must be free before a worker that had no room takes work again


class Space(NamedTuple):
    """One file system, in bytes and in inodes, as they are left to those who are not root."""

    path: str  # something on it, for people
    size: int
    free: int
    files: int = 0  # 0: it does not count them
    files_free: int = 0


def reserve_of(space: Space, reserve: int | None) -> int:
    """Bytes to be kept free on it. `reserve`: what the operator wants; None: the usual."""
    return min(int(space.size * SHARE), MOST) if reserve is None else reserve


def shortage(spaces: Iterable[Space], reserve: int | None, had_room: bool = True) -> str:
    """Why there is no room, in words; "" when there is. Who had none before needs a little more, so that nobody changes
    his mind at every block that comes and goes."""
    for space in spaces:
        least, factor = reserve_of(space, reserve), 1.0 if had_room else AGAIN
        if space.free < least * factor:
            return f"{space.path} has {format_size(space.free)} free, and {format_size(least)} are kept free"
        files = min(int(space.files * SHARE), MOST_FILES) if reserve != 0 else 0
        if space.files_free < files * factor:
            return f"{space.path} has room for {space.files_free} more files, and {files} are kept free"
    return ""


class Room:
    """What a worker knows of its room: what was measured, and what could not be started for want of it."""

    def __init__(self, reserve: int | None = None) -> None:
        """`reserve` as in `reserve_of`."""
        self.reserve = reserve
        self.shortage = ""  # why the worker takes nothing, as of the last look; "" when it has room
        self._measured = ""
        self._failed = ""
        self._failed_until = 0.0
        self._pause = FIRST_PAUSE

    def measured(self, spaces: Iterable[Space]) -> None:
        self._measured = shortage(spaces, self.reserve, had_room=not self._measured)

    def start_failed(self, why: str, now: float) -> None:
        """An attempt could not be started for want of room, whatever was measured: a quota may say so too. Until a
        start succeeds, each next try comes later."""
        if now >= self._failed_until:
            self._failed, self._failed_until = why, now + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def started(self) -> None:
        self._pause = FIRST_PAUSE

    def look(self, now: float) -> bool:
        """Whether room has gone or come since the last look."""
        before = bool(self.shortage)
        self.shortage = self._measured or (self._failed if now < self._failed_until else "")
        return bool(self.shortage) != before

    def due(self) -> float | None:
        """The time at which to look again if nothing happens; None: no need."""
        return self._failed_until if self.shortage and not self._measured else None
