"""Workers come onto the list, get their names, and leave it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.scheduler.clone_detection import refusal
from cluster.domain.scheduler.effects import Amended
from cluster.domain.scheduler.events import WorkerDeregistered, WorkerRegistered, WorkerRemoved
from cluster.domain.scheduler.sessions import Sessions
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import WorkerRecord


class Registering:
    def __init__(self, state: State, sessions: Sessions) -> None:
        self._state = state
        self._sessions = sessions

    def registered(self, event: WorkerRegistered) -> None:
        state = self._state
        known = state.workers.get(event.worker_id)
        if known is None:
            self._give_up_name(event.name)
        elif error := refusal(known, event.home, event.uptime, state.now.mono):
            state.reply(event.ask, error)
            return
        state.leaving.discard(event.worker_id)
        name = next(n for n in _names_like(event.name) if state.named(n) in (None, known))
        record = WorkerRecord(
            id=event.worker_id,
            name=name,
            millicpus=event.millicpus,
            address=event.address,
            version=event.version,
            registered_at=state.now.wall,
            incarnation=known.record.incarnation if known else "",
            home=known.record.home if known else event.home,
            drain=known.record.drain if known else None,
            offer=event.offer,
            is_silent=known.record.is_silent if known else False,
            is_drained=known.record.is_drained if known else False,
        )
        if known is None or known.session is None:
            self._sessions.expect_word(event.worker_id, state.now.mono + state.lease)
        if known is None:
            worker = state.add_worker(record)
            worker.hear(state.now.mono)
            worker.told_trouble = event.trouble
            state.saves.append(record)
            state.reply(event.ask, name)
            return
        known.comes_from(event.home.boot)
        known.told_trouble = event.trouble
        # Who keeps its name is told what it was told before: that can be done even while nothing can be written.
        keeps_name = (record.name, record.removed) == (known.record.name, known.record.removed)
        if record != replace(known.record, registered_at=record.registered_at):
            state.take_record(known, record)
            state.saves.append(Amended(record) if keeps_name else record)
        state.reply(event.ask, name, sure=keeps_name)

    def deregistered(self, event: WorkerDeregistered) -> None:
        state = self._state
        worker = state.workers.get(event.worker_id)
        if worker:
            state.amend(worker, replace(worker.record, offline=True, is_silent=False))
            if worker.session is not None:
                state.cut(worker.session, event.reason or "the worker goes offline")
                self._sessions.close(worker)
        state.reply(event.ask, event.worker_id)

    def removed(self, event: WorkerRemoved) -> None:
        state = self._state
        worker = state.workers.get(event.worker_id)
        if worker is None:
            state.reply(event.ask, NotFound(f"there is no worker {event.worker_id}; see `cluster worker list`"))
            return
        if worker.session is not None:
            if not event.expelled:
                why = f"worker {worker.record.name} is connected: stop it first, or expel it with --revoke"
                state.reply(event.ask, Conflict(why))
                return
            state.cut(worker.session, "the worker was expelled")
            self._sessions.close(worker)
        state.remove(worker, worker.record.name)
        state.reply(event.ask, worker.held)

    def _give_up_name(self, name: str) -> None:
        """A machine that was installed anew joins as a new worker, by its old name. Who was called so and is gone gives
        it up and leaves the list; what that one holds is lost no sooner than it would have been."""
        state = self._state
        if worker := state.named(name):
            silent = state.now.mono >= worker.last_heard + state.lease
            if worker.session is None and (worker.record.offline or silent):
                state.remove(worker, next(n for n in _names_like(f"{name}-old") if state.named(n) is None))

    def forget_who_left(self) -> None:
        """Those who are to leave the list, and hold nothing any more."""
        state = self._state
        for worker_id in sorted(w for w in state.leaving if not state.workers[w].jobs):
            state.forget(state.workers[worker_id])


def _names_like(name: str) -> Iterator[str]:
    """name, name-2, name-3, …"""
    yield name
    yield from (f"{name}-{n}" for n in count(2))
