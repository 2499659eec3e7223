"""Jobs, tasks and workers as people see them. Reading changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import islice

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.wall_time import iso
from cluster.domain.job import endings
from cluster.domain.job.amounts import CPUS, format_amount
from cluster.domain.job.job import Job
from cluster.domain.job.last_words import LastWords
from cluster.domain.job.pause import Pause, frozen_tasks
from cluster.domain.job.records import JobRecord, TaskEnd
from cluster.domain.job.request import Request
from cluster.domain.job.schedule import said
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import BY_JOB_RANK, COUNTED, TaskState
from cluster.domain.scheduler import explaining, schedules
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Explanation
from cluster.domain.scheduler.pausing import is_paused
from cluster.domain.scheduler.reserving_in_words import (
    Reserved,
    first_kept_out,
    kept_out,
    leaves,
    leaves_at,
    passing,
    reserved,
)
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord, WorkerState

MOST_REASONS = 5  # lines that explain why a job waits
MOST_RANGES = 5  # of a part of a job that are named


@dataclass(frozen=True, slots=True)
class JobView:
    record: JobRecord
    state: TaskState
    counts: Mapping[TaskState, int]
    reason: str  # of the first abnormal end; "ok" when all succeeded
    exit_code: int  # the highest of its tasks so far
    started_at: float
    ended_at: float
    pending_because: tuple[str, ...]
    no_worker_can: bool  # run a task of it now, of those that there are: pending_because says why
    no_worker_ever: bool  # nor later, unless one comes or changes: none has what it needs, whether it takes work or not
    cancelled_by: str
    cancel_reason: str
    last_run: int = 0  # of a schedule: that job's number; 0: there was none
    waits_until: float = 0.0  # Unix seconds, before which none of its waiting tasks starts; 0: there is no such time
    part: str = ""  # the tasks that are meant, as people type them, of many ranges the first; "": all
    explanation: Explanation = NOT_EXPLAINED
    pause: Pause | None = None  # of a job that has not ended
    priority: int = 0
    reserved: Reserved | None = None  # the worker that is kept for it


@dataclass(frozen=True, slots=True)
class TaskView:
    index: int
    number: int
    state: TaskState
    attempt: int  # the present one, or the one that `end` is of; 0: there was none
    worker_id: str
    worker_name: str
    reason: str = ""
    exit_code: int = 0
    started_at: float = 0.0
    line: bytes | None = None  # None: its job has no lines
    end: TaskEnd | None = None
    last_words: LastWords | None = None  # looked for only where it is the one task that is shown, and failed
    attempts: tuple["TaskView", ...] = ()  # where they are asked for: its attempts, in order


@dataclass(frozen=True, slots=True)
class WorkerView:
    record: WorkerRecord
    state: WorkerState
    used_millicpus: int  # at most its capacity, work in advance left out
    running: int
    assigned: int
    no_room: str  # why it takes nothing just now; "" when it has room
    silent_for: float | None  # seconds since it was last heard; None: not since the scheduler started
    taken: Mapping[str, int] = field(default_factory=dict)  # of each resource beside cpus
    leaves_at: float = 0.0  # Unix seconds, by when all that it is given has ended; 0: it stays


class Detail(Enum):
    """How much of a job's spec is shown with it. Its lines never are: they become an array of as many tasks."""

    WHOLE = "whole"
    LISTED = "listed"  # all but the environment
    NONE = "none"


# Why jobs of a request class cannot run now; the same for all of them at one moment.
WhyNot = dict[Request, tuple[str, ...]]


