"""What is on disk, and what is told before it is: bugs that must be caught."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from cluster.domain.job.job import Job
from cluster.domain.job.records import JobEnded
from cluster.domain.job.usage import UsageAdded
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Decided
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.events import JobSubmitted, LookedUp
from cluster.domain.scheduler.report_intake import Reports
from cluster.domain.scheduler.submitting import Submissions
from cluster.domain.scheduler.uncommitted import Waiting
from cluster.scheduler import commit_pipeline
from cluster.scheduler.batch import Batch
from cluster.scheduler.commit_pipeline import CommitPipeline
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted
from tests.sim.scheduler_process import SchedulerProcess


def assignments_are_not_persisted(patch: Patch) -> None:
    progress: Method = Job.progress

    def without_holders(self: Job) -> Any:
        saved = progress(self)
        ready = self.ready.copy()
        for tasks in self.held.values():
            ready.update(tasks.ranges())
        return replace(saved, held=(), ready=tuple(ready.flat()))

    patch.setattr(Job, "progress", without_holders)


def acts_come_before_the_commit(patch: Patch) -> None:
    begin: Method = CommitPipeline.begin_commit

    def hasty(self: CommitPipeline) -> None:
        begin(self)
        acts, self.trying._acts, self.trying._fresh = self.trying.acts, [], []
        self.host.perform(acts)

    patch.setattr(CommitPipeline, "begin_commit", hasty)


@found_by(131)
def sums_replace_each_other_while_they_wait(patch: Patch) -> None:
    """Of two turns that are committed together."""
    save: Method = Waiting._save

    def forgetful(self: Waiting, saves: Iterable[Any]) -> None:
        for one in saves:
            if isinstance(one, UsageAdded):
                self._saves.pop((UsageAdded, one.place), None)
            save(self, [one])

    patch.setattr(Waiting, "_save", forgetful)


@found_by(41)
def what_is_stale_counts_as_used(patch: Patch) -> None:
    """A worker reports again what the scheduler has heard before."""
    succeeded: Method = Reports._succeeded

    def generous(self: Reports, worker: Any, ok: Any) -> Any:
        moved = succeeded(self, worker, ok)
        if not moved and (job := self._state.jobs.get(ok.job)):
            self._state.usage.successes(job, worker.id, ok)
        return moved

    patch.setattr(Reports, "_succeeded", generous)


@found_by(17)
def what_was_decided_since_is_told_with_the_commit_before(patch: Patch) -> None:
    land: Method = CommitPipeline.land

    def generous(self: CommitPipeline) -> Iterator[None]:
        self.trying._acts += [*self.trying._fresh, *self.held._acts, *self.held._fresh]
        self.trying._fresh, self.held._acts, self.held._fresh = [], [], []
        yield from land(self)

    patch.setattr(CommitPipeline, "land", generous)


def who_reads_is_shown_what_is_not_on_disk(patch: Patch) -> None:
    def at_once(self: CommitPipeline, batch: Batch) -> None:
        for read in batch.reads:
            self.host.answer(read, from_disk=False)

    turn: Method = CommitPipeline._turn

    def impatient(self: CommitPipeline, batch: Batch) -> None:
        turn(self, batch)
        at_once(self, batch)

    patch.setattr(CommitPipeline, "_turn", impatient)


@found_by(1)
def what_was_put_off_is_forgotten(patch: Patch) -> None:
    defer: Method = CommitPipeline._defer

    def forget(self: CommitPipeline, batch: Batch) -> None:
        defer(self, batch)
        self.deferred = Batch()

    patch.setattr(CommitPipeline, "_defer", forget)


@found_by(9, 17)
def all_goes_ahead_of_the_disk(patch: Patch) -> None:
    patch.setattr("cluster.domain.scheduler.uncommitted._may_go_ahead", lambda act, sure: True)


@found_by(12)
def what_is_decided_while_nothing_can_be_written_is_forgotten(patch: Patch) -> None:
    patch.setattr(Waiting, "absorb", lambda self, later: None)


@found_by(17)
def a_job_leaves_memory_before_its_end_is_committed(patch: Patch) -> None:
    turned: Method = SchedulerProcess.turned

    def hasty(self: SchedulerProcess, decided: Decided) -> None:
        turned(self, decided)
        self.core.let_go([save for save in decided.saves if isinstance(save, JobEnded)])

    patch.setattr(SchedulerProcess, "turned", hasty)
    patch.setattr(Waiting, "ended", ())


def outputs_are_dropped(patch: Patch) -> None:
    received: Method = Reports.received

    def careless(self: Reports, worker: Any, report: Any) -> None:
        received(self, worker, replace(report, outputs=()))

    patch.setattr(Reports, "received", careless)


@pytest.mark.slow
@planted(
    assignments_are_not_persisted,
    acts_come_before_the_commit,
    sums_replace_each_other_while_they_wait,
    what_is_stale_counts_as_used,
    what_was_decided_since_is_told_with_the_commit_before,
    who_reads_is_shown_what_is_not_on_disk,
    all_goes_ahead_of_the_disk,
    what_is_decided_while_nothing_can_be_written_is_forgotten,
    a_job_leaves_memory_before_its_end_is_committed,
    outputs_are_dropped,
)
def test_what_a_crash_can_take_back_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


@pytest.mark.slow
@planted(what_was_put_off_is_forgotten)
def test_what_is_not_told_for_ever_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_long_reports)


def job_ids_are_forgotten(patch: Patch) -> None:
    patch.setattr(SchedulerCore, "job_of_id", lambda self, job_id: None)


def ids_of_ended_jobs_are_forgotten(patch: Patch) -> None:
    patch.setattr(EndedIds, "add", lambda self, job_id, submitted_at: None)


@found_by(17)
def who_waits_for_the_store_beside_another_makes_a_second_job(patch: Patch) -> None:
    looked_up: Method = Submissions.looked_up

    def all_are_new(self: Submissions, event: LookedUp) -> None:
        asked = self._asked[event.job_ids[0]]
        looked_up(self, event)
        if not event.found:
            for each in asked.rest:
                if isinstance(each, JobSubmitted):
                    self._accept(each)

    patch.setattr(Submissions, "looked_up", all_are_new)


@pytest.mark.slow
@planted(
    job_ids_are_forgotten,
    ids_of_ended_jobs_are_forgotten,
    who_waits_for_the_store_beside_another_makes_a_second_job,
)
def test_a_job_that_comes_twice_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


@found_by(4)
def a_scheduler_believes_for_ever_that_the_store_is_its_own(patch: Patch) -> None:
    patch.setattr(commit_pipeline, "PROOF", inf)


@pytest.mark.slow
@planted(a_scheduler_believes_for_ever_that_the_store_is_its_own)
def test_of_two_schedulers_the_one_that_goes_on_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_takeovers, lives.PLAYED[lives.with_takeovers])
