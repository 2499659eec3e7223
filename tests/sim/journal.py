"""What a simulated machine's disk keeps of its launchers: the journal, and what slots note that they begin.

The journal's tail is lost in a reboot, and nothing of the notes has been written then.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cluster.domain.launcher import messages as ev
from cluster.launcher.journal import Begun, Memory, Recollection

if TYPE_CHECKING:
    from tests.sim.machine import Machine


class Back(NamedTuple):
    """A line of the journal: it was taken back."""

    key: str


JournalLine = Begun | Back | ev.Started | ev.Ended


@dataclass(slots=True)
class BegunNotes:
    """Of each slot, the number of what it has begun last. `unknown`: since a reboot, until a launcher has its own."""

    begun: dict[int, int] = field(default_factory=dict)
    unknown: bool = False

    def has_begun(self, slot: int, number: int) -> bool:
        return self.unknown or self.begun.get(slot, 0) >= number

    def clear(self) -> None:
        self.begun.clear()
        self.unknown = False


class Journal:
    """As one launcher writes it: what `cluster.launcher.journal.Journal` is of a real one. `is_long`: it is due to be
    written anew."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self.pending: list[JournalLine] = []
        self.is_ours = self.is_long = False
        self._failed = 0  # how many of the pending lines could not be written

    def recall(self, *, same_boot: bool) -> Memory:
        """What is in it, whoever wrote that."""
        said = Recollection(self._machine.journal_base)
        for line in self._machine.journal:
            match line:
                case Begun():
                    said.begin(line)
                case Back():
                    said.back(line.key)
                case _:
                    said.report(line)
        return said.memory(self._machine.incarnation, same_boot=same_boot)

    @property
    def has_news(self) -> bool:
        return len(self.pending) > self._failed

    def begin(self, begun: Begun) -> None:
        self.pending.append(begun)

    def back(self, key: str) -> None:
        self.pending.append(Back(key))

    def report(self, report: ev.Started | ev.Ended) -> ev.Started | ev.Ended:
        self.pending.append(report)
        return report

    def unwrite_begins(self) -> None:
        self.pending = [line for line in self.pending if not isinstance(line, Begun)]
        self._failed = len(self.pending)

    def write(self) -> None:
        if self.pending and self._machine.disk.full:
            self._fail()
        self._machine.journal += self.pending
        self._written()

    @property
    def would_write(self) -> bool:
        return bool(self.pending) or not self.is_ours

    @property
    def lacks_an_end(self) -> bool:
        return any(isinstance(line, ev.Ended) for line in self.pending)

    def due(self) -> bool:
        return self.is_ours and self.is_long

    def rewrite(self, seq: int, begun: Iterable[Begun], unacked: Iterable[ev.Started | ev.Ended]) -> None:
        machine, self.is_long = self._machine, False
        if machine.disk.full and machine.journal_readable:
            self._fail()
        machine.journal, machine.journal_base = [*begun, *unacked], seq
        machine.journal_readable, machine.rebooted, self.is_ours = True, False, True
        self._written()

    def _written(self) -> None:
        self.pending, self._failed = [], 0

    def _fail(self) -> None:
        self._failed = len(self.pending)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
