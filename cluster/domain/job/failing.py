"""How many tasks of a job may fail, and why the rest of them was cancelled."""

from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState


def has_failed_too_often(job: Job) -> bool:
    """Whether more of its tasks have failed for good than it allows."""
    return len(job.sets[TaskState.FAILED]) > job.record.spec.max_fails


def reason_cancelled(job: Job) -> str:
    """Why its tasks were cancelled: what came first."""
    if job.cancelled_by:
        return endings.CANCELLED
    return endings.MAX_FAILS if has_failed_too_often(job) else endings.DEPENDENCY
