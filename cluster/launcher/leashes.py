"""Memory that agent, launcher, slots and watchdog share: until when attempts may run.

The agent writes when the lease was last confirmed, the launcher which slots there are and on what leash each of them
runs something. Whoever of launcher, slot and watchdog is awake when a leash is out cuts it, so it takes all three to be
stalled at once for an attempt to outlive its lease; and who wakes late finds here what was confirmed meanwhile. It is
memory and no file (memfd): no disk that hangs can hold up anybody who reads or writes it.

The table is an array of doubles: the boot clock (s) of the last confirmed lease; the leash (s) that the watchdog waits
for (0: it waits for none); then for each slot its pid (0: none), the start of that process (clock ticks since boot,
which with the pid names it for ever), and its leash in seconds (0: it runs nothing that has one). Each is written
whole, by one process alone.
"""

import mmap
import os
from collections.abc import Iterator
from typing import NamedTuple

from cluster.domain.launcher.slots import MOST_SLOTS

_CONFIRMED_AT, _AWAITED, _ROWS = 0, 1, 2  # where the first row begins
_ROW = 3
_SIZE = 8 * (_ROWS + _ROW * MOST_SLOTS)


class Row(NamedTuple):
    """A slot's process, and the leash (s) of what it runs; 0: none."""

    pid: int
    start: int
    leash: float


class Leashes:
    """The table, over the descriptor of its memory."""

    def __init__(self, fd: int) -> None:
        """Raises OSError."""
        self.fd = fd
        self._table = memoryview(mmap.mmap(fd, _SIZE)).cast("d")

    @classmethod
    def make(cls) -> "Leashes":
        """A new, empty one. Raises OSError."""
        fd = os.memfd_create("cluster-leashes")
        os.ftruncate(fd, _SIZE)
        return cls(fd)

    @property
    def confirmed_at(self) -> float:
        """Boot clock (s) when the lease was asked for that was confirmed last."""
        return self._table[_CONFIRMED_AT]

    def confirm(self, at: float) -> None:
        """A lease that was asked for at that time has been confirmed."""
        self._table[_CONFIRMED_AT] = max(self._table[_CONFIRMED_AT], at)

    @property
    def awaited(self) -> float:
        """The leash (s) whose end the watchdog will notice by itself, and that of every longer one; 0: of none."""
        return self._table[_AWAITED]

    def await_(self, leash: float) -> None:
        """The watchdog calls this before it looks at the rows."""
        self._table[_AWAITED] = leash

    def set_process(self, slot: int, pid: int, start: int) -> None:
        """The slot is that process from now on; pid 0: there is none."""
        at = _ROWS + _ROW * slot
        self._table[at + 2] = 0.0
        self._table[at + 1] = float(start)
        self._table[at] = float(pid)

    def set_leash(self, slot: int, leash: float | None) -> None:
        """Sets the leash (s) of what the slot runs and has been handed."""
        self._table[_ROWS + 2 + _ROW * slot] = leash or 0.0

    def leash(self, slot: int) -> float:
        return self._table[_ROWS + 2 + _ROW * slot]

    def rows(self) -> Iterator[Row]:
        """Every slot that has a process."""
        table = self._table
        for at in range(_ROWS, len(table), _ROW):
            if table[at]:
                yield Row(int(table[at]), int(table[at + 1]), table[at + 2])

    def shortest(self) -> float | None:
        """The shortest leash of all slots, in seconds."""
        return min((row.leash for row in self.rows() if row.leash), default=None)
