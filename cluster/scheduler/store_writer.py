"""Brings to disk what turns have decided, in a thread: again and again while the store fails for a while."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cluster.domain.base.durations import Durations
from cluster.scheduler.commit_pipeline import CommitPipeline
from cluster.store.interface import Store, StoreTroubled

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds before a commit that failed is tried again; each is twice the last
HANGS = 5.0  # seconds after which a commit that has not returned is called trouble


class StoreWriter:
    """Make it inside the event loop. `news` is called when anything changes."""

    def __init__(self, store: Store, pipeline: CommitPipeline, news: Callable[[], None]) -> None:
        self.failure: Exception | None = None  # why nothing will ever be written any more
        self.commit_seconds = Durations()
        self._store = store
        self._pipeline = pipeline
        self._news = news
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "store-writer")
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""
        self._troubled_since = self._tried_at = 0.0

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now; "" when it can, as far as is known."""
        if self._pipeline.committing and not self._trouble and self._loop.time() - self._tried_at > HANGS:
            return f"the disk of the scheduler's database has not answered for {HANGS:g} s"
        return self._trouble

    def begin(self) -> None:
        """Brings to disk what the pipeline tries, and what it tries next."""
        self._tried_at = self._loop.time()
        self._task = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Waits for a commit that is under way."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    async def _write(self) -> None:
        try:
            while self._pipeline.committing:
                await self._write_trying()
                self._heal()
                for _ in self._pipeline.land():
                    await asyncio.sleep(0)
                self._news()
        except Exception as error:
            self.failure = error
            self._news()

    async def _write_trying(self) -> None:
        """Returns when all that is tried is on disk, and it was lately that the store was ours."""
        pause = FIRST_PAUSE
        while self._pipeline.trying.saves or not self._store.claimed or not self._pipeline.is_proved:
            self._tried_at, began = self._loop.time(), self._pipeline.clock().mono
            try:
                await self._loop.run_in_executor(self._thread, self._store.commit, self._pipeline.trying.saves)
                self.commit_seconds.add(self._loop.time() - self._tried_at)
                self._pipeline.proved(began)
                return
            except StoreTroubled as error:
                self._fall_ill(str(error))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            self._pipeline.try_again()

    def _fall_ill(self, why: str) -> None:
        if not self._trouble:
            self._troubled_since = self._loop.time()
        if why != self._trouble:
            logger.warning("%s; nothing new is accepted, and it is tried again; what runs goes on", why)
            self._trouble = why
            self._pipeline.go_ahead()
            self._news()

    def _heal(self) -> None:
        if self._trouble:
            took = self._loop.time() - self._troubled_since
            logger.info("the database can be written again, after %.1f s, and nothing was lost", took)
            self._trouble = ""
