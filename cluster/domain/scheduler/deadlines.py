"""Deadlines of jobs, and how their clocks go on after a restart (`cluster.domain.job.clocks`).

A deadline is a time of the wall clock, also one that was given as a duration. Where that clock turns out to have been
far ahead when the duration began, what is left of it is counted anew, and the job is changed so: its new deadline
outlives a restart.
"""

from collections.abc import Iterable

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.base.wall_time import iso
from cluster.domain.job import endings
from cluster.domain.job.clocks import Counted
from cluster.domain.job.job import Job
from cluster.domain.job.times import deadline_after, deadline_of, starts_at
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
    if not (job.record.spec.waits or job.tries.attempts):
        job.clocks.ready_since = starts_at(job.record) or job.record.submitted_at
    if (due := job.obey_clocks(job.clocks.ready_after_restart(state.now.wall, state.now.mono))) is not None:
        state.timers.set(("queue", job.number), due)
    since = job.deadline_since or job.record.submitted_at
    seconds = deadline_of(job.record) - since if job.deadline_since else deadline_after(job.record)
    set_alarm(state, job, counted_from(since, seconds, state.now))


def counted_from(since: float, seconds: float, now: Now) -> Counted | None:
    """A deadline so many seconds after `since`, in Unix seconds; 0: a time was given, or none."""
    return Counted(seconds, since, now.mono - max(0.0, now.wall - since)) if seconds else None


def set_alarm(state: State, job: Job, counted: Counted | None) -> None:
    """For its deadline, where it has one; what is over ends."""
    if job.clocks is not None and (deadline := deadline_of(job.record)):
        job.clocks.counted = counted
        _expect_the_right_time(state, job)
        job.clocks.overdue = deadline <= state.now.wall  # what is heard before its turn was told to stop, too
        state.wall_timers.set(("deadline", job.number), deadline)
        if job.overdue:
            _expire(state, job)


def clock_was_set_back(state: State) -> None:
    """A clock that was wrong may have counted deadlines, and how long tasks were ready before a restart."""
    for job in state.unfinished():
        _expect_the_right_time(state, job)
        if job.clocks is not None and job.clocks.ready_since:
            state.timers.set(("count", job.number), state.now.mono)


def _expect_the_right_time(state: State, job: Job) -> None:
    """In one of the next turns, as there may be many."""
    counted = job.clocks.counted if job.clocks is not None and not job.overdue else None
    if counted is not None and counted.is_by_a_wrong_clock(state.now.wall):
        state.timers.set(("count", job.number), state.now.mono)


def count_anew(state: State, job: Job) -> None:
    """Where its deadline was counted by a clock that was far ahead, what is left of it begins now; where that clock
    counted for how long its tasks were ready before a restart, it is asked again."""
    if job.clocks is not None and job.clocks.ready_since:
        job.clocks.count_anew(state.now.wall, state.now.mono)
        state.touch(job)
    counted = job.clocks.counted if job.clocks is not None and job.live else None
    if job.clocks is not None and counted is not None and counted.is_by_a_wrong_clock(state.now.wall):
        job.change({"deadline": iso(state.now.wall + counted.left(state.now.mono))})
        job.deadline_since = state.now.wall
        set_alarm(state, job, counted._replace(wall=state.now.wall))
        state.touch(job)
    state.room -= 1


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
