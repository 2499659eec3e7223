"""Large contents as files. One appears whole or not at all.

contents/ab/abcd…              a content, by its digest
contents/.new/<digest>.<who>   what is coming in, or broke off: who sends it goes on with it
contents/.new/<digest>.<who>.x what comes twice at a time: nobody goes on with it
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.domain.base.errors import Conflict, Exhausted, InvalidInput, NotFound
from cluster.domain.worker.room import Space, shortage
from cluster.store.contents.interface import BrokenContent
from cluster.store.lasting import sync_directory

PIECE = 256 * 1024  # bytes read at once
_SYNC_EVERY = 32 * 1024 * 1024  # bytes: what a power cut takes at most of what came
_ALONE = ".x"

Kept = Callable[[Callable[[], None]], None]  # calls what moves the file, with the row that says it is here


class ContentFiles:
    def __init__(self, directory: Path, reserve: int | None) -> None:
        """`reserve`: bytes that are kept free, None: as usual."""
        self._directory = directory
        self._new = directory / ".new"
        self._reserve = reserve
        self._coming: set[Path] = set()
        self._lock = threading.Lock()

    def path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._directory / name[:2] / name

    def begun(self, sender: str, digest: bytes) -> int:
        """Bytes of what broke off, or is coming in."""
        with suppress(OSError):
            return self._begun_path(sender, digest).stat().st_size
        return 0

    def new(self, sender: str, digest: bytes, size: int, offset: int, kept: Kept) -> "NewFile":
        """Conflict where less than `offset` bytes are here."""
        self.expect_room(size - offset)
        path = self._begun_path(sender, digest)
        with self._lock:
            if path in self._coming:
                if offset:
                    raise Conflict(f"content {digest.hex()[:16]} is coming in by another call: send all of it")
                path = next(other for n in range(1 << 30) if (other := Path(f"{path}.{n}{_ALONE}")) not in self._coming)
            self._coming.add(path)
        try:
            with _full_disk_explained(path):
                return NewFile(self, path, self.path(digest), digest, size, offset, kept)
        except BaseException:
            self.ended(path)
            raise

    def ended(self, path: Path) -> None:
        """It comes in no more."""
        with self._lock:
            self._coming.discard(path)

    def read(self, digest: bytes, offset: int) -> Iterator[bytes]:
        try:
            file = self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"content {digest.hex()[:16]} is not here") from None
        with file:
            file.seek(offset)
            while piece := file.read(PIECE):
                yield piece

    def is_whole(self, digest: bytes, size: int) -> bool:
        """Whether it is there with so many bytes."""
        try:
            return self.path(digest).stat().st_size == size
        except OSError:
            return False

    def remove(self, digest: bytes) -> None:
        self.path(digest).unlink(missing_ok=True)

    def coming(self) -> int:
        """Bytes of what has not come whole."""
        total = 0
        for path in self._unfinished():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def tidy(self, before: float, is_known: Callable[[bytes], bool]) -> None:
        """Removes what nobody has written to since `before` (Unix seconds), unless it is a content that is known; and
        what nobody can go on with."""
        for path in self._unfinished():
            if path not in self._coming and (path.suffix == _ALONE or _is_older(path, before)):
                path.unlink(missing_ok=True)
        for directory in self._directory.glob("??"):
            for path in directory.iterdir():
                if _is_older(path, before) and not is_known(bytes.fromhex(path.name)):
                    path.unlink(missing_ok=True)

    def expect_room(self, size: int = 0) -> None:
        """Exhausted where so many more bytes would take of the reserve."""
        at = next(path for path in (self._directory, *self._directory.parents) if path.exists())
        found = os.statvfs(at)
        unit, files = found.f_frsize, (found.f_files, found.f_favail)
        space = Space(str(self._directory), found.f_blocks * unit, max(0, found.f_bavail * unit - size), *files)
        if short := shortage([space], self._reserve):
            after = f" after {size} bytes more" if size else ""
            raise Exhausted(f"the scheduler has no room for files{after}: {short}; make room there, and try again")

    def _begun_path(self, sender: str, digest: bytes) -> Path:
        return self._new / f"{digest.hex()}.{sha256(sender.encode(errors='surrogateescape')).hexdigest()[:16]}"

    def _unfinished(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return list(self._new.iterdir())
        return []


class NewFile:
    """See `cluster.store.contents.interface.NewContent`."""

    def __init__(
        self, files: ContentFiles, path: Path, final: Path, digest: bytes, size: int, offset: int, kept: Kept
    ) -> None:
        self._files, self._path, self._final, self._kept = files, path, final, kept
        self._digest, self._size, self._at, self._begun = digest, size, offset, offset
        self._hash = sha256()
        self._unsynced = 0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._go_on(offset)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if self._path.suffix == _ALONE:
            self._path.unlink(missing_ok=True)
        self._files.ended(self._path)

    def write(self, data: bytes) -> None:
        if self._at + len(data) > self._size:
            raise InvalidInput(f"content {self._digest.hex()[:16]} has more than the {self._size} bytes it should have")
        with _full_disk_explained(self._path):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._hash.update(data)
            self._at += len(data)
            self._unsynced += len(data)
            if self._unsynced >= _SYNC_EVERY:
                os.fdatasync(self._file)
                self._unsynced = 0
                self._files.expect_room()

    def keep(self) -> None:
        if self._at < self._size:
            raise InvalidInput(f"content {self._digest.hex()[:16]} ends after {self._at} of {self._size} bytes")
        if self._hash.digest() != self._digest:
            self._path.unlink(missing_ok=True)
            if self._begun:
                raise BrokenContent(f"content {self._digest.hex()[:16]} was damaged on the way: send it again")
            raise InvalidInput(f"content {self._digest.hex()[:16]} is not what its SHA-256 says: it has changed")
        with _full_disk_explained(self._path):
            os.fsync(self._file)
            self._kept(self._move)

    def _move(self) -> None:
        directory = self._final.parent
        directory.mkdir(mode=0o700, exist_ok=True)
        os.rename(self._path, self._final)
        for each in (directory, directory.parent):
            sync_directory(each)

    def _go_on(self, offset: int) -> None:
        """Reads what is here already. Conflict where it is less."""
        here = os.fstat(self._file).st_size
        if here < offset or offset > self._size:
            raise Conflict(f"of content {self._digest.hex()[:16]} {here} bytes are here, not {offset}")
        os.ftruncate(self._file, offset)
        left = offset
        while left:
            piece = os.read(self._file, min(left, PIECE))
            self._hash.update(piece)
            left -= len(piece)


def _is_older(path: Path, than: float) -> bool:
    try:
        return path.stat().st_mtime < than
    except FileNotFoundError:
        return False


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Exhausted(f"files cannot be kept at {path.parent}: {error.strerror}; make room there") from error
