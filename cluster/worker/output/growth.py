"""Watching how running attempts' output grows, so that one that fills the disk fails nobody else.

Free space is one number: it is looked at every second while something runs, more often the less of it there is; how
long the outputs are only when it has shrunk, or now and then. The middle of what is too long is given back to the file
system (fallocate(2), a hole), and readers see there that something is left out.
"""

import asyncio
import ctypes
import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from cluster.domain.base.ids import AttemptKey
from cluster.domain.worker.room import reserve_of
from cluster.domain.worker.trimming import LEAST_GAIN, Cut, Stream, cuts
from cluster.worker.disk_space import space_of
from cluster.worker.output.files import STREAMS, Outputs
from cluster.worker.output.job_file import StreamFile
from cluster.worker.output.lanes import Lanes

logger = logging.getLogger(__name__)

SELDOM, OFTEN = 1.0, 0.05  # seconds between two looks at the free space
FASTEST = 1 << 30  # bytes a second that a job may write: the less is free, the sooner the next look
# Times the reserve: with less free, outputs are cut until so much is; before the worker must refuse work, and by enough
# that whoever fills the disk needs a while for it.
BELOW, UP_TO = 2, 3
LOOK_EVERY = 5.0  # seconds between two looks at all outputs where the free space says nothing
SHRUNK = 64 << 20  # bytes less than at the last such look
_PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_LARGEST = 1 << 43  # bytes; half of what ext4 with blocks of 4 KiB allows
_libc = ctypes.CDLL(None, use_errno=True)

Running = Callable[[], Iterable[tuple[AttemptKey, int]]]  # attempts, each with how much of a stream is kept


class Growth:
    """Watches all running attempts of a worker. Use it from one event loop."""

    def __init__(self, outputs: Outputs, lanes: Lanes, running: Running, reserve: int | None) -> None:
        """`reserve`: bytes of the disk to be kept free, None: the usual."""
        self._outputs = outputs
        self._lanes = lanes
        self._running = running
        self._reserve = reserve
        self._task: asyncio.Task[None] | None = None
        self._free = 0  # at the last look at all outputs
        self._looked_at = -LOOK_EVERY
        self._told: set[str] = set()
        self._seen: dict[str, tuple[int, int]] = {}  # of what is to be freed beyond its end: length, last write (ns)
        self._can_cut = True

    def begin(self) -> None:
        """Something has started. Watching ends by itself when nothing runs any more."""
        if self._can_cut and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._watch())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        pause = OFTEN
        while self._can_cut:
            await asyncio.sleep(pause)
            running = list(self._running())
            if not running:
                break
            try:
                pause = await self._lanes.run(self, lambda attempts=running: self.look(attempts))  # type: ignore[misc]
            except OSError as error:
                logger.warning("it cannot be known how the outputs grow: %s", error.strerror)
                pause = SELDOM
        self._told.clear()
        self._seen.clear()

    def look(self, running: Sequence[tuple[AttemptKey, int]]) -> float:
        """Cuts what is to be cut. Seconds until the next look. Blocks."""
        space = space_of(self._outputs.top)
        reserve = reserve_of(space, self._reserve)
        above = space.free - BELOW * reserve
        now = time.monotonic()
        shrunk = self._free - space.free > min(SHRUNK, max(above, 0) // 4)
        if not shrunk and above >= 0 and now < self._looked_at + LOOK_EVERY:
            return min(SELDOM, max(OFTEN, above / FASTEST))
        wanted = cuts(self._streams(running), UP_TO * reserve - space.free if above < 0 else 0)
        freed = sum(self._cut(cut) for cut in wanted)
        self._free, self._looked_at = space.free + freed, now
        if above < 0 and not freed:
            return SELDOM  # it is others who fill the disk
        return min(SELDOM, max(OFTEN, above / FASTEST))

    def _streams(self, running: Sequence[tuple[AttemptKey, int]]) -> Iterable[Stream]:
        for key, limit in running:
            for suffix in STREAMS:
                path = self._outputs.path(key, suffix)
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield Stream(path, status.st_blocks * 512, limit)

    def _cut(self, cut: Cut) -> int:
        """How many bytes that gave back, about."""
        file = StreamFile(cut.path)
        try:
            if not file.open(os.O_RDWR):
                return 0
            before = _stored(file)
            begin, end = _middle(file, cut.keep)
            if end > begin:
                _punch(file.fd, begin, end)
            if _stored(file) > cut.keep + LEAST_GAIN:  # more than its bytes take: fallocate(1) keeps the rest for it
                self._free_beyond_end(file)
            freed = max(0, before - _stored(file))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
                self._can_cut = False
                logger.warning("this file system cannot free the middle of a file, so no output is cut while it grows")
            elif cut.path not in self._told:
                self._told.add(cut.path)
                logger.warning("%s grows, and cannot be cut: %s", cut.path, error.strerror)
            return 0
        finally:
            file.close()
        if freed and cut.path not in self._told:
            self._told.add(cut.path)
            logger.info("%s takes more than is kept: its middle is freed, now and from now on", cut.path)
        return freed

    def _free_beyond_end(self, file: StreamFile) -> None:
        """Some file systems, such as ext4, do that only where the file is cut to the length that it has. What is
        written in that very moment would be lost: so it is done when nothing was written since the last look."""
        status = os.fstat(file.fd)
        begin = -(-status.st_size // status.st_blksize) * status.st_blksize
        stored = _stored(file)
        with suppress(OSError):  # no file can be so large here
            _punch(file.fd, begin, _LARGEST)
        if _stored(file) < stored:
            return
        seen, self._seen[file.path] = self._seen.get(file.path), (status.st_size, status.st_mtime_ns)
        if seen == self._seen[file.path]:
            os.ftruncate(file.fd, status.st_size)


def _stored(file: StreamFile) -> int:
    """Bytes that it takes on disk."""
    return os.fstat(file.fd).st_blocks * 512


def _middle(file: StreamFile, keep: int) -> tuple[int, int]:
    """What is to go, in whole blocks. From the first hole that was made: what is between two holes, nobody is shown."""
    status = os.fstat(file.fd)
    block, begin = status.st_blksize, file.parts(keep)[0].stop
    end = status.st_size - (keep - keep // 2)
    return -(-begin // block) * block, end // block * block


def _punch(fd: int, begin: int, end: int) -> None:
    if _libc.fallocate(fd, _PUNCH, ctypes.c_long(begin), ctypes.c_long(end - begin)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
