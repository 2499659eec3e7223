"""Output files: what attempts wrote, kept by the scheduler so that it outlives the worker.

    outputs/<job>/<index>.<attempt>.out and .err        one file for each stream; no .err: that stream was empty
    outputs/<job>/<index>.<attempt>.gaps                what is left out of them, where it is; most have no such file
    outputs/new/                                        what is just coming in

Small outputs are not here: they are in the store, with the end that they came with. A file appears whole or not at
all. Of a stream beyond what is to be kept there are the first and the last half; a worker may have left something out
before. Readers see a line there that says how much.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from cluster.domain.base.errors import Exhausted
from cluster.domain.base.gap_line import gap_line
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.base.line_ends import lines_back
from cluster.domain.job.spec import DEFAULT_MAX_OUTPUT
from cluster.scheduler.output.room import FilesRoom
from cluster.store.lasting import sync_directory

CHUNK = 64 * 1024  # bytes read at once: about what gRPC sends before it waits for the reader
_MUCH = 1 << 20  # bytes: more than what says where gaps are
_SUFFIXES = {False: "out", True: "err"}


class OutputFiles:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._new = directory / "new"
        self._lasting: set[Path] = set()  # directories of jobs that are known to be on disk
        self.room = FilesRoom(directory, self._new, self._lasting)
        # What was coming in when an earlier scheduler was killed: its worker pushes it again.
        shutil.rmtree(self._new, ignore_errors=True)
        with suppress(OSError):  # `new` says it
            directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(directory.parent)

    def has(self, key: AttemptKey) -> bool:
        """Whether the attempt's output was taken in. An .err alone is of a push that broke off: the rest is to come."""
        return self._path(key, False).exists()

    def new(self, key: AttemptKey, cap: int = DEFAULT_MAX_OUTPUT) -> "NewOutput":
        """A new output, to be filled; `cap` bytes of each stream are kept. Exhausted when the disk is full."""
        for directory in (self._new, self._path(key, False).parent):
            with _full_disk_explained(directory):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = {stderr: self._path(key, stderr) for stderr in (False, True)}
        return NewOutput(paths, self._gaps_path(key), self._new, cap, self._lasting, partial(self.room.note, key.job))

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
            gap = self._gaps(key).get(stderr, NO_GAP)
            at = file.seek(gap.kept(skip) if tail_lines is None else tail_start(file, tail_lines))
            told = skip >= gap.end if tail_lines is None else at >= gap.at
            while True:
                if at == gap.at and not told:
                    told = True
                    yield gap_line(gap.end - max(gap.at, skip)), gap.end
                piece = file.read(min(CHUNK, gap.at - at) if at < gap.at else CHUNK)
                if not piece:
                    return
                at += len(piece)
                yield piece, gap.written(at)

    def last_bytes(self, key: AttemptKey, stderr: bool, most: int) -> bytes:
        """The end of the stream; nothing if it was empty, or is not here. Blocks."""
        try:
            file = self._path(key, stderr).open("rb")
        except FileNotFoundError:
            return b""
        with file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)

    def written(self, key: AttemptKey) -> int:
        """How many bytes the attempt wrote to both streams, as far as it is known here: kept ones and those left out.
        Blocks."""
        kept = 0
        for stderr in (False, True):
            with suppress(FileNotFoundError):
                kept += self._path(key, stderr).stat().st_size
        return kept + sum(gap.left_out for gap in self._gaps(key).values())

    def _gaps(self, key: AttemptKey) -> dict[bool, "Gap"]:
        try:
            said = json.loads(self._gaps_path(key).read_bytes())
        except FileNotFoundError:
            return {}
        return {stderr: Gap(*said[name]) for stderr, name in _SUFFIXES.items() if name in said}

    def _path(self, key: AttemptKey, stderr: bool) -> Path:
        return self._directory / str(key.job) / f"{key.index}.{key.attempt}.{_SUFFIXES[stderr]}"

    def _gaps_path(self, key: AttemptKey) -> Path:
        return self._path(key, False).with_suffix(".gaps")


class Gap(NamedTuple):
    """What is missing in a kept stream: where it would stand, and how much it is. In bytes."""

    at: int
    left_out: int

    @property
    def end(self) -> int:
        """The position in the stream, as that was written, at which the gap ends."""
        return self.at + self.left_out

    def kept(self, written: int) -> int:
        """The position in the file of this byte of the stream; of one that is missing, where the gap is."""
        return written if written <= self.at else max(self.at, written - self.left_out)

    def written(self, kept: int) -> int:
        """The position in the stream at which a piece ends that ends here in the file."""
        return kept if kept <= self.at else kept + self.left_out


NO_GAP = Gap(0, 0)


