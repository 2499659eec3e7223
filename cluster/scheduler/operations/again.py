"""Trying again what has ended: tasks in their job, or the whole of it as a new job."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.wall_time import unix_time
from cluster.domain.job.job import Job
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import COUNTED
from cluster.domain.job.time_kinds import seconds_of
from cluster.domain.job.time_options import SKIP
from cluster.domain.scheduler.views import JobView
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select_some, the_one
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader, read_jobs
from cluster.scheduler.operations.jobs import JobOperations
from cluster.scheduler.operations.ordering import ChangedJobs
from cluster.scheduler.reopening import reopen
from cluster.scheduler.showing import page


class AgainOperations:
    def __init__(self, driver: Driver, jobs: JobOperations, letting_go: asyncio.Lock) -> None:
        """While somebody else has `letting_go`, files of jobs that have ended go."""
        self._driver = driver
        self._jobs = jobs
        self._letting_go = letting_go

    async def retry(self, caller: Caller, selectors: Sequence[str]) -> ChangedJobs:
        """Those of the selected tasks that have ended without success are tried again, by the next attempts; counted
        are these. Conflict where there are none."""
        if "all" in selectors:
            raise InvalidInput("all: name the jobs that are to be tried again")
        selection = await select_some(self._driver, caller, selectors)
        for number, _ in selection.attempts:
            raise InvalidInput(f"an attempt of job {number} is selected: a task is tried again, by one more; name that")
        numbers = selection.numbers()
        if not numbers:
            raise NotFound(f"{', '.join(selectors)}: no task is so now")
        self._driver.expect_writable()
        count = 0
        for number in numbers:
            count += await self._reopen(number, selection.tasks(number))
            await asyncio.sleep(0)
        if not count:
            raise Conflict(await self._why_nothing(numbers[0]))
        jobs, looked, _ = await page(self._driver, numbers, after=True)
        return ChangedJobs(jobs, count, looked < len(numbers))

    async def _reopen(self, number: int, tasks: IntervalSet | None) -> int:
        """Of a job that finds files these do not go before it goes on, which keeps them."""
        if not await self._jobs.finds_files(number):
            return await reopen(self._driver, number, tasks)
        async with self._letting_go:
            await self._jobs.expect_files(number)
            return await reopen(self._driver, number, tasks)

    async def rerun(self, caller: Caller, selector: str, job_id: str, *, once: bool = False) -> JobView:
        """A new job of the caller's, by that UUID, with the spec of the selected one. Its key, and times that are
        over, are left out. `once`: so is what makes it come again. The same id again is the same job."""
        selection = await select_some(self._driver, caller, [selector])
        number = await the_one(self._driver, selection, selector)
        if selection.tasks(number) is not None:
            raise InvalidInput(f"{selector!r} selects tasks: `cluster job retry` tries those again; give {number}")
        record = await read_jobs(self._driver, [number], lambda _, jobs: jobs[number].record, whole=True)
        spec = _without_past(record.spec, record.submitted_at, self._driver.clock().wall)
        spec = replace(spec, key="")  # by which it would be the selected job itself
        if once:
            spec = replace(spec, every="", overlap=SKIP, catch_up=False)
        return await self._jobs.submit(caller, job_id, spec, rerun_of=record.number)

    async def _why_nothing(self, number: int) -> str:
        def words(job: Job) -> str:
            counts = ", ".join(f"{count} {state.word}" for state in COUNTED if (count := job.count(state)))
            done = f"`cluster job rerun {number}` runs all of it again"
            if job.live:
                done = f"what has not ended is stopped by `cluster job cancel {number}`"
            return f"nothing to try again: none of the selected tasks has failed; job {number} has {counts}; {done}"

        return await JobReader(self._driver, number).read(words)


def _without_past(spec: JobSpec, submitted_at: float, now: float) -> JobSpec:
    """Without the moments that it names and that are over."""
    if spec.at and unix_time(spec.at, submitted_at, None) <= now:
        spec = replace(spec, at="")
    if spec.deadline and seconds_of(spec.deadline) is None and unix_time(spec.deadline, submitted_at, None) <= now:
        spec = replace(spec, deadline="")
    return spec
