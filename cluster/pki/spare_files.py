"""Small files that can be replaced on a full disk: each has a spare file beside it, and the new text is written there.

File and spare are exchanged, not renamed: the old file becomes the next spare, so nobody else can take its blocks.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from cluster.domain.base.errors import ClusterError
from cluster.pki.files import write_private

ROOM = 2048  # bytes; each file is filled up to a multiple of this
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2

_libc = ctypes.CDLL(None, use_errno=True)


def write_with_spare(path: Path, text: bytes) -> None:
    """Replaces the file (0600) in one step, as `write_private` does, by the text filled up with blanks. ClusterError
    when neither a new file nor the spare can be written."""
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
        with suppress(ClusterError):  # the next call tries again to make one
            write_private(spare, b" " * (len(data) - 1) + b"\n")


def write_anyhow(path: Path, text: bytes) -> None:
    """Writes as `write_with_spare` does, or into the file itself when there is no spare. Only for files whose readers
    bear to find half of the text."""
    try:
        write_with_spare(path, text)
    except ClusterError:
        if not _written_into(path, _filled_up(text)):
            raise


def remove_but_keep_room(path: Path) -> None:
    """Removes the file, and leaves a spare in which the next one can be written."""
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
    """Writes into the file in place, which takes no new blocks. False when that failed."""
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
        os.rename(spare, path)  # this file system cannot exchange files, so there is no spare after this
    with suppress(OSError):
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
