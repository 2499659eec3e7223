"""Output files: what attempts wrote, kept by the scheduler so that it outlives the worker.

    outputs/<job>/<index>.<attempt>.out and .err        one file for each stream; no .err: that stream was empty

    outputs/new/                                        what is just coming in

Small outputs are not here: they are in the store, with the end that they came with. A file appears whole or not at
all. Of a stream beyond CAP bytes the first and the last half are kept, and a line between them says what is missing.
"""

import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from cluster.domain.errors import Exhausted
from cluster.domain.ids import AttemptKey

CAP = 64 * 1024 * 1024  # bytes kept of one stream
CHUNK = 64 * 1024  # bytes read at once: about what gRPC sends before it waits for the reader
_MARK = re.compile(rb"\n\[cluster: (\d+) bytes left out here\]\n")
_LONGEST_MARK = 80  # bytes
_SUFFIXES = {False: "out", True: "err"}


class OutputFiles:
    def __init__(self, directory: Path, cap: int = CAP) -> None:
        self._directory = directory
        self._cap = cap
        self._new = directory / "new"
        # What was coming in when an earlier scheduler was killed: its worker pushes it again.
        shutil.rmtree(self._new, ignore_errors=True)
        with suppress(OSError):  # `new` says it
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync(directory.parent)

    def has(self, key: AttemptKey) -> bool:
        """Whether the attempt's output was taken in. An .err alone is of a push that broke off: the rest is to come."""
        return self._path(key, False).exists()

    def new(self, key: AttemptKey) -> "NewOutput":
        """To be filled. Exhausted when the disk is full."""
        for directory in (self._new, self._path(key, False).parent):
            with _full_disk_explained(directory):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return NewOutput({stderr: self._path(key, stderr) for stderr in (False, True)}, self._new, self._cap)

    def read(
        self, key: AttemptKey, stderr: bool, tail_lines: int | None = None, skip: int = 0
    ) -> Iterator[tuple[bytes, int]]:
        """The stream in pieces, each with where it ends, from byte `skip` or only its last lines. Nothing if it was
        empty. Places are as the stream was written. Blocks."""
        try:
            file = self._path(key, stderr).open("rb")
        except FileNotFoundError:
            return
        with file:
            gap = self._gap(file)
            at = file.seek(gap.kept(skip) if tail_lines is None else tail_start(file, tail_lines))
            while piece := file.read(min(CHUNK, gap.at - at) if at < gap.at else CHUNK):
                at += len(piece)
                yield piece, gap.written(at)

    def _gap(self, file: IO[bytes]) -> "_Gap":
        head = self._cap // 2
        file.seek(head)
        mark = _MARK.match(file.read(_LONGEST_MARK)) if os.fstat(file.fileno()).st_size > self._cap else None
        return _Gap(head, mark.end(), int(mark[1])) if mark else _NO_GAP  # not its end: of a program with another cap

    def _path(self, key: AttemptKey, stderr: bool) -> Path:
        return self._directory / str(key.job) / f"{key.index}.{key.attempt}.{_SUFFIXES[stderr]}"


class _Gap(NamedTuple):
    """What is missing in a kept stream, and the line that stands there. In bytes."""

    at: int
    line: int
    left_out: int

    def kept(self, written: int) -> int:
        """Where in the file this byte of the stream is, or else the line that says that it is missing."""
        if written <= self.at:
            return written
        return self.at if written < self.at + self.left_out else written - self.left_out + self.line

    def written(self, kept: int) -> int:
        """Where in the stream this byte of the file was. Of the line's: before what is missing."""
        return min(kept, self.at) if kept < self.at + self.line else kept - self.line + self.left_out


_NO_GAP = _Gap(0, 0, 0)


