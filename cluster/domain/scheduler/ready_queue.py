"""The ready queue: jobs of which tasks may start, first come first served.

Tasks that ask for the same share one request class, because where the first job of a class finds no room, no other of
it will. Classes are looked at when something has changed: all that may run on a worker that has more room than before,
and on every worker those that were not in the queue before. So a thousand jobs that wait cost nothing until then, and
one look then.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from cluster.domain.job.job import Job
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
    """What tasks ask for: so many millicpus each, and that worker alone, by its UUID or name; empty: any."""

    __slots__ = ("heap", "millicpus", "worker")

    def __init__(self, millicpus: int, worker: str) -> None:
        self.millicpus = millicpus
        self.worker = worker
        self.heap = JobHeap()  # of the jobs that ask for this


class ReadyQueue:
    __slots__ = ("_all", "_classes", "_jobs", "fresh")

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._all = JobHeap()
        self._classes: dict[str, dict[int, RequestClass]] = {}  # by worker and millicpus
        self.fresh: dict[RequestClass, None] = {}  # have come into the queue since all that fits was placed

    def __contains__(self, job: Job) -> bool:
        return job.number in self._jobs

    def note(self, job: Job) -> None:
        """It is in the queue from now on if any task of it may start, and else it is not."""
        startable = job.startable
        if startable and job.number not in self._jobs:
            self._jobs[job.number] = job
            spec = job.record.spec
            like = self._classes.setdefault(spec.worker, {})
            if (request := like.get(spec.millicpus)) is None:
                request = like[spec.millicpus] = RequestClass(spec.millicpus, spec.worker)
                self.fresh[request] = None
            request.heap.add(job.number)
            self._all.add(job.number)
        elif not startable and job.number in self._jobs:
            del self._jobs[job.number]
            request = self._classes[job.record.spec.worker][job.record.spec.millicpus]
            request.heap.note_gone(self._jobs)
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
        first = [(number, request) for request in classes if (number := request.heap.first(self._jobs)) is not None]
        heapify(first)  # no number is in two classes
        while first:
            number, request = heappop(first)
            job = self._jobs[number]
            yield job, request
            if number in self._jobs:
                continue
            if (number := request.heap.first(self._jobs)) is not None:
                heappush(first, (number, request))
        for request in classes:
            if not request.heap:
                self._drop(request)

    def _to_look_at(self, roomier: Iterable[Worker]) -> Collection[RequestClass]:
        names = {name: None for worker in roomier for name in ("", worker.id, worker.record.name)}
        found = {request: None for name in names for request in self._classes.get(name, {}).values()}
        return {**found, **self.fresh}

    def _drop(self, request: RequestClass) -> None:
        like = self._classes[request.worker]
        del like[request.millicpus]
        if not like:
            del self._classes[request.worker]
        self.fresh.pop(request, None)
