"""Schedules: each due time makes a run, which is a job of its own (`cluster.domain.job.schedule`).

A run and how far its schedule has come are decided in one turn, and so are on disk together: no due time makes two
runs, and none is lost. When the next one is due follows from that, and is not saved. To find it takes a while: after a
start, and when the clock was set back, it is found for some schedules in each turn (`go_on`).
"""

from collections.abc import Callable

from cluster.domain.base.wall_time import iso
from cluster.domain.job.job import Job
from cluster.domain.job.keys import uuid_of
from cluster.domain.job.records import JobRecord
from cluster.domain.job.schedule import FAR_AHEAD, corrected, look, next_time, spec_of_run
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.states import TaskState
from cluster.domain.job.time_options import ALLOW, QUEUE
from cluster.domain.job.times import starts_at
from cluster.domain.scheduler.followers import Wait
from cluster.domain.scheduler.state import State

Accept = Callable[[JobRecord], None]  # a job that nobody has handed in
NEVER = 1e15  # Unix seconds
NOT_FOUND = -1.0  # in the place of the next time
NEXT_TIME = 6  # to find the next time of a schedule, in a turn's room
PART = 4  # of a turn's room the fourth part is for the next times of many
MISSED_A_UNIT = 10  # times that were missed that are counted for what one unit of a turn's room is worth


def enter(state: State, job: Job) -> None:
    """The schedule has come."""
    _begin(state, job)
    _wait(state, job)


def expect(state: State, job: Job) -> None:
    """The schedule is there again after a restart: its next time is found in one of the turns that follow."""
    _begin(state, job).until = NOT_FOUND
    _put_in_line(state, job)


def resume(state: State, job: Job) -> None:
    """The schedule, which had ended, goes on: no time that came meanwhile is due or was missed."""
    if job.course is not None:
        job.course = job.course._replace(until=max(job.course.until, state.now.wall))
    enter(state, job)


def clock_was_set_back(state: State) -> None:
    """What schedules wait for may be the times of a clock that was wrong."""
    for wait in state.followers.waits.values():
        if wait.job.course is not None and wait.job.course.until > state.now.wall + FAR_AHEAD:
            _put_in_line(state, wait.job)


def go_on(state: State) -> None:
    """Finds the next times of those in line: of one at least, and of as many as a part of the turn's room is for."""
    rest = state.room - state.most // PART
    while state.schedules_in_line:
        number = state.schedules_in_line.popleft()
        if number in state.followers.waits:
            _wait(state, state.jobs[number])
            state.room -= NEXT_TIME
        if state.room <= rest:
            break
    if state.schedules_in_line:
        state.timers.set(("schedules",), state.now.mono)


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
    _wait(state, job)


def _begin(state: State, job: Job) -> Wait:
    if job.course is None:
        begins = max(starts_at(job.record), job.record.submitted_at)
        job.course = ScheduleCourse(
            begins - 1e-3 if starts_at(job.record) else begins
        )  # which may be a due time itself
    state.followers.waits[job.number] = wait = Wait(job)
    return wait


def _put_in_line(state: State, job: Job) -> None:
    state.schedules_in_line.append(job.number)
    state.timers.set(("schedules",), state.now.mono)


def _wait(state: State, job: Job) -> None:
    """For its next time."""
    assert job.course is not None
    if right := corrected(job.course, starts_at(job.record), state.now.wall):
        job.course = right
        state.touch(job)
    at = next_time(job.record.spec, job.course.until)
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
        uuid_of("run", job.record.id, iso(course.until), *([f"{course.corrections}"] if course.corrections else [])),
        job.record.owner,
        spec_of_run(spec, before.number if before else 0),
        state.now.wall,
        schedule=job.number,
    )
    accept(run)
    return course._replace(last_run=run.number)
