"""Somebody wants tasks tried again that have ended without success (`cluster job retry`): their job is reopened.

It may have left memory: then the event brings it as the store has it. What was read there may be old when its turn
comes, if the job was reopened meanwhile and has ended once more; its attempts would be used twice. So the core counts
what it reopens, and takes nothing that was read before the last time.

Attempts go on where they were, and none of those before counts any more. Tasks that wait for other jobs wait for them
anew, as these are now; a schedule waits for its next time from now on. Jobs that have waited for this one and have
ended stay as they are.
"""

from cluster.domain.base.errors import ClusterError, Conflict, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.job.times import deadline_of
from cluster.domain.scheduler import deadlines, schedules
from cluster.domain.scheduler.events import ReopenRequested
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.waiting import Dependencies


class Outdated(Conflict):
    """The job has changed after the store was asked about it."""

    def __init__(self, job: int) -> None:
        super().__init__(f"job {job} has just changed: try again")


def reopen(state: State, dependencies: Dependencies, event: ReopenRequested) -> None:
    """Replies how many tasks are tried again."""
    job = state.jobs.get(event.job)
    if event.job in state.bonds.deleted:  # perhaps after the store was asked
        state.reply(event.ask, NotFound(f"job {event.job} was deleted"))
        return
    if job is None:
        if event.kept is None or event.openings != state.openings:
            state.reply(event.ask, Outdated(event.job))
            return
        job = Job.restored(*event.kept)
    tasks = _chosen(job, event)
    try:
        _refuse_in_vain(job, tasks, state.now.wall)
        courses = dependencies.courses(job.record.spec, event.ended)
    except ClusterError as error:
        state.reply(event.ask, error)
        return
    state.reply(event.ask, len(tasks))
    if not tasks:
        return
    had_ended = bool(job.ended_at)
    job.reopen(tasks, event.rest if had_ended else None)
    if had_ended:
        state.reopen(job)
        if event.value_sizes:
            state.value_sizes[job.number] = dict(event.value_sizes)
        deadlines.watch(state, job)
    state.touch(job)
    if job.record.spec.every:
        schedules.resume(state, job)
    else:
        dependencies.enter(job, courses)


def _refuse_in_vain(job: Job, tasks: IntervalSet, now: float) -> None:
    """Conflict where they would end at once."""
    most, deadline = job.record.spec.max_fails, deadline_of(job.record)
    if deadline and deadline <= now:
        raise Conflict(f"the --deadline of job {job.number} is over: `cluster job rerun {job.number}` makes a new job")
    failed = job.sets[TaskState.FAILED]
    left = len(failed) - len(failed.intersection(tasks))
    if tasks and left > most:
        raise Conflict(
            f"{left} more tasks of job {job.number} have failed, and its --max-fails is {most}: try all of them again"
        )


def _chosen(job: Job, event: ReopenRequested) -> IntervalSet:
    chosen, tasks = IntervalSet(event.tasks), IntervalSet()
    for reopened in event.states:
        tasks.update(job.sets[reopened].intersection(chosen))
    return tasks
