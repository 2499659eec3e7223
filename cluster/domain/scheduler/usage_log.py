"""What is used, as ends come in: kept with each job, and summed up by day for each user, name of jobs and worker.

The sums are saved in the turn in which the ends are, so they are exact whatever restarts; and they stay when a job is
deleted. A turn saves one for each user, name and worker of which anything has ended in it, however many tasks that are.
"""

from collections.abc import Iterable, Iterator
from struct import Struct

from cluster.domain.base.now import Now
from cluster.domain.job.job import Job
from cluster.domain.job.records import PACKED, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.domain.job.times import starts_at
from cluster.domain.job.usage import DAY, MICRO, Usage, UsageAdded, UsageKind

_packed = Struct(PACKED)


class UsageLog:
    def __init__(self) -> None:
        self._in_turn: dict[tuple[str, str, str], Usage] = {}  # owner, name of the job, worker's id

    def successes(self, job: Job, worker: str, ok: OkEnds) -> None:
        """These have ended on the worker."""
        self._add(job, worker, of_successes(ok, _may_start(job)))

    def ended(self, job: Job, worker: str, end: TaskEnd) -> None:
        """This one has, and is no plain success; or it finishes."""
        self._add(job, worker, of_end(end, _may_start(job)))

    def failed_later(self, job: Job, worker: str) -> None:
        """An attempt has failed after all, which has been counted as one that finishes."""
        self._add(job, worker, Usage(failed=1))

    def output(self, job: Job, worker: str, output: SmallOutput) -> None:
        """That was written by an attempt that has ended on the worker."""
        if size := len(output.stdout) + len(output.stderr):
            self._add(job, worker, Usage(output_bytes=size))

    def of_turn(self, now: Now) -> Iterator[UsageAdded]:
        """What comes to the sums by this turn."""
        if not self._in_turn:
            return
        day, sums = int(now.wall // DAY), dict[tuple[int, UsageKind, str, str], UsageAdded]()
        for (owner, name, worker), usage in self._in_turn.items():
            for kind, key in ((UsageKind.USER, ""), (UsageKind.NAME, name), (UsageKind.WORKER, worker)):
                added = UsageAdded(day, kind, owner, key, usage)
                before = sums.get(added.place)
                sums[added.place] = before.plus(added) if before else added
        self._in_turn = {}
        yield from sums.values()

    def _add(self, job: Job, worker: str, usage: Usage) -> None:
        job.used = job.used.plus(usage) if job.used.attempts else usage
        place = (job.record.owner, job.record.spec.name, worker)
        before = self._in_turn.get(place)
        self._in_turn[place] = usage if before is None else before.plus(usage)


def _may_start(job: Job) -> float:
    """When its tasks might have started at the earliest, if nothing else had been to do."""
    return max(job.record.submitted_at, starts_at(job.record))


def of_successes(ok: OkEnds, since: float) -> Usage:
    """Of these attempts. `since`: Unix seconds, from when on their tasks might have started."""
    starts, runs, cpus, memories, outputs = zip(*_packed.iter_unpack(ok.packed), strict=True)
    first = ok.attempt == 1
    wait = _waited(starts, since) if first else 0
    peak, count = max(memories) * 1024, len(starts)
    return Usage(count if first else 0, count, 0, sum(runs), sum(cpus), wait, peak, sum(outputs))


def of_end(end: TaskEnd, since: float) -> Usage:
    """Of one attempt that has ended otherwise, or finishes."""
    first = end.attempt == 1
    ran = round(max(0.0, end.ended_at - end.started_at) * MICRO) if end.started_at and end.ended_at else 0
    return Usage(
        int(first),
        1,
        int(end.state is TaskState.FAILED),
        ran,
        round(end.cpu_seconds * MICRO),
        _waited([end.started_at], since) if first and end.started_at else 0,
        end.peak_memory,
        end.output_bytes,
    )


def _waited(starts: Iterable[float], since: float) -> int:
    """A worker's clock may be behind the scheduler's: then nothing was waited."""
    return round(sum([start - since for start in starts if start > since]) * MICRO)
