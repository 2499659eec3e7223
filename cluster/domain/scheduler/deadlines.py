"""Deadlines of jobs, and how their clocks go on after a restart (`cluster.domain.job.clocks`)."""

from collections.abc import Iterable

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.times import deadline_of, starts_at
from cluster.domain.scheduler import children
from cluster.domain.scheduler.cancelling import send_stops
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker


def watch(state: State, job: Job) -> None:
    """The job has come, or is there again after a restart."""
    if job.clocks is None:
        return
    # The time that a task was ready before a restart counts where that is known: it waited for no other job, and no
    # attempt has begun.
    spec, since = job.record.spec, state.now.mono
    if not (spec.waits or job.tries.attempts):
        begun = starts_at(job.record) or job.record.submitted_at
        since -= max(0.0, state.now.wall - begun)
    if (due := job.obey_clocks(since)) is not None:
        state.timers.set(("queue", job.number), due)
    set_alarm(state, job)


def set_alarm(state: State, job: Job) -> None:
    """For its deadline, where it has one; what is over ends."""
    if job.clocks is not None and (deadline := deadline_of(job.record)):
        job.clocks.overdue = deadline <= state.now.wall  # what is heard before its turn was told to stop, too
        state.wall_timers.set(("deadline", job.number), deadline)
        if job.overdue:
            _expire(state, job)


def due(state: State, job: Job) -> None:
    """The deadline has come: what no worker has ends, and what one has is stopped there."""
    assert job.clocks is not None
    job.clocks.overdue = True
    holders = [state.workers[worker] for worker in sorted({holder for holder, _ in job.held})]
    state.room -= 1 + len(holders)
    stop(state, job, holders)
    _expire(state, job)


def _expire(state: State, job: Job) -> None:
    """Ends what no worker has."""
    children.give_up(state, job, IntervalSet([(0, job.size)]), endings.DEADLINE)
    state.touch(job)


def stop(state: State, job: Job, workers: Iterable[Worker]) -> None:
    """Tells these workers to stop what they hold of a job whose deadline is over, but for what a user has cancelled."""
    tasks = job.held_among(IntervalSet([(0, job.size)]))
    tasks.difference_update(job.cancelling)
    send_stops(state, job, tasks, workers, job.record.spec.grace)
