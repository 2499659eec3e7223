"""How much room the file systems have that this worker writes to. The one place that asks for it."""

import os
from collections.abc import Iterable
from pathlib import Path

from cluster.domain.worker.room import Space


class Disks:
    """The file systems below some directories, each measured once however many of them lie on it."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = tuple(str(directory) for directory in directories)

    def measure(self) -> tuple[Space, ...]:
        """What there is now, in microseconds, unless one of them hangs. A directory that is not there (yet) counts as
        the nearest one above."""
        spaces: dict[int, Space] = {}
        for directory in self._directories:
            path = _existing(directory)
            spaces.setdefault(os.stat(path).st_dev, space_of(path))
        return tuple(spaces.values())


def space_of(path: str) -> Space:
    """The space of the file system that holds `path`. OSError when it cannot say."""
    status = os.statvfs(path)
    size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    return Space(path, size, free, status.f_files, status.f_favail)


def _existing(path: str) -> str:
    while not os.path.exists(path) and path != (parent := os.path.dirname(path)):
        path = parent
    return path