class NewOutput:
    """The output of one attempt as it comes in. Use it in `with`: what was not kept is gone afterwards."""

    def __init__(self, paths: dict[bool, Path], directory: Path, cap: int) -> None:
        """`directory`: where it lies until it is kept, on the same file system."""
        self._paths = paths
        self._directory = directory
        self._cap = cap
        self._streams: dict[bool, _Capped] = {}

    def __enter__(self) -> "NewOutput":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams.values():
            stream.discard()

    def write(self, stderr: bool, data: bytes) -> None:
        """Blocks. Exhausted when the disk is full."""
        with _full_disk_explained(self._paths[stderr]):
            if stderr not in self._streams:
                self._streams[stderr] = _Capped(self._directory, self._cap)
            self._streams[stderr].write(data)

    def keep(self) -> None:
        """Makes all of it durable under its names, stdout too when it is empty: that is how it is known to be here."""
        self.write(False, b"")
        for stderr, stream in sorted(self._streams.items(), reverse=True):  # stdout last: its file says "complete"
            with _full_disk_explained(self._paths[stderr]):
                stream.keep(self._paths[stderr])
        self._streams = {}
        job = self._paths[False].parent
        with _full_disk_explained(job):
            for directory in (job, job.parent):  # or a power cut could undo the renames, or take the job's directory
                _sync(directory)


class _Capped:
    """One stream in a temporary file, and when it is long, its end in a second one that is overwritten in a circle."""

    def __init__(self, directory: Path, cap: int) -> None:
        self._head: IO[bytes] = tempfile.NamedTemporaryFile(dir=directory, delete=False)  # noqa: SIM115
        self._tail: IO[bytes] | None = None
        self._head_left = cap // 2
        self._tail_size = cap - cap // 2
        self._tail_written = 0

    def write(self, data: bytes) -> None:
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head.write(head)
        self._head_left -= len(head)
        while rest:
            if self._tail is None:
                self._tail = tempfile.TemporaryFile(dir=Path(self._head.name).parent)  # noqa: SIM115
            at = self._tail_written % self._tail_size
            piece, rest = rest[: self._tail_size - at], rest[self._tail_size - at :]
            self._tail.seek(at)
            self._tail.write(piece)
            self._tail_written += len(piece)

    def keep(self, path: Path) -> None:
        if self._tail:
            self._append_tail(self._tail)
        self._head.flush()
        os.fsync(self._head.fileno())
        os.rename(self._head.name, path)
        self._close()

    def discard(self) -> None:
        with suppress(OSError):
            os.unlink(self._head.name)
        self._close()

    def _append_tail(self, tail: IO[bytes]) -> None:
        left_out = self._tail_written - self._tail_size
        if left_out > 0:
            self._head.write(b"\n[cluster: %d bytes left out here]\n" % left_out)
            tail.seek(self._tail_written % self._tail_size)
            shutil.copyfileobj(tail, self._head)
        tail.seek(0)
        until = self._tail_written % self._tail_size if left_out > 0 else self._tail_written
        while until > 0 and (piece := tail.read(min(CHUNK, until))):
            self._head.write(piece)
            until -= len(piece)

    def _close(self) -> None:
        for file in (self._head, self._tail):
            with suppress(OSError):  # of a full disk, to which something was still to be written
                if file:
                    file.close()


def _sync(directory: Path) -> None:
    """Makes its entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Exhausted(f"output cannot be kept at {path}: {error.strerror}; its worker keeps it") from error


def tail_start(file: IO[bytes], lines: int) -> int:
    """Where the last `lines` lines of a file begin. A last line without an end counts as one."""
    at = file.seek(0, os.SEEK_END)
    wanted = lines + 1  # line ends to go back over; the one at the very end of the file closes the last line
    if at and lines:
        file.seek(at - 1)
        if file.read(1) != b"\n":
            wanted -= 1
    while lines and at:
        start = max(0, at - CHUNK)
        file.seek(start)
        piece = file.read(at - start)
        while (found := piece.rfind(b"\n")) >= 0:
            wanted -= 1
            if not wanted:
                return start + found + 1
            piece = piece[:found]
        at = start
    return at


def tail_of(data: bytes, lines: int | None) -> bytes:
    """The last lines of a small output; all of it for None."""
    if lines is None:
        return data
    return data[tail_start(io.BytesIO(data), lines) :]
