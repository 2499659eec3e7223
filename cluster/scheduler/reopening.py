"""Having tasks tried again that have ended, of jobs in memory and of jobs that the store alone has."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import NotFound
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.events import ReopenRequested
from cluster.domain.scheduler.job_values import size_of
from cluster.domain.scheduler.reopening import Outdated
from cluster.domain.scheduler.waiting import HasEnded
from cluster.scheduler.cancelling import pieces
from cluster.scheduler.dependencies import courses_of_ended
from cluster.scheduler.driver import Driver
from cluster.scheduler.meeting import not_succeeded
from cluster.scheduler.showing import end_of_part
from cluster.store.interface import Store

STATES = (TaskState.FAILED, TaskState.CANCELLED)


class _Seen(NamedTuple):
    """A job before it is reopened. `kept` None: it is in memory. `value_sizes`: with `kept`, of its state by key."""

    job: Job
    kept: tuple[JobRecord, JobProgress] | None
    openings: int
    value_sizes: Mapping[str, int] = {}


async def reopen(driver: Driver, number: int, tasks: IntervalSet | None) -> int:
    """Has those of these tasks (None: of all) tried again that have ended without success; how many, when that is on
    disk. In parts, so that others have theirs between. Conflict where they would end at once."""
    seen = await _see(driver, number)
    everything = IntervalSet([(0, seen.job.record.spec.task_count)])
    chosen = everything if tasks is None else tasks
    rest = await _rest(driver, seen, chosen)
    count = 0
    for piece in pieces(Target(number, tuple(chosen.ranges())), seen.job):
        count += await _reopen(driver, number, piece.ranges or (), rest)
    return count


async def _reopen(driver: Driver, number: int, ranges: Sequence[Range], rest: tuple[str, int] | None) -> int:
    while True:
        seen = await _see(driver, number)
        others = [dependency.job for dependency in dependencies_of(seen.job.record.spec)]
        event = partial(
            ReopenRequested,
            job=number,
            tasks=tuple(ranges),
            states=STATES,
            kept=seen.kept,
            openings=seen.openings,
            value_sizes=seen.value_sizes,
            rest=rest,
            ended=await courses_of_ended(driver, others),
        )
        try:
            return int(await driver.ask(event))
        except (Outdated, HasEnded):
            pass  # the store has it by now


async def _see(driver: Driver, number: int) -> _Seen:
    """It is in memory, or on disk. NotFound for one that was deleted."""
    openings, job = driver.peek(lambda core: (core.openings, core.jobs.get(number)))
    if job is not None:
        return _Seen(job, None, openings)
    kept = await driver.fetch(partial(_kept, number))
    if kept is None:
        raise NotFound(f"job {number} was deleted")
    record, progress, sizes = kept
    return _Seen(Job.restored(record, progress), (record, progress), openings, sizes)


def _kept(number: int, store: Store) -> tuple[JobRecord, JobProgress, Mapping[str, int]] | None:
    """And how much each of its values takes. None for one that was deleted."""
    records, progress = store.records([number], whole=True), store.progress_of([number])
    sizes = {key: size_of(key, value) for key, value in store.values(number).items()}
    return (records[0], progress[0], sizes) if records and progress else None


async def _rest(driver: Driver, seen: _Seen, chosen: IntervalSet) -> tuple[str, int] | None:
    """What a job that has ended will say of the tasks that stay as they are. None: it goes on, and says what it did."""
    if seen.kept is None:
        return None
    everything = IntervalSet([(0, seen.job.record.spec.task_count)])
    everything.difference_update(chosen)
    stay = not_succeeded(seen.job, everything)
    return await end_of_part(driver, seen.job.number, stay) if stay else None
