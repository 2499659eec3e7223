"""How many tasks of a job may fail, and why the rest of them was cancelled."""

from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState


def has_failed_too_often(job: Job) -> bool:
    """Whether more of its tasks have failed for good than it allows."""
    return TaskState.FAILED in job.sets and job.count(TaskState.FAILED) > job.record.spec.max_fails


def too_many_failures(job: Job) -> str:
    """Why the rest of it was cancelled, for people."""
    return f"more than {job.record.spec.max_fails} of its tasks have failed"


def reason_cancelled(job: Job) -> str:
    """Why its tasks were cancelled: what came first. Of those that have failed some may be tried again since."""
    if job.cancelled_by:
        return endings.CANCELLED
    too_often = has_failed_too_often(job) or job.cancel_reason == too_many_failures(job)
    return endings.MAX_FAILS if too_often else endings.DEPENDENCY
