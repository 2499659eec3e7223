"""The attempts of single tasks: those that have ended, and the one under way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.records import TaskEnd
from cluster.domain.scheduler.view_sizes import size_of_task
from cluster.domain.scheduler.views import TaskView
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store

MOST = 100  # attempts of a task that are told: its last ones
AT_ONCE = 50  # tasks that are looked up before anybody else is served
MOST_BYTES = 1024 * 1024  # of attempts in one answer


async def with_attempts(driver: Driver, number: int, tasks: Sequence[TaskView]) -> list[TaskView]:
    """The first of these tasks of the job, each with its attempts in order: as many tasks as one answer holds, and at
    least one where there is any."""
    found: list[TaskView] = []
    size = 0
    for at in range(0, len(tasks), AT_ONCE):
        some = tasks[at : at + AT_ONCE]
        ends = await driver.fetch(lambda store, some=some: [_ends(store, number, task) for task in some])  # type: ignore[misc]
        workers = {end.worker_id for several in ends for end in several}
        known = await driver.read(
            lambda core, workers=workers: {  # type: ignore[misc]
                worker: core.workers[worker].record for worker in workers if worker in core.workers
            }
        )
        for task, several in zip(some, ends, strict=True):
            attempts = tuple(_attempts(number, task, several, known))
            size += sum(map(size_of_task, attempts))
            if size > MOST_BYTES and found:
                return found
            found.append(replace(task, attempts=attempts))
    return found


def _ends(store: Store, number: int, task: TaskView) -> list[TaskEnd]:
    """None that came after the task was looked at."""
    return [end for end in store.ends_of_task(number, task.index, MOST) if end.attempt <= task.attempt]


def _attempts(
    number: int, task: TaskView, ends: Sequence[TaskEnd], known: Mapping[str, WorkerRecord]
) -> Iterator[TaskView]:
    for end in ends:
        worker = known.get(end.worker_id)
        key = AttemptKey(number, task.index, end.attempt)
        yield TaskView(
            index=task.index,
            number=task.number,
            state=end.state,
            attempt=end.attempt,
            worker_id=end.worker_id,
            worker_name=worker.name if worker else "",
            reference=worker.offer.elsewhere.reference_of(key) if worker else "",
            reason=end.reason,
            exit_code=end.exit_code,
            started_at=end.started_at,
            end=end,
        )
    if task.end is None and task.attempt:
        yield replace(task, line=None)
