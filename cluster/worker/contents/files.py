"""A worker's cache of contents on disk. All of it blocks.

    contents/ab/<hex>       a content, whole, read-only
    contents/units/<name>   a unit: digest and size of each of its contents; its time is that of its last use
    contents/new/<hex>      a large content that has not come whole
    contents/boot           of the machine, when any of it was written

Whoever is not the jobs' user has no way in. A content that a unit has is whole: units are written when all has come, so
after a crash only they count, and large contents, which get their names when they are whole. After a power cut what was
written shortly before may be lost, whatever it is called: so what another boot has left is read once more before it is
used.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cluster.domain.base.errors import Unreachable
from cluster.domain.files.tree import DIGEST_BYTES, Entry, decode

SMALL = 64 * 1024  # bytes: what is larger is gone on with after a break
_RECORD = DIGEST_BYTES + 8
_PIECE = 1 << 20
BOOT = Path("/proc/sys/kernel/random/boot_id")


class DamagedContent(Unreachable):
    """What came is not what its digest says; nothing of it stays."""


class CacheFiles:
    """The directory of one cache."""

    def __init__(self, directory: Path, gid: int | None = None) -> None:
        """`gid`: the group of the jobs' user, who must get in; None: it is our own user."""
        self.directory, self._gid = str(directory), gid

    def open(self) -> None:
        """Makes the directory, if need be."""
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o700)
        if self._gid is not None:
            os.chown(self.directory, -1, self._gid)
            os.chmod(self.directory, 0o710)  # noqa: S103 (for whoever is of that group)
        for name in ("units", "new"):
            os.makedirs(f"{self.directory}/{name}", mode=0o700, exist_ok=True)

    def load(self) -> tuple[dict[str, dict[bytes, int]], dict[bytes, int]]:
        """What is here: units by their names, the one used longest ago first, each with its contents' sizes; and large
        contents that belong to none. Everything else is removed."""
        found = self._found()
        units: dict[str, dict[bytes, int]] = {}
        held: set[bytes] = set()
        for name in sorted(os.listdir(f"{self.directory}/units"), key=self._used_at):
            contents = self._read_unit(name)
            if contents and all(found.get(digest) == size for digest, size in contents.items()):
                units[name] = contents
                held.update(contents)
            else:
                self.remove_unit(name)
        loose = {digest: size for digest, size in found.items() if digest not in held}
        self.remove(small := [digest for digest, size in loose.items() if size <= SMALL])  # perhaps not whole
        return units, {digest: size for digest, size in loose.items() if digest not in small}

    def _found(self) -> dict[bytes, int]:
        """The contents that are here."""
        path, boot = Path(self.directory, "boot"), BOOT.read_bytes()
        found = dict(self._contents())
        if not path.exists() or path.read_bytes() != boot:
            wrong = [digest for digest in found if not self._is_right(digest)]
            self.remove(wrong)
            for digest in wrong:
                del found[digest]
            path.write_bytes(boot)
        return found

    def path(self, digest: bytes) -> str:
        name = digest.hex()
        return f"{self.directory}/{name[:2]}/{name}"

    def entries(self, tree: bytes) -> Iterator[Entry]:
        """Those of a tree that is here."""
        with open(self.path(tree), "rb") as file:
            yield from decode(iter(lambda: file.read(_PIECE), b""))

    def size(self, digest: bytes) -> int:
        return os.stat(self.path(digest)).st_size

    def begun(self, digest: bytes) -> int:
        """Bytes that are here of a large content that has not come whole."""
        try:
            return os.stat(self._new(digest)).st_size
        except FileNotFoundError:
            return 0

    # -- what comes

    def keep_small(self, digest: bytes, data: bytes) -> None:
        """DamagedContent where it is not what its digest says."""
        if sha256(data).digest() != digest:
            raise DamagedContent(f"content {digest.hex()[:16]} is not what its SHA-256 says")
        path = self.path(digest)
        if os.path.exists(path):
            return
        fd = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _write(fd, data)
            os.fchmod(fd, 0o444)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)

    def new(self, digest: bytes, offset: int) -> "ComingContent":
        """A large content that comes, from that byte on."""
        return ComingContent(digest, self._new(digest), self.path(digest), offset)

    def keep_unit(self, name: str, contents: Mapping[bytes, int]) -> None:
        """All its contents are here."""
        path = f"{self.directory}/new/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(fd, b"".join(digest + size.to_bytes(8) for digest, size in contents.items()))
        finally:
            os.close(fd)
        os.rename(path, f"{self.directory}/units/{name}")

    def touch_unit(self, name: str) -> None:
        """It is used now."""
        with suppress(OSError):
            os.utime(f"{self.directory}/units/{name}")

    # -- what goes

    def remove_unit(self, name: str) -> None:
        """Before any of its contents."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/units/{name}")

    def remove(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            with suppress(FileNotFoundError):
                os.unlink(self.path(digest))

    def remove_begun(self, but: Iterable[bytes]) -> None:
        """What has not come whole, but for these."""
        kept = {digest.hex() for digest in but}
        for name in os.listdir(f"{self.directory}/new"):
            if name not in kept:
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.directory}/new/{name}")

    def remove_old(self, since: float) -> None:
        """What has not come whole, and to which nothing has come since that time (Unix seconds)."""
        for each in os.scandir(f"{self.directory}/new"):
            if each.stat(follow_symlinks=False).st_mtime < since:
                os.unlink(each.path)

    def _new(self, digest: bytes) -> str:
        return f"{self.directory}/new/{digest.hex()}"

    def _used_at(self, name: str) -> int:
        return os.stat(f"{self.directory}/units/{name}").st_mtime_ns

    def _read_unit(self, name: str) -> dict[bytes, int]:
        """Empty: it cannot be read as one."""
        data = Path(f"{self.directory}/units/{name}").read_bytes()
        if len(data) % _RECORD:
            return {}
        records = (data[at : at + _RECORD] for at in range(0, len(data), _RECORD))
        return {record[:DIGEST_BYTES]: int.from_bytes(record[DIGEST_BYTES:]) for record in records}

    def _contents(self) -> Iterator[tuple[bytes, int]]:
        for directory in os.scandir(self.directory):
            if len(directory.name) == 2 and directory.is_dir(follow_symlinks=False):
                for each in os.scandir(directory.path):
                    if len(each.name) == 2 * DIGEST_BYTES and each.is_file(follow_symlinks=False):
                        yield bytes.fromhex(each.name), each.stat(follow_symlinks=False).st_size

    def _is_right(self, digest: bytes) -> bool:
        hashed = sha256()
        try:
            with open(self.path(digest), "rb", buffering=0) as file:
                while piece := file.read(_PIECE):
                    hashed.update(piece)
        except OSError:
            return False
        return hashed.digest() == digest


class ComingContent:
    """A large content that comes in."""

    def __init__(self, digest: bytes, path: str, whole: str, offset: int) -> None:
        self._digest, self._path, self._whole, self._hash = digest, path, whole, sha256()
        self._fd = _open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(self._fd, offset)
        while offset and (piece := os.read(self._fd, _PIECE)):
            self._hash.update(piece)

    def write(self, data: bytes) -> None:
        _write(self._fd, data)
        self._hash.update(data)

    def keep(self) -> None:
        """It is whole. DamagedContent where it is not what its digest says."""
        if self._hash.digest() != self._digest:
            os.unlink(self._path)
            raise DamagedContent(f"content {self._digest.hex()[:16]} is not what its SHA-256 says")
        os.fchmod(self._fd, 0o444)
        _with_parent(self._whole, lambda: os.rename(self._path, self._whole))

    def close(self) -> None:
        os.close(self._fd)


def _open(path: str, flags: int) -> int:
    fd = -1

    def make() -> None:
        nonlocal fd
        fd = os.open(path, flags | os.O_NOFOLLOW, 0o600)

    _with_parent(path, make)
    return fd


def _with_parent(path: str, make: Callable[[], None]) -> None:
    try:
        make()
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.chmod(os.path.dirname(path), 0o755)  # noqa: S103 (whatever the umask is: it is closed further up)
        make()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
