"""Memory that grows: bugs that must be caught."""

from collections.abc import Iterator

import pytest

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.request import Request
from tests.sim import lives
from tests.sim.planted.catching import Bug, Patch, found_by, must_be_caught, planted


@found_by(8)
def what_has_grown_is_forgotten_by_a_restart(patch: Patch) -> None:
    restored = Job.restored

    def forgetful(record: JobRecord, progress: JobProgress) -> Job:
        return restored(record, progress._replace(sets=progress.sets._replace(grown=())))

    patch.setattr(Job, "restored", forgetful)


@found_by(5)
def all_that_a_worker_holds_counts_as_what_is_asked_for_now(patch: Patch) -> None:
    def asked_by(self: Job, tasks: IntervalSet) -> Iterator[tuple[Request, IntervalSet]]:
        yield self.request, tasks

    patch.setattr(Job, "asked_by", asked_by)


@found_by(5)
def workers_keep_the_spec_that_they_got_first(patch: Patch) -> None:
    patch.setattr(Job, "edition", 0)


@pytest.mark.slow
@planted(
    what_has_grown_is_forgotten_by_a_restart,
    all_that_a_worker_holds_counts_as_what_is_asked_for_now,
    workers_keep_the_spec_that_they_got_first,
)
def test_who_gets_less_memory_than_it_is_to_have_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_needs)
