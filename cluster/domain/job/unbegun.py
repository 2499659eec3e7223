"""Why tasks have ended that never ran, and so have no end of their own on record."""

from collections.abc import Iterable

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.job import Job
from cluster.domain.job.records import LastEnd
from cluster.domain.job.states import TaskState

Unbegun = dict[str, IntervalSet]  # tasks by their reasons


def reason_unbegun(job: Job, state: TaskState) -> str:
    """Of those that have ended in that state. Where a job has both clocks that let tasks fail, the first that did."""
    if state is TaskState.CANCELLED:
        return reason_cancelled(job)
    if job.reason in (endings.QUEUE_TIMEOUT, endings.DEADLINE):
        return job.reason
    return endings.QUEUE_TIMEOUT if job.record.spec.queue_timeout else endings.DEADLINE


def reasons_unbegun(job: Job, among: IntervalSet) -> Unbegun:
    """Of those of these tasks that did not succeed why, if they never ran: `leave_begun` takes out the others."""
    states = (TaskState.CANCELLED, TaskState.FAILED)
    return {reason_unbegun(job, state): job.sets[state].intersection(among) for state in states}


def leave_begun(unbegun: Unbegun, ends: Iterable[LastEnd]) -> None:
    """These have run."""
    begun = IntervalSet((end.index, end.index + 1) for end in ends)
    for tasks in unbegun.values():
        tasks.difference_update(begun)
