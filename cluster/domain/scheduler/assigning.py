"""Carries out what placement decides: tasks are given to workers, and asked back from them."""

from functools import partial

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler import placement
from cluster.domain.scheduler.reserving import Round
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.leashes import leash_of
from cluster.domain.session.messages import Assign, Attempts, Recall


def place(state: State) -> None:
    """What fits now that did not before. No more than this turn has room for: the rest is due at once then."""
    if state.queue_pause or not (state.takers.roomier or state.ready.fresh or state.changed or state.placing_goes_on):
        return
    reserving = Round(state.reservations, state.ready, state.takers, state.jobs, state.now.mono)
    reserving.begin()
    share_of = partial(state.shares.rank, now=state.now.mono)
    given: dict[tuple[str, int, int], tuple[Range, ...]] = {}  # (worker id, job, attempt): what it gets in this turn
    spent = partial(_is_spent, state)
    state.judge.work = 0  # whoever looks at jobs between turns has had it judged, too
    for job, worker, share in placement.place(state.ready, state.takers, state.called, share_of, reserving, spent):
        for attempt, ranges in job.assign(worker.id, share):
            key = worker.id, job.number, attempt
            given[key] = given[key] + ranges if key in given else ranges
            state.room -= len(ranges)
            state.promise(worker, job, ranges)
        state.allocate(worker, job, share, job.request)
        job.assigned_at, job.given_at = state.now.mono, state.now.wall
        state.touch(job)
        reserving.given(job, worker)
        if state.room <= 0:
            break
    state.placing_goes_on = reserving.end() or state.room <= 0 or bool(state.ready.fresh)
    for worker, at in reserving.looks():
        state.timers.set(("kept", worker.id), at)
    for (worker_id, number, attempt), ranges in given.items():
        _send_assign(state, state.workers[worker_id], state.jobs[number], attempt, ranges)
    if state.placing_goes_on:
        state.timers.set(("place",), state.now.mono)
        return
    there = state.jobs, state.in_advance, state.takers, state.called, reserving
    for job, worker, attempt, asked in placement.recall(*there):
        ask_back(state, worker, job, attempt, asked)


def _is_spent(state: State) -> bool:
    """Whether the turn has no room any more to judge workers in."""
    state.room -= state.judge.units()
    return state.room <= 0


def ask_back(state: State, worker: Worker, job: Job, attempt: int, tasks: tuple[Range, ...]) -> None:
    """What has not started of these comes back."""
    worker.recalled.setdefault(job.number, IntervalSet()).update(tasks)
    state.send(worker, Recall(Attempts(job.number, attempt, tasks)))


def ask_back_unstarted(state: State, worker: Worker, job: Job) -> None:
    """All of the job that the worker has not started, each task once in a session."""
    for attempt, held in job.held_by(worker.id):
        waiting = held.intersection(job.sets[TaskState.ASSIGNED])
        waiting.difference_update(worker.recalled.get(job.number, ()))
        if waiting:
            ranges = tuple(waiting.ranges())
            ask_back(state, worker, job, attempt, ranges)
            state.room -= len(ranges)


def _send_assign(state: State, worker: Worker, job: Job, attempt: int, given: tuple[Range, ...]) -> None:
    ranges = given if len(given) == 1 else tuple(IntervalSet(given).ranges())
    known = worker.specs.get(job.number)
    first = known is None or known.what != job.edition
    attempts = Attempts(job.number, attempt, ranges)
    sent_spec = job.spec_for_workers if first else None
    if sent_spec is not None:
        worker.specs.remember(job.number, sent_spec, job.edition)
    job_id, owner = (job.record.id, job.record.owner) if first else ("", "")
    leash = leash_of(state.lost_after(job))
    state.send(worker, Assign(attempts, sent_spec, leash, job.lines_of(ranges), job_id, owner))
