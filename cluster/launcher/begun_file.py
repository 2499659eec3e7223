"""What each slot has begun, in a file that outlives all processes: `slots` in the launcher's directory.

The launcher journals an attempt before it hands it to a slot, with the slot's number and a number that grows with each
that is handed out. A slot writes here the number of what it begins, just before. So a launcher that takes over knows of
all that was handed out whether it was begun, and which processes were slots.

The file is an array of doubles: which boot this is about; then three for each slot: the number, and pid and start
(clock ticks since boot) of the slot's process. It is mapped: writing takes no system call, and what was written is in
the page cache whoever dies. All its blocks are there from the beginning, or a full disk would kill who writes (SIGBUS).
"""

import mmap
import os
from collections.abc import Iterator

from cluster.domain.launcher.slots import MOST_SLOTS

NAME = "slots"
_BOOT, _ROWS = 0, 1  # where the first row begins
_ROW = 3
_SIZE = 8 * (_ROWS + _ROW * MOST_SLOTS)


class BegunFile:
    """The file in a launcher's directory."""

    def __init__(self, directory: str, boot: str) -> None:
        """`boot`: id of the present one (a UUID). Raises OSError."""
        self._boot = float(int(boot.replace("-", "")[:13], 16))  # as much of it as a double holds
        fd = os.open(os.path.join(directory, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size != _SIZE:
                os.ftruncate(fd, 0)
            os.posix_fallocate(fd, 0, _SIZE)
            self._table = memoryview(mmap.mmap(fd, _SIZE)).cast("d")
        finally:
            os.close(fd)

    def begin(self, slot: int, number: int) -> None:
        """The slot calls this just before it begins that attempt."""
        self._table[_ROWS + _ROW * slot] = number

    def has_begun(self, slot: int, number: int) -> bool:
        """Whether a slot has begun what was handed out. After a reboot nobody knows: it may have."""
        return not self._is_of_this_boot or self._table[_ROWS + _ROW * slot] >= number

    @property
    def _is_of_this_boot(self) -> bool:
        return self._table[_BOOT] == self._boot

    def set_process(self, slot: int, pid: int, start: int) -> None:
        """The slot is that process from now on."""
        at = _ROWS + _ROW * slot
        self._table[at + 1] = 0
        self._table[at + 2] = start
        self._table[at + 1] = pid

    def processes(self) -> Iterator[tuple[int, int]]:
        """(pid, start) of all that were slots, if that was in this boot."""
        for at in range(_ROWS, len(self._table), _ROW) if self._is_of_this_boot else ():
            if self._table[at + 1]:
                yield int(self._table[at + 1]), int(self._table[at + 2])

    def clear(self) -> None:
        """Empties it for a new launcher, whose journal refers to nothing in here."""
        for at in range(_ROWS, len(self._table)):
            if self._table[at]:
                self._table[at] = 0
        self._table[_BOOT] = self._boot
