"""What the scheduler's things take on its disk, each said by whatever keeps it.

Whoever keeps something else there adds itself to the `holders` that SchedulerService makes: then it is in `cluster
status`, over HTTP and in `--json` by that alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from cluster.domain.scheduler.retention import Limits
from cluster.domain.worker.room import Space
from cluster.store.contents.interface import Contents
from cluster.store.interface import Store


class SpaceTaken(NamedTuple):
    """What something takes, in bytes."""

    name: str  # one word for people, as in database
    size: int
    free: int = 0  # of that, what it has to itself and is free within it


class RoomHolder(Protocol):
    """Something that takes room."""

    def spaces(self, store: Store) -> Sequence[SpaceTaken]:
        """Asked in the store's reading thread: it may ask the store, and read few files."""


class WorkerRoomTaken(NamedTuple):
    """What a worker's things take, as it has said last."""

    spaces: tuple[SpaceTaken, ...]
    free: int  # bytes of the file system that its jobs write to
    size: int
    reserve: int  # of the free bytes, those that it keeps


class RoomTaken(NamedTuple):
    spaces: list[SpaceTaken]  # the largest first
    free: int  # bytes of the file system
    size: int
    reserve: int  # of the free bytes, those that no upload may take
    limits: Limits
    workers: list[tuple[str, str, WorkerRoomTaken]]  # id, name; by name
    users: list[tuple[str, int]]  # whose jobs have so many bytes of files, where users have a quota; most first
    outputs: list[tuple[str, int]]  # the same of output, about


class DatabaseRoom:
    """The store's."""

    def spaces(self, store: Store) -> Sequence[SpaceTaken]:
        size = store.keeping.size()
        return [SpaceTaken("database", size.used + size.free, size.free)]


class ContentsRoom:
    """Of what was uploaded for jobs."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def spaces(self, store: Store) -> Sequence[SpaceTaken]:
        space = self._contents.space()
        return [SpaceTaken("uploads", space.bytes + space.coming)]


def room_of_disk(directory: Path) -> Space:
    """The file system of that directory, for who is not root."""
    found = os.statvfs(directory)
    return Space(str(directory), found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
