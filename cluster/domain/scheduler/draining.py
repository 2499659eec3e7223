"""Somebody drains workers, for maintenance say, and lets them take work again.

That is a wish, and stands in the worker's record until it is taken back, whoever restarts meanwhile. Such a worker gets
nothing more, what has not started there is asked back, and what runs goes on: for good, or until a deadline, when it is
told to stop.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from cluster.domain.base.errors import ClusterError, Conflict, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.wall_time import iso
from cluster.domain.scheduler.assigning import ask_back_unstarted
from cluster.domain.scheduler.events import WorkersDrained, WorkersResumed
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import Drain
from cluster.domain.session.messages import Attempts, Stop

AT_ONCE = 1e-3  # seconds to a deadline that are none: two clocks, as floats, do not agree to the last digit

JOBS_A_UNIT = 4  # jobs of a worker that are looked at for what one unit of a turn's room is worth


def drained(state: State, event: WorkersDrained) -> None:
    """All of them, or none if one is not known. Replies how many they are."""
    workers = _those(state, event.workers)
    if isinstance(workers, ClusterError):
        state.reply(event.ask, workers)
        return
    for worker in workers:
        state.amend(worker, replace(worker.record, drain=_wish(worker.record.drain, event, state.now.wall)))
        look_at(state, worker)
    state.reply(event.ask, len(workers))


def resumed(state: State, event: WorkersResumed) -> None:
    """All of them, or none if one is not known. Replies how many of them were drained."""
    workers = _those(state, event.workers)
    if isinstance(workers, ClusterError):
        state.reply(event.ask, workers)
        return
    count = sum(worker.record.drain is not None for worker in workers)
    for worker in workers:
        state.amend(worker, replace(worker.record, drain=None, is_drained=False))
    state.reply(event.ask, count)


def said(worker: Worker) -> str:
    """Why what ran there was stopped, for people."""
    drain, name = worker.record.drain, worker.record.name
    if drain is None:  # taken back meanwhile
        return f"{name} was drained, and the deadline of that was over"
    until = f" until {iso(ceil(drain.deadline))}" if drain.deadline else ""
    return f"{name} was drained by {drain.by}{until}{f' ({drain.reason})' if drain.reason else ''}"


def look_at(state: State, worker: Worker) -> None:
    """It is drained, or has come back: what follows from that is due in this turn."""
    watch(state, worker)
    if worker.record.drain:
        state.timers.set(("drain", worker.id), state.now.mono)


def watch(state: State, worker: Worker) -> None:
    """It is noted when it has come to hold nothing, if somebody drains it."""
    if worker.record.drain and not worker.record.is_drained:
        state.draining[worker.id] = worker


def note_drained(state: State) -> None:
    """Those that somebody drains, and that hold nothing any more."""
    for worker in [worker for worker in state.draining.values() if not worker.held or not worker.record.drain]:
        del state.draining[worker.id]
        if worker.record.drain and worker.id in state.workers:
            state.amend(worker, replace(worker.record, is_drained=True))


def due(state: State, worker: Worker) -> None:
    """Does what is due of that: now, and at its deadline again."""
    drain = worker.record.drain
    if drain is None:
        return
    left = drain.deadline - state.now.wall
    if drain.deadline and left > AT_ONCE:
        state.timers.set(("drain", worker.id), state.now.mono + left)
    if worker.session is not None:
        state.room -= 1 + len(worker.jobs) // JOBS_A_UNIT
        _ask_back(state, worker)
        if drain.deadline and left <= AT_ONCE:
            _stop(state, worker)


def _ask_back(state: State, worker: Worker) -> None:
    """All that has not started there, each task once in a session."""
    for number in sorted(worker.jobs):
        ask_back_unstarted(state, worker, state.jobs[number])


def _stop(state: State, worker: Worker) -> None:
    """All that it holds, but for what a user has cancelled, and so in another way."""
    for number in sorted(worker.jobs):
        job = state.jobs[number]
        for attempt, held in job.held_by(worker.id):
            tasks = held.copy()
            tasks.difference_update(job.cancelling)
            if tasks:
                ranges = tuple(tasks.ranges())
                worker.stopped.setdefault(number, IntervalSet()).update(ranges)
                state.send(worker, Stop(Attempts(number, attempt, ranges), job.record.spec.grace))
                state.room -= len(ranges)


def _wish(before: Drain | None, event: WorkersDrained, now: float) -> Drain:
    """Of one that is drained already, what is said anew replaces what was said."""
    deadline = 0.0 if event.within is None else now + event.within
    if before is None:
        return Drain(event.by, now, event.reason, deadline)
    if not (event.reason or deadline):
        return before
    return Drain(event.by, before.since, event.reason or before.reason, deadline or before.deadline)


def _those(state: State, names: Sequence[str]) -> list[Worker] | ClusterError:
    """The workers of these names or ids, each once; or why that cannot be."""
    found: dict[str, Worker] = {}
    for name in names:
        workers = state.called(name)
        if not workers:
            return NotFound(f"there is no worker {name!r}; `cluster worker list` shows those there are")
        for worker in workers:
            if worker.record.removed:
                return Conflict(f"worker {name} was removed: it leaves the list when nothing is held by it")
            found[worker.id] = worker
    return list(found.values())
