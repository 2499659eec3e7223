"""Single tasks as people read them: running and abnormal ones first."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.last_words import TAIL_BYTES, last_words
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import BY_LIST_RANK, TaskState
from cluster.domain.job.unbegun import is_unbegun, reason_unbegun
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.pending_in_words import next_try_of
from cluster.domain.scheduler.view_sizes import size_of_task
from cluster.domain.scheduler.views import JobView, TaskView, job_view
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import read_jobs
from cluster.scheduler.message_checks import MAX_INTEGER
from cluster.store.interface import Store

MOST = 1000  # in one answer, whatever was asked
MOST_SKIPPED = 100_000  # who wants to see more asks for tasks by their numbers
FEW_RANGES = 100  # of tasks that are wanted, which are looked up one by one in any case
MOST_OF_LINE = 128 * 1024  # bytes of a task's line: all of what a command can hold
MOST_BYTES = 1024 * 1024  # of tasks in one answer; the reasons of some may be long


# The end of a stream of an attempt that has ended: whether of stderr, and how many bytes.
LastBytes = Callable[[TaskEnd, bool, int], Awaitable[bytes]]


class _Shown(NamedTuple):
    """What the core knows of a task."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls here
    state: TaskState
    attempt: int  # 0: none is under way
    worker_id: str
    ended: int  # the last attempt whose end is to be shown; 0: none


class TasksWanted(NamedTuple):
    among: IntervalSet | None  # None: of all tasks
    skip: int  # so many of the first
    most: int
    attempt: int = 0  # of the one task; 0: its last one
    states: Collection[TaskState] = ()  # in one of which they are; empty: in any


async def tasks_shown(driver: Driver, number: int, wanted: TasksWanted) -> tuple[JobView, list[TaskView], bool]:
    """The job, the tasks that are wanted, as many as one answer holds and all as they are at one moment, and whether
    there are more of them. InvalidInput for a skip beyond MOST_SKIPPED."""
    if wanted.skip > MOST_SKIPPED:
        raise InvalidInput(f"the first {wanted.skip} tasks cannot be left out: the most are {MOST_SKIPPED}")
    most = min(wanted.most, MOST)
    ended: dict[int, Job] = {}
    job, shown = await read_jobs(
        driver,
        [number],
        lambda core, jobs: (
            job_view(core, jobs[number], explain=True),
            _pick(jobs[number], wanted._replace(most=most + 1)),
        ),
        whole=True,
        ended=ended,
    )
    # Asked after the core, so that every end that the core knew of is there.
    if not shown[:most]:
        return job, [], False
    ends = await driver.fetch(lambda store: [_end(store, number, task, wanted.attempt) for task in shown[:most]])
    tasks = await read_jobs(
        driver,
        [number],
        lambda core, jobs: [
            _task(core, jobs[number], task, *end, of_attempt=wanted.attempt > 0)
            for task, end in zip(shown[:most], ends, strict=True)
        ],
        whole=True,
        ended=ended,
    )
    sizes = accumulate(map(size_of_task, tasks))
    fitting = [task for task, size in zip(tasks, sizes, strict=True) if size <= MOST_BYTES]
    return job, fitting, len(fitting) < len(shown) and most > 0


async def with_last_words(task: TaskView, spec: JobSpec, last_bytes: LastBytes) -> TaskView:
    """A task of a job with that spec, with its last words if it failed."""
    if task.end is None or task.end.state is not TaskState.FAILED:
        return task
    tail = await last_bytes(task.end, not spec.merge_output, TAIL_BYTES)
    return replace(task, last_words=await asyncio.to_thread(last_words, tail))


def _pick(job: Job, wanted: TasksWanted) -> list[_Shown]:
    among = wanted.among
    picked: list[tuple[TaskState, Range]] = []
    skip, room = wanted.skip, wanted.most
    for state in BY_LIST_RANK:
        if wanted.states and state not in wanted.states:
            continue
        for start, stop in _common(job.sets[state], among):
            first = min(stop, start + skip)
            skip -= first - start
            if some := min(room, stop - first):
                picked.append((state, Range(first, first + some)))
                room -= some
            if not room:
                return _shown(job, picked)
    return _shown(job, picked)


