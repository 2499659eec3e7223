"""Whether the event log tells all that has happened, once, and in the order in which it came to disk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.domain.job import endings
from cluster.domain.job.records import JobEnded, JobProgress, JobRecord, TaskEnd
from cluster.domain.scheduler.event_records import EventKind, EventRecord
from cluster.domain.scheduler.retention import Tombstone
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.scheduler.worker_record import WorkerRecord

OF_ENDS = (EventKind.TASKS_RETRIED, EventKind.TASKS_FAILED, EventKind.TASKS_CANCELLED)
ONCE = (EventKind.JOB_SUBMITTED, EventKind.JOB_READY, EventKind.JOB_STARTED, EventKind.JOB_ENDED)

BACK_OR_GONE = (EventKind.WORKER_JOINED, EventKind.WORKER_BACK, EventKind.WORKER_LEFT, EventKind.WORKER_REMOVED)


@dataclass(slots=True)
class ToldEvents:
    last: int = 0
    of_jobs: dict[int, list[EventKind]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)  # names of workers that were told to be unreachable

    def commit(self, saves: Sequence[Saved]) -> None:
        """All of one commit, which has succeeded."""
        events = [save for save in saves if isinstance(save, EventRecord)]
        for event in events:
            assert event.sequence == self.last + 1, f"event {event.sequence} comes after {self.last}"
            self.last = event.sequence
            self._hear(event)
        self._compare(saves, events)

    def _hear(self, event: EventRecord) -> None:
        if event.job:
            told = self.of_jobs.setdefault(event.job, [])
            if event.kind is EventKind.JOB_REOPENED:
                told[:] = [kind for kind in told if kind in (EventKind.JOB_SUBMITTED, EventKind.JOB_STARTED)]
                return
            assert EventKind.JOB_ENDED not in told, f"job {event.job} has ended, and then: {event.kind}"
            assert event.kind not in ONCE or event.kind not in told, f"{event.kind} of job {event.job} is told twice"
            assert (event.kind is EventKind.JOB_SUBMITTED) == (not told), f"job {event.job}: {event.kind}, {told}"
            told.append(event.kind)
        elif event.kind is EventKind.WORKER_UNREACHABLE:
            assert event.worker not in self.away, f"{event.worker} is told twice to be unreachable"
            self.away.add(event.worker)
        elif event.kind in BACK_OR_GONE:
            self.away.discard(event.worker)

    def _compare(self, saves: Sequence[Saved], events: Sequence[EventRecord]) -> None:
        ends, told = Counter[int](), Counter[int]()
        deleted = sum(isinstance(save, Tombstone) for save in saves)
        assert deleted == sum(event.count for event in events if event.kind is EventKind.JOBS_DELETED)
        for event in events:
            if event.kind in OF_ENDS:
                told[event.job] += event.count
        for save in saves:
            match save:
                case JobRecord(number=job):
                    assert EventKind.JOB_SUBMITTED in self.of_jobs.get(job, ()), f"that job {job} came is not told"
                case JobProgress(number=job, started_at=at):
                    started = EventKind.JOB_STARTED in self.of_jobs.get(job, ())
                    assert started == bool(at), f"job {job} has started: {bool(at)}, and is told so: {started}"
                case JobEnded(number=job):
                    assert EventKind.JOB_ENDED in self.of_jobs.get(job, ()), f"that job {job} has ended is not told"
                case TaskEnd(job=job, reason=reason) if reason != endings.OK:
                    ends[job] += 1
                case WorkerRecord(name=name, removed=False, is_silent=silent):
                    assert silent == (name in self.away), f"{name} is silent: {silent}, told: {name in self.away}"
        assert ends == told, f"attempts have ended, by job: {ends}, and are told of: {told}"