class NewOutput:
    """The output of one attempt as it comes in. Use it in `with`: what was not kept is gone afterwards."""

    def __init__(
        self,
        paths: dict[bool, Path],
        gaps: Path,
        directory: Path,
        cap: int,
        lasting: set[Path],
        kept: Callable[[int], None],
    ) -> None:
        """`directory`: where it lies until it is kept, on the same file system. `lasting`: directories of jobs that are
        known to be on disk, to which its own is added. `kept` is told the bytes that it takes."""
        self._kept = kept
        self._paths = paths
        self._gaps = gaps
        self._lasting = lasting
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

    def write(self, stderr: bool, data: bytes, left_out: int = 0) -> None:
        """So many bytes are left out, then these come. Blocks. Exhausted when the disk is full."""
        with _full_disk_explained(self._paths[stderr]):
            if stderr not in self._streams:
                self._streams[stderr] = _Capped(self._directory, self._cap)
            if left_out:
                self._streams[stderr].leave_out(left_out)
            self._streams[stderr].write(data)

    def keep(self) -> None:
        """Makes all of it durable under its names, stdout too when it is empty: that is how it is known to be here."""
        self.write(False, b"")
        with _full_disk_explained(self._gaps):
            self._keep_gaps()
        for stderr, stream in sorted(self._streams.items(), reverse=True):  # stdout last: its file says "complete"
            with _full_disk_explained(self._paths[stderr]):
                stream.keep(self._paths[stderr])
        with _full_disk_explained(self._paths[False]):
            self._kept(sum(self._paths[stderr].stat().st_size for stderr in self._streams))
        self._streams = {}
        job = self._paths[False].parent
        with _full_disk_explained(job):
            sync_directory(job)  # or a power cut could undo the renames
            if job not in self._lasting:  # or take the job's directory
                sync_directory(job.parent)
                self._lasting.add(job)

    def _keep_gaps(self) -> None:
        """Before the streams, which without it would look whole."""
        found = {_SUFFIXES[stderr]: stream.gap for stderr, stream in self._streams.items() if stream.gap.left_out}
        if not found:
            self._gaps.unlink(missing_ok=True)  # of a push that broke off
            return
        file = _Capped(self._directory, _MUCH)
        try:
            file.write(json.dumps(found).encode())
            file.keep(self._gaps)
        finally:
            file.discard()


class _Capped:
    """One stream in a temporary file, and when it is long, its end in a second one that is overwritten in a circle."""

    def __init__(self, directory: Path, cap: int) -> None:
        self._head: IO[bytes] = tempfile.NamedTemporaryFile(dir=directory, delete=False)  # noqa: SIM115
        self._tail: IO[bytes] | None = None
        self._head_left = cap // 2
        self._head_size = 0
        self._tail_size = cap - cap // 2
        self._tail_written = 0
        self._left_out = 0  # beside what the tail has overwritten

    @property
    def gap(self) -> Gap:
        return Gap(self._head_size, self._left_out + max(0, self._tail_written - self._tail_size))

    def leave_out(self, count: int) -> None:
        """Between two of these nothing is kept: a stream has one gap."""
        self._left_out += count + self._tail_written
        self._head_left = self._tail_written = 0

    def write(self, data: bytes) -> None:
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head.write(head)
        self._head_left -= len(head)
        self._head_size += len(head)
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
        overwritten = self._tail_written > self._tail_size
        if overwritten:
            tail.seek(self._tail_written % self._tail_size)
            shutil.copyfileobj(tail, self._head)
        tail.seek(0)
        until = self._tail_written % self._tail_size if overwritten else self._tail_written
        while until > 0 and (piece := tail.read(min(CHUNK, until))):
            self._head.write(piece)
            until -= len(piece)

    def _close(self) -> None:
        for file in (self._head, self._tail):
            with suppress(OSError):  # of a full disk, to which something was still to be written
                if file:
                    file.close()


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Exhausted(f"output cannot be kept at {path}: {error.strerror}; its worker keeps it") from error


def tail_start(file: IO[bytes], lines: int) -> int:
    """The position at which the last `lines` lines of a file begin. A last line without an end counts as one."""
    size = file.seek(0, os.SEEK_END)
    if not size or not lines:
        return size

    def read(at: int, count: int) -> bytes:
        file.seek(at)
        return file.read(count)

    wanted = lines + (read(size - 1, 1) == b"\n")  # the one at the very end closes the last line
    start, _ = lines_back(read, Range(0, size), wanted)
    return start


def tail_of(data: bytes, lines: int | None) -> bytes:
    """The last lines of a small output; all of it for None."""
    if lines is None:
        return data
    return data[tail_start(io.BytesIO(data), lines) :]
