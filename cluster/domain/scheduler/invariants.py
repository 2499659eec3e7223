"""What must be true of the scheduler's core between turns, whatever happened. Checked in every test and simulation."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.job import Job
from cluster.domain.job.schedule import FAR_AHEAD
from cluster.domain.job.states import HELD, UNASSIGNED, TaskState
from cluster.domain.job.times import deadline_of, starts_at
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.evaluator import can_ever_run, tasks_that_fit
from cluster.domain.scheduler.pausing import is_paused
from cluster.domain.scheduler.reserving import SURELY, foreseen, is_over_by
from cluster.domain.scheduler.retention import Bonds
from cluster.domain.scheduler.state import LATE
from cluster.domain.scheduler.takers import can_take
from cluster.domain.scheduler.worker_record import Worker


def check(core: SchedulerCore, changed: Collection[int] | None = None) -> None:
    """AssertionError names the first rule that is broken, and the job or worker that breaks it.
    `changed`: the numbers of the only jobs that a turn has changed. None: look at all of them."""
    numbers = core.jobs.keys() if changed is None else changed
    next_deadline = core.next_deadline()
    goes_on = next_deadline is not None and next_deadline <= core.now.mono  # in the next turn
    for number in numbers:
        job = core.jobs[number]
        _each_task_has_one_state(job)
        _held_tasks_are_assigned_or_running(job)
        _ended_means_ended(core, job)
        _waits_for_something(core, job)
        _nothing_waits_for_ever(core, job)
        _asks_for_what_its_next_tasks_need(job)
        _no_schedule_has_come_too_far(core, job)
        _finishing_is_what_waits_for_children(core, job)
        assert bool(job.startable) == (job in core.ready), f"job {job.number}: wrongly in the ready queue, or not"
        assert core.ready.counted(job) == job.startable, f"job {job.number}: its ready tasks are counted wrongly"
        assert not job.cancelling or _within(job.cancelling, _held(job)), (
            f"job {job.number}: cancelling what nobody holds"
        )
    looked = set(numbers)
    for worker in core.workers.values():
        if changed is None or looked:  # else nobody holds anything else than before
            _claims_what_it_holds(core, worker, worker.jobs.keys() | looked)
        assert worker.session is None or core.sessions[worker.session] is worker, f"worker {worker.id}: stray session"
        assert worker.session is not None or not worker.specs, f"worker {worker.id}: remembers without a session"
        if not goes_on:
            _is_asked_for_all_if_drained(core, worker)
            _is_asked_for_what_is_paused(core, worker)
    for session, worker in core.sessions.items():
        assert worker.session == session, f"session {session} is not its worker's"
    waiting = {worker.id: _jobs_that_wait_at(core, worker) for worker in core.workers.values() if worker.free < 0}
    for worker_id, jobs in waiting.items():
        _is_known_to_have_work_in_advance(core, core.workers[worker_id], jobs)
        if not goes_on:
            _nothing_waits_there_for_long(core, core.workers[worker_id], jobs)
    for kept in core.reservations if not goes_on else ():
        in_time = is_over_by(kept.worker.leaves_at + SURELY, kept.job.request.limit, core.now.mono)
        assert in_time or not kept.keeps_out, f"worker {kept.worker.id}: it leaves before {kept.job.number} would end"
    if waiting and not (goes_on or core.queue_pause):
        _nobody_idles_beside_work_in_advance(core, waiting)
    if changed is None:
        _what_goes_on_keeps_what_it_needs(core)
    _takers_are_in_order(core)
    if not (core.takers.roomier or core.ready.fresh or core.queue_pause):  # else placing goes on in the next turn
        for number in numbers:
            _nothing_waits_that_would_fit(core, core.jobs[number])


def _asks_for_what_its_next_tasks_need(job: Job) -> None:
    if job.live and job.ready:
        assert job.level == (job.next_level if job.grows else 0), f"job {job.number}: level {job.level} is not the next"
        assert job.request == job.request_at(job.level), f"job {job.number}: asks for {job.request}, level {job.level}"


def _waits_for_something(core: SchedulerCore, job: Job) -> None:
    wait = core.followers.waits.get(job.number)
    assert (wait is not None) == bool(job.sets[TaskState.WAITING]), f"job {job.number}: waits for nothing, or unknown"
    assert wait is None or not wait.free(), f"job {job.number}: {wait.free()} wait, and nothing holds them back"


def _nothing_waits_for_ever(core: SchedulerCore, job: Job) -> None:
    """Nor is any clock of a job forgotten."""
    unassigned = [state.word for state in UNASSIGNED if job.sets[state]] if job.overdue else []
    assert not unassigned, f"job {job.number}: {unassigned}, and its deadline is over"
    deadline = deadline_of(job.record) if job.live and not job.overdue else 0.0
    assert not deadline or core.wall_timers.next() is not None, f"job {job.number}: nobody looks when it is {deadline}"
    counted = job.clocks.counted if deadline and job.clocks is not None else None
    right = counted is None or not counted.is_by_a_wrong_clock(core.now.wall) or ("count", job.number) in core.timers
    assert right, f"job {job.number}: its deadline was counted by a clock that was far ahead: {counted}"


def _no_schedule_has_come_too_far(core: SchedulerCore, job: Job) -> None:
    """By a clock that was wrong."""
    if job.course is not None and job.number in core.followers.waits and job.number not in core.schedules_in_line:
        latest = max(core.now.wall, starts_at(job.record)) + FAR_AHEAD
        assert job.course.until <= latest, (
            f"schedule {job.number}: no time comes before {job.course.until}: {job.course}"
        )


def _finishing_is_what_waits_for_children(core: SchedulerCore, job: Job) -> None:
    ends = core.finishing.get(job.number, {})
    assert set(job.sets[TaskState.FINISHING]) == ends.keys(), f"job {job.number}: of others the ends are put by, {ends}"
    if not core.family.settled:  # else they are looked at in the next turn
        for end in ends.values():
            going_on = core.family.going_on(AttemptKey(end.job, end.index, end.attempt))
            assert going_on, f"job {job.number}: {end.index} is finishing, and nothing goes on that it has called"


def _takers_are_in_order(core: SchedulerCore) -> None:
    rest = sorted([(-worker.free, worker.session, worker.id) for worker in core.workers.values() if can_take(worker)])
    order = [(free, session, worker.id) for free, session, worker in core.takers.entries]
    assert order == rest, f"workers that take work are {rest}, in order {order}"


def _nothing_waits_that_would_fit(core: SchedulerCore, job: Job) -> None:
    foresee = partial(foreseen, jobs=core.jobs, now=core.now.mono)
    for worker in core.workers.values() if job.startable else ():
        request = job.request
        fits = can_take(worker) and can_ever_run(request, worker) and tasks_that_fit(request, worker) > 0
        fits = fits and core.reservations.most(job, worker, core.now.mono, foresee) > 0
        assert not fits, f"job {job.number}: ready, and worker {worker.id} has {worker.free} millicpus free"


def _is_known_to_have_work_in_advance(core: SchedulerCore, worker: Worker, jobs: Sequence[Job]) -> None:
    """`jobs`: those that wait at the worker, which holds more than it has cpus for."""
    known = not jobs or any(worker.id in core.in_advance.get(job.request, ()) for job in jobs)
    assert known, f"worker {worker.id}: {worker.free} millicpus free, and nobody knows of its work in advance"


def _nobody_idles_beside_work_in_advance(core: SchedulerCore, jobs: Mapping[str, Sequence[Job]]) -> None:
    """`jobs`: those that wait at workers, by their ids, which hold more than they have cpus for."""
    for request, workers in core.in_advance.items():
        there = [worker for worker in workers.values() if worker.session is not None]
        waiting = [w.id for w in there if any(job.request == request for job in jobs.get(w.id, ()))]
        if waiting and not any(w.coming_back for w in there):
            able = [w for w in core.workers.values() if can_take(w) and can_ever_run(request, w)]
            idle = [w.id for w in core.reservations.not_kept(request, able) if tasks_that_fit(request, w)]
            assert not idle, f"{idle} idle, and work waits in advance at {waiting}: {request}"


def _nothing_waits_there_for_long(core: SchedulerCore, worker: Worker, jobs: Sequence[Job]) -> None:
    """Of what may have started, nobody needs to have said so. But all of it cannot have."""
    if worker.session is None:
        return
    assert ("late", worker.id) in core.timers, f"worker {worker.id}: nobody looks how long work in advance waits there"
    waiting = [job for job in jobs if core.now.mono - job.assigned_at > 2.01 * LATE]
    late = [job for job in waiting if job.number not in worker.recalled]
    assert sum(job.request.millicpus for job in late) <= worker.record.millicpus, (
        f"jobs {[job.number for job in late]} wait at worker {worker.id} for long, and nobody asks for them"
    )


def _jobs_that_wait_at(core: SchedulerCore, worker: Worker) -> list[Job]:
    """Those of which tasks have not started there."""
    jobs = [job for number in worker.jobs if (job := core.jobs[number]).sets[TaskState.ASSIGNED]]
    return [job for job in jobs if any(h.intersection(job.sets[TaskState.ASSIGNED]) for _, h in job.held_by(worker.id))]


def _is_asked_for_all_if_drained(core: SchedulerCore, worker: Worker) -> None:
    if worker.record.drain is None or worker.session is None:
        return
    deadline = worker.record.drain.deadline
    for number in worker.jobs:
        job, asked = core.jobs[number], worker.recalled.get(number, IntervalSet())
        stopped = worker.stopped.get(number, IntervalSet()).copy()
        stopped.update(job.cancelling)
        for _, held in job.held_by(worker.id):
            waiting = held.intersection(job.sets[TaskState.ASSIGNED])
            assert _within(waiting, asked), f"worker {worker.id}: drained, and job {number} waits there"
            in_time = not deadline or core.now.wall < deadline + 0.01
            assert in_time or _within(held, stopped), f"worker {worker.id}: drained, and job {number} runs on"


def _is_asked_for_what_is_paused(core: SchedulerCore, worker: Worker) -> None:
    for number in worker.jobs if worker.session is not None else ():
        job = core.jobs[number]
        if not is_paused(core, job):
            continue
        asked = worker.recalled.get(number, IntervalSet())
        for _, held in job.held_by(worker.id):
            waiting = held.intersection(job.sets[TaskState.ASSIGNED])
            assert _within(waiting, asked), f"job {number}: paused, and waits at worker {worker.id}"


def _claims_what_it_holds(core: SchedulerCore, worker: Worker, numbers: Iterable[int]) -> None:
    """Checks what a worker claims against these jobs, among which are all that it should hold any of."""
    allocated, unstarted, holds = 0, 0, dict[int, int]()
    taken: dict[str, int] = {}
    for number in numbers:
        job = core.jobs[number]
        unstarted += sum(len(held.intersection(job.sets[TaskState.ASSIGNED])) for _, held in job.held_by(worker.id))
        for request, tasks in (each for _, held in job.held_by(worker.id) for each in job.asked_by(held)):
            allocated += len(tasks) * request.millicpus
            holds[number] = holds.get(number, 0) + len(tasks)
            for name, amount in request.beside.amounts if request.beside else ():
                taken[name] = taken.get(name, 0) + len(tasks) * amount
    assert worker.allocated == allocated, f"worker {worker.id}: {worker.allocated} allocated, holds {allocated}"
    assert not worker.exclusive or worker.held == 1, (
        f"worker {worker.id}: holds {worker.held}, of which one is exclusive"
    )
    assert worker.taken == taken, f"worker {worker.id}: {worker.taken} taken, holds {taken}"
    assert worker.held == sum(holds.values()), f"worker {worker.id}: {worker.held} held, holds {holds}"
    assert worker.unstarted == unstarted, f"worker {worker.id}: {worker.unstarted} unstarted, holds {unstarted}"
    assert worker.jobs == holds, f"worker {worker.id}: jobs {worker.jobs}, holds {holds}"


def _each_task_has_one_state(job: Job) -> None:
    count, at = job.record.spec.task_count, 0
    for start, stop in _pieces(job.sets.values()):
        assert start >= at, f"job {job.number}: task {start} has two states"
        assert start == at, f"job {job.number}: task {at} has no state"
        at = stop
    assert at == count, f"job {job.number}: states for {at} tasks, and it has {count}"
    total = sum(map(len, job.sets.values()))
    assert total == count, f"job {job.number}: {total} states for {count} tasks"


def _held_tasks_are_assigned_or_running(job: Job) -> None:
    if not (job.held or any(map(job.sets.__getitem__, HELD))):
        return
    held, active = _joined(job.held.values()), _joined(job.sets[state] for state in HELD)
    assert held == active, f"job {job.number}: held {held}, active {active}"  # unequal if any has two holders
    assert all(job.held.values()), f"job {job.number}: an empty hold"


def _pieces(sets: Iterable[IntervalSet]) -> list[tuple[int, int]]:
    """All ranges of these, in order."""
    return sorted([piece for tasks in sets if tasks for piece in tasks.bounds()])


def _joined(sets: Iterable[IntervalSet]) -> list[tuple[int, int]]:
    """The same; those that touch are one, and those that overlap stay apart."""
    joined: list[tuple[int, int]] = []
    for start, stop in _pieces(sets):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _ended_means_ended(core: SchedulerCore, job: Job) -> None:
    assert bool(job.ended_at) == (not job.live), f"job {job.number}: ended_at {job.ended_at}, live {job.live}"
    unfinished, live = core.is_unfinished(job), job.live
    assert unfinished == live, f"job {job.number}: live {live}, among the unfinished {unfinished}"


def _held(job: Job) -> IntervalSet:
    return IntervalSet(r for tasks in job.held.values() for r in tasks.bounds())


def _within(inner: IntervalSet, outer: IntervalSet) -> bool:
    return all(outer.covers(*r) for r in inner.ranges())


def _what_goes_on_keeps_what_it_needs(core: SchedulerCore) -> None:
    """What is counted of jobs that go on is what they say; and nothing that one of them waits for was deleted."""
    counted = Bonds()
    for job in core.unfinished():
        counted.goes_on(job.record)
        for number in {dependency.job for dependency in dependencies_of(job.record.spec)}:
            assert number not in core.bonds.deleted, f"job {job.number} waits for job {number}, which was deleted"
    assert core.bonds.same_as(counted), "what keeps jobs from being deleted was counted wrongly"
    for number in core.bonds.pins:
        assert number not in core.bonds.deleted, f"job {number} is pinned, and was deleted"
