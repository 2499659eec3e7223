"""Schedules: each due time makes a run, which is a job of its own (`cluster.domain.job.schedule`).

A run and how far its schedule has come are decided in one turn, and so are on disk together: no due time makes two
runs, and none is lost. When the next one is due follows from that, and is not saved.
"""

from collections.abc import Callable

from cluster.domain.base.wall_time import iso
from cluster.domain.job.job import Job
from cluster.domain.job.keys import uuid_of
from cluster.domain.job.records import JobRecord
from cluster.domain.job.schedule import look, next_time, spec_of_run
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.states import TaskState
from cluster.domain.job.time_options import ALLOW, QUEUE
from cluster.domain.job.times import starts_at
from cluster.domain.scheduler.followers import Wait
from cluster.domain.scheduler.state import State

Accept = Callable[[JobRecord], None]  # a job that nobody has handed in
NEVER = 1e15  # Unix seconds
MISSED_A_UNIT = 10  # times that were missed that are counted for what one unit of a turn's room is worth


def enter(state: State, job: Job) -> None:
    """The schedule has come, or is there again after a restart."""
    if job.course is None:
        begins = max(starts_at(job.record), job.record.submitted_at)
        job.course = ScheduleCourse(
            begins - 1e-3 if starts_at(job.record) else begins
        )  # which may be a due time itself
    state.followers.waits[job.number] = Wait(job)
    _wait(state, job, job.course)


def resume(state: State, job: Job) -> None:
    """The schedule, which had ended, goes on: no time that came meanwhile is due or was missed."""
    if job.course is not None:
        job.course = job.course._replace(until=max(job.course.until, state.now.wall))
    enter(state, job)


def due(state: State, number: int, accept: Accept) -> None:
    """The clock shows its next time, or one that was missed."""
    job = state.jobs.get(number)
    if job is None or job.course is None or number not in state.followers.waits:
        return
    found, course = look(job.record.spec, job.course.until, state.now.wall), job.course
    if found:
        state.room -= 1 + found.missed // MISSED_A_UNIT
        course = course._replace(until=found.at)
        if found.missed:
            course = course._replace(missed=course.missed + found.missed, missed_at=found.missed_at)
        if found.runs:
            course = _run(state, job, course, accept)
        job.course = course
        state.touch(job)
    _wait(state, job, course)


def _wait(state: State, job: Job, course: ScheduleCourse) -> None:
    """For its next time."""
    at = next_time(job.record.spec, course.until)
    state.followers.waits[job.number].until = NEVER if at is None else at
    if at is not None:
        state.wall_timers.set(("every", job.number), at)


def _run(state: State, job: Job, course: ScheduleCourse, accept: Accept) -> ScheduleCourse:
    """Makes a run for the time at which the schedule is now, unless that is to be skipped."""
    spec, before = job.record.spec, state.jobs.get(course.last_run)
    if before is not None and (not before.live or spec.overlap == ALLOW):
        before = None
    queues = before is not None and spec.overlap == QUEUE and not before.count(TaskState.WAITING)
    if job.pause or (before is not None and not queues):
        return course._replace(skipped=course.skipped + 1, skipped_at=course.until)
    run = JobRecord(
        state.next_number,
        uuid_of("run", job.record.id, iso(course.until)),
        job.record.owner,
        spec_of_run(spec, before.number if before else 0),
        state.now.wall,
        schedule=job.number,
    )
    accept(run)
    return course._replace(last_run=run.number)
