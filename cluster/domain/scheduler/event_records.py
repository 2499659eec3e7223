"""The event log: what has happened to jobs and workers, for the people and programs that follow it.

An event is about a whole job, a worker or the queue, or about a *range* of tasks that have ended out of the ordinary:
never about each task of an array. (What the core is handed are events, too: `cluster.domain.scheduler.events`.)
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from cluster.domain.base import wall_time

KEPT = 100_000  # of the newest events, at least; what is older is dropped
DROPPED_AT_ONCE = 1000  # of those


class EventKind(StrEnum):
    """The words are for programs, and stay: see docs/events.md."""

    JOB_SUBMITTED = "job.submitted"
    JOB_READY = "job.ready"  # it had to wait, and none of its tasks waits any more
    JOB_STARTED = "job.started"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_CANCELLED = "job.cancelled"  # somebody wanted that
    JOB_ENDED = "job.ended"
    JOB_REOPENED = "job.reopened"  # somebody wants tasks of it tried again, and it goes on
    JOBS_DELETED = "jobs.deleted"  # their numbers are where those of tasks are
    TASKS_RETRIED = "tasks.retried"  # an attempt of each has ended and was no success; there will be another
    TASKS_FAILED = "tasks.failed"  # the same for good
    TASKS_CANCELLED = "tasks.cancelled"  # an attempt of each was stopped
    QUEUE_PAUSED = "queue.paused"
    QUEUE_RESUMED = "queue.resumed"
    WORKER_JOINED = "worker.joined"
    WORKER_UNREACHABLE = "worker.unreachable"
    WORKER_LEFT = "worker.left"  # it said goodbye
    WORKER_BACK = "worker.back"
    WORKER_DRAINING = "worker.draining"
    WORKER_DRAINED = "worker.drained"  # and it holds nothing any more
    WORKER_RESUMED = "worker.resumed"
    WORKER_REMOVED = "worker.removed"
    EVENTS_MISSING = "events.missing"  # told to a reader who comes too late, and not kept


class EventRecord(NamedTuple):
    """Persisted in the commit that makes it true. What a kind does not tell is empty or 0."""

    sequence: int  # from 1, without gaps
    at: float  # Unix seconds of the scheduler's clock
    kind: EventKind
    job: int = 0
    owner: str = ""  # of the job, a user's id; empty: everybody may see it
    name: str = ""  # of the job
    worker: str = ""  # its name
    tasks: str = ""  # their numbers as people type them; of very many pieces the first, and an ellipsis; or of jobs
    # Of these tasks, or jobs; of a job that came or has ended, all of its tasks.
    count: int = 0  # type: ignore[assignment]  # hides tuple.count, which nobody calls on it
    attempt: int = 0
    state: str = ""  # of a job that came or has ended
    reason: str = ""  # of an end (cluster.domain.job.endings)
    exit_code: int = 0
    by: str = ""  # a user's name
    detail: str = ""  # for people
    notify: tuple[str, ...] = ()  # who asked to be told (cluster.domain.job.notice_options.targets_of)


@dataclass(frozen=True, slots=True)
class NoticesDone:
    """Of all events up to this one those who asked for that were told, or given up. Persisted as one record."""

    sequence: int


def as_told(event: Any) -> dict[str, Any]:
    """An event for programs: by the names that docs/events.md has, without what it does not tell. Of a job's end also
    an exit code of 0."""
    told = {"sequence": event.sequence, "time": wall_time.iso(event.at), "kind": str(event.kind)}
    told |= {name: value for name in _TOLD if (value := getattr(event, name))}
    return told | ({"exit_code": event.exit_code} if event.kind == EventKind.JOB_ENDED else {})


_TOLD = [name for name in EventRecord._fields if name not in ("sequence", "at", "kind", "notify")]
