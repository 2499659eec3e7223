"""The ready queue: jobs of which tasks may start. Those of higher priority go first; at one priority the users take
turns, who has had least lately first (`sharing`); of one user's, first come is first served.

Tasks that ask for the same share one request class, because where the first job of a class finds no room, no other of
it will. Classes are looked at when something has changed: all that may run on a worker that has more room than before,
and on every worker those that were not in the queue before. So a thousand jobs that wait cost nothing until then, and
one look then: the jobs of one owner at one priority are a subqueue, of which only the first of each class is seen.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import chain, islice

from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.subqueues import RequestClass, SubQueue
from cluster.domain.scheduler.worker_record import Worker

ShareOf = Callable[[str], float]  # of an owner: the lowest goes first


class Turn:
    """A job whose turn it is."""

    __slots__ = ("goes_on", "is_kept_out", "job", "kind", "rivals")

    def __init__(self, job: Job, kind: RequestClass, rivals: int) -> None:
        self.job, self.kind = job, kind
        self.rivals = rivals  # subqueues at the same priority
        self.goes_on = False  # to be set where it leaves its turn to others, although it finds room
        self.is_kept_out = False  # and where there is room that is kept for another, which an earlier one might have


class ReadyQueue:
    __slots__ = ("_classes", "_counts", "_left", "_priorities", "_subqueues", "_where", "fresh")

    def __init__(self) -> None:
        self._where: dict[int, SubQueue] = {}  # by job in the queue
        self._counts: dict[int, tuple[RequestClass, int]] = {}  # of each of them the class, and tasks that may start
        self._subqueues: dict[tuple[int, str], SubQueue] = {}
        self._priorities: dict[int, int] = {}  # minus the priority: subqueues that have it
        self._classes: dict[str, dict[Request, RequestClass]] = {}  # by worker and request
        self._left: dict[RequestClass, None] = {}  # of the present line, those that are still to be looked at
        self.fresh: dict[RequestClass, None] = {}  # have come into the queue since all that fits was placed

    def __contains__(self, job: Job) -> bool:
        return job.number in self._where

    def note(self, job: Job) -> None:
        """It is in the queue from now on if any task of it may start, and else it is not."""
        startable, subqueue = job.startable, self._where.get(job.number)
        if startable and subqueue is None:
            like = self._classes.setdefault(job.request.worker, {})
            if (kind := like.get(job.request)) is None:
                if self.is_of_one_class:  # somebody may pass that one now
                    self.fresh.update((other, None) for some in self._classes.values() for other in some.values())
                kind = like[job.request] = RequestClass(job.request)
                self.fresh[kind] = None
            if (subqueue := self._subqueues.get(job.subqueue)) is None:
                subqueue = self._subqueues[job.subqueue] = SubQueue(job.subqueue)
                self._priorities[job.subqueue[0]] = self._priorities.get(job.subqueue[0], 0) + 1
            if kind.is_kept_out and subqueue.would_be_first(job, kind):
                self.fresh[kind] = None  # it may come before the one that room is kept for
            self._where[job.number] = subqueue
            subqueue.add(job, kind)
        elif not startable and subqueue is not None:
            self.drop(job)
        if startable:
            self._count(job, startable)

    def _count(self, job: Job, startable: int) -> None:
        kind, before = self._counts.get(job.number) or (self._classes[job.request.worker][job.request], 0)
        kind.ready += startable - before
        self._counts[job.number] = kind, startable

    def drop(self, job: Job) -> None:
        """It is not in the queue, until it is noted again."""
        subqueue = self._where.pop(job.number, None)
        if subqueue is None:
            return
        kind, ready = self._counts.pop(job.number)
        kind.ready -= ready
        subqueue.drop(job, self._classes[job.request.worker][job.request])
        if not subqueue.jobs:
            del self._subqueues[subqueue.key]
            self._priorities[subqueue.key[0]] -= 1
            if not self._priorities[subqueue.key[0]]:
                del self._priorities[subqueue.key[0]]

    def look_again(self, job: Job) -> None:
        """At all workers for its class, if it is in the queue."""
        if job in self:
            self.fresh[self._classes[job.request.worker][job.request]] = None

    @property
    def is_of_one_class(self) -> bool:
        """Whether all jobs ask for the same, so that none passes another."""
        return sum(islice((len(like) for like in self._classes.values()), 2)) == 1

    def is_first(self, job: Job) -> bool:
        """Whether it is the first of its owner's, at the highest priority that there is."""
        subqueue = self._subqueues.get(job.subqueue)
        highest = min(self._priorities, default=job.subqueue[0])
        return highest >= job.subqueue[0] and (subqueue is None or subqueue.is_first(job))

    def line(self, roomier: Iterable[Worker], share_of: ShareOf) -> Iterator[Turn]:
        """Jobs in their order: of fresh classes, and of all classes that one of these workers may run. The caller
        places what it can of each, and notes it, before it asks for the next; one that still has some then is the last
        of its class in this round, unless it says that it goes on."""
        self._left = left = self._to_look_at(roomier)
        looked = list(left)
        for kind in self.fresh:
            kind.is_kept_out = False
        yield from self._turns(left, share_of)
        for kind in looked:
            if not kind.subqueues:
                self._drop_class(kind)

    def put_off(self) -> None:
        """What is left of the present line is looked at later, at all workers."""
        self.fresh = dict(self._left)

    def _turns(self, left: dict[RequestClass, None], share_of: ShareOf) -> Iterator[Turn]:
        """Takes those classes out of `left` that find no room any more."""
        subqueues = self._subqueues_of(left)
        rivals = Counter(subqueue.key[0] for subqueue in subqueues)

        def place(subqueue: SubQueue) -> tuple[int, float, str]:
            return subqueue.key[0], share_of(subqueue.owner) if rivals[subqueue.key[0]] > 1 else 0.0, subqueue.owner

        visits = sorted((place(subqueue), subqueue) for subqueue in subqueues)  # no two have one place
        firsts: dict[SubQueue, list[tuple[int, RequestClass]]] = {}
        while visits and left:
            _, subqueue = heappop(visits)
            if subqueue not in firsts:
                firsts[subqueue] = subqueue.firsts(left)
            if turn := self._next(subqueue, firsts[subqueue], left, rivals[subqueue.key[0]]):
                yield turn
                number, kind = turn.job.number, turn.kind
                if number in subqueue.jobs and not turn.goes_on:
                    if not turn.is_kept_out:
                        del left[kind]
                elif (next_number := subqueue.first(kind)) is not None:
                    heappush(firsts[subqueue], (next_number, kind))
                heappush(visits, (place(subqueue), subqueue))

    @staticmethod
    def _next(
        subqueue: SubQueue, first: list[tuple[int, RequestClass]], left: Mapping[RequestClass, None], rivals: int
    ) -> Turn | None:
        while first:
            number, kind = heappop(first)
            if kind in left:
                return Turn(subqueue.jobs[number], kind, rivals)
        return None

    def _subqueues_of(self, kinds: Mapping[RequestClass, None]) -> list[SubQueue]:
        if sum(len(kind.subqueues) for kind in kinds) < len(self._subqueues):
            return list(dict.fromkeys(chain.from_iterable(kind.subqueues for kind in kinds)))
        return list(self._subqueues.values())

    def _to_look_at(self, roomier: Iterable[Worker]) -> dict[RequestClass, None]:
        names = {name: None for worker in roomier for name in ("", worker.id, worker.record.name)}
        found = {kind: None for name in names for kind in self._classes.get(name, {}).values()}
        return {**found, **self.fresh}

    def _drop_class(self, kind: RequestClass) -> None:
        like = self._classes[kind.request.worker]
        del like[kind.request]
        if not like:
            del self._classes[kind.request.worker]
        self.fresh.pop(kind, None)

    def counted(self, job: Job) -> int:
        """How many of its tasks `demand` counts."""
        return self._counts[job.number][1] if job.number in self._counts else 0

    def demand(self) -> Iterator[tuple[Request, int]]:
        """What is asked for, and how many tasks that may start ask for it. It looks at classes, and at no job."""
        for like in self._classes.values():
            yield from ((kind.request, kind.ready) for kind in like.values() if kind.ready)

    # ── for people ────────────────────────────────────────────────────────────────────────────────────────────────

    def before(self, job: Job, share_of: ShareOf) -> tuple[int, list[str], int]:
        """What stands before it: jobs of higher priority; other owners with jobs at the same priority who have had
        less lately, the next first; and earlier jobs of its owner's at that priority."""
        minus, owner = job.subqueue
        higher = sum(len(subqueue.jobs) for key, subqueue in self._subqueues.items() if key[0] < minus)
        mine = share_of(owner)
        others = sorted((share_of(key[1]), key[1]) for key in self._subqueues if key[0] == minus and key[1] != owner)
        subqueue = self._where.get(job.number)
        return higher, [name for at, name in others if at <= mine], subqueue.count_before(job) if subqueue else 0
