"""What becomes of a task when an attempt of it has ended, and was no success (`cluster.domain.job.retry_policy`)."""

from collections.abc import Iterator
from dataclasses import replace

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.retry_policy import Verdict, befell, judge, luck_of, pause_after
from cluster.domain.job.states import TaskEvent, TaskState


def after_end(job: Job, end: TaskEnd, *, forgiven: bool) -> tuple[TaskEvent, TaskEnd]:
    """How its task moves, and the end as it is kept. `forgiven`: it counts for nothing."""
    if end.state is TaskState.CANCELLED:
        return TaskEvent.CANCELLED, end
    if end.index in job.cancelling:
        return TaskEvent.FAILED, end
    verdict = _verdict(job, end.reason, *job.tries.tally(end.index, end.attempt))
    if verdict is Verdict.AGAIN or (forgiven and verdict is Verdict.EXHAUSTED):
        return TaskEvent.RETRIED, end
    return TaskEvent.FAILED, replace(end, is_exhausted=verdict is Verdict.EXHAUSTED)


def after_loss(job: Job, tasks: IntervalSet) -> Iterator[tuple[IntervalSet, TaskEvent, bool]]:
    """How these move, which are lost; and whether that is because they were tried so often."""
    for losses, some in list(job.tries.losses.parts(tasks)):
        verdict = _verdict(job, endings.LOST, 0, losses + 1)
        event = TaskEvent.RETRIED if verdict is Verdict.AGAIN else TaskEvent.FAILED
        yield some, event, verdict is Verdict.EXHAUSTED


def pause_before_next(job: Job, end: TaskEnd, *, forgiven: bool) -> float:
    """Seconds until a task is tried again whose last attempt has ended so. Counts that end."""
    failures, losses = job.tries.tally(end.index, end.attempt)
    task = IntervalSet([(end.index, end.index + 1)])
    if forgiven:
        job.tries.forgiven.raise_by_one(task)
        count = 1
    elif befell(end.reason):
        job.tries.losses.raise_by_one(task)
        count = losses
    else:
        count = failures
    return pause_after(count, job.record.spec.backoff, luck_of(job.record.id, end.index, end.attempt))


def _verdict(job: Job, reason: str, failures: int, losses: int) -> Verdict:
    spec = job.record.spec
    return judge(reason, 0 if job.overdue else spec.retries, spec.retry_on, failures, losses)
