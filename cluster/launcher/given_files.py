"""Files that an attempt is given: its script, what is too long for an argument, what came with its job. They lie in
its own directory, are its user's, and closed to others."""

import os
from collections.abc import Iterable
from contextlib import suppress

SCRIPT, LINE = ".script", ".line"  # hidden, so that a command that looks at all files where it runs sees its own
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def write(directory: int, name: str, content: bytes, owner: tuple[int, int] | None) -> None:
    """Make that file in the open directory. `owner` (uid, gid): whose it becomes; None: ours. Raises OSError."""
    fd = os.open(name, _NEW, 0o700, dir_fd=directory)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fchmod(fd, 0o700)  # whatever the umask is
        if owner is not None:
            os.fchown(fd, *owner)
    finally:
        os.close(fd)


def remove(path: str, names: Iterable[str]) -> None:
    """The directory with these files, as far as nothing else is there."""
    for name in names:
        with suppress(OSError):
            os.unlink(f"{path}/{name}")
    with suppress(OSError):
        os.rmdir(path)
