"""What the store without a disk says of ended jobs, and what goes there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.records import Held, JobChunk, JobProgress, JobRecord, JobReopened, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.results import KeptResults
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import UsageAdded, UsageKind
from cluster.domain.scheduler.retention import (
    MOST_TOMBSTONES,
    NOTHING_WALKED,
    EndedJob,
    JobPinned,
    OutputExpired,
    OutputsWalked,
    Pin,
    RemainsDropped,
    RemainsGone,
    SpaceReturned,
    Tombstone,
    UsageDropped,
)
from cluster.store.keeping import Remains, StoreSize, Weight

Kept = (
    JobPinned | OutputExpired | OutputsWalked | RemainsDropped | RemainsGone | SpaceReturned | Tombstone | UsageDropped
)


@dataclass(slots=True)
class KeptOnDisk:
    """What survives of it."""

    pins: dict[int, Pin] = field(default_factory=dict)
    tombstones: dict[int, Tombstone] = field(default_factory=dict)
    with_remains: set[int] = field(default_factory=set)  # of those
    expired: dict[int, OutputExpired] = field(default_factory=dict)
    expired_with_remains: set[int] = field(default_factory=set)
    walked: OutputsWalked = NOTHING_WALKED


class DiskOfJobs(Protocol):
    """What of `cluster.store.memory.Disk` this is about; by job."""

    jobs: dict[int, JobRecord]
    numbers: dict[str, int]
    values: dict[tuple[int, str], str]
    progress: dict[int, JobProgress]
    ended: dict[int, TaskState]
    chunks: dict[int, dict[int, JobChunk]]
    held: dict[int, dict[tuple[str, int], Held]]
    ok_ends: dict[int, dict[int, OkEnds]]
    ends: dict[int, dict[AttemptKey, TaskEnd]]
    outputs: dict[int, dict[AttemptKey, SmallOutput]]
    results: dict[int, dict[AttemptKey, KeptResults]]
    kept: KeptOnDisk
    usage: dict[tuple[int, UsageKind, str, str], UsageAdded]


class MemoryKeeping:
    """See `cluster.store.keeping.Keeping`."""

    def __init__(self, disk: DiskOfJobs) -> None:
        self._disk = disk
        self._kept = disk.kept

    def put(self, item: Kept | JobReopened) -> None:
        kept, disk = self._kept, self._disk
        match item:
            case JobReopened(number=number):  # it will write anew
                kept.expired.pop(number, None)
                kept.expired_with_remains.discard(number)
            case JobPinned(job=job, pin=None):
                kept.pins.pop(job, None)
                kept.walked = NOTHING_WALKED
            case JobPinned(job=job, pin=Pin() as pin):
                kept.pins[job] = pin
            case Tombstone(number=number):
                kept.tombstones[number] = item
                kept.with_remains.add(number)
                kept.pins.pop(number, None)
                disk.numbers.pop(disk.jobs.pop(number).id)
                disk.ended.pop(number, None)
            case OutputExpired(job=job):
                kept.expired[job] = item
                kept.expired_with_remains.add(job)
            case OutputsWalked():
                kept.walked = item
            case RemainsDropped(jobs=jobs, rows=rows):
                for job in sorted(kept.with_remains)[:jobs]:
                    for table in self._of_job():
                        _drop(table, job, rows)
                    for key in [key for key in disk.values if key[0] == job][:rows]:
                        del disk.values[key]
                    kept.expired.pop(job, None)
                    kept.expired_with_remains.discard(job)
                for job in sorted(kept.expired_with_remains)[:jobs]:
                    _drop(disk.outputs, job, rows)
            case RemainsGone(deleted=deleted, expired=expired):
                kept.with_remains.difference_update(deleted)
                kept.expired_with_remains.difference_update(expired)
                for number in sorted(kept.tombstones.keys() - kept.with_remains)[: -MOST_TOMBSTONES or None]:
                    del kept.tombstones[number]
            case SpaceReturned():
                pass
            case UsageDropped(before=before, rows=rows):
                old = [place for place in disk.usage if place[0] < before]
                others = [place for place in old if place[1] is not UsageKind.USER]
                for place in (others or old)[:rows]:
                    del disk.usage[place]

    def _of_job(self) -> Iterable[dict[int, Any]]:
        disk = self._disk
        return disk.progress, disk.chunks, disk.held, disk.ok_ends, disk.ends, disk.outputs, disk.results

    def ended(self, after: OutputsWalked, most: int) -> list[EndedJob]:
        found = sorted(self.ended_among(list(self._disk.ended)))
        return [job for job in found if (job.ended_at, job.number) > tuple(after)][:most]

    def ended_among(self, jobs: Sequence[int]) -> list[EndedJob]:
        disk = self._disk
        those = ((disk.jobs[n], disk.progress[n].ended_at) for n in sorted(jobs) if n in disk.ended)
        return [EndedJob(ended_at, r.number, r.id, r.owner, r.root) for r, ended_at in those]

    def pins(self, jobs: Sequence[int] | None = None) -> dict[int, Pin]:
        return {job: pin for job, pin in sorted(self._kept.pins.items()) if jobs is None or job in jobs}

    def tombstone(self, number: int) -> Tombstone | None:
        return self._kept.tombstones.get(number)

    def skipped(self, number: int) -> float:
        return 0.0  # nobody restores what is in memory, or comes from elsewhere

    def tombstone_of_id(self, job_id: str) -> Tombstone | None:
        return next((stone for stone in self._kept.tombstones.values() if stone.id == job_id), None)

    def output_expired(self, job: int) -> OutputExpired | None:
        return self._kept.expired.get(job)

    def walked(self) -> OutputsWalked:
        return self._kept.walked

    def remains(self, most: int) -> Remains:
        kept, disk = self._kept, self._disk
        deleted, expired = sorted(kept.with_remains)[:most], sorted(kept.expired_with_remains)[:most]
        values = {job for job, _ in disk.values}
        gone = [n for n in deleted if n not in values and not any(table.get(n) for table in self._of_job())]
        over = [n for n in expired if not disk.outputs.get(n)]
        return Remains(gone, over, not (len(gone) == len(deleted) < most and len(over) == len(expired) < most))

    def keeps_files(self, jobs: Sequence[int]) -> list[int]:
        return [job for job in jobs if job in self._disk.jobs and job not in self._kept.expired]

    def size(self) -> StoreSize:
        return StoreSize(0, 0, self._outputs(list(self._disk.outputs)))

    def runs_of(self, schedule: int, after: int, most: int) -> list[tuple[int, str]]:
        runs = sorted((r.number, r.id) for r in self._disk.jobs.values() if r.schedule == schedule)
        return [run for run in runs if run[0] > after][:most]

    def usage_days(self, before: int) -> int:
        return len({day for day, kind, _, _ in self._disk.usage if kind is UsageKind.USER and day < before})

    def weigh(self, jobs: Sequence[int]) -> list[Weight]:
        return [Weight(self._outputs([job]), self._outputs([job])) for job in jobs]

    def _outputs(self, jobs: Sequence[int]) -> int:
        outputs = self._disk.outputs
        return sum(len(o.stdout) + len(o.stderr) for job in jobs if job in outputs for o in outputs[job].values())


def _drop(table: dict[int, Any], job: int, rows: int) -> None:
    """At most so many of what the table has of the job."""
    there = table.get(job)
    if isinstance(there, dict):
        for key in list(there)[:rows]:
            del there[key]
    if not isinstance(there, dict) or not there:
        table.pop(job, None)