def job_view(
    core: SchedulerCore,
    job: Job,
    known: WhyNot | None = None,
    part: IntervalSet | None = None,
    *,
    explain: bool = False,
) -> JobView:
    """`job` is one of the core's, or has ended. Who views many jobs at one moment gives the same `known` each time,
    empty at first: so their workers are looked at once. `part`: state and counts are those of these tasks alone; reason
    and exit code are not. `explain`: of a job that waits, what keeps each worker from it, too."""
    counts = {s: job.count(s) if part is None else len(job.sets[s].intersection(part)) for s in COUNTED}
    state = overall(counts)
    known = {} if known is None else known
    because = tuple(_why_pending(core, job, known))
    wait = core.followers.waits.get(job.number)
    return JobView(
        record=job.record,
        state=state,
        counts=counts,
        reason=endings.OK if state is TaskState.SUCCEEDED else job.reason,
        exit_code=job.exit_code,
        started_at=job.started_at,
        ended_at=job.ended_at,
        pending_because=because,
        no_worker_can=bool(because and known.get(job.request)),
        no_worker_ever=bool(because and known.get(job.request)) and not _any_could(core, job.request),
        explanation=_explanation(core, job) if explain and because and job.ready else NOT_EXPLAINED,
        cancelled_by=job.cancelled_by,
        cancel_reason=job.cancel_reason,
        waits_until=wait.until if wait and wait.until < schedules.NEVER else 0.0,
        last_run=job.course.last_run if job.course else 0,
        part="" if part is None else _numbers_of(part, job.record.spec),
        pause=job.pause if job.live else None,
        priority=job.priority,
        reserved=reserved(core, job) if job.ready else None,
    )


def _numbers_of(part: IntervalSet, spec: JobSpec) -> str:
    first = list(islice(part.ranges(), MOST_RANGES + 1))
    ends = [(spec.number_of(start), spec.number_of(stop - 1)) for start, stop in first[:MOST_RANGES]]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ends) + (",…" if first[MOST_RANGES:] else "")


def overall(counts: Mapping[TaskState, int]) -> TaskState:
    """One word for all tasks: what still goes on, or else the worst end."""
    return next((state for state in BY_JOB_RANK if counts.get(state)), TaskState.SUCCEEDED)


def worker_view(core: SchedulerCore, worker: Worker) -> WorkerView:
    running = assigned = 0
    for number in worker.jobs:
        if (job := core.jobs.get(number)) is None:
            continue  # it is not on disk yet
        for _, held in job.held_by(worker.id):
            unstarted = len(held.intersection(job.sets[TaskState.ASSIGNED]))
            assigned += unstarted
            running += len(held) - unstarted
    return WorkerView(
        record=worker.record,
        state=worker.state,
        used_millicpus=min(worker.allocated, worker.record.millicpus),
        running=running,
        assigned=assigned,
        no_room=worker.no_room,
        silent_for=None if worker.word_at is None else max(0.0, core.now.mono - worker.word_at),
        taken=dict(worker.taken),
        leaves_at=leaves_at(core, worker),
    )


def _calls_that_go_on(core: SchedulerCore, job: Job) -> Iterator[str]:
    """What its tasks wait for that are finishing."""
    ends = core.finishing.get(job.number, {}).values()
    numbers = sorted({n for end in ends for n in core.family.going_on(AttemptKey(end.job, end.index, end.attempt))})
    yield from (f"job {number}, which it has called, must end first" for number in numbers[:MOST_REASONS])
    if numbers[MOST_REASONS:]:
        yield f"and {len(numbers) - MOST_REASONS} more"


def _why_pending(core: SchedulerCore, job: Job, known: WhyNot) -> Iterator[str]:
    """Why tasks of the job are ready and stay so, one line each, most telling first."""
    if job.pause and job.live:
        yield job.pause.said()
        if frozen := frozen_tasks(job.pause, job.count(TaskState.RUNNING)):
            yield f"frozen meanwhile: {_counted(frozen, 'task')} that had begun"
    if core.queue_pause and job.live:
        yield f"the queue is {core.queue_pause.said()}"
    if job.count(TaskState.RUNNING) or job.count(TaskState.ASSIGNED):
        return
    if job.sets[TaskState.FINISHING]:
        yield from _calls_that_go_on(core, job)
    if not job.ready:
        wait = core.followers.waits.get(job.number)
        if wait and job.course:
            yield f"it runs next at {iso(wait.until)}" if wait.until < schedules.NEVER else "none of its times comes"
            yield from said(job.course)
            return
        if wait and wait.until:
            yield f"it starts no sooner than {iso(wait.until)}"
        remaining = wait.remaining() if wait else []
        yield from (kind.said(number) for number, kind in remaining[:MOST_REASONS])
        if remaining[MOST_REASONS:]:
            yield f"and {len(remaining) - MOST_REASONS} more"
        return
    if is_paused(core, job):
        return
    kind = job.request
    if kind not in known:
        known[kind] = tuple(_why_not(core, kind))
    yield from known[kind]
    if known[kind]:
        return
    if kept := reserved(core, job):
        yield kept.said()
    if line := first_kept_out(core, job):
        yield f"{_needs(kind)}; {line}"
    else:
        yield f"{_needs(kind)}; all that fit are busy, {_what_comes_first(core, job)}"


