"""Somebody changes options of jobs that were handed in (`cluster.domain.job.changes`).

What runs goes on as it was started. What a worker has and has not begun is asked back where the options are for workers
as well, and starts by what they are now. (What one begins that is out of reach just then starts by what they were.)
What a task asks for changes only while no worker has any: so all that one job holds is of one request.
"""

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotPermitted
from cluster.domain.job.changes import CLOCKS, OF_ATTEMPTS, START, Changes, from_now, with_changes
from cluster.domain.job.clocks import clocks_of
from cluster.domain.job.growth import refuse_growth
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request, request_of
from cluster.domain.job.sandbox import check_in_sandbox
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import HELD, TaskState
from cluster.domain.job.time_kinds import seconds_of
from cluster.domain.job.times import refuse_times, starts_at
from cluster.domain.scheduler import deadlines
from cluster.domain.scheduler.assigning import ask_back_unstarted
from cluster.domain.scheduler.events import JobsChanged
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.waiting import Dependencies


def change_jobs(state: State, dependencies: Dependencies, event: JobsChanged) -> None:
    """Replies how many of them have other options now. Where one cannot be changed so, none is: NotPermitted, Conflict
    or InvalidInput says why."""
    live = [job for number in event.jobs if (job := state.jobs.get(number)) and job.live]
    changes = {job: from_now(event.changes, state.now.wall, again=bool(job.record.spec.every)) for job in live}
    try:
        for job in live:
            _refuse(job, changes[job], event, state.now.wall)
    except ClusterError as error:
        state.reply(event.ask, error)
        return
    changed = [job for job in live if any(getattr(job.record.spec, f) != value for f, value in changes[job].items())]
    for job in changed:
        _change(state, dependencies, job, changes[job], event.changes)
    state.reply(event.ask, len(changed))


def _refuse(job: Job, changes: Changes, event: JobsChanged, now: float) -> None:
    """Raises what keeps the job from being changed so."""
    priority = changes.get("priority", job.priority)
    if priority > job.priority and not event.by_admin:
        why = f"job {job.number} has priority {job.priority}, and only an admin raises it"
        raise NotPermitted(f"{why}: give {job.priority} or less")
    changed = with_changes(job.record.spec, changes)
    if changed.spread and changed.pack:
        raise InvalidInput(f"job {job.number}: --spread and --pack exclude each other: take one of them back first")
    held = sum(map(job.count, HELD))
    refuse_growth(changed.grow, changed.memory, changed.retries, changed.retry_on)
    if changed.sandbox:
        check_in_sandbox(changed.need)
    if held and _is_other_work(job.record.spec, changed):
        have = f"workers have {held} task{'' if held == 1 else 's'} of job {job.number}"
        done = f"`cluster job pause {job.number}` lets no more start"
        raise Conflict(f"{have}, and what its tasks ask for changes only while they have none: {done}")
    if any(field in changes for field in CLOCKS) and job.overdue:
        raise Conflict(f"the --deadline of job {job.number} is over")
    if any(field in changes for field in START) and (job.record.spec.every or not job.sets[TaskState.WAITING]):
        what = "comes again at the times of --every" if job.record.spec.every else "waits no more"
        raise Conflict(f"job {job.number} {what}: --at and --delay are for a job whose tasks wait")
    _refuse_times(job, changed, now)


def _refuse_times(job: Job, changed: JobSpec, now: float) -> None:
    """InvalidInput for times that are over, or come in vain."""
    if changed.at == job.record.spec.at and starts_at(job.record) <= now:
        changed = with_changes(changed, {"at": "", "delay": 0.0})  # that is over, and nobody has asked for it now
    try:
        refuse_times(with_changes(changed, {"every": ""}), now)
    except InvalidInput as error:
        raise InvalidInput(f"job {job.number}: {error}") from None


def _is_other_work(one: JobSpec, other: JobSpec) -> bool:
    """Whether their tasks ask for other things, but for the time that they take."""
    return one.grow != other.grow or request_of(one)._replace(limit=0.0) != request_of(other)._replace(limit=0.0)


def _change(state: State, dependencies: Dependencies, job: Job, changes: Changes, given: Changes) -> None:
    """`given`: the changes as they came, where a duration is still one."""
    state.ready.drop(job)
    before = job.request
    job.change(changes)
    if (request := job.request_at(job.level)) != before:
        ask_for(state, job, request)
    if any(field in changes for field in CLOCKS):
        _wind(state, job, given)
    if any(field in changes for field in START) and not job.record.spec.every:
        dependencies.start_at(job.number, starts_at(job.record))
    state.touch(job)
    state.ready.look_again(job)
    if any(field in OF_ATTEMPTS for field in changes) or sum(map(job.count, HELD)) > job.record.spec.max_running:
        for worker_id in sorted({holder for holder, _ in job.held}):
            if state.workers[worker_id].session is not None:
                ask_back_unstarted(state, state.workers[worker_id], job)


def ask_for(state: State, job: Job, request: Request) -> None:
    """From now on its tasks ask for that. It is not in the ready queue, and is noted there afterwards."""
    kept = state.reservations.of(job.request)
    if kept is not None and kept.job is job:
        state.reservations.drop(kept)
        state.takers.note(kept.worker)
    job.request = request
    job.alike = state.jobs_alike.of(job.record, request)
    for worker_id in {holder for holder, _ in job.held}:
        if state.workers[worker_id].free < 0:
            state.note_in_advance(state.workers[worker_id], request)


def _wind(state: State, job: Job, given: Changes) -> None:
    """Its clocks begin anew; a deadline that is not among the changes stays as it was counted."""
    counted = job.clocks.counted if job.clocks is not None else None
    if "deadline" in given:
        counted = deadlines.counted_from(state.now.wall, seconds_of(given["deadline"]) or 0.0, state.now)
        job.deadline_since = counted.wall if counted is not None else 0.0
    state.timers.cancel(("queue", job.number))
    state.wall_timers.cancel(("deadline", job.number))
    job.clocks = clocks_of(job.record.spec)
    deadlines.set_alarm(state, job, counted)
