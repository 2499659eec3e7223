"""What waits is put in another order, paused and resumed, or gets other options: many jobs turn by turn, so that others
go between."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import NotPermitted
from cluster.domain.job.changes import Changes, check_changes
from cluster.domain.job.job import Job
from cluster.domain.job.pause import Pause
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.times import changes_in_utc
from cluster.domain.scheduler.events import Event, JobsChanged, JobsPaused, JobsResumed
from cluster.domain.scheduler.views import JobView
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select_whole
from cluster.scheduler.cancelling import JOBS_AT_ONCE
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import unfinished_of
from cluster.scheduler.message_checks import check_text
from cluster.scheduler.showing import page

MAX_PAUSE_REASON = 500  # characters: an answer tells that of many jobs


class ChangedJobs(NamedTuple):
    jobs: list[JobView]  # as they are now
    changed: int  # how many of them this is about
    more: bool  # jobs than one answer holds; all of them were changed


class OrderOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def pause(
        self, caller: Caller, selectors: Sequence[str], reason: str = "", *, stop_running: bool = False
    ) -> ChangedJobs:
        """From now on nothing more of these jobs starts, until somebody resumes them, and with `stop_running` what runs
        is frozen; counted are those that have not ended."""
        check_text("the reason", reason, MAX_PAUSE_REASON)
        pause = Pause(caller.identity.name, self._driver.clock().wall, reason, caller.is_admin, stop_running)
        return await self._change(caller, selectors, "pause", partial(JobsPaused, pause=pause))

    async def resume(self, caller: Caller, selectors: Sequence[str]) -> ChangedJobs:
        """From now on these jobs go on; counted are those that were paused. NotPermitted for a user where an admin
        paused one: of JOBS_AT_ONCE jobs all are resumed, or none."""
        event = partial(JobsResumed, by_admin=caller.is_admin)
        return await self._change(caller, selectors, "resume", event)

    async def set_priority(self, caller: Caller, selectors: Sequence[str], priority: int) -> ChangedJobs:
        """From now on these jobs have that priority; counted are those that had another one. NotPermitted for a user
        who would raise one: of JOBS_AT_ONCE jobs all are changed, or none."""
        return await self.set(caller, selectors, {"priority": priority})

    async def set(self, caller: Caller, selectors: Sequence[str], changes: Changes) -> ChangedJobs:
        """From now on these jobs have these options; counted are those that had others. Of JOBS_AT_ONCE jobs all are
        changed, or none, where an error says why one cannot be."""
        check_changes(changes)
        changes = changes_in_utc(changes, self._driver.clock().wall, UTC)
        event = partial(JobsChanged, changes=changes, by_admin=caller.is_admin)
        return await self._change(caller, selectors, "set", event)

    async def _change(
        self, caller: Caller, selectors: Sequence[str], verb: str, event: Callable[..., Event]
    ) -> ChangedJobs:
        numbers = await select_whole(self._driver, caller, selectors, verb)
        count, met = 0, dict[int, Job]()
        for at in range(0, len(numbers), JOBS_AT_ONCE):
            some = tuple(unfinished_of(self._driver, numbers[at : at + JOBS_AT_ONCE]))
            if some:
                met |= self._driver.peek(lambda core, some=some: {number: core.jobs[number] for number in some})  # type: ignore[misc]
                count += await self._driver.ask(partial(event, jobs=some))
            await asyncio.sleep(0)
        jobs, looked, _ = await page(self._driver, numbers, ended=met, after=True)
        return ChangedJobs(jobs, count, looked < len(numbers))


def check_priority(caller: Caller, spec: JobSpec) -> None:
    """NotPermitted for a priority that only an admin may give."""
    if spec.priority > 0 and not caller.is_admin:
        raise NotPermitted(f"--priority {spec.priority}: only an admin lets jobs go before others; give 0 or less")
