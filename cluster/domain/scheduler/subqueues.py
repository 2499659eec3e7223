"""The jobs of one owner at one priority that are in the ready queue: among them, first come is first served."""

from collections.abc import Mapping
from heapq import heappop, heappush

from cluster.domain.job.job import Job
from cluster.domain.job.request import Request

FEW_GONE = 64  # jobs that have left the queue, and stay in a heap until they are met


class JobHeap:
    """Numbers of jobs, of which the first that is in the queue is found at once. `there`: those that are."""

    __slots__ = ("_gone", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[int] = []  # a heap; some may have left the queue, and some have come back since
        self._gone = 0  # how many have left, about

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        heappush(self._numbers, number)

    def note_gone(self, there: Mapping[int, Job]) -> None:
        """One of them has left the queue."""
        self._gone += 1
        if self._gone > FEW_GONE and self._gone > len(self._numbers) // 2:
            self._numbers, self._gone = sorted(there.keys() & self._numbers), 0

    def first(self, there: Mapping[int, Job], request: Request | None = None) -> int | None:
        """`request`: what it asks for; one that asks for something else by now has left. None: whatever it is."""
        while (numbers := self._numbers) and not _is_there(there.get(numbers[0]), request):
            heappop(numbers)
            self._gone -= 1
        return numbers[0] if numbers else None


def _is_there(job: Job | None, request: Request | None) -> bool:
    return job is not None and (request is None or job.request == request)


class RequestClass:
    """The jobs in the queue whose tasks ask for the same."""

    __slots__ = ("is_kept_out", "ready", "request", "subqueues")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.ready = 0  # tasks of them that may start, in all
        self.is_kept_out = False  # some of it found room that is kept, since all workers were looked at for it
        self.subqueues: dict[SubQueue, None] = {}  # that have some of them


class SubQueue:
    __slots__ = ("_heaps", "all", "jobs", "key")

    def __init__(self, key: tuple[int, str]) -> None:
        self.key = key  # minus the priority, and the owner
        self.jobs: dict[int, Job] = {}
        self.all = JobHeap()
        self._heaps: dict[RequestClass, JobHeap] = {}

    @property
    def owner(self) -> str:
        return self.key[1]

    def add(self, job: Job, kind: RequestClass) -> None:
        self.jobs[job.number] = job
        self.all.add(job.number)
        heap = self._heaps.get(kind)
        if heap is None:
            heap = self._heaps[kind] = JobHeap()
            kind.subqueues[self] = None
        heap.add(job.number)

    def drop(self, job: Job, kind: RequestClass) -> None:
        del self.jobs[job.number]
        if self.jobs:
            self.all.note_gone(self.jobs)
            self._heaps[kind].note_gone(self.jobs)
            return
        for each in self._heaps:
            del each.subqueues[self]
        self._heaps = {}

    def first(self, kind: RequestClass) -> int | None:
        """The first job of that class. A class that has none any more is forgotten."""
        heap = self._heaps.get(kind)
        number = heap.first(self.jobs, kind.request) if heap else None
        if number is None and heap is not None:
            del self._heaps[kind]
            del kind.subqueues[self]
        return number

    def would_be_first(self, job: Job, kind: RequestClass) -> bool:
        """Whether it comes before all of its class that are in the subqueue."""
        first = self.first(kind)
        return first is None or job.number < first

    def firsts(self, kinds: Mapping[RequestClass, None]) -> list[tuple[int, RequestClass]]:
        """The first job of each of these classes that has any, in the form of a heap."""
        mine = self._heaps.keys() & kinds.keys()
        found = [(number, kind) for kind in mine if (number := self.first(kind)) is not None]
        return sorted(found, key=lambda each: each[0])

    def is_first(self, job: Job) -> bool:
        """Whether none in the subqueue comes before that one."""
        first = self.all.first(self.jobs)
        return first is None or first >= job.number

    def count_before(self, job: Job) -> int:
        return sum(number < job.number for number in self.jobs)
