"""Reading a file that a job may have done anything to: every call here may block, and belongs into a lane.

A job owns the files that its output goes into. It may make them endless without writing anything (so holes are skipped,
and what is scanned is bounded), lease them (so nobody waits in open), and where it runs as the worker's own user put a
FIFO or a link in their place (so neither is followed).
"""

import errno
import os
import stat
from typing import NamedTuple

from cluster.domain.base.intervals import Range
from cluster.domain.base.line_ends import lines_back

CHUNK = 65536  # bytes; also about what gRPC takes for a reader that has stalled
# A hole of fewer bytes is read as the zeros that it stands for. Some file systems make one where zeros were written.
LARGE_HOLE = 1 << 20
SCANNED = 64 << 20  # bytes that are looked through for the last lines


class Part(NamedTuple):
    """What comes next in a file: some bytes, or a large hole of `left_out` bytes. Neither: its end."""

    data: bytes
    left_out: int


class StreamFile:
    """One of the two files of an attempt."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.exists = True

    def open(self, how: int = os.O_RDONLY) -> bool:
        """`how`: for reading, or O_RDWR. False when it is not there. BlockingIOError while somebody has a lease on it,
        who has now been asked to give it back and must within /proc/sys/fs/lease-break-time; OSError when it cannot be
        opened."""
        try:
            fd = os.open(self.path, how | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            self.exists = False
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no regular file any more", self.path)
        self.fd = fd
        return True

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read(self, at: int, most: int = CHUNK) -> Part:
        """What comes at byte `at`."""
        begin = self._next_data(at)
        if begin - at >= LARGE_HOLE:
            return Part(b"", begin - at)
        return Part(os.pread(self.fd, self._first_hole(at, at + most) - at, at), 0)

    def parts(self, most: int) -> tuple[Range, Range]:
        """What is kept of it as it is now, at most so many bytes: its beginning and its end. Large holes are left out,
        with what lies between them. The second is empty where the first is all."""
        size = self.size()
        head = self._first_hole(0, size if size <= most else most // 2)
        if head >= size:
            return Range(0, size), Range(size, size)
        tail = max(head, size - (most - most // 2)) if size > most else head
        return Range(0, head), Range(self._after_last_hole(tail, size), size)

    def start_of_tail(self, lines: int) -> int:
        """The position at which the last lines begin, of those near enough to its end. A last line without its end
        counts."""
        size = self.size()
        if not lines:
            return size
        head, tail = self.parts(SCANNED)
        wanted, last = lines, True
        for part in (tail, head):
            if part.start == part.stop:
                continue
            if last:
                wanted += os.pread(self.fd, 1, part.stop - 1) == b"\n"
                last = False
            position, wanted = lines_back(lambda at, count: os.pread(self.fd, count, at), part, wanted)
            if not wanted:
                return position
            if part is tail and size > SCANNED and part.start == size - (SCANNED - SCANNED // 2):
                return part.start  # what is before it has not been looked through
        return 0

    def _next_data(self, at: int) -> int:
        """The first byte from `at` that is in no hole; the file's end when there is none."""
        try:
            return os.lseek(self.fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return max(at, self.size())
            return at  # a file system that does not know its holes

    def _first_hole(self, at: int, stop: int) -> int:
        """The position at which the first large hole from `at` begins, if that is before `stop`; else `stop`."""
        while at < stop:
            try:
                hole = os.lseek(self.fd, at, os.SEEK_HOLE)
            except OSError:  # at the end, or a file system that does not know its holes
                return stop
            at = self._next_data(hole)
            if at - hole >= LARGE_HOLE:
                return min(hole, stop)
            if at == hole:  # its end
                return stop
        return stop

    def _after_last_hole(self, at: int, stop: int) -> int:
        """The position at which the last large hole between the two ends; `at` when there is none."""
        after = at
        while at < stop:
            data = min(stop, self._next_data(at))
            if data - at >= LARGE_HOLE:
                after = data
            try:
                at = os.lseek(self.fd, data, os.SEEK_HOLE)
            except OSError:
                break
        return after
