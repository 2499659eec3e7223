"""What is deleted, and what must be kept: bugs that must be caught."""

import pytest

from cluster.domain.scheduler import deleting
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.retention import Bonds, EndedJob
from cluster.store.memory_keeping import MemoryKeeping
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


@found_by(4)
def what_is_waited_for_is_deleted(patch: Patch) -> None:
    why: Method = Bonds.why_kept
    patch.setattr(Bonds, "why_kept", lambda self, job, jobs: "" if job.number in self._needed else why(self, job, jobs))


@found_by(6)
def pins_are_forgotten_by_a_restart(patch: Patch) -> None:
    restore: Method = SchedulerCore.restore

    def forgetful(self: SchedulerCore, loaded: Recovered, *more: object) -> object:
        loaded.pins.clear()  # type: ignore[attr-defined]
        return restore(self, loaded, *more)

    patch.setattr(SchedulerCore, "restore", forgetful)


@found_by(12)
def whoever_has_read_a_job_before_has_it_tried_again(patch: Patch) -> None:
    delete: Method = deleting._delete

    def forgotten(state: SchedulerCore, job: EndedJob, why: str) -> None:
        delete(state, job, why)
        state.bonds.deleted.discard(job.number, job.number + 1)

    patch.setattr(deleting, "_delete", forgotten)


@found_by(2)
def an_id_makes_a_second_job_when_its_first_was_deleted(patch: Patch) -> None:
    patch.setattr(MemoryKeeping, "tombstone_of_id", lambda self, job_id: None)


@pytest.mark.slow
@planted(
    what_is_waited_for_is_deleted,
    pins_are_forgotten_by_a_restart,
    whoever_has_read_a_job_before_has_it_tried_again,
    an_id_makes_a_second_job_when_its_first_was_deleted,
)
def test_what_goes_and_must_be_kept_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_keepers)
