"""Files that only their owner may read: made whole or not at all, refused when somebody else could read them.

Loads nothing but the standard library, so that a client which only dials starts fast.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NoAccess, NotFound, unusable
from cluster.domain.trust.credentials import Credentials, format_credentials, looks_like_credentials, parse_credentials

_LOCK = ".lock"
_ROOM = 16 << 10  # bytes: for credentials, and what is written beside them
_MOST = 1 << 20  # bytes; credentials have a few thousand


def private_directory(path: Path) -> Path:
    """Make the directory (0700) if it is missing, and check it and the way to it."""
    try:
        for missing in reversed([step for step in (path, *path.parents) if not step.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)  # each of them, whatever the umask lets pass
            _sync_directory(missing.parent)  # or a power cut could take it, and all that was synced within
        check_private(path)
        _check_way(path)
    except OSError as error:
        raise unusable(f"the directory {path} cannot be used", error) from error
    return path


def check_private(path: Path) -> None:
    """Raise ClusterError when the file or directory is not ours, or group or others have any right on it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist") from None
    except OSError as error:
        raise unusable(f"{path} cannot be used", error) from None
    if status.st_uid != os.geteuid():
        raise NoAccess(
            f"{path} belongs to user {status.st_uid}, not to us (user {os.geteuid()}); give another directory"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        wanted = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise ClusterError(
            f"{path} can be used by others (mode {mode:o}) and holds keys; chmod {wanted} it, if you still trust it"
        )


def _check_way(path: Path) -> None:
    """Raise ClusterError when somebody else could put another directory in the place of this one."""
    links = {step for step in (path, *path.absolute().parents) if step.is_symlink()}
    for step in (*links, *path.absolute().parents, *path.resolve().parents):
        status = step.lstat()
        if status.st_uid not in (0, os.geteuid()):
            raise ClusterError(
                f"{step} belongs to user {status.st_uid}, who could replace {path}; give another directory"
            )
        # Where each user has a group of its own, what it makes is often open to that.
        others = stat.S_IWOTH if status.st_gid == os.getegid() else stat.S_IWOTH | stat.S_IWGRP
        # In a sticky directory such as /tmp others may add entries, but not replace ours.
        if step not in links and status.st_mode & others and not status.st_mode & stat.S_ISVTX:
            raise ClusterError(
                f"{step} can be changed by others, who could replace {path}; chmod go-w it, or give another directory"
            )


def read_private(path: Path) -> bytes:
    """The contents of a file that nobody else may read.

    NotFound when missing, ClusterError when others may.
    """
    check_private(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(f"{path} cannot be read", error) from error


def check_room(directory: Path) -> None:
    """Unusable where no credentials could be kept: to be asked before what makes them is spent."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".room.", dir=directory) as file:
            file.write(bytes(_ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unusable(f"nothing can be kept in {directory}", error) from None


def write_private(path: Path, data: bytes) -> None:
    """Replace the file (0600) in one step: after a crash it holds the old or the new contents, and on disk."""
    try:
        # mkstemp opens with O_EXCL and mode 0600 under a random name: nobody can have put a file or link
        # there.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise unusable(f"{path} cannot be written", error) from error


def load_credentials(path: Path) -> Credentials:
    """Read one party's credentials. NotFound when there are none, ClusterError for something else, or when others may
    read them."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST)
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist") from None
    except OSError as error:
        raise unusable(f"{path} cannot be read", error) from None
    try:
        credentials = parse_credentials(data)
    except InvalidInput as error:
        if looks_like_credentials(data):
            raise ClusterError(f"{path} holds {error}; remove it and join again") from None
        raise ClusterError(
            f"{path} is something else than credentials: expected a file such as admin.pem, user.pem or worker.pem, "
            "which `cluster scheduler`, `cluster login` and `cluster worker` make"
        ) from None
    check_private(path)
    return credentials


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Replace one party's credentials in one step."""
    write_private(path, format_credentials(credentials))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock. Waits for another holder: making keys takes milliseconds."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(f"{directory / _LOCK} cannot be used", error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


@contextmanager
def the_only_one(role: str, lock: Path) -> Iterator[None]:
    """Holds the lock, and with it the directory that it lies in. Conflict names the process of that role that does."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(f"{lock} cannot be used", error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            raise Conflict(
                f"a {role} (pid {pid}) already uses {lock.parent}: stop it first, or give this one another directory"
            ) from None
        try:
            os.pwrite(descriptor, f"{os.getpid():<19}\n".encode(), 0)  # in place: a full disk has room for that
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)  # it only tells people who we are
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def _sync_directory(path: Path) -> None:
    """Make a rename in the directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
