"""Jobs that wait for times, have deadlines or come again: bugs that must be caught."""

from typing import Any

import pytest

from cluster.domain.job.job import Job
from cluster.domain.scheduler import (
    deadlines,
    schedules,
)
from cluster.domain.scheduler.waiting import Dependencies
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


@found_by(58, 93)
def the_monotonic_clock_says_when_a_job_starts(patch: Patch) -> None:
    enter: Method = Dependencies.enter

    def by_timer(self: Dependencies, job: Job, courses: Any) -> None:
        enter(self, job, courses)
        if (wait := self._state.followers.waits.get(job.number)) and wait.until:
            left = wait.until - self._state.now.wall
            self._state.timers.set(("start", job.number), self._state.now.mono + left)

    patch.setattr(Dependencies, "enter", by_timer)


def how_far_a_schedule_has_come_is_not_saved(patch: Patch) -> None:
    progress: Method = Job.progress
    patch.setattr(Job, "progress", lambda self, **how: progress(self, **how)._replace(course=None))


def a_run_that_has_not_ended_is_overlooked(patch: Patch) -> None:
    run: Method = schedules._run
    patch.setattr(
        schedules, "_run", lambda state, job, course, accept: run(state, job, course._replace(last_run=0), accept)
    )


@found_by(11)
def a_deadline_comes_early(patch: Patch) -> None:
    deadline: Method = vars(deadlines)["deadline_of"]
    patch.setattr(deadlines, "deadline_of", lambda record: deadline(record) and deadline(record) - 5.0)


def what_was_missed_is_not_counted(patch: Patch) -> None:
    look: Method = vars(schedules)["look"]
    patch.setattr(schedules, "look", lambda *said: (found := look(*said)) and found._replace(missed=0))


@pytest.mark.slow
@planted(
    how_far_a_schedule_has_come_is_not_saved,
    a_run_that_has_not_ended_is_overlooked,
    a_deadline_comes_early,
    what_was_missed_is_not_counted,
)
def test_whoever_has_no_sense_of_time_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_times, lives.PLAYED[lives.with_times])


def that_the_clock_was_far_ahead_is_overlooked(patch: Patch) -> None:
    patch.setattr(schedules, "clock_was_set_back", lambda state: None)


@found_by(7)
def that_a_deadline_was_counted_by_a_clock_that_was_far_ahead_is_overlooked(patch: Patch) -> None:
    patch.setattr(deadlines, "clock_was_set_back", lambda state: None)


@pytest.mark.slow
@planted(
    that_the_clock_was_far_ahead_is_overlooked,
    that_a_deadline_was_counted_by_a_clock_that_was_far_ahead_is_overlooked,
)
def test_who_waits_for_the_times_of_a_wrong_clock_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_mistyped_dates, lives.PLAYED[lives.with_mistyped_dates])


@pytest.mark.slow
@planted(the_monotonic_clock_says_when_a_job_starts)
def test_who_goes_by_another_clock_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    """In a rare moment: one life in forty has a clock set back while a job waits for it."""
    must_be_caught(bug, monkeypatch, lives.with_times)
