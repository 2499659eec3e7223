"""Output files and working directories of a slot's attempts, each used again while it stays as it was made.

Most attempts write to one stream or none, and leave nothing where they run. To make and remove three things for each
costs more than to start `/bin/true` where the file system is slow at it (ext4 without a journal looks for an inode that
was not just deleted). So what an attempt has left as it got it is the next one's of its job: a directory under its new
name, a file under none. A file has no name until there is something in it or its attempt lasts: most are never named.

*As it got it* means: empty, and not changed at all since (the kernel keeps the time of the last change, which nobody
can set; before Linux 6.13 to some milliseconds, so access lists and attributes are looked for), and nobody else has it
open to read or to write, which a write lease tells: a job may have sent its stdout to another process, and somebody may
be reading it.

No lease tells of a descriptor that is open as a place alone (O_PATH), nor is there one of a directory. A process that
kept such a one, and runs as the job's user, reaches what later attempts get. So what one job has left is never another
job's: before an attempt of another job, `tidy` is called.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from fcntl import F_SETLEASE, F_UNLCK, F_WRLCK, fcntl
from typing import TypeVar

T = TypeVar("T")

TRIES = 3  # to make something in a directory that somebody may remove while it is empty
_NAMED = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_AGAIN = os.O_WRONLY | os.O_APPEND
_NAMELESS = os.O_WRONLY | os.O_APPEND | os.O_TMPFILE
# Of a file system that has no files without a name, or does not let us name them: EOPNOTSUPP, or EISDIR before it was
# known to the kernel; EPERM where root may not name another user's file.
_UNABLE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.EPERM, errno.EXDEV)


class BlankFile:
    """One output file after another. `owner` (uid, gid): whom they are to belong to; None: us."""

    def __init__(self, owner: tuple[int, int] | None) -> None:
        self._owner = owner
        self._named = True  # the present attempt's
        self._file = -1  # O_PATH descriptor of the one that had no name when it was given to an attempt
        self._again = ""  # a path by which that can be opened
        self._next = -1  # it, open for the next attempt
        self._given: tuple[int, ...] = ()
        self._directory, self._device, self._able = "", -1, False  # where a nameless one was asked for last

    def open(self, directory: str, name: str, nameless: bool = False) -> int:
        """Make it, with that name; answers a descriptor to append to. `nameless`: if this file system has such files,
        it gets its name later, and may be the blank one. Raises OSError, with EEXIST when there is one of that name."""
        if nameless and self._next >= 0 and directory == self._directory:
            self._named = False
            fd, self._next = self._next, -1
            return fd
        path = f"{directory}/{name}"
        self._named = not (nameless and self._may_be_nameless(path, directory))
        if self._named:
            fd = with_parent(path, lambda path: os.open(path, _NAMED, 0o600))
            self._give(fd)
            return fd
        if self._next < 0:
            self._make(path)
        fd, self._next = self._next, -1
        return fd

    def name(self, path: str) -> None:
        """The present attempt's has that name from now on. Raises OSError, with EEXIST when there is one of that
        name."""
        if not self._named:
            with_parent(path, self._link)
            self._named = True

    def ended(self, path: str) -> int:
        """The attempt is over. How many bytes it has written; only if there are any, there is a file of that name from
        now on. Raises OSError when it cannot be named."""
        if not self._named:
            try:
                fd = os.open(self._again, _AGAIN)
            except OSError:  # it was made unreadable
                return self._ended_nameless(path)
            if _is_as_given(fd, self._given):
                self._next = fd
                return 0
            os.close(fd)
            return self._ended_nameless(path)
        self._forget()
        try:
            size = os.lstat(path).st_size
        except OSError:
            return 0  # the command removed its own output
        if size == 0:
            with suppress(OSError):
                os.unlink(path)
        return size

    def _ended_nameless(self, path: str) -> int:
        """It is not the next attempt's."""
        size = os.fstat(self._file).st_size
        try:
            if size:
                self.name(path)
        finally:
            self._forget()
        return size

    def tidy(self) -> None:
        """No attempt follows just now, or one of another job."""
        self._forget()

    def _may_be_nameless(self, path: str, directory: str) -> bool:
        if directory != self._directory:
            self._enter(path, directory)
        return self._able

    def _enter(self, path: str, directory: str) -> None:
        """What is blank may be used there, too, if it is the same file system."""
        device = with_parent(path, lambda _: os.stat(directory)).st_dev
        if device != self._device:
            self._forget()
            self._device = device
            self._able = self._is_able(path)
        self._directory = directory

    def _is_able(self, path: str) -> bool:
        """Whether a file can be made without a name there, and be named."""
        try:
            self._make(path)
            self._link(path)
            os.unlink(path)
        except OSError as e:
            if e.errno in _UNABLE:
                return False
            raise
        finally:
            self._forget()
        return True

    def _make(self, path: str) -> None:
        fd = with_parent(path, lambda path: os.open(os.path.dirname(path), _NAMELESS, 0o600))
        try:
            self._give(fd)
            self._file = os.open(f"/proc/self/fd/{fd}", os.O_PATH)
        except OSError:
            os.close(fd)
            raise
        self._again, self._next, self._given = f"/proc/self/fd/{self._file}", fd, _state(os.fstat(fd))

    def _give(self, fd: int) -> None:
        if self._owner is not None:
            # Else `>/dev/stderr` would be forbidden. It still cannot reach the file by its name.
            os.fchown(fd, *self._owner)

    def _link(self, path: str) -> None:
        # With a descriptor, although the path is absolute: only so does Python follow the link that this is.
        os.link(self._again, path, src_dir_fd=self._file, follow_symlinks=True)

    def _forget(self) -> None:
        for fd in (self._next, self._file):
            if fd >= 0:
                os.close(fd)
        self._next = self._file = -1


