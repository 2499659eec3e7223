"""In which states workers are, and what people wish of them: also for clients, which load nothing else for it."""

from enum import IntEnum
from typing import NamedTuple


class WorkerState(IntEnum):
    """The numbers are those of cluster.v1.WorkerState, and of the database: never renumber."""

    ONLINE = 1
    UNREACHABLE = 2  # its lease ran out or its session is cut; it may come back
    OFFLINE = 3  # it said goodbye
    DRAINING = 4  # it is about to end, or somebody drains it: it takes nothing, and holds something yet
    REMOVED = 5  # it leaves the list when what it holds has been given up
    FULL = 6  # online, but its disks have no room: it takes nothing until they have
    DRAINED = 7  # somebody drains it, and it holds nothing any more

    @property
    def word(self) -> str:
        return self.name.lower()


class Drain(NamedTuple):
    """Somebody's wish that a worker takes nothing more, kept until it is taken back."""

    by: str  # a user's name
    since: float  # Unix seconds
    reason: str = ""  # for people
    deadline: float = 0.0  # Unix seconds, from when on what still runs there is stopped; 0: never
