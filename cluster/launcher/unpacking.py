"""Files made from contents: of a tree's entries, below an open directory, with the rights that we have just now.

What a file system can share of two files it shares (reflinks); elsewhere the kernel copies.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from fcntl import ioctl

from cluster.domain.files.tree import Entry, EntryKind, decode

_FICLONE = 0x40049409  # linux/fs.h
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_PIECE = 1 << 20  # bytes that are read of a tree or copied by us at once
_MOST = 1 << 30  # bytes that the kernel is asked to copy at once
# Of a file system that shares nothing, or not between these two files.
_UNABLE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EISDIR)


class ContentMissing(Exception):
    """A content is not there, or not of the size that its tree says."""


def content_path(contents: str, digest: str) -> str:
    """Where the content of that digest (hex) lies in a directory of contents."""
    return f"{contents}/{digest[:2]}/{digest}"


def entries_of(contents: str, upload: str) -> Iterator[Entry]:
    """The entries of that tree. ContentMissing; InvalidInput for what is none."""
    with open(_opened(content_path(contents, upload)), "rb", buffering=0) as file:
        yield from decode(iter(lambda: file.read(_PIECE), b""))


class Unpacker:
    """Makes what entries of a tree say, below one open directory after another. It expects an umask of 0."""

    def __init__(self, contents: str) -> None:
        self._contents = contents
        self._clones = True  # until the file system says no

    def directory(self, root: int, entry: Entry) -> None:
        """Make it, for us alone: it gets its mode when all is in it."""
        os.mkdir(entry.path, 0o700, dir_fd=root)

    def link(self, root: int, entry: Entry) -> os.stat_result:
        os.symlink(entry.target, entry.path, dir_fd=root)
        return os.lstat(entry.path, dir_fd=root)

    def file(self, root: int, entry: Entry, mtime: int) -> os.stat_result:
        """Make it, last changed at `mtime` (ns). Raises OSError, ContentMissing; then a part of it may be there."""
        fd = os.open(entry.path, _NEW, entry.mode, dir_fd=root)
        try:
            if entry.size:
                self._fill(fd, entry)
            os.utime(fd, ns=(mtime, mtime))
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _fill(self, fd: int, entry: Entry) -> None:
        source = _opened(content_path(self._contents, entry.digest.hex()))
        try:
            if os.fstat(source).st_size != entry.size:
                raise ContentMissing(f"{entry.name} is damaged in this worker's cache")
            if not (self._clones and self._cloned(source, fd)):
                _copy(source, fd, entry.size)
        finally:
            os.close(source)

    def _cloned(self, source: int, fd: int) -> bool:
        try:
            ioctl(fd, _FICLONE, source)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            self._clones = False
        return self._clones


def set_modes(root: int, directories: Iterable[Entry]) -> None:
    """Give these their modes, the innermost first."""
    for entry in sorted(directories, key=lambda entry: -entry.path.count(b"/")):
        if entry.mode != 0o700:
            os.chmod(entry.path, entry.mode, dir_fd=root)


def is_directory(entry: Entry) -> bool:
    return entry.kind is EntryKind.DIRECTORY


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise ContentMissing("a part of it is not in this worker's cache any more") from None


def _copy(source: int, fd: int, size: int) -> None:
    done = 0
    try:
        while done < size:
            if not (copied := os.copy_file_range(source, fd, min(size - done, _MOST))):
                break
            done += copied
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        while piece := os.read(source, _PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
            done += len(piece)
    if done != size:
        raise ContentMissing("a part of it is cut in this worker's cache")
