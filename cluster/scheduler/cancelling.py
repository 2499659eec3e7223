"""Cancelling many jobs, or one in many pieces, turn by turn, so that others have theirs between."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.job import Job
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.family import tasks_of, to_be_cancelled_with
from cluster.scheduler.driver import Driver

JOBS_AT_ONCE = 200
RANGES_AT_ONCE = 4096  # of each set of a job, and of what is to be cancelled


async def cancel(
    driver: Driver,
    targets: Iterable[Target],
    by: str,
    grace: float | None = None,
    reason: str = "",
    keep_children: bool = False,
) -> int:
    """How many tasks this ends or asks to stop, when that is on disk: these, and unless the children are kept those of
    the jobs that these have called for, whoever of their callers has ended. Where a crash of ours broke it off, the
    same again goes on."""
    wanted = list(targets)
    cancelled = await _cancel(driver, wanted, by, grace, reason)
    tasks, looked = tasks_of(wanted), set[int]()
    while not keep_children:
        some = driver.peek(lambda core: to_be_cancelled_with(core.family, core.jobs, tasks, looked), at_the_end=True)
        if some is None:
            break
        await asyncio.sleep(0)
        cancelled += await _cancel(driver, map(Target, some), by, grace, reason or "its caller was cancelled")
    return cancelled


async def _cancel(driver: Driver, targets: Iterable[Target], by: str, grace: float | None, reason: str) -> int:
    wanted, cancelled = list(targets), 0
    for at in range(0, len(wanted), JOBS_AT_ONCE):
        await asyncio.sleep(0)
        for some in driver.peek(partial(_cut, wanted[at : at + JOBS_AT_ONCE])):
            event = partial(CancelRequested, targets=tuple(some), by=by, grace=grace, reason=reason)
            cancelled += await driver.ask(event)
    return cancelled


def _cut(targets: Sequence[Target], core: SchedulerCore) -> list[list[Target]]:
    """The same targets, as far as there may be anything to cancel, for as many turns as they need: what is in few
    ranges goes together. A job that has ended in memory alone is asked too: the answer waits until its end is on
    disk."""
    together: list[Target] = []
    alone: list[list[Target]] = []
    for target in targets:
        job = core.jobs.get(target.job)  # None: it has ended, and is on disk
        if job is None or target.ranges == ():
            continue
        parts = list(pieces(target, job))
        if len(parts) == 1:
            together.append(target)
        else:
            alone += ([piece] for piece in parts)
    return [*([together] if together else []), *alone]


def pieces(target: Target, job: Job) -> Iterator[Target]:
    """The target for as many turns as it needs: a job may be in many pieces, and so may be what is wanted of it."""
    everything = [Range(0, job.record.spec.task_count)]
    tasks = IntervalSet(everything if target.ranges is None else target.ranges)
    cuts = {cut for ranges in (tasks, *job.sets.values()) for cut in ranges.cuts(RANGES_AT_ONCE)}
    bounds = [0, *sorted(cuts), everything[0].stop]
    if len(bounds) == 2:
        yield target
        return
    for start, stop in pairwise(bounds):
        if ranges := tuple(tasks.overlap(start, stop)):
            yield Target(target.job, ranges)
