"""The launcher's memory on disk: what it began and how everything ended, until the agent has acknowledged it.

`journal` in the launcher's directory: JSON lines, appended.

    ["journal", version, incarnation, boot id, seq]   the header; seq: the last number used before
    ["begin", key, boot clock (s), wall clock (µs), pid, slot, number]
                                                      written *before* the attempt is handed to that slot, as the
                                                      number-th that any slot was handed; slot -1: it has surely begun
    ["back", key]                                     it was taken back: it had not begun
    ["started", …]   ["ended", …]                     reports as on the wire, written before they are sent

No fsync: what this must survive is the death of the launcher, and the page cache survives that. After a
power cut the boot id differs, so the incarnation changes and nobody takes a missing line for "never
started".

A line that was torn by a crash can only be the last, and is ignored. Acknowledged entries go when the file
is rewritten (beside it, then exchanged), once it has doubled since the last time and is larger than 1 MiB.

Both files end with zeros, in whose room lines are written and the next rewrite takes place when the disk has no more:
a launcher that forgot what it began and how that ended would cost attempts that a full disk has done nothing to.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended, Started
from cluster.launcher import linux
from cluster.launcher.wire import WireError, decode, decode_report, encode, encode_report

VERSION = 1
NAME, SPARE = "journal", "journal.new"
_FORMER_REASONS = {"withdrawn": endings.RETURNED}  # of ends, as launchers before us have called them
REWRITE_ABOVE = 1 << 20  # bytes
RESERVE = 128 << 10  # bytes: a thousand starts and ends
MOST_ROOM = 4 * REWRITE_ABOVE  # that is kept beyond what is in it


class Begun(NamedTuple):
    """An attempt that was handed to a slot, as the `number`-th of all. `pid` once that is known, else 0. `slot` -1: it
    has begun, else the slot's row in `begun.BegunFile` tells.
    """

    key: str
    boot: float
    wall_us: int
    pid: int = 0
    slot: int = -1
    number: int = 0


class Memory(NamedTuple):
    """What a journal tells a new launcher. `seq`: the last number that was used. Pids are of this boot, or 0."""

    incarnation: str
    seq: int
    unacked: list[Started | Ended]
    begun: dict[str, Begun]


def boot_id() -> str:
    """This boot of this machine, as the kernel names it."""
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read().strip()


def load(directory: str) -> Memory:
    """Read what a predecessor left. With no journal, an unreadable one, or one of another boot: a new
    incarnation.
    """
    new = Memory(os.urandom(16).hex(), 0, [], {})
    lines = _read_lines(os.path.join(directory, NAME))
    try:
        word, version, incarnation, boot, seq = next(lines)
        if (word, version) != ("journal", VERSION):
            return new
        said = Recollection(seq)
        for line in lines:
            if line[0] == "begin":
                said.begin(Begun(*line[1:]))
            elif line[0] == "back":
                said.back(line[1])
            else:
                said.report(_with_present_reason(decode_report(line)))
    except (StopIteration, WireError, ValueError, TypeError, IndexError):
        return new
    same_boot = boot == boot_id()
    return said.memory(incarnation if same_boot else new.incarnation, same_boot=same_boot)


class Recollection:
    """What the lines of a journal say together, taken one by one. `seq`: the last number that was used."""

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self.begun: dict[str, Begun] = {}  # and not ended
        self._reports: list[Started | Ended] = []
        self._returned: dict[str, Ended] = {}  # and not heard of again

    def begin(self, begun: Begun) -> None:
        self.begun[begun.key] = begun
        self._returned.pop(begun.key, None)

    def back(self, key: str) -> None:
        self.begun.pop(key, None)

    def report(self, report: Started | Ended) -> None:
        self.seq = max(self.seq, report.seq)
        self._reports.append(report)
        self._returned.pop(report.key, None)
        if isinstance(report, Ended):
            self.begun.pop(report.key, None)
            if report.reason == endings.RETURNED:
                self._returned[report.key] = report
        elif report.key in self.begun:
            self.begun[report.key] = self.begun[report.key]._replace(pid=report.pid)
        else:  # its end stood further down in a file that was written anew, and a power cut took that part
            self.begun[report.key] = Begun(report.key, 0.0, report.at)

    def memory(self, incarnation: str, *, same_boot: bool) -> Memory:
        """What a new launcher of that incarnation is told; where it is another boot, the journal's end may be missing,
        and its pids are other processes' now."""
        begun = self.begun if same_boot else {key: b._replace(pid=0) for key, b in self.begun.items()}
        return Memory(incarnation, self.seq, self.unacked(whole=same_boot), begun)

    def unacked(self, whole: bool) -> list[Started | Ended]:
        """The reports to repeat. An attempt that was returned may be sent here again: that it was returned is to be
        repeated only if it surely did not start since, so never when the end of the journal may be missing.
        """

        def stands(report: Started | Ended) -> bool:
            returned = isinstance(report, Ended) and report.reason == endings.RETURNED
            return not returned or (whole and self._returned.get(report.key) is report)

        return [report for report in self._reports if stands(report)]


def _with_present_reason(report: Started | Ended) -> Started | Ended:
    if isinstance(report, Ended) and report.reason in _FORMER_REASONS:
        return report._replace(reason=_FORMER_REASONS[report.reason])
    return report


