"""The life of a job that has ended, as spans. Pure.

Ids follow from the job's own, so what is told twice is the same spans again.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from cluster.client.types import Job, Task
from cluster.domain.base.printable import printable
from cluster.domain.job.endings import OK
from cluster.domain.job.states import TaskState


class JobSpan(NamedTuple):
    """Something that took time. Times are Unix seconds."""

    name: str
    trace: int  # 128 bits: the job's UUID
    id: int  # 64 bits
    parent: int  # 0: none
    begin: float
    end: float
    failure: str  # why it did not succeed; empty: it did
    attributes: Mapping[str, str | int | float]


def spans_of(job: Job, tasks: Sequence[Task]) -> Iterator[JobSpan]:
    """The job from its submission to its end, in it how long it waited, and each attempt of these tasks."""
    trace = UUID(job.id).int
    root = _id(job.id, "job")
    end = max(job.ended_at, job.submitted_at)
    words: dict[str, str | int | float] = {
        "cluster.job": job.number,
        "cluster.owner": job.owner,
        "cluster.state": job.state.word,
        "cluster.reason": job.reason,
        "cluster.exit_code": job.exit_code,
        "cluster.tasks": job.counts.total,
    }
    name = printable(f"job {job.spec.name or job.number}")
    yield JobSpan(name, trace, root, 0, job.submitted_at, end, _failure(job.state, job.reason), words)
    begun = job.started_at or end
    yield JobSpan(
        "waiting", trace, _id(job.id, "waiting"), root, job.submitted_at, max(begun, job.submitted_at), "", {}
    )
    for task in tasks:
        for attempt in task.attempts or (task,):
            if attempt.started_at:
                yield _attempt(job, task, attempt, trace, root)


def _attempt(job: Job, task: Task, attempt: Task, trace: int, root: int) -> JobSpan:
    number = f"{job.number}.{task.number}" if job.is_array else str(job.number)
    words: dict[str, str | int | float] = {
        "cluster.task": task.number,
        "cluster.attempt": attempt.attempt,
        "cluster.worker": attempt.worker_name,
        "cluster.reason": attempt.reason,
        "cluster.exit_code": attempt.exit_code,
        "cluster.cpu_seconds": attempt.cpu_seconds,
        "cluster.peak_memory_bytes": attempt.peak_memory,
    }
    end = max(attempt.ended_at or job.ended_at, attempt.started_at)
    own = _id(job.id, f"{task.index}#{attempt.attempt}")
    failure = "" if attempt.reason == OK else attempt.reason
    return JobSpan(f"attempt {number}#{attempt.attempt}", trace, own, root, attempt.started_at, end, failure, words)


def _failure(state: TaskState, reason: str) -> str:
    return "" if state is TaskState.SUCCEEDED else reason or state.word


def _id(job: str, what: str) -> int:
    return int.from_bytes(blake2b(f"{job}/{what}".encode(), digest_size=8).digest()) or 1
