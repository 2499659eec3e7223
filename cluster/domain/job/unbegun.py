"""Why tasks have ended that have no end of their own on record: they never ran, or have not run since they were tried
before. What their last attempt ended with, where there was one, is not why they are as they are."""

from collections.abc import Iterable, Iterator

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.job import Job
from cluster.domain.job.records import LastEnd, TaskEnd
from cluster.domain.job.states import TaskState

_STATES = (TaskState.CANCELLED, TaskState.FAILED)


def reason_unbegun(job: Job, state: TaskState) -> str:
    """Of those that have ended in that state. Where a job has both clocks that let tasks fail, the first that did."""
    if state is TaskState.CANCELLED:
        return reason_cancelled(job)
    if job.reason in (endings.QUEUE_TIMEOUT, endings.DEADLINE):
        return job.reason
    return endings.QUEUE_TIMEOUT if job.record.spec.queue_timeout else endings.DEADLINE


def is_unbegun(job: Job, state: TaskState, end: TaskEnd) -> bool:
    """Whether the task, which has ended in that state, has not run since its last attempt ended so."""
    return end.state is not state or job.tries.forgiven.of(end.index) >= end.attempt


class Unbegun:
    """Of some tasks of a job those that did not succeed, by the reasons why if they have not begun: `leave_begun` takes
    out the others."""

    def __init__(self, job: Job, among: IntervalSet) -> None:
        self._tasks = {state: job.sets[state].intersection(among) for state in _STATES}
        self._reasons = {state: reason_unbegun(job, state) for state in _STATES}
        self._reopened = _not_run_again(job, among)

    def by_reason(self) -> Iterator[tuple[str, IntervalSet]]:
        return ((self._reasons[state], tasks) for state, tasks in self._tasks.items() if tasks)

    def leave_begun(self, ends: Iterable[LastEnd]) -> list[LastEnd]:
        """Those of these last ends that say why their tasks have ended."""
        counting = [end for end in ends if self._counts(end)]
        begun = IntervalSet((end.index, end.index + 1) for end in counting)
        for tasks in self._tasks.values():
            tasks.difference_update(begun)
        return counting

    def _counts(self, end: LastEnd) -> bool:
        tasks = self._tasks.get(endings.state_of(end.reason))
        return tasks is not None and end.index in tasks and end.index not in self._reopened


def _not_run_again(job: Job, among: IntervalSet) -> IntervalSet:
    """Those of these tasks of which no attempt has ended that counts, and one that does not."""
    found = IntervalSet()
    for attempt, tasks in job.tries.attempts.sets.items():
        if forgiven := job.tries.forgiven.sets.get(attempt):
            found.update(tasks.intersection(forgiven).intersection(among))
    return found
