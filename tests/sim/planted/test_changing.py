"""Options of jobs that are changed: bugs that must be caught."""

import pytest

from cluster.domain.job.job import Job
from cluster.domain.job.records import JobProgress, JobRecord
from tests.sim import lives
from tests.sim.planted.catching import Bug, Patch, found_by, must_be_caught, planted


@found_by(151)
def what_was_changed_is_forgotten_by_a_restart(patch: Patch) -> None:
    restored = Job.restored

    def forgetful(record: JobRecord, progress: JobProgress) -> Job:
        return restored(record, progress._replace(changed=()))

    patch.setattr(Job, "restored", forgetful)


@found_by(24)
def a_bound_that_is_lowered_is_as_it_was(patch: Patch) -> None:
    change = Job.change

    def changed(self: Job, changes: dict[str, int]) -> None:
        most = max(changes.get("max_running", 0), self.record.spec.max_running)
        change(self, {**changes, "max_running": most})

    patch.setattr(Job, "change", changed)


@pytest.mark.slow
@planted(what_was_changed_is_forgotten_by_a_restart, a_bound_that_is_lowered_is_as_it_was)
def test_changes_that_do_not_hold_are_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_orders)
