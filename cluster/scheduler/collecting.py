"""Contents that nobody uses go, a few at a time, beside everything else."""

import asyncio
import logging
from functools import partial

from cluster.domain.base.errors import ClusterError
from cluster.scheduler.driver import Driver
from cluster.scheduler.inheriting import pass_on
from cluster.store.contents.interface import Contents
from cluster.store.interface import Store

logger = logging.getLogger(__name__)

EVERY = 3600.0  # seconds between two rounds; the first comes after one
AT_ONCE = 1000  # contents, or jobs, that are looked at together
PAUSE = 0.05  # seconds between two steps of a round: others want the disk, too


class Collecting:
    def __init__(self, driver: Driver, contents: Contents) -> None:
        self._driver = driver
        self._contents = contents

    async def run(self) -> None:
        """Rounds without end. What cannot be done is told in the log, and done by a later one."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.round()
            except (ClusterError, OSError) as error:
                logger.warning("files that no job uses cannot be removed: %s", error)

    async def round(self) -> None:
        """Releases what was to be used by jobs that were never accepted, then removes all whose time is over."""
        since = self._driver.clock().wall - EVERY
        after = ""
        while users := await asyncio.to_thread(self._contents.users, after, since, AT_ONCE):
            for job_id, deleted in await self._driver.fetch(partial(_unknown, users)):
                if self._driver.peek(lambda core, job_id=job_id: core.job_of_id(job_id)) is None:  # type: ignore[misc]
                    if deleted:  # and a crash came before it let go
                        await pass_on(self._driver, self._contents, {deleted: job_id})
                    await asyncio.to_thread(self._contents.release, job_id)
            after = users[-1]
            await asyncio.sleep(PAUSE)
        await collect_all(self._contents)
        await asyncio.to_thread(self._contents.tidy)


async def collect_all(contents: Contents) -> None:
    """Removes all whose time is over."""
    collected = AT_ONCE
    while collected == AT_ONCE:
        collected = await asyncio.to_thread(contents.collect, AT_ONCE)
        await asyncio.sleep(PAUSE)


def _unknown(job_ids: list[str], store: Store) -> list[tuple[str, int]]:
    """Those that are no jobs; with their numbers those that were deleted, else 0."""
    unknown = [job_id for job_id in job_ids if store.number_of_id(job_id) is None]
    stones = ((job_id, store.keeping.tombstone_of_id(job_id)) for job_id in unknown)
    return [(job_id, stone.number if stone else 0) for job_id, stone in stones]
