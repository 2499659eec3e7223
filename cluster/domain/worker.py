"""What the scheduler knows about a worker: the persisted record."""

from dataclasses import dataclass
from enum import IntEnum


class WorkerState(IntEnum):
    """The numbers are those of cluster.v1.WorkerState, and of the database: never renumber."""

    ONLINE = 1
    UNREACHABLE = 2  # its lease ran out or its session is cut; it may come back
    OFFLINE = 3  # it said goodbye
    DRAINING = 4

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """Persisted when it registers and whenever one of these changes."""

    id: str  # UUID, the same after every restart
    name: str
    millicpus: int
    address: str  # host:port of its own API; empty: none
    version: str
    registered_at: float
    incarnation: str = ""  # of the launcher it last said hello with
    offline: bool = False
