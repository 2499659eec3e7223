"""Small files that can be replaced on a full disk: each has a spare beside it, whose room it takes.

Exchanged, not renamed: so the old file's room is the next spare's, and nobody else can get it in between.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from cluster.domain.base.errors import ClusterError
from cluster.pki.files import write_private

ROOM = 2048  # bytes that each takes, or twice that, …
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2

_libc = ctypes.CDLL(None, use_errno=True)


def write_with_spare(path: Path, text: bytes) -> None:
    """Replaces the file (0600) in one step, as `write_private`, with the text and blanks after it. ClusterError when
    that cannot be done, not even in the room of the spare."""
    data = _filled_up(text)
    spare = _spare_of(path)
    try:
        write_private(path, data)
    except ClusterError:
        if not _written_into(spare, data):
            raise
        _exchange(spare, path)
        return
    if not spare.exists():
        with suppress(ClusterError):  # then there is none for now
            write_private(spare, b" " * (len(data) - 1) + b"\n")


def write_anyhow(path: Path, text: bytes) -> None:
    """Writes as `write_with_spare` does; where there is no spare, into the file itself. Only for files of which a
    reader may find half."""
    try:
        write_with_spare(path, text)
    except ClusterError:
        if not _written_into(path, _filled_up(text)):
            raise


def remove_but_keep_room(path: Path) -> None:
    """Removes the file, but for a spare in whose room the next one can be written."""
    with suppress(OSError):
        if _spare_of(path).exists():
            path.unlink()
        else:
            os.rename(path, _spare_of(path))


def _spare_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.spare")


def _filled_up(text: bytes) -> bytes:
    return text.ljust(-(-(len(text) + 1) // ROOM) * ROOM - 1) + b"\n"


def _written_into(spare: Path, data: bytes) -> bool:
    """Writes into the file itself, in blocks that it has already."""
    try:
        fd = os.open(spare, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_size > len(data):
            os.ftruncate(fd, len(data))
        done = os.pwrite(fd, data, 0) == len(data)
        os.fsync(fd)
        return done
    except OSError:
        return False
    finally:
        os.close(fd)


def _exchange(spare: Path, path: Path) -> None:
    if _libc.renameat2(_AT_FDCWD, os.fsencode(spare), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE):
        os.rename(spare, path)  # a file system that cannot: then this was the only spare
    with suppress(OSError):
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
