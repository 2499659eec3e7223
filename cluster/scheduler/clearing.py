"""Removes what is left of jobs that were deleted, and outputs that have expired, in pieces that hold up nobody: rows in
commits of some milliseconds, files in a thread. Then the database gives the file system the room back.

What is still to be removed is known by the store, so whatever a crash breaks off is taken up after it. Files that
belong to nothing any more (what a worker pushed when its job was just being deleted) are found by looking through
all of them, after a start and once a day.
"""

import asyncio
import logging

from cluster.domain.base.errors import ClusterError
from cluster.domain.scheduler.retention import FEWEST, RemainsDropped, RemainsGone, SpaceReturned, next_piece
from cluster.scheduler.driver import Driver
from cluster.scheduler.output.room import FilesRoom

logger = logging.getLogger(__name__)

ROWS_A_JOB = 8  # rows of each table that go in one commit, for each of the jobs that it is about
LEAST_FREE = 1 << 20  # bytes that the database keeps for what comes next
FREE_SHARE = 20  # the same as a share of what is used, one part of so many
PAGES_A_JOB = 4  # of the database that are returned in one commit, in the place of a job
LOOKED_AT = 100  # jobs whose files are looked at before anybody else is served
AGAIN = 5.0  # seconds after the disk has not answered


class Clearing:
    """Make it inside the event loop."""

    def __init__(self, driver: Driver, outputs: FilesRoom) -> None:
        self._driver, self._outputs = driver, outputs
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """There is something to be removed."""
        self._idle.clear()
        self._wake.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be removed, as far as is known."""
        return self._idle.is_set()

    async def done(self) -> None:
        """Returns when nothing is left to be removed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Goes on until it is cancelled, or nothing can be asked any more: then it raises Unreachable."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._remove()
                await self._return_room()
            except ClusterError as error:
                self._driver.check()
                logger.warning("what was deleted waits to be removed: %s", error)
                self._wake.set()
                await asyncio.sleep(AGAIN)
            if not self._wake.is_set():
                self._idle.set()

    async def _remove(self) -> None:
        jobs = FEWEST
        while True:
            most = jobs
            remains = await self._driver.fetch(lambda store: store.keeping.remains(most))  # noqa: B023 (asked at once)
            gone = RemainsGone(tuple(remains.deleted), tuple(remains.expired))
            for number in (*gone.deleted, *gone.expired):
                if self._outputs.has(number):
                    await asyncio.to_thread(self._outputs.remove, [number])
            if not (remains.more or gone.deleted or gone.expired):
                return
            began = self._driver.clock().mono
            await self._driver.save(gone, RemainsDropped(jobs, jobs * ROWS_A_JOB))
            took = self._driver.clock().mono - began
            jobs = next_piece(jobs, took)
            await asyncio.sleep(took)  # others have as long

    async def _return_room(self, least: int = LEAST_FREE) -> None:
        """Unless that is little: what comes next would take it again."""
        size = await self._driver.fetch(lambda store: store.keeping.size())
        if size.free <= max(least, size.used // FREE_SHARE):
            return
        jobs, free = FEWEST, size.free
        while free > 0:
            began = self._driver.clock().mono
            await self._driver.save(SpaceReturned(jobs * PAGES_A_JOB))
            took = self._driver.clock().mono - began
            left = (await self._driver.fetch(lambda store: store.keeping.size())).free
            if left >= free:  # a database that does not give back, or others have deleted more
                return
            free, jobs = left, next_piece(jobs, took)
            await asyncio.sleep(took)

    async def look_through_files(self) -> int:
        """Counts the room that files take, and removes those that belong to nothing any more; of how many jobs."""
        numbers = await asyncio.to_thread(self._outputs.begin_count)
        removed = 0
        for at in range(0, len(numbers), LOOKED_AT):
            some = numbers[at : at + LOOKED_AT]
            kept = set(await self._driver.fetch(lambda store, some=some: store.keeping.keeps_files(some)))  # type: ignore[misc]
            stray = [number for number in some if number not in kept]
            await asyncio.to_thread(self._outputs.count, some)
            for number in stray:
                await asyncio.to_thread(self._outputs.remove, [number])
            removed += len(stray)
            await asyncio.sleep(0)
        if removed:
            logger.info("removed output files of %d jobs that are not there any more", removed)
        return removed
