"""Finding a script in the folder that the worker's operator named, and never outside of it."""

import errno
import os
import stat
from pathlib import Path

from cluster.domain.base.errors import InvalidInput, NotFound


def resolve_script(folder: Path | None, path: str) -> str:
    """The absolute path of a script below `folder`. InvalidInput when it leaves it, NotFound when it is not there.

    Every part is opened in the directory before it, and none may be a symbolic link that leads out: the folder itself
    may be one, and links within it that stay inside are followed. What is left is the time between this and the
    start: whoever may write in the folder could put another file there, but then could have changed the script too.
    """
    if folder is None:
        raise NotFound(f"script {path!r}: this worker has no scripts; start it with --scripts FOLDER")
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise InvalidInput(f"script {path!r} leaves the scripts folder: give a path inside it, without '..'")
    try:
        root = os.path.realpath(folder, strict=True)
        real = os.path.realpath(os.path.join(root, path), strict=True)
        if os.path.commonpath((root, real)) != root:
            raise InvalidInput(f"script {path!r} leaves the scripts folder: it is a link that leads outside")
        _open_beneath(root, os.path.relpath(real, root))
    except FileNotFoundError:
        raise NotFound(f"there is no script {path!r} in the worker's scripts folder") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise InvalidInput(
                f"script {path!r} cannot be followed inside the scripts folder: {error.strerror}"
            ) from None
        raise InvalidInput(f"script {path!r} cannot be opened: {error.strerror}") from None
    except ValueError as error:  # a NUL byte, or a character that this machine's locale cannot write
        raise InvalidInput(f"script {path!r} can be the name of no file: {error}") from None
    return real


def _open_beneath(root: str, path: str) -> None:
    """Walks from directory to directory without following any link. OSError when something is not what it was, or no
    file: an interpreter would wait at a named pipe for ever."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        *folders, name = path.split("/")
        for folder in folders:
            inner = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        script = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        regular = stat.S_ISREG(os.fstat(script).st_mode)
        os.close(script)
        if not regular:
            raise OSError(errno.EINVAL, "it is no regular file")
    finally:
        os.close(directory)
