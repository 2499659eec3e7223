"""Who gets what, and who gets nothing: bugs that must be caught."""

from dataclasses import replace

import pytest

from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.launcher.allocation import Allocation
from cluster.domain.scheduler import (
    draining,
    late_starts,
    max_fails,
    placement,
)
from cluster.domain.scheduler.events import SessionOpened, WorkerRegistered, WorkersDrained
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.registering import Registering
from cluster.domain.scheduler.sessions import Sessions
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.takers import Takers
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import Drain
from tests.sim import lives
from tests.sim.planted.catching import Bug, Method, Patch, found_by, must_be_caught, planted


def nobody_notes_who_has_room_again(patch: Patch) -> None:
    def note(self: Takers, worker: Worker) -> None:
        self._stale[worker.id] = worker
        if not worker.jobs:
            self.roomier[worker.id] = worker

    patch.setattr(Takers, "note", note)


def no_class_is_fresh(patch: Patch) -> None:
    note: Method = ReadyQueue.note

    def quietly(self: ReadyQueue, job: Job) -> None:
        note(self, job)
        self.fresh.clear()

    patch.setattr(ReadyQueue, "note", quietly)


def nobody_asks_for_work_in_advance(patch: Patch) -> None:
    patch.setattr(placement, "recall", lambda *_: ())


@found_by(12)
def what_was_given_in_advance_may_wait_for_ever(patch: Patch) -> None:
    patch.setattr(late_starts, "ask_back_unstarted", lambda *_: None)


@pytest.mark.slow
@planted(
    nobody_notes_who_has_room_again,
    no_class_is_fresh,
    nobody_asks_for_work_in_advance,
    what_was_given_in_advance_may_wait_for_ever,
)
def test_what_is_placed_wrongly_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch)


def resources_are_not_counted(patch: Patch) -> None:
    patch.setattr(Worker, "left_of", lambda self, name: self.record.offer.amounts.get(name, 0))


@found_by(4)
def a_unit_is_given_twice(patch: Patch) -> None:
    patch.setattr(Allocation, "_first_free", lambda self, count: self.offer.gpus[:count])


@found_by(5)
def what_is_needed_is_not_looked_at(patch: Patch) -> None:
    patch.setattr(Worker, "meets", lambda self, expression: True)


@found_by(19)
def who_is_to_be_alone_gets_company(patch: Patch) -> None:
    patch.setattr(placement, "takes_more", lambda worker: True)
    patch.setattr(Worker, "takes_work", property(lambda self: self.session is not None and not self.drains))


@pytest.mark.slow
@planted(
    resources_are_not_counted,
    a_unit_is_given_twice,
    what_is_needed_is_not_looked_at,
    who_is_to_be_alone_gets_company,
)
def test_what_is_promised_twice_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_needs, lives.PLAYED[lives.with_needs])


def who_is_drained_gets_work(patch: Patch) -> None:
    patch.setattr(Worker, "drains", property(lambda self: self.ending))


@found_by(24)
def the_deadline_of_a_drain_is_over_and_nobody_is_told(patch: Patch) -> None:
    patch.setattr(draining, "_stop", lambda state, worker: None)


@found_by(59)
def a_drain_is_not_saved(patch: Patch) -> None:
    def drained(state: State, event: WorkersDrained) -> None:
        for worker in state.called(event.workers[0]):
            state.take_record(worker, replace(worker.record, drain=Drain(event.by, 0.0)))
            draining.look_at(state, worker)
        state.reply(event.ask, 1)

    patch.setattr(draining, "drained", drained)


def who_registers_again_is_not_drained_any_more(patch: Patch) -> None:
    registered: Method = Registering.registered

    def forgets(self: Registering, event: WorkerRegistered) -> None:
        registered(self, event)
        if worker := self._state.workers.get(event.worker_id):
            self._state.amend(worker, replace(worker.record, drain=None))

    patch.setattr(Registering, "registered", forgets)


@found_by(37)
def what_waits_on_a_drained_worker_stays_there_when_it_is_back(patch: Patch) -> None:
    opened: Method = Sessions.opened

    def is_not_looked_at(self: Sessions, event: SessionOpened) -> None:
        opened(self, event)
        self._state.timers.cancel(("drain", event.worker_id))

    patch.setattr(Sessions, "opened", is_not_looked_at)


@pytest.mark.slow
@planted(
    who_is_drained_gets_work,
    the_deadline_of_a_drain_is_over_and_nobody_is_told,
    a_drain_is_not_saved,
    who_registers_again_is_not_drained_any_more,
    what_waits_on_a_drained_worker_stays_there_when_it_is_back,
)
def test_a_drain_that_does_not_last_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_drained_workers)


@found_by(10)
def a_pause_is_forgotten_at_a_restart(patch: Patch) -> None:
    progress: Method = Job.progress
    patch.setattr(Job, "progress", lambda self, **how: progress(self, **how)._replace(pause=None))


def what_waits_on_a_worker_is_not_counted_as_running(patch: Patch) -> None:
    def startable(self: Job) -> int:
        ready, most = len(self.ready), self.record.spec.max_running
        return 0 if self.pause else max(0, min(ready, most - self.count(TaskState.RUNNING)))

    patch.setattr(Job, "startable", property(startable))


def however_many_have_failed_the_rest_goes_on(patch: Patch) -> None:
    patch.setattr(max_fails, "has_failed_too_often", lambda job: False)


@pytest.mark.slow
@planted(
    a_pause_is_forgotten_at_a_restart,
    what_waits_on_a_worker_is_not_counted_as_running,
    however_many_have_failed_the_rest_goes_on,
)
def test_whoever_starts_what_may_not_start_is_caught(bug: Bug, monkeypatch: Patch) -> None:
    must_be_caught(bug, monkeypatch, lives.with_orders)
