"""Putting fetched files where they belong. All of it blocks.

A file appears whole or not at all: what has come of it lies beside its place, hidden, until its SHA-256 is known to be
right; a fetch that was broken off goes on with it. No name leads out of the directory: each is opened below the one
before it, and never through a link.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cluster.domain.base.errors import Exhausted, Unusable, unusable
from cluster.domain.files.tree import Entry, EntryKind, shown

_PIECE = 1 << 20  # bytes read at once
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = re.compile(r"\.[0-9a-f]{24}\.cluster-part")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Landing:
    """One directory, into which entries are put. Use it in `with`."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._top = -1
        self._above: list[tuple[bytes, int]] = []  # the directories that the last path was in, open
        self._modes: dict[bytes, int] = {}  # of directories, once all is in them
        self._touched: set[bytes] = set()

    def __enter__(self) -> "Landing":
        with self.explained(b""):
            self.top.mkdir(parents=True, exist_ok=True)
            self._top = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)
        if self._top >= 0:
            os.close(self._top)

    def make_directory(self, entry: Entry) -> None:
        """Its mode it gets at the end."""
        at = self._enter(entry.path.split(b"/"))
        if os.fstat(at).st_mode & 0o700 != 0o700:  # of an earlier fetch, which has given it its mode
            with self.explained(entry.path):
                os.fchmod(at, entry.mode | 0o700)
        self._modes[entry.path] = entry.mode

    def make_link(self, entry: Entry) -> None:
        at, name = self._place(entry.path)
        self._touched.add(entry.path.rpartition(b"/")[0])
        with self.explained(entry.path):
            with suppress(OSError):
                if os.readlink(name, dir_fd=at) == entry.target:
                    return
            other = f".{secrets.token_hex(12)}.cluster-part".encode()
            os.symlink(entry.target, other, dir_fd=at)
            try:
                os.rename(other, name, src_dir_fd=at, dst_dir_fd=at)
            except OSError:
                os.unlink(other, dir_fd=at)
                raise

    def has(self, entry: Entry) -> bool:
        """Whether this very file is there; it has the right mode then."""
        at, name = self._place(entry.path)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size or _hashed(fd) != entry.digest:
                return False
            with suppress(OSError):
                os.fchmod(fd, entry.mode)
            return True
        finally:
            os.close(fd)

    def begin(self, entry: Entry) -> "Arriving":
        """A file that is to come. What came of it before is there."""
        at, name = self._place(entry.path)
        self._touched.add(entry.path.rpartition(b"/")[0])
        with self.explained(entry.path):
            return Arriving(self, entry, os.dup(at), name)

    def finish(self) -> None:
        """All is there: directories get their modes, and what broke off of files that are of no use any more goes."""
        for path in self._touched:
            self._tidy(path)
        self._touched.clear()
        for path in sorted(self._modes, reverse=True):
            at, name = self._place(path)
            with self.explained(path):
                os.chmod(name, self._modes[path], dir_fd=at)
        self._modes.clear()

    def _tidy(self, path: bytes) -> None:
        at = self._enter(path.split(b"/") if path else [])
        for name in os.listdir(at):
            if _PART.fullmatch(name):
                with suppress(OSError):
                    if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                        os.unlink(name, dir_fd=at)
                        continue
                    fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else another fetch writes it
                        os.unlink(name, dir_fd=at)
                    finally:
                        os.close(fd)

    def _place(self, path: bytes) -> tuple[int, bytes]:
        """The open directory of that path, and the name in it."""
        *parents, name = path.split(b"/")
        return self._enter(parents), name

    def _enter(self, parts: list[bytes]) -> int:
        same = 0
        while same < min(len(parts), len(self._above)) and self._above[same][0] == parts[same]:
            same += 1
        self._leave(same)
        for part in parts[same:]:
            at = self._above[-1][1] if self._above else self._top
            path = b"/".join([*(name for name, _ in self._above), part])
            with self.explained(path):
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=at)
                self._above.append((part, os.open(part, _DIRECTORY, dir_fd=at)))
        return self._above[-1][1] if self._above else self._top

    def _leave(self, until: int) -> None:
        while len(self._above) > until:
            os.close(self._above.pop()[1])

    def explained(self, path: bytes) -> "_Explained":
        return _Explained(f"{self.top}/{shown(path)}" if path else str(self.top))


class Arriving:
    """One file that comes. `close` it in any case."""

    def __init__(self, landing: Landing, entry: Entry, at: int, name: bytes) -> None:
        self.entry = entry
        self._landing, self._at, self._name = landing, at, name
        self._part = f".{entry.digest.hex()[:24]}.cluster-part"
        self._fd = -1
        try:
            self._fd = self._opened()
            self._hash, self.here = sha256(), 0
            while piece := os.read(self._fd, _PIECE):
                self._hash.update(piece)
                self.here += len(piece)
            if self.here > entry.size:
                self.begin_anew()
        except BaseException:
            self.close()
            raise

    def _opened(self) -> int:
        fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._at)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise Unusable(
                f"{self._landing.top}/{self.entry.name} is just being fetched by another command: wait for that"
            ) from None
        return fd

    def begin_anew(self) -> None:
        """None of what is here counts."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash, self.here = sha256(), 0

    def write(self, data: bytes) -> None:
        with self._landing.explained(self.entry.path):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._hash.update(data)
        self.here += len(data)

    def land(self) -> bool:
        """It is whole now, under its name. False where it is not what its SHA-256 says: nothing of it is left then."""
        if self.here != self.entry.size or self._hash.digest() != self.entry.digest:
            self.begin_anew()
            return False
        with self._landing.explained(self.entry.path):
            os.fchmod(self._fd, self.entry.mode)
            os.rename(self._part, self._name, src_dir_fd=self._at, dst_dir_fd=self._at)
        return True

    def close(self) -> None:
        for fd in (self._fd, self._at):
            if fd >= 0:
                os.close(fd)
        self._fd = self._at = -1


class _Explained:
    """What the system refuses in the body becomes one clear line."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in _FULL:
            raise Exhausted(
                f"{self._what} cannot be written: {error.strerror}; make room and fetch again, which goes on from there"
            ) from None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Unusable(
                f"{self._what} cannot be written: something else than a directory is in its way, or a link, which is "
                "not followed; move it away or fetch elsewhere with --to"
            ) from None
        if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
            raise Unusable(
                f"{self._what} cannot be written: a directory of that name is there; move it away or fetch elsewhere "
                "with --to"
            ) from None
        raise unusable(f"{self._what} cannot be written", error) from None


def _hashed(fd: int) -> bytes:
    digest = sha256()
    while piece := os.read(fd, _PIECE):
        digest.update(piece)
    return digest.digest()


def clash_of(paths: dict[bytes, tuple[EntryKind, str]], entry: Entry, owner: str) -> str:
    """Notes that `owner` puts that entry there. Whose it is already, where two of them do not go together; else
    empty."""
    before = paths.setdefault(entry.path, (entry.kind, owner))
    if before[1] != owner and not before[0] is entry.kind is EntryKind.DIRECTORY:
        return before[1]
    return ""