def _read_lines(path: str) -> Iterator[Any]:
    try:
        with open(path, "rb") as f:
            for raw in f:
                if raw.endswith(b"\n"):
                    yield decode(raw)
    except FileNotFoundError:
        return


class Journal:
    """Append lines, write them in one go, keep the file small. `OSError` from `write` means nothing was
    written.
    """

    def __init__(self, directory: str, incarnation: str, boot: str) -> None:
        self.directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._identity = (incarnation, boot)
        self._pending: list[bytes] = []
        self._size = self._size_after_rewrite = 0
        self._room = 0  # bytes of the file; those after `_size` are zeros, or what was torn
        self._failed = 0  # how many of the pending lines could not be written
        self._torn = False  # after `_size` comes a part of these
        self._fd = -1

    @property
    def is_ours(self) -> bool:
        """Whether the file is this launcher's; before the first `rewrite` it is a predecessor's."""
        return self._fd >= 0

    def begin(self, begun: Begun) -> None:
        """Add that this is handed to a slot; in hand-made JSON, as there is one for each attempt."""
        line = b'["begin","%b",%.6f,%d,%d,%d,%d]\n'
        self._pending.append(line % (begun.key.encode(), *begun[1:]))

    def back(self, key: str) -> None:
        """Add that its slot has not begun it, and will not."""
        self._pending.append(encode(("back", key)))

    def report(self, report: Started | Ended) -> bytes:
        """Add a report; answers its line, so that it is encoded once."""
        line = encode_report(report)
        self._pending.append(line)
        return line

    @property
    def has_news(self) -> bool:
        """Was anything added since the last attempt to write?"""
        return len(self._pending) > self._failed

    def write(self) -> None:
        """Write what was added. On an error (a full disk) the file is as before and the lines stay
        pending.
        """
        if not self._pending:
            return
        data = b"".join(self._pending)
        try:
            if self._torn:
                self._blot()
            self._torn = True
            _write_all(self._fd, data, self._size)
            self._torn = False
        except OSError:
            self._failed = len(self._pending)
            with suppress(OSError):  # then before the next write
                self._blot()
            raise
        self._failed = 0
        self._size += len(data)
        self._pending.clear()
        self._reserve()

    def _blot(self) -> None:
        """What was torn must not be taken for a line, even if another that is shorter is written over it."""
        room = os.fstat(self._fd).st_size
        _write_all(self._fd, bytes(room - self._size), self._size)
        self._room, self._torn = room, False

    def _reserve(self) -> None:
        """Room for what is to come, because a disk that fills is no reason to forget how something ended."""
        if self._room < self._size + RESERVE // 2:
            self._room = _with_room(self._fd, self._size)

    def unwrite_begins(self) -> None:
        """Forget pending begins: those attempts will not be spawned."""
        self._pending = [line for line in self._pending if not line.startswith(b'["begin"')]
        self._failed = len(self._pending)

    def due(self) -> bool:
        """Has enough been added since the last rewrite for another to pay?"""
        return self._size > max(REWRITE_ABOVE, 2 * self._size_after_rewrite)

    def rewrite(self, seq: int, begun: Iterable[Begun], unacked: Iterable[Started | Ended]) -> None:
        """Replace the file by one that holds only this: attempts that run, and reports nobody
        acknowledged. On an error it is as before, and not due again until it is twice as large.
        """
        lines = [encode(("journal", VERSION, *self._identity, seq))]
        lines.extend(encode(("begin", *b)) for b in begun)
        lines.extend(encode_report(r) for r in unacked)
        data = b"".join(lines)
        fd = os.open(SPARE, os.O_RDWR | os.O_CREAT, 0o600, dir_fd=self.directory)
        try:
            room = _write_over(fd, data)
            linux.exchange(SPARE, NAME, self.directory)
        except OSError:
            os.close(fd)
            self._failed, self._size_after_rewrite = len(self._pending), self._size
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size, self._size_after_rewrite, self._room = fd, len(data), len(data), room
        self._failed, self._torn = 0, False
        self._pending.clear()
        self._reserve()
        self._reserve_spare()

    def _reserve_spare(self) -> None:
        """Room for the next rewrite: that of the file which this one replaced, or else as much as there is here."""
        with suppress(OSError):
            fd = os.open(SPARE, os.O_RDWR | os.O_CREAT, 0o600, dir_fd=self.directory)
            try:
                if os.fstat(fd).st_size < self._size + RESERVE // 2:
                    _with_room(fd, self._size)
            finally:
                os.close(fd)


def _with_room(fd: int, size: int) -> int:
    """Gives the file RESERVE bytes of zeros after `size`, if there is room for them. Answers how long it is then."""
    with suppress(OSError):
        os.posix_fallocate(fd, size, RESERVE)
    return os.fstat(fd).st_size


def _write_over(fd: int, data: bytes) -> int:
    """Makes the file hold this, and zeros. It keeps its room but for what is far too much. Answers how long it is."""
    room = os.fstat(fd).st_size
    if room > len(data) + MOST_ROOM:
        room = len(data) + RESERVE
        os.ftruncate(fd, room)
    _write_all(fd, data.ljust(room, b"\0"), 0)
    return max(room, len(data))


def _write_all(fd: int, data: bytes, at: int) -> None:
    """However many writes it takes: one may stop short, as on a disk that is just getting full."""
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written
