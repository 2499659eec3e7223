"""Somebody pauses jobs, or the whole queue, and lets them go on again.

Of what is paused nothing is given to a worker. What a worker has and has not started is asked back; it is ready again,
and waits. What runs goes on, or is frozen where that is wished: a worker is told so once in a session, of all that it
holds, and says in its hello what it has frozen before. Who was told stays frozen until it is told otherwise.
"""

from cluster.domain.base.errors import NotPermitted
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.pause import Pause, QueuePause
from cluster.domain.scheduler.assigning import ask_back_unstarted
from cluster.domain.scheduler.events import JobsPaused, JobsResumed, QueuePaused, QueueResumed
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Attempts, Freeze, Hello, by_attempt

JOBS_A_UNIT = 4  # jobs of a worker that are looked at for what one unit of a turn's room is worth


def handle(state: State, event: JobsPaused | JobsResumed | QueuePaused | QueueResumed) -> None:
    match event:
        case JobsPaused():
            pause_jobs(state, event)
        case JobsResumed():
            resume_jobs(state, event)
        case QueuePaused():
            pause_queue(state, event)
        case QueueResumed():
            resume_queue(state, event)


def pause_jobs(state: State, event: JobsPaused) -> None:
    """Replies how many of them are paused now: those that have not ended."""
    live = [job for number in event.jobs if (job := state.jobs.get(number)) and job.live]
    for job in live:
        job.pause = _wish(job.pause, event.pause)
        state.touch(job)
        _look_at_holders(state, job)
    state.reply(event.ask, len(live))


def resume_jobs(state: State, event: JobsResumed) -> None:
    """Replies how many of them were paused. NotPermitted where one may not be resumed by who asks: then none is."""
    paused = [job for number in event.jobs if (job := state.jobs.get(number)) and job.live and job.pause]
    for job in paused:
        if job.pause and job.pause.by_admin and not event.by_admin:
            error = NotPermitted(f"job {job.number} is {job.pause.said()}; that is an admin's to take back")
            state.reply(event.ask, error)
            return
    for job in paused:
        job.pause = None
        state.touch(job)
        _look_at_holders(state, job)
    state.reply(event.ask, len(paused))


def pause_queue(state: State, event: QueuePaused) -> None:
    """Replies 1 where it was not paused before, else 0."""
    before = state.queue_pause
    _set_queue(state, _wish(before, event.pause))
    for worker in state.workers.values():
        look_at(state, worker)
    state.reply(event.ask, int(before is None))


def resume_queue(state: State, event: QueueResumed) -> None:
    """Replies 1 where it was paused, else 0."""
    was_paused = state.queue_pause is not None
    _set_queue(state, None)
    state.reply(event.ask, int(was_paused))


def look_at(state: State, worker: Worker) -> None:
    """Something that it may hold is paused or goes on, or it has come back: what follows is due in this turn."""
    if worker.session is None:
        return
    if worker.frozen or any(is_paused(state, state.jobs[number]) for number in worker.jobs):
        state.timers.set(("pause", worker.id), state.now.mono)


def due(state: State, worker: Worker) -> None:
    """Asks back what it has not started of what is paused, and lets it freeze the rest, or go on with that: of each
    task once in a session."""
    if worker.session is None:
        return
    state.room -= 1 + len(worker.jobs) // JOBS_A_UNIT
    for number in sorted(worker.jobs):
        job = state.jobs[number]
        if is_paused(state, job):
            ask_back_unstarted(state, worker, job)
        if (job.pause is not None and job.pause.stop_running) or number in worker.frozen:
            _freeze(state, worker, job)


def _freeze(state: State, worker: Worker, job: Job) -> None:
    """Tells the worker which tasks of the job that it holds are to stand still, or to go on, and does not know it."""
    thaw = job.pause is None or not job.pause.stop_running
    told = worker.frozen.pop(job.number) if thaw else worker.frozen.setdefault(job.number, IntervalSet())
    for attempt, held in list(job.held_by(worker.id)):
        tasks = held.intersection(told) if thaw else held.copy()
        if not thaw:
            tasks.difference_update(told)
        if tasks:
            ranges = tuple(tasks.ranges())
            state.send(worker, Freeze(Attempts(job.number, attempt, ranges), thaw))
            state.room -= len(ranges)
            if not thaw:
                told.update(ranges)


def note_frozen(state: State, worker: Worker, hello: Hello) -> None:
    """It has said what it has frozen; of what is not its own any more nothing follows."""
    for (number, _), tasks in by_attempt(hello.frozen).items():
        if number in worker.jobs:
            worker.frozen.setdefault(number, IntervalSet()).update(tasks)


def _look_at_holders(state: State, job: Job) -> None:
    for worker_id in sorted({holder for holder, _ in job.held}):
        look_at(state, state.workers[worker_id])


def is_paused(state: State, job: Job) -> bool:
    """By itself or with the whole queue."""
    return job.pause is not None or state.queue_pause is not None


def _set_queue(state: State, pause: Pause | None) -> None:
    if pause != state.queue_pause:
        state.queue_pause = pause
        state.saves.append(QueuePause(pause))


def _wish(before: Pause | None, wanted: Pause) -> Pause:
    """Of what is paused already, what is said anew replaces what was said; since when it is stays."""
    if before is None:
        return wanted
    by_admin = before.by_admin or wanted.by_admin
    stop_running = before.stop_running or wanted.stop_running
    return Pause(wanted.by, before.since, wanted.reason or before.reason, by_admin, stop_running)
