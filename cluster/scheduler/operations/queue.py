"""The queue: whether anything starts, of all jobs that are there and that come."""

from typing import NamedTuple

from cluster.domain.job.pause import Pause
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import QueuePaused, QueueResumed
from cluster.domain.trust.identity import Caller
from cluster.scheduler.driver import Driver
from cluster.scheduler.message_checks import check_text
from cluster.scheduler.operations.pausing import MAX_PAUSE_REASON


class QueueView(NamedTuple):
    pause: Pause | None
    jobs: int  # that have not ended
    paused_jobs: int  # those of them that are paused themselves


class QueueOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def show(self) -> QueueView:
        """The queue as it is now."""
        return await self._driver.read(_view)

    async def pause(self, caller: Caller, reason: str = "") -> QueueView:
        """From now on nothing starts, until somebody resumes it; jobs are accepted, and what runs goes on."""
        check_text("the reason", reason, MAX_PAUSE_REASON)
        now, by_admin = self._driver.clock().wall, caller.is_admin
        pause = Pause(caller.identity.name, now, reason, by_admin)
        await self._driver.ask(lambda ask: QueuePaused(ask, pause))
        return await self._driver.read_after(_view)

    async def resume(self) -> QueueView:
        """From now on jobs start again. A queue that nobody paused stays as it is."""
        await self._driver.ask(QueueResumed)
        return await self._driver.read_after(_view)


def _view(core: SchedulerCore) -> QueueView:
    jobs = list(core.unfinished())
    return QueueView(core.queue_pause, len(jobs), sum(job.pause is not None for job in jobs))
