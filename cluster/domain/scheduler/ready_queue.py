"""The ready queue: jobs of which tasks may start, first come first served.

Tasks that ask for the same share one request class, because where the first job of a class finds no room, no other of
it will. Classes are looked at when something has changed: all that may run on a worker that has more room than before,
and on every worker those that were not in the queue before. So a thousand jobs that wait cost nothing until then, and
one look then.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.worker_record import Worker

FEW_GONE = 64  # jobs that have left the queue, and stay in a heap until they are met


class JobHeap:
    """Numbers of jobs, of which the first that is in the queue is found at once. `there`: those that are."""

    __slots__ = ("_gone", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[int] = []  # a heap; some may have left the queue, and some have come back since
        self._gone = 0  # how many have left, about

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        heappush(self._numbers, number)

    def note_gone(self, there: Mapping[int, Job]) -> None:
        """One of them has left the queue."""
        self._gone += 1
        if self._gone > FEW_GONE and self._gone > len(self._numbers) // 2:
            self._numbers, self._gone = sorted(there.keys() & self._numbers), 0

    def first(self, there: Mapping[int, Job]) -> int | None:
        while self._numbers and self._numbers[0] not in there:
            heappop(self._numbers)
            self._gone -= 1
        return self._numbers[0] if self._numbers else None


class RequestClass:
    """The jobs in the queue whose tasks ask for the same."""

    __slots__ = ("heap", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.heap = JobHeap()  # of the jobs that ask for this


class ReadyQueue:
    __slots__ = ("_all", "_classes", "_jobs", "fresh")

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._all = JobHeap()
        self._classes: dict[str, dict[Request, RequestClass]] = {}  # by worker and request
        self.fresh: dict[RequestClass, None] = {}  # have come into the queue since all that fits was placed

    def __contains__(self, job: Job) -> bool:
        return job.number in self._jobs

    def note(self, job: Job) -> None:
        """It is in the queue from now on if any task of it may start, and else it is not."""
        startable = job.startable
        if startable and job.number not in self._jobs:
            self._jobs[job.number] = job
            like = self._classes.setdefault(job.request.worker, {})
            if (kind := like.get(job.request)) is None:
                kind = like[job.request] = RequestClass(job.request)
                self.fresh[kind] = None
            kind.heap.add(job.number)
            self._all.add(job.number)
        elif not startable and job.number in self._jobs:
            del self._jobs[job.number]
            self._classes[job.request.worker][job.request].heap.note_gone(self._jobs)
            self._all.note_gone(self._jobs)

    def is_first(self, job: Job) -> bool:
        """Whether no job in the queue comes before that one."""
        first = self._all.first(self._jobs)
        return first is None or first >= job.number

    def line(self, roomier: Iterable[Worker]) -> Iterator[tuple[Job, RequestClass]]:
        """Jobs in the order of their numbers: of fresh classes, and of all classes that one of these workers may run.
        The caller places what it can of each, and notes it, before it asks for the next; one that still has some
        then is the last of its class in this round."""
        classes = self._to_look_at(roomier)
        first = [(number, kind) for kind in classes if (number := kind.heap.first(self._jobs)) is not None]
        heapify(first)  # no number is in two classes
        while first:
            number, kind = heappop(first)
            job = self._jobs[number]
            yield job, kind
            if number in self._jobs:
                continue
            if (number := kind.heap.first(self._jobs)) is not None:
                heappush(first, (number, kind))
        for kind in classes:
            if not kind.heap:
                self._drop(kind)

    def _to_look_at(self, roomier: Iterable[Worker]) -> Collection[RequestClass]:
        names = {name: None for worker in roomier for name in ("", worker.id, worker.record.name)}
        found = {kind: None for name in names for kind in self._classes.get(name, {}).values()}
        return {**found, **self.fresh}

    def _drop(self, kind: RequestClass) -> None:
        like = self._classes[kind.request.worker]
        del like[kind.request]
        if not like:
            del self._classes[kind.request.worker]
        self.fresh.pop(kind, None)
