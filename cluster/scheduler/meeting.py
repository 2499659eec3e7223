"""What became of chosen tasks of a job: which meet a selector's condition now, and the ends of those that did not
succeed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.conditions import Condition
from cluster.domain.job.job import Job
from cluster.domain.job.records import LastEnd
from cluster.domain.job.states import ENDED, TaskState
from cluster.domain.job.unbegun import Unbegun
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader

ENDS_AT_ONCE = 5_000  # that one question to the store brings: some milliseconds


class _Looked(NamedTuple):
    """Of the chosen tasks: those in one of the condition's states, those that ended and may have one of its reasons,
    and of them those that may never have run, by the reason why."""

    found: IntervalSet
    judged: IntervalSet
    unbegun: Unbegun


async def meeting(driver: Driver, number: int, chosen: IntervalSet, condition: Condition) -> IntervalSet:
    """Those of the chosen tasks of the job that meet the condition, as of one moment."""

    def look(job: Job) -> _Looked:
        looked = _Looked(IntervalSet(), IntervalSet(), Unbegun(job, chosen))
        for state in condition.states:
            looked.found.update(job.sets[state].intersection(chosen))
        if condition.reasons:
            looked.judged.update(not_succeeded(job, chosen))
        return looked

    found, judged, unbegun = await JobReader(driver, number).read(look)
    async with aclosing(last_ends(driver, number, judged)) as several:
        async for ends in several:
            begun = unbegun.leave_begun(ends)
            so = IntervalSet((end.index, end.index + 1) for end in begun if condition.has_reason(end.reason_of_task))
            found.update(so)
    for reason, tasks in unbegun.by_reason():
        if condition.has_reason(reason):
            found.update(tasks)
    return found


def not_succeeded(job: Job, among: IntervalSet) -> IntervalSet:
    """Those of these tasks that have ended, and not well."""
    those = IntervalSet()
    for state in ENDED:
        if state is not TaskState.SUCCEEDED:
            those.update(job.sets[state].intersection(among))
    return those


async def last_ends(driver: Driver, number: int, tasks: IntervalSet) -> AsyncGenerator[list[LastEnd], None]:
    """The last ends of these tasks of the job, in order, and of others between them; some at a time. One that was
    cancelled before it ran has none."""
    at = tasks.first() if tasks else 0
    while tasks and at <= tasks.last():
        # Asked after the core, so that every end that the core knew of is there.
        ends = await driver.fetch(lambda store, at=at: store.last_ends(number, at, ENDS_AT_ONCE))  # type: ignore[misc]
        yield ends
        if len(ends) < ENDS_AT_ONCE:
            return
        at = ends[-1].index + 1
