"""Attempts, jobs that wait for each other and jobs that call jobs: bugs that must be caught."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.dependencies import Course, DependencyKind
from cluster.domain.job.job import Job
from cluster.domain.job.retry_policy import Verdict
from cluster.domain.job.states import TaskState
from cluster.domain.job.task_numbers import TaskNumbers
from cluster.domain.job.tries import Tries
from cluster.domain.scheduler import (
    family,
    retrying,
    submitting,
)
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.family import Family
from cluster.domain.scheduler.followers import Wait
from cluster.domain.trust.identity import Vouched
from cluster.scheduler import dependencies
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


def attempts_are_not_counted(patch: Patch) -> None:
    patch.setattr(TaskNumbers, "parts", lambda self, tasks: iter([(0, tasks)]))


def retries_never_end(patch: Patch) -> None:
    patch.setattr(retrying, "judge", lambda *_: Verdict.AGAIN)


@found_by(611)
def a_loss_counts_as_no_attempt(patch: Patch) -> None:
    tally: Method = Tries.tally
    patch.setattr(Tries, "tally", lambda self, index, attempt: (tally(self, index, attempt)[0], 1))


@found_by(8, 16)
def attempts_begin_anew_where_a_job_is_reopened(patch: Patch) -> None:
    patch.setattr(Tries, "forgive", lambda self, tasks: self.attempts.forget(tasks))


@pytest.mark.slow
@planted(
    attempts_are_not_counted,
    retries_never_end,
    attempts_begin_anew_where_a_job_is_reopened,
)
def test_attempts_that_are_counted_wrongly_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


@pytest.mark.slow
@planted(a_loss_counts_as_no_attempt)
def test_losses_that_are_counted_wrongly_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_absent_workers)


def what_failed_counts_as_what_was_waited_for(patch: Patch) -> None:
    patch.setattr(DependencyKind, "is_met_by", lambda self, outcome: True)


@found_by(10, 6)
def tasks_go_on_although_other_jobs_are_waited_for(patch: Patch) -> None:
    patch.setattr(
        Wait, "free", lambda self, among=None: self.job.sets[TaskState.WAITING].copy() if self.barred else IntervalSet()
    )


@found_by(6)
def whatever_has_ended_counts_as_succeeded(patch: Patch) -> None:
    def course_of(job: Job) -> Course:
        return Course(TaskState.SUCCEEDED, IntervalSet([(0, job.record.spec.task_count)]), IntervalSet())

    patch.setattr(dependencies, "course_of", course_of)


@pytest.mark.slow
@planted(
    what_failed_counts_as_what_was_waited_for,
    tasks_go_on_although_other_jobs_are_waited_for,
    whatever_has_ended_counts_as_succeeded,
)
def test_a_dependency_that_does_not_hold_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_workflows)


def each_turn_is_committed_for_itself(patch: Patch) -> None:
    turn: Method = SchedulerCore.turn
    patch.setattr(SchedulerCore, "turn", lambda self, *args: turn(self, *args)._replace(goes_on=False))


def a_job_of_a_call_does_not_wait_for_the_others(patch: Patch) -> None:
    patch.setattr(submitting, "with_references", lambda spec, _: replace(spec, after=(), after_any=(), after_fail=()))


@pytest.mark.slow
@planted(each_turn_is_committed_for_itself, a_job_of_a_call_does_not_wait_for_the_others)
def test_jobs_that_do_not_belong_together_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_workflows, lives.PLAYED[lives.with_workflows])


def an_attempt_that_has_ended_still_calls(patch: Patch) -> None:
    patch.setattr(family, "holds", lambda *_: True)


@found_by(12, 19)
def who_is_being_cancelled_still_calls(patch: Patch) -> None:
    real: Method = family.callers_of_child

    def kindly(parent: Job, vouched: Vouched) -> Any:
        if parent is None:
            return real(parent, vouched)
        cancelling, parent.cancelling = parent.cancelling, IntervalSet()
        try:
            return real(parent, vouched)
        finally:
            parent.cancelling = cancelling

    patch.setattr(submitting, "callers_of_child", kindly)


def only_children_are_known_and_not_what_they_call(patch: Patch) -> None:
    adopt, ended = Family.adopt, Family.ended

    def only(method: Method) -> Method:
        def of_its_parent(self: Family, job: Job) -> None:
            record = replace(job.record, callers=job.record.callers[-1:])
            method(self, SimpleNamespace(number=job.number, record=record))

        return of_its_parent

    patch.setattr(Family, "adopt", lambda self, job, _: only(lambda family, one: adopt(family, one, None))(self, job))
    patch.setattr(Family, "ended", only(ended))


@found_by(8)
def children_that_failed_are_forgotten(patch: Patch) -> None:
    ended = Family.ended

    def forgetting(self: Family, job: Job) -> None:
        ended(self, job)
        self._failed.clear()

    patch.setattr(Family, "ended", forgetting)


def nobody_waits_for_its_children(patch: Patch) -> None:
    adopt = Family.adopt
    patch.setattr(Family, "adopt", lambda self, job, _: adopt(self, job, None))


@found_by(6)
def children_of_former_attempts_count(patch: Patch) -> None:
    failed = Family.failed
    patch.setattr(
        Family,
        "failed",
        lambda self, attempt: [
            *failed(self, attempt),
            *(child for n in range(1, attempt.attempt) for child in failed(self, attempt._replace(attempt=n))),
        ],
    )


@found_by(6)
def a_child_that_goes_on_again_has_failed_for_good(patch: Patch) -> None:
    """Until the scheduler is started anew, that is."""
    adopt = Family.adopt

    def adopting(self: Family, job: Job, parent: Job | None) -> None:
        before = deepcopy(self._failed)
        adopt(self, job, parent)
        self._failed = before

    patch.setattr(Family, "adopt", adopting)


@pytest.mark.slow
@planted(
    an_attempt_that_has_ended_still_calls,
    who_is_being_cancelled_still_calls,
    only_children_are_known_and_not_what_they_call,
    children_that_failed_are_forgotten,
    nobody_waits_for_its_children,
    children_of_former_attempts_count,
    a_child_that_goes_on_again_has_failed_for_good,
)
def test_calls_that_should_not_be_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_families)
