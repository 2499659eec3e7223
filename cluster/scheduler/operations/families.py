"""What jobs have to do with each other: the tree of callers, children and dependencies, and what a job keeps for others
to read."""

from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

from cluster.domain.base.errors import NotPermitted
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.records import JobRecord
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.scheduler.events import ValuesSet
from cluster.domain.scheduler.job_values import check_values
from cluster.domain.scheduler.views import JobView
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select_some, the_one
from cluster.scheduler.driver import Driver
from cluster.scheduler.showing import page
from cluster.store.interface import Store

MOST_IN_TREE = 10_000  # jobs that one tree shows
AT_ONCE = 200  # jobs whose relatives the store is asked for


class SomeOfTree(NamedTuple):
    jobs: list[JobView]
    cut: bool = False  # there are more, which are not shown


class FamilyOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def tree(self, caller: Caller, selector: str) -> AsyncGenerator[SomeOfTree, None]:
        """The selected jobs and all that has to do with them, as far as the caller sees it, in order of their numbers:
        what each was called by and has called, what it waits for and what waits for it; of a schedule its last run, and
        of a run its schedule."""
        found, cut = await self._family(caller, (await select_some(self._driver, caller, [selector])).numbers())
        numbers, at = sorted(found), 0
        while at < len(numbers):
            jobs, looked, _ = await page(self._driver, numbers[at:])
            at += looked
            yield SomeOfTree(jobs, cut and at >= len(numbers))

    async def _family(self, caller: Caller, first: list[int]) -> tuple[set[int], bool]:
        found, todo = set(first[:MOST_IN_TREE]), list(first[:MOST_IN_TREE])
        while todo:
            some, todo = todo[:AT_ONCE], todo[AT_ONCE:]
            for record in await self._driver.fetch(lambda store, some=some: _relatives(store, some)):  # type: ignore[misc]
                if record.number in found or not VisibleJobs.sees(caller, record):
                    continue
                if len(found) >= MOST_IN_TREE:
                    return found, True
                found.add(record.number)
                todo.append(record.number)
        return found, len(first) > MOST_IN_TREE

    async def set_state(self, caller: Caller, values: Mapping[str, str]) -> None:
        """Sets values of the calling job; others stay as they were. On disk when this returns."""
        if caller.vouched is None:
            raise NotPermitted("only a job sets its own state: use `cluster job state set` inside of it")
        check_values(values)
        vouched = caller.vouched
        await self._driver.ask(lambda ask: ValuesSet(ask, vouched, values))

    async def state(self, caller: Caller, selector: str) -> tuple[int, Mapping[str, str]]:
        """The job's number, and what it keeps."""
        number = await the_one(self._driver, await select_some(self._driver, caller, [selector]), selector)
        return number, await self._driver.fetch(lambda store: store.values(number))


def _relatives(store: Store, jobs: list[int]) -> list[JobRecord]:
    """One step in every direction from each of these."""
    numbers, schedules = set(store.below(jobs)), []
    for record in store.records(jobs):
        numbers |= {record.parent, record.schedule, *(dependency.job for dependency in dependencies_of(record.spec))}
        schedules += [record.number] if record.spec.every else []
    numbers |= {progress.course.last_run for progress in store.progress_of(schedules) if progress.course}
    return store.records(sorted(numbers - {0, *jobs}))
