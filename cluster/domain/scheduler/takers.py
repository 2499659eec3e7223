"""Workers that take work, those with most free cpus first, kept in order as they change.

Whoever changes what a worker can take notes that. Placement then looks at those, and at no others.
"""

from bisect import bisect_left, insort
from math import inf

from cluster.domain.scheduler.worker_record import Worker

# Tasks that one worker may hold, however little each asks for: bounds its hello, and what is lost with it at once.
MOST_HELD = 8192

_Entry = tuple[int, int, Worker]  # minus its free millicpus, its session: ascending is roomiest first


class Takers:
    __slots__ = ("_entries", "_order", "_stale", "roomier")

    def __init__(self) -> None:
        self._order: list[_Entry] = []
        self._entries: dict[str, _Entry] = {}  # by worker id
        self._stale: dict[str, Worker] = {}  # noted, and not put in its place yet
        self.roomier: dict[str, Worker] = {}  # noted since all that fits was placed; some have not more room

    def note(self, worker: Worker) -> None:
        """Its session, its room, or whether it takes anything has changed."""
        self._stale[worker.id] = self.roomier[worker.id] = worker

    @property
    def entries(self) -> list[_Entry]:
        """All, roomiest first. To be read at once."""
        for worker in self._stale.values():
            if entry := self._entries.pop(worker.id, None):
                del self._order[bisect_left(self._order, entry)]
            if can_take(worker) and worker.session is not None:
                self._entries[worker.id] = entry = (-worker.free, worker.session, worker)
                insort(self._order, entry)
        self._stale.clear()
        return self._order

    @property
    def in_order(self) -> list[Worker]:
        """All, roomiest first."""
        return [worker for *_, worker in self.entries]

    def roomiest(self, count: int) -> list[Worker]:
        """At most so many, whatever they have free."""
        return [worker for *_, worker in self.entries[:count]]

    def with_room(self, millicpus: int, most: int | None = None) -> list[Worker]:
        """Those that have so many millicpus free, roomiest first: at most so many (None: all)."""
        order = self.entries
        count = bisect_left(order, (-millicpus, inf))
        return [worker for *_, worker in order[: count if most is None else min(count, most)]]

    @property
    def has_open(self) -> bool:
        """Whether any has a cpu free, or a part of one."""
        order = self.entries
        return bool(order) and order[0][0] < 0


def can_take(worker: Worker) -> bool:
    """Whether it may get anything more, if it has room."""
    return worker.takes_work and takes_more(worker)


def takes_more(worker: Worker) -> bool:
    """The same of one that took work when this turn's placing began: by then it may hold more."""
    return worker.held < MOST_HELD and not worker.exclusive
