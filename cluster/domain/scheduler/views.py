"""Jobs, tasks and workers as people see them. Reading changes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import islice
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.last_words import LastWords
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobRecord, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import BY_JOB_RANK, COUNTED, TaskState
from cluster.domain.job.usage import NOTHING_USED, Usage
from cluster.domain.scheduler import explaining, schedules
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Explanation
from cluster.domain.scheduler.pending_in_words import WhyNot, next_try, why_pending
from cluster.domain.scheduler.reserving_in_words import Reserved, kept_out, leaves_at, passing, reserved
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.scheduler.worker_states import WorkerState

MOST_HELD = 100  # jobs of a worker that are named
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
    changed: tuple[str, ...] = ()  # options that are not as they were submitted, by fields
    reserved: Reserved | None = None  # the worker that is kept for it
    waits_for: str = ""  # what keeps it from going on, in a few words; empty: nothing does, or nobody knows
    next_try_at: float = 0.0  # Unix seconds at which a task of it that failed is tried again; 0: none is
    used: Usage = NOTHING_USED  # by its attempts that have ended


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
    grown: int = 0  # how many of its attempts took too much memory, where it grows by that
    attempts: tuple["TaskView", ...] = ()  # where they are asked for: its attempts, in order
    next_try_at: float = 0.0  # Unix seconds at which it is tried again; 0: it is not, or not known when
    given_at: float = 0.0  # while an attempt is under way: when its worker was given tasks of its job last; else 0
    reference: str = ""  # how the engine that runs that attempt calls it; empty: there is none


class HeldJob(NamedTuple):
    """A job of which a worker has tasks."""

    number: int
    owner: str
    running: int
    assigned: int


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
    trouble: str = ""  # why it can start no job, and is not connected; "": it has not said so
    leaves_at: float = 0.0  # Unix seconds, by when all that it is given has ended; 0: it stays
    jobs: Sequence[HeldJob] = ()  # of which it has tasks, at most MOST_HELD; none where they were not asked for


class Detail(Enum):
    """How much of a job's spec is shown with it. Its lines never are: they become an array of as many tasks."""

    WHOLE = "whole"
    LISTED = "listed"  # all but the environment
    NONE = "none"


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
    because = tuple(why_pending(core, job, known))
    not_taken = known.get(job.request) if because else None
    wait = core.followers.waits.get(job.number)
    return JobView(
        record=job.record,
        state=state,
        counts=counts,
        reason=endings.OK if state is TaskState.SUCCEEDED else job.reason,
        exit_code=job.exit_code,
        started_at=job.started_at,
        ended_at=job.ended_at,
        pending_because=tuple(why.line for why in because),
        no_worker_can=bool(not_taken and not_taken.lines),
        no_worker_ever=bool(not_taken and not_taken.never),
        explanation=_explanation(core, job) if explain and because and job.ready else NOT_EXPLAINED,
        cancelled_by=job.cancelled_by,
        cancel_reason=job.cancel_reason,
        waits_until=wait.until if wait and schedules.NOT_FOUND < wait.until < schedules.NEVER else 0.0,
        last_run=job.course.last_run if job.course else 0,
        part="" if part is None else _numbers_of(part, job.record.spec),
        pause=job.pause if job.live else None,
        changed=tuple(field for field, _ in job.changed),
        reserved=reserved(core, job) if job.ready else None,
        waits_for=next((why.short for why in because if why.short), ""),
        next_try_at=next_try(core, job) if job.live else 0.0,
        used=job.used,
    )


def _numbers_of(part: IntervalSet, spec: JobSpec) -> str:
    first = list(islice(part.ranges(), MOST_RANGES + 1))
    ends = [(spec.number_of(start), spec.number_of(stop - 1)) for start, stop in first[:MOST_RANGES]]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ends) + (",…" if first[MOST_RANGES:] else "")


def overall(counts: Mapping[TaskState, int]) -> TaskState:
    """One word for all tasks: what still goes on, or else the worst end."""
    return next((state for state in BY_JOB_RANK if counts.get(state)), TaskState.SUCCEEDED)


def worker_view(core: SchedulerCore, worker: Worker) -> WorkerView:
    return worker_views(core, [worker])[0]


def worker_views(core: SchedulerCore, workers: Iterable[Worker], *, with_jobs: bool = False) -> list[WorkerView]:
    """With the jobs of which each has tasks, where they are asked for. Nothing is counted anew but what is seen
    otherwise than it is."""
    shifts: dict[str, Counter[bool]] = {}  # of tasks that a worker holds, by whether they have started
    for number, job in core.instead_of.items():
        _count(shifts, job, -1)
        if seen := core.jobs.get(number):
            _count(shifts, seen, 1)
    return [_worker_view(core, worker, shifts.get(worker.id, Counter()), with_jobs) for worker in workers]


def _count(shifts: dict[str, "Counter[bool]"], job: Job, sign: int) -> None:
    for (worker_id, _), held in job.held.items():
        unstarted = len(held.intersection(job.sets[TaskState.ASSIGNED]))
        shift = shifts.setdefault(worker_id, Counter())
        shift[False] += sign * unstarted
        shift[True] += sign * (len(held) - unstarted)


def _worker_view(core: SchedulerCore, worker: Worker, shift: "Counter[bool]", with_jobs: bool) -> WorkerView:
    return WorkerView(
        record=worker.record,
        state=worker.state,
        used_millicpus=min(worker.allocated, worker.record.millicpus),
        running=worker.held - worker.unstarted + shift[True],
        assigned=worker.unstarted + shift[False],
        no_room=worker.no_room,
        silent_for=None if worker.word_at is None else max(0.0, core.now.mono - worker.word_at),
        taken=dict(worker.taken),
        leaves_at=leaves_at(core, worker),
        trouble=worker.trouble,
        jobs=tuple(islice(_held_jobs(core, worker), MOST_HELD)) if with_jobs else (),
    )


def _held_jobs(core: SchedulerCore, worker: Worker) -> Iterator[HeldJob]:
    for number in sorted(worker.jobs):
        job = core.jobs.get(number)
        held = [tasks for _, tasks in job.held_by(worker.id)] if job else []  # None: it is not on disk yet
        if job and held:
            unstarted = sum(len(tasks.intersection(job.sets[TaskState.ASSIGNED])) for tasks in held)
            yield HeldJob(number, job.record.owner, sum(map(len, held)) - unstarted, unstarted)


def _explanation(core: SchedulerCore, job: Job) -> Explanation:
    there = (w for w in core.workers.values() if not w.record.removed)
    return explaining.explained(there, job, passing(core, job), partial(kept_out, core, job))
