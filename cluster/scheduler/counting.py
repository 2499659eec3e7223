"""How many jobs and tasks there are in which state, of jobs that have not ended."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.job.states import COUNTED, TaskState
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.views import overall
from cluster.scheduler.driver import Driver

AT_ONCE = 200  # jobs that are counted before anybody else is served
SHARE = 0.02  # of the time that may go into counting


class LiveCounts(NamedTuple):
    jobs: Counter[TaskState]
    tasks: Counter[TaskState]
    paused: int  # jobs that are paused themselves


async def count_live(driver: Driver) -> LiveCounts:
    """Counts in pieces, so that nobody waits: jobs may change meanwhile."""
    jobs: Counter[TaskState] = Counter()
    tasks: Counter[TaskState] = Counter()
    paused = 0
    numbers = driver.peek(lambda core: list(core.jobs))
    for at in range(0, len(numbers), AT_ONCE):
        some = numbers[at : at + AT_ONCE]
        paused += driver.peek(lambda core, some=some: _count(core, some, jobs, tasks))  # type: ignore[misc]
        await asyncio.sleep(0)
    return LiveCounts(jobs, tasks, paused)


def _count(core: SchedulerCore, numbers: Sequence[int], jobs: Counter[TaskState], tasks: Counter[TaskState]) -> int:
    """Adds these, and answers how many of them are paused."""
    paused = 0
    for number in numbers:
        if (job := core.jobs.get(number)) is None:
            continue
        counts = {state: job.count(state) for state in COUNTED}
        jobs[overall(counts)] += 1
        tasks.update(counts)
        paused += job.pause is not None
    return paused


class RecentCounts:
    """The counts for whoever asks often: all get the same for 50 times as long as counting has taken."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._counts: LiveCounts | None = None
        self._good_until = 0.0  # monotonic seconds
        self._counting = asyncio.Lock()

    async def show(self) -> LiveCounts:
        async with self._counting:
            if self._counts is None or time.monotonic() >= self._good_until:
                began = time.monotonic()
                self._counts = await count_live(self._driver)
                ended = time.monotonic()
                self._good_until = ended + (ended - began) / SHARE
            return self._counts