def _common(tasks: IntervalSet, among: IntervalSet | None) -> Iterable[tuple[int, int]]:
    """Those of the tasks that are in the other set, too (None: all). No more are looked at than are taken, but where
    both are so many that merging them is quicker."""
    if among is None:
        return tasks.bounds()
    if among.range_count() <= max(FEW_RANGES, tasks.range_count() // 16):
        return chain.from_iterable(tasks.within(*piece) for piece in among.bounds())
    return tasks.intersection(among).bounds()


def _shown(job: Job, picked: Sequence[tuple[TaskState, Range]]) -> list[_Shown]:
    indexes = IntervalSet(tasks for _, tasks in picked)
    holders = {i: holder for holder, tasks in job.held.items() for i in tasks.intersection(indexes)}
    ended = {i: attempt for attempt, tasks in job.tries.attempts.sets.items() for i in tasks.intersection(indexes)}
    shown: list[_Shown] = []
    for state, tasks in picked:
        for index in range(*tasks):
            worker, attempt = holders.get(index, ("", 0))
            last = 0 if worker else MAX_INTEGER if state.ended else ended.get(index, 0)
            shown.append(_Shown(index, state, attempt, worker, last))
    return shown


def _end(store: Store, number: int, task: _Shown, attempt: int) -> list[TaskEnd]:
    """At most one, and none that came after we looked at the core. `attempt` 0: of the last one."""
    if attempt and attempt != task.attempt:
        return [end for end in store.ends_of_task(number, task.index) if end.attempt == attempt]
    ends = store.ends_of_task(number, task.index) if task.ended else []
    return [end for end in ends if end.attempt <= task.ended][-1:]


def _task(
    core: SchedulerCore, job: Job, shown: _Shown, end: TaskEnd | None = None, *, of_attempt: bool = False
) -> TaskView:
    """`of_attempt`: the state is that of the attempt which has ended so, not that of the task since."""
    worker_id = end.worker_id if end else shown.worker_id
    worker = core.workers.get(worker_id)
    line = next((line[:MOST_OF_LINE] for line in job.lines_of([Range(shown.index, shown.index + 1)])), None)
    task = TaskView(
        index=shown.index,
        number=job.record.spec.number_of(shown.index),
        state=end.state if end and of_attempt else shown.state,
        attempt=end.attempt if end else shown.attempt,
        worker_id=worker_id,
        worker_name=worker.record.name if worker else "",
        line=line,
        end=end,
        grown=job.tries.grown.of(shown.index) if job.grows else 0,
        reference=_reference(core, worker_id, job, shown.index, end.attempt if end else shown.attempt),
        given_at=job.given_at if shown.worker_id and end is None else 0.0,
    )
    if end:
        reason = end.reason if of_attempt else end.reason_of_task
        again = next_try_of(core, job, shown.index) if task.state is TaskState.BACKOFF else 0.0
        task = replace(task, reason=reason, exit_code=end.exit_code, started_at=end.started_at, next_try_at=again)
    unbegun = end is None or (not of_attempt and is_unbegun(job, shown.state, end))
    if unbegun and shown.state in (TaskState.CANCELLED, TaskState.FAILED):  # before it ran, or ran again
        reason = reason_unbegun(job, shown.state)
        return replace(task, reason=reason, exit_code=endings.exit_code(reason))
    if shown.state is TaskState.RUNNING and end is None and not job.record.spec.is_array:
        return replace(task, started_at=job.started_at)
    return task


def _reference(core: SchedulerCore, worker_id: str, job: Job, index: int, attempt: int) -> str:
    worker = core.workers.get(worker_id)
    return worker.record.offer.elsewhere.reference_of(AttemptKey(job.record.number, index, attempt)) if worker else ""