class BlankDirectory:
    """One working directory after another, each empty and closed to others."""

    def __init__(self, owner: tuple[int, int] | None) -> None:
        self._owner = owner
        self.fd = -1  # of the last attempt's
        self._path = ""  # of the last attempt's, when that has ended
        self._given: tuple[int, ...] = ()

    def enter(self, path: str) -> str:
        """Make it, or give the blank one that name, and go there; answers the path. Raises OSError, with EEXIST when
        there is something of that name."""
        before, self._path = self._path, ""
        if not before or not self._is_blank(before) or not _renamed(before, path):
            self._make(path)
        os.fchdir(self.fd)
        self._given = _state(os.fstat(self.fd))
        return path

    def ended(self, path: str) -> None:
        """The attempt is over. What it has left is for others to remove."""
        self._path = path

    def let_go(self) -> None:
        """The attempt is over. What it has left is wanted, as it is and by its name."""
        self._close()

    def tidy(self) -> None:
        """No attempt follows just now, or one of another job."""
        self._close()
        if self._path:
            with suppress(OSError):
                os.rmdir(self._path)
            self._path = ""

    def _make(self, path: str) -> None:
        self._close()
        # Traversable above, so that another user's job finds its way to its own directory, and nothing else.
        with_parent(path, lambda path: os.mkdir(path, 0o700), 0o711)
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if self._owner is not None:
            os.fchown(self.fd, *self._owner)

    def _is_blank(self, path: str) -> bool:
        """Whether it is there, the same, empty and unchanged."""
        try:
            status = os.lstat(path)
            return _state(status) == self._given and not os.listdir(path) and not has_attributes(self.fd)
        except OSError:
            return False

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _is_as_given(fd: int, given: tuple[int, ...]) -> bool:
    """Whether nobody has changed this file, and nobody else has it open. False also where this file system cannot tell
    who has."""
    try:
        fcntl(fd, F_SETLEASE, F_WRLCK)
        fcntl(fd, F_SETLEASE, F_UNLCK)
    except OSError:
        return False
    return _state(os.fstat(fd)) == given and not has_attributes(fd)


def _state(status: os.stat_result) -> tuple[int, ...]:
    """What differs once anybody has changed anything. (Not the time of the last access.)"""
    return status.st_ctime_ns, *status[:7]  # mode, inode, device, links, owner, group, size


def has_attributes(fd: int) -> bool:
    """Of those that its owner may set, access lists among them."""
    try:
        names = os.listxattr(fd)
    except OSError:
        return False  # this file system has none
    return bool(names and not all(name.startswith("security.") for name in names))


def _renamed(before: str, path: str) -> bool:
    try:
        os.rename(before, path)
    except OSError:
        with suppress(OSError):
            os.rmdir(before)
        return False
    return True


def with_parent(path: str, make: Callable[[str], T], mode: int = 0o700) -> T:
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
