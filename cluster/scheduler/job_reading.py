"""Jobs for readers, wherever they are: in memory, or once they have ended in the store alone.

A job leaves memory only when its end is on disk, and changes no more then. So whoever misses one in the core finds it
in the store, complete, however late it looks there, or it was deleted.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from cluster.domain.base.errors import NotFound, Unreachable
from cluster.domain.job.job import Job
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store

T = TypeVar("T")

Jobs = Mapping[int, Job]


async def read_jobs(
    driver: Driver,
    numbers: Collection[int],
    view: Callable[[SchedulerCore, Jobs], T],
    *,
    whole: bool = False,
    ended: dict[int, Job] | None = None,
    after: bool = False,
    leave_out: bool = False,
) -> T:
    """As Driver.read, with these jobs, all of which are in memory or on disk. Unreachable while memory is ahead of the
    disk, and one is not there yet. An ended one has no environment and no lines (as
    JobSpec.without_lines) unless they are asked for `whole`. Who reads the same jobs again and again gives the same
    `ended` each time, empty at first: so the store is asked once for each. `after`: as Driver.read_after.
    One that was deleted meanwhile is left out of them if that is wished, else NotFound."""
    ended, gone = {} if ended is None else ended, set[int]()

    def look(core: SchedulerCore) -> tuple[list[int], T | None]:
        jobs = {number: job for number in numbers if (job := core.jobs.get(number) or ended.get(number))}
        missing = [number for number in numbers if number not in jobs and number not in gone]
        return (missing, None) if missing else ([], view(core, jobs))

    while True:
        missing, seen = await (driver.read_after if after else driver.read)(look)
        if not missing:
            return seen  # type: ignore[return-value]
        inside = driver.look_again(missing)
        fetch = driver.fetch_after if after else driver.fetch
        found = await fetch(lambda store, missing=missing: jobs_of(store, missing, whole=whole))  # type: ignore[misc]
        if on_the_way := [number for number in inside if number not in found]:
            raise Unreachable(f"job {on_the_way[0]} is under way, but not on disk yet; look later what became of it")
        gone.update(number for number in missing if number not in found)
        if gone and not leave_out:
            raise NotFound(f"job {min(gone)} was deleted")
        ended |= {number: job for number, job in found.items() if number not in inside}


def jobs_of(store: Store, numbers: Collection[int], *, whole: bool = False) -> dict[int, Job]:
    """The jobs as the store has them."""
    records = {record.number: record for record in store.records(list(numbers), whole=whole)}
    return {p.number: Job.restored(records[p.number], p) for p in store.progress_of(list(records))}


class JobReader:
    """Reads one job, which is on disk, again and again; the store is asked for it once."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.number = number
        self._driver = driver
        self._ended: dict[int, Job] = {}

    async def read(self, view: Callable[[Job], T]) -> T:
        return await read_jobs(self._driver, [self.number], lambda _, jobs: view(jobs[self.number]), ended=self._ended)

    async def spec(self) -> JobSpec:
        """The spec of an ended job, without environment and lines."""
        return await self.read(lambda job: job.record.spec)


def unfinished_of(driver: Driver, numbers: Collection[int]) -> list[int]:
    """Those of these jobs that are in memory: no other can change any more. Not those that readers see: while memory
    is ahead of the disk, these may miss a job that the store has had for a moment."""
    return driver.peek(lambda core: [number for number in numbers if number in core.jobs])
