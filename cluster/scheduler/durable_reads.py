"""What readers see while memory is ahead of the disk: each job as it is there, so that a crash takes back nothing."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Protocol

from cluster.domain.base.errors import Conflict
from cluster.domain.base.wall_time import iso
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.core import SchedulerCore
from cluster.store.interface import Store


class Fetch(Protocol):
    """Asks the store, in a thread of its own."""

    async def __call__(self, query: Callable[[Store], dict[int, Job]], /) -> dict[int, Job]: ...


class OnDisk:
    """What the store says of the jobs that are in memory too; asked once for each, until more lands there."""

    def __init__(self, core: SchedulerCore, fetch: Fetch) -> None:
        self._core = core
        self._fetch = fetch
        self._jobs: dict[int, Job | None] = {}
        self._landings = 0
        self._seen: tuple[frozenset[int], SchedulerCore] | None = None

    def landed(self) -> None:
        """Something has come to disk since."""
        self._landings += 1
        self._jobs = {}
        self._seen = None

    def turned(self) -> None:
        """The core has changed."""
        self._seen = None

    def ask_again(self, jobs: Collection[int]) -> None:
        """The store may have these by now: a commit is seen there before it is told to have landed."""
        for number in jobs:
            if number in self._jobs and self._jobs[number] is None:
                del self._jobs[number]
                self._seen = None

    async def learn(self, unsaved: Collection[int]) -> bool:
        """Asks the store for those of these jobs that are not known; whether all are, so that nothing was asked."""
        missing = [number for number in unsaved if number not in self._jobs]
        if not missing:
            return True
        landings = self._landings
        found = await self._fetch(partial(_restored, records=[self._core.jobs[number].record for number in missing]))
        if landings == self._landings:  # else it may be older than what somebody has been shown
            for job in found.values():
                self._note_starts(job)
            self._jobs.update((number, found.get(number)) for number in missing)
        return False

    def core(self, unsaved: Iterable[int]) -> SchedulerCore:
        """The core as it is on disk. Read it at once. All of `unsaved` must be known."""
        numbers = frozenset(unsaved)
        if self._seen is None or self._seen[0] != numbers:
            self._seen = numbers, self._core.seen_with({number: self._jobs[number] for number in numbers})
        return self._seen[1]

    def _note_starts(self, job: Job) -> None:
        """What runs is known: a start is not on disk, and may be told."""
        now = self._core.jobs[job.number]
        for worker_id, attempt in list(job.held):
            started = job.held[worker_id, attempt].copy()
            for state in (TaskState.ASSIGNED, TaskState.READY):
                started.difference_update(now.sets[state])
            job.started(worker_id, attempt, started)


def records_of_ids(job_ids: Collection[str], store: Store) -> dict[str, JobRecord]:
    """Those of these UUIDs that are jobs. Conflict for one of a job that was deleted: nothing runs twice."""
    for job_id in job_ids:
        if stone := store.keeping.tombstone_of_id(job_id):
            at = iso(stone.at)
            raise Conflict(f"the job of that id or key was deleted on {at}: make a new UUID, or give another key")
    numbers = [number for job_id in job_ids if (number := store.number_of_id(job_id)) is not None]
    return {record.id: record for record in store.records(numbers, whole=True)}


def _restored(store: Store, records: Iterable[JobRecord]) -> dict[int, Job]:
    """Those of these jobs that the store has, as it has them. Beside the event loop: one may be in a million pieces."""
    of = {record.number: record for record in records}
    return {p.number: Job.restored(of[p.number], p) for p in store.progress_of(list(of))}
