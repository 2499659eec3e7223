"""Output files and working directories of a slot's attempts, each used again while it stays as it was made.

Most attempts write to one stream or none, and leave nothing where they run. To make and remove three things for each
costs more than to start `/bin/true` where the file system is slow at it (ext4 without a journal looks for an inode that
was not just deleted). So what an attempt has left as it got it is given the next one's name.

*As it got it* means: empty, and not changed at all since (the kernel keeps the time of the last change, which nobody
can set; before Linux 6.13 to some milliseconds, so access lists and attributes are looked for), and nobody else has it
open, which a write lease tells: a job may have sent its stdout to another process, and somebody may be reading it.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

TRIES = 3  # to make something in a directory that somebody may remove while it is empty
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
_AGAIN = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW


class BlankFile:
    """One output file after another. `owner` (uid, gid): whom they are to belong to; None: us."""

    def __init__(self, owner: tuple[int, int] | None) -> None:
        self._owner = owner
        self._path = ""  # of the last attempt's, when it is blank
        self._given: tuple[int, ...] = ()

    def open(self, path: str) -> int:
        """Make the file, or give the blank one that name; answers a descriptor to append to. Raises OSError, with
        EEXIST when there is one of that name."""
        fd = self._open_again(path) if self._path else -1
        if fd < 0:
            fd = _with_parent(path, 0o700, lambda path: os.open(path, _MAKE, 0o600))
            if self._owner is not None:
                # Else `>/dev/stderr` would be forbidden. It still cannot reach the file by its name.
                os.fchown(fd, *self._owner)
        self._given = _state(os.fstat(fd))
        return fd

    def _open_again(self, path: str) -> int:
        before, self._path = self._path, ""
        if not _is_still(before, self._given):  # of our user, somebody put something else there
            _remove(before)
            return -1
        try:
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            os.rename(before, path)
            fd = os.open(path, _AGAIN)
        except FileExistsError:
            _remove(before)
            raise
        except OSError:
            _remove(before)
            return -1
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError:  # somebody has it open, or this file system cannot tell
            os.close(fd)
            os.unlink(path)
            return -1
        return fd

    def ended(self, path: str) -> int:
        """The attempt is over. How many bytes it has written; a file that is empty is gone, or will be soon."""
        try:
            status = os.lstat(path)
        except OSError:
            return 0  # the command removed its own output
        if status.st_size == 0:
            if _state(status) == self._given and not _has_attributes(path):
                self._path = path
            else:
                _remove(path)
        return status.st_size

    def tidy(self) -> None:
        """No attempt follows just now."""
        if self._path:
            _remove(self._path)
            self._path = ""


class BlankDirectory:
    """One working directory after another, each empty and closed to others."""

    def __init__(self, owner: tuple[int, int] | None) -> None:
        self._owner = owner
        self._path = ""
        self._given: tuple[int, ...] = ()

    def make(self, path: str) -> None:
        """Make it, or give the blank one that name. Raises OSError, with EEXIST when there is something of that
        name."""
        before, self._path = self._path, ""
        if not before or not _is_still(before, self._given) or not _renamed(before, path):
            # Traversable above, so that another user's job finds its way to its own directory, and nothing else.
            _with_parent(path, 0o711, lambda path: os.mkdir(path, 0o700))
            if self._owner is not None:
                os.chown(path, *self._owner)
        self._given = _state(os.stat(path))

    def ended(self, path: str) -> None:
        """The attempt is over. What it has left is for others to remove."""
        with suppress(OSError):
            if _is_still(path, self._given) and not os.listdir(path) and not _has_attributes(path):
                self._path = path

    def tidy(self) -> None:
        """No attempt follows just now."""
        if self._path:
            with suppress(OSError):
                os.rmdir(self._path)
            self._path = ""


def _state(status: os.stat_result) -> tuple[int, ...]:
    """What differs once anybody has changed anything. (Not the time of the last access.)"""
    owner = status.st_uid, status.st_gid
    return status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode, status.st_nlink, *owner


def _is_still(path: str, given: tuple[int, ...]) -> bool:
    """Whether it is there, the same, and unchanged."""
    try:
        return _state(os.lstat(path)) == given
    except OSError:
        return False


def _has_attributes(path: str) -> bool:
    """Of those that its owner may set, access lists among them."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False  # this file system has none
    return any(not name.startswith("security.") for name in names)


def _renamed(before: str, path: str) -> bool:
    try:
        if os.path.lexists(path):
            os.rmdir(before)
            return False
        os.rename(before, path)
    except OSError:
        with suppress(OSError):
            os.rmdir(before)
        return False
    return True


def _with_parent(path: str, mode: int, make: Callable[[str], T]) -> T:
    """The agent removes directories of jobs that are empty, which may happen in between."""
    for _ in range(TRIES - 1):
        with suppress(FileNotFoundError):
            return make(path)
        parent = os.path.dirname(path)  # the job's
        for directory in (os.path.dirname(parent), parent):
            with suppress(FileExistsError):
                os.mkdir(directory, mode)
                os.chmod(directory, mode)  # whatever the umask was
    return make(path)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
