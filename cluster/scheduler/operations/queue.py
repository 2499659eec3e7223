"""The queue: whether anything starts, of all jobs that are there and that come."""

from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.job.pause import Pause
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import QueuePaused, QueueResumed, ShareWeighed
from cluster.domain.scheduler.sharing import LEAST_WEIGHT, MOST_WEIGHT, ShareRecord
from cluster.domain.trust.identity import Caller
from cluster.domain.trust.users import UserRecord
from cluster.scheduler.counting import LiveCounts, RecentCounts
from cluster.scheduler.driver import Driver
from cluster.scheduler.message_checks import check_text
from cluster.scheduler.operations.ordering import MAX_PAUSE_REASON


class QueueView(NamedTuple):
    pause: Pause | None
    jobs: int  # that have not ended
    paused_jobs: int  # those of them that are paused themselves
    shares: list[ShareRecord]  # of users who have had anything, the next to go first
    counts: LiveCounts | None = None  # of the jobs; None: they were not asked for


class QueueOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._counts = RecentCounts(driver)

    async def show(self) -> QueueView:
        """The queue as it is now."""
        counts = await self._counts.show()
        return (await self._driver.read(self._view))._replace(counts=counts)

    async def pause(self, caller: Caller, reason: str = "") -> QueueView:
        """From now on nothing starts, until somebody resumes it; jobs are accepted, and what runs goes on."""
        check_text("the reason", reason, MAX_PAUSE_REASON)
        now, by_admin = self._driver.clock().wall, caller.is_admin
        pause = Pause(caller.identity.name, now, reason, by_admin)
        await self._driver.ask(lambda ask: QueuePaused(ask, pause))
        return await self._driver.read_after(self._view)

    async def set_share(self, name: str, weight: float) -> QueueView:
        """From now on what that user has had is divided by that weight. NotFound, InvalidInput."""
        check_text("the name", name)
        if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
            raise InvalidInput(f"a share of {weight:g}: use {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}; the usual one is 1")
        owner = _owner_of(name, await self._driver.fetch(lambda store: store.users()))
        await self._driver.ask(lambda ask: ShareWeighed(ask, owner, weight))
        return await self._driver.read_after(self._view)

    async def resume(self) -> QueueView:
        """From now on jobs start again. A queue that nobody paused stays as it is."""
        await self._driver.ask(QueueResumed)
        return await self._driver.read_after(self._view)

    def _view(self, core: SchedulerCore) -> QueueView:
        jobs, now = list(core.unfinished()), self._driver.clock()
        paused = sum(job.pause is not None for job in jobs)
        return QueueView(core.queue_pause, len(jobs), paused, core.shares.records(now.mono, now.wall))


def _owner_of(name: str, users: Sequence[UserRecord]) -> str:
    """The id of who has that name now. NotFound."""
    found = [user.id for user in users if user.name == name and user.revoked is None]
    if not found:
        raise NotFound(f"there is no user {name!r}; `cluster user list` shows those there are")
    return found[0]
