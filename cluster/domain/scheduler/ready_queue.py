"""The ready queue: jobs that have ready tasks, first come first served.

Apart by what they ask for, because when the first job of a kind finds no room, no other of that kind will. So a
thousand jobs that wait for the same thing cost one look, not a thousand.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from cluster.domain.job.job import Job

Kind = tuple[int, str]  # millicpus of a task, and the only worker that may run it


class ReadyQueue:
    __slots__ = ("_jobs", "_kinds")

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}  # by number; some may have no ready task any more, and go when they are met
        self._kinds: dict[Kind, list[int]] = {}  # heaps of their numbers

    def add(self, job: Job) -> None:
        """Once is enough, until its last ready task is placed; more does nothing."""
        if job.number not in self._jobs:
            self._jobs[job.number] = job
            spec = job.record.spec
            heappush(self._kinds.setdefault((spec.millicpus, spec.worker), []), job.number)

    def discard(self, job: Job) -> None:
        """It will never have a ready task again. Its number goes when it is met."""
        self._jobs.pop(job.number, None)

    def __contains__(self, job: Job) -> bool:
        return job.number in self._jobs

    def __iter__(self) -> Iterator[Job]:
        """Jobs in the order of their numbers. The caller places what it can of each before it asks for the next; one
        that still has ready tasks then is the last of its kind in this round."""
        first = [(numbers[0], kind) for kind, numbers in self._kinds.items()]
        heapify(first)
        while first:
            number, kind = heappop(first)
            job = self._jobs.get(number)
            if job and job.ready:
                yield job
            if job and job.ready:
                continue
            numbers = self._kinds[kind]
            heappop(numbers)
            self._jobs.pop(number, None)
            if numbers:
                heappush(first, (numbers[0], kind))
            else:
                del self._kinds[kind]
