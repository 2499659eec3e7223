"""Single tasks as people read them: running and abnormal ones first."""

from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.intervals import IntervalSet, Range
from cluster.domain.job import TaskEnd
from cluster.domain.reports import CANCELLED_EXIT
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.states import TaskState
from cluster.domain.tasks import Job
from cluster.domain.views import JobView, job_view
from cluster.scheduler.checks import MAX_INTEGER
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store
from cluster.v1 import job_pb2

MOST = 10_000  # in one answer, whatever was asked

# What people look for comes first.
_ORDER = (
    TaskState.RUNNING,
    TaskState.BACKOFF,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.ASSIGNED,
    TaskState.SUCCEEDED,
    TaskState.READY,
)


class _Shown(NamedTuple):
    """What the core knows of a task."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls here
    state: TaskState
    attempt: int  # 0: none is under way
    worker_id: str
    ended: int  # the last attempt whose end is to be shown; 0: none


async def tasks_shown(
    driver: Driver, number: int, ranges: Sequence[Range] | None, most: int
) -> tuple[JobView, list[job_pb2.Task]]:
    """The job and at most `most` of its tasks, of `ranges` only unless that is None, all as they are at one moment."""
    job, shown = await driver.read(
        lambda core: (job_view(core, number), _pick(core.jobs[number], ranges, min(most, MOST)))
    )
    # Asked after the core, so that every end that the core knew of is there.
    ends = await driver.fetch(lambda store: [_last_end(store, number, task) for task in shown])
    return job, await driver.read(
        lambda core: [_task(core, number, task, *end) for task, end in zip(shown, ends, strict=True)]
    )


def _pick(job: Job, ranges: Sequence[Range] | None, most: int) -> list[_Shown]:
    wanted = IntervalSet(ranges if ranges is not None else [(0, job.record.spec.task_count)])
    picked: list[_Shown] = []
    for state in _ORDER:
        for start, stop in job.sets[state].intersection(wanted).ranges():
            room = most - len(picked)
            picked += [_shown(job, index, state) for index in range(start, min(stop, start + room))]
            if len(picked) >= most:
                return picked
    return picked


def _shown(job: Job, index: int, state: TaskState) -> _Shown:
    for (worker, attempt), tasks in job.held.items():
        if index in tasks:
            return _Shown(index, state, attempt, worker, 0)
    if state.ended:
        return _Shown(index, state, 0, "", MAX_INTEGER)
    return _Shown(index, state, 0, "", next((n for n, tasks in job.attempts.items() if index in tasks), 0))


def _last_end(store: Store, number: int, task: _Shown) -> list[TaskEnd]:
    """At most one, and none that came after we looked at the core."""
    ends = store.ends_of_task(number, task.index) if task.ended else []
    return [end for end in ends if end.attempt <= task.ended][-1:]


def _task(core: SchedulerCore, number: int, shown: _Shown, end: TaskEnd | None = None) -> job_pb2.Task:
    job = core.jobs[number]
    task = job_pb2.Task(
        index=shown.index,
        number=job.record.spec.number_of(shown.index),
        state=shown.state.value,  # type: ignore[arg-type]  # the numbers are the same
        attempt=shown.attempt,
        worker_id=shown.worker_id,
    )
    if end:
        task.attempt = end.attempt
        task.reason, task.detail, task.signal, task.exit_code = end.reason, end.detail, end.signal, end.exit_code
        task.started_at, task.ended_at = end.started_at, end.ended_at
        task.cpu_seconds, task.peak_memory_bytes = end.cpu_seconds, end.peak_memory
        task.worker_id = end.worker_id
    elif shown.state is TaskState.CANCELLED:
        task.reason, task.exit_code = "cancelled", CANCELLED_EXIT  # before it ever ran
    elif shown.state is TaskState.RUNNING and not job.record.spec.is_array:
        task.started_at = job.started_at
    if task.worker_id in core.workers:
        task.worker_name = core.workers[task.worker_id].record.name
    return task