def _what_comes_first(core: SchedulerCore, job: Job) -> str:
    """In the order in which it does, and why."""
    higher, others, own = core.ready.before(job, partial(core.shares.rank, now=core.now.mono))
    if not (higher or others):
        before = core.unfinished_before(job.number)
        return f"{_counted(before, 'unfinished job')} come{'s' * (before == 1)} first"
    first = [f"{_counted(higher, 'job')} of higher priority"] if higher else []
    if others:
        named = ", ".join(others[:MOST_REASONS]) + (
            f" and {len(others) - MOST_REASONS} more" * (len(others) > MOST_REASONS)
        )
        first.append(f"jobs of {named}, who {'have' if len(others) > 1 else 'has'} had less lately")
    first += [f"{_counted(own, 'earlier job')} of {job.record.owner}'s"] if own else []
    return f"first come {'; '.join(first)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _explanation(core: SchedulerCore, job: Job) -> Explanation:
    there = (w for w in core.workers.values() if not w.record.removed)
    return explaining.explained(there, job, passing(core, job), partial(kept_out, core, job))


def _any_could(core: SchedulerCore, request: Request) -> bool:
    """Whether any worker has what it needs, whatever keeps that one from it now."""
    return any(can_ever_run(request, worker) and not worker.record.removed for worker in core.workers.values())


def _needs(request: Request) -> str:
    words = [f"{request.millicpus / 1000:g} cpu{'' if request.millicpus == 1000 else 's'}"]
    words += [f"{format_amount(*each)} {each[0]}" for each in (request.beside.amounts if request.beside else ())]
    return f"needs {', '.join(words)} a task"


def _why_not(core: SchedulerCore, request: Request) -> Iterator[str]:
    """Why no worker that there is now can run what asks for so much; nothing where one can."""
    workers = [w for w in core.workers.values() if not request.worker or w.is_called(request.worker)]
    if not workers:
        if request.worker:
            yield f"no worker is called {request.worker!r}: `cluster worker list` tells which there are"
        else:
            yield "no worker has registered: start one with `cluster worker`"
        return
    fitting = [w for w in workers if can_ever_run(request, w)]
    online = [w for w in workers if w.state is WorkerState.ONLINE]
    able = [w for w in fitting if w.state is WorkerState.ONLINE]
    late = [(w, said) for w in able if (said := leaves(core, request, w))]
    if len(late) < len(able):
        return
    for worker, (reason, fix) in late[: MOST_REASONS - 1]:
        yield f"{_needs(request)}; {worker.record.name} {reason}" + (f"; {fix}" if fix else "")
    if draining := [w for w in fitting if w.drains]:
        which = "all" if len(draining) == len(fitting) else "some"
        yield f"{_needs(request)}; {which} that fit are draining: {_named(draining)}"
    yield from explaining.lines(request, workers)
    if online and not any(w.fits(request.millicpus) for w in online):
        largest = max(online, key=lambda w: w.record.millicpus)
        has, fix = f"{largest.record.millicpus / 1000:g}", explaining.fix_of(request, CPUS, largest)
        yield f"{_needs(request)}; the largest worker online, {largest.record.name}, has {has}{fix}"
    others = [w for w in fitting if w.state is WorkerState.FULL] if online else workers
    for worker in [w for w in others if not w.drains][: MOST_REASONS - 1]:
        why = f": {worker.no_room}" if worker.state is WorkerState.FULL else ""
        yield f"worker {worker.record.name} is {worker.state.word}{why}"


def _named(draining: Sequence[Worker]) -> str:
    """The first of them, and why they drain, where somebody has said that."""
    names = []
    for worker in draining[:MOST_REASONS]:
        reason = worker.record.drain.reason if worker.record.drain else "it is about to end"
        names.append(f"{worker.record.name} ({reason})" if reason else worker.record.name)
    more = len(draining) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
