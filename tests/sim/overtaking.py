"""Who may go before whom: what room is kept for is not overrun, and neither jobs nor users are passed for ever."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.amounts import CPUS
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, Send
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.reserving import Reservation, comes_before, foreseen
from cluster.domain.scheduler.sharing import AHEAD
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Assign

PATIENCE = 5  # turns in a row in which others may pass a job for which nothing is kept

Held = dict[tuple[int, int], IntervalSet]  # job, attempt: tasks


class Given(NamedTuple):
    """What a worker was given in this turn."""

    worker: Worker
    job: Job
    attempt: int
    tasks: IntervalSet


@dataclass(slots=True)
class Kept:
    """A reservation as it was when it was seen first, and the soonest time that was foreseen since."""

    kept: Reservation
    job: Job
    before: Held
    at: float


class Overtaking:
    """Of one scheduler process: looked at after each turn."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}  # by worker
        self._passed: Counter[int] = Counter()  # job: turns in a row

    def check(self, core: SchedulerCore, acts: Sequence[Act]) -> None:
        given = free = _given(core, acts)
        if self._kept or core.reservations.of_worker:
            for worker, job, attempt, tasks in given:
                if (known := self._kept.get(worker.id)) and (before := known.before.get((job.number, attempt))):
                    before.difference_update(tasks)  # it had come back
            reserved = self._kept.keys() | core.reservations.of_worker.keys()
            free = [each for each in given if each.worker.id not in reserved]
        if given:
            self._no_share_starves(core, given, free)
        if free or self._passed:
            self._no_job_starves(core, free)
        if self._kept or core.reservations.of_worker:
            self._kept = {each.worker.id: self._look(core, each) for each in core.reservations}

    def _look(self, core: SchedulerCore, kept: Reservation) -> Kept:
        at, held = foreseen(kept, core.jobs, core.now.mono).at, _held(core, kept.worker)
        known = self._kept.get(kept.worker.id)
        if known is None or known.kept is not kept or known.job is not kept.job:
            return Kept(kept, kept.job, held, at)
        others = {key: tasks for key, tasks in held.items() if tasks != known.before.get(key)}
        new = {key: rest for key, tasks in others.items() if (rest := _without(tasks, known.before.get(key)))}
        overrun = kept.worker.promises.first() <= core.now.mono
        if overrun or any(_may_have_it(core.jobs[number], kept.job) for number, _ in new):
            return Kept(kept, kept.job, held, at)  # what was foreseen is void
        assert at <= max(known.at, core.now.mono), (
            f"job {kept.job.number}: foreseen at {known.at}, now at {at}, passed by {new}"
        )
        known.at = at
        still = {key: known.before[key].intersection(held[key]) for key in known.before.keys() & others.keys()}
        known.before = {key: still.get(key, held[key]) for key in known.before.keys() & held.keys()}
        taken = Counter(_amounts(kept.job.request))
        for (number, _), tasks in new.items():
            late = len(tasks) - _in_time(kept.worker, number, tasks, known.at)
            for name, amount in _amounts(core.jobs[number].request).items():
                taken[name] += amount * late
        for name, amount in taken.items():
            most = kept.worker.record.millicpus if name == CPUS else kept.worker.record.offer.amounts.get(name, 0)
            assert amount <= most, f"job {kept.job.number}: {name} kept for it on {kept.worker.id} is taken by {new}"
        return known

    def _no_job_starves(self, core: SchedulerCore, free: Sequence[Given]) -> None:
        """While others that come later start tasks where it could run as well, some worker is kept for it."""
        passed = set()
        for worker, job, *_ in free:
            for other in core.unfinished():
                if other.startable and comes_before(other, job) and other.request != job.request:
                    is_kept = core.reservations.of(other.request) is not None
                    if not is_kept and can_ever_run(other.request, worker):
                        passed.add(other.number)
        waiting = {job.number for job in core.unfinished() if job.startable and not job.held}
        kept = {job.number for job in core.unfinished() if core.reservations.of(job.request)}
        for number in list(self._passed):
            if number not in waiting or number in kept:
                del self._passed[number]
        for number in passed & waiting:
            self._passed[number] += 1
            assert self._passed[number] <= PATIENCE, f"job {number} is passed for ever, and nothing is kept for it"

    def _no_share_starves(self, core: SchedulerCore, given: Sequence[Given], free: Sequence[Given]) -> None:
        """Of two users at one priority nobody gets room that the other could use who has had less, and gets nothing."""
        gains: Counter[str] = Counter()
        for _, job, _, tasks in given:
            gains[job.record.owner] += len(tasks) * job.request.millicpus
        waiting = [job for job in core.unfinished() if job.startable and job.record.owner not in gains]
        for worker, job, _, tasks in free if waiting else ():
            had = core.shares.rank(job.record.owner, core.now.mono) - gains[job.record.owner] * AHEAD / 1000
            for other in waiting:
                less = core.shares.rank(other.record.owner, core.now.mono) < had - 1e-6
                same = other.priority == job.priority and can_ever_run(other.request, worker)
                assert not (less and same and _fits_instead(other, worker, job, len(tasks))), (
                    f"{job.record.owner} gets room on {worker.id} for job {job.number}, and {other.record.owner}, who "
                    f"has had less, none for job {other.number}"
                )


def _given(core: SchedulerCore, acts: Sequence[Act]) -> list[Given]:
    given = []
    for act in acts:
        if isinstance(act, Send) and isinstance(act.message, Assign) and act.session in core.sessions:
            several = act.message.attempts
            worker, job = core.sessions[act.session], core.jobs[several.job]
            given.append(Given(worker, job, several.attempt, IntervalSet(several.ranges)))
    return given


def _held(core: SchedulerCore, worker: Worker) -> Held:
    return {(n, attempt): tasks.copy() for n in worker.jobs for attempt, tasks in core.jobs[n].held_by(worker.id)}


def _without(tasks: IntervalSet, some: IntervalSet | None) -> IntervalSet:
    rest = tasks.copy()
    rest.difference_update(some or ())
    return rest


def _may_have_it(job: Job, kept_for: Job) -> bool:
    return comes_before(job, kept_for) or job.request == kept_for.request


def _in_time(worker: Worker, job: int, tasks: IntervalSet, at: float) -> int:
    """How many of the tasks have ended by then, as was promised."""
    if at == inf:
        return 0
    return len(tasks.intersection(worker.promises.until(job, at)))


def _amounts(request: Request) -> dict[str, int]:
    return {CPUS: request.millicpus, **dict(request.beside.amounts if request.beside else ())}


def _fits_instead(other: Job, worker: Worker, job: Job, count: int) -> bool:
    """Whether a task of the other would have room there if these were not."""
    given, beside = _amounts(job.request), other.request.beside
    if beside is not None and beside.exclusive and worker.held > count:
        return False
    room = {name: (worker.free if name == CPUS else worker.left_of(name)) for name in _amounts(other.request)}
    return all(room[name] + count * given.get(name, 0) >= amount for name, amount in _amounts(other.request).items())
