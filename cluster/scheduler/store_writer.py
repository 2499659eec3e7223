"""Brings to disk what turns have decided: in order, and again and again while the store fails for a while.

There is one batch that is being written (`trying`), and one for all that was decided since (`held`). When a commit has
failed, the next one takes both: so the disk never has a later turn without the earlier ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from cluster.domain.scheduler.effects import Decided
from cluster.domain.scheduler.uncommitted import Waiting
from cluster.store.interface import Item, Store, StoreTroubled

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds before a commit that failed is tried again; each is twice the last
HANGS = 5.0  # seconds after which a commit that has not returned is called trouble


class Turns(Waiting):
    """What some turns have decided, and who waits until it is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[asyncio.Future[None]] = []

    def absorb(self, later: Waiting) -> None:
        super().absorb(later)
        assert isinstance(later, Turns)
        self.done += later.done


class StoreWriter:
    """Make it inside the event loop. `landed` gets what has come to disk; `news` is called when anything changes."""

    def __init__(self, store: Store, landed: Callable[[Turns], Awaitable[None]], news: Callable[[], None]) -> None:
        self.failure: Exception | None = None  # why nothing will ever be written any more
        self.trying, self.held = Turns(), Turns()
        self._store = store
        self._landed = landed
        self._news = news
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "store-writer")
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""
        self._troubled_since = self._tried_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether memory is ahead of the disk."""
        return self._task is not None

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now; "" when it can, as far as is known."""
        if self._task is not None and not self._trouble and self._loop.time() - self._tried_at > HANGS:
            return f"the disk of the scheduler's database has not answered for {HANGS:g} s"
        return self._trouble

    @property
    def weight(self) -> int:
        return self.trying.weight + self.held.weight

    def begin(self) -> None:
        """Brings to disk that this scheduler has taken over the data, if that could not be done when it did."""
        if not self._store.claimed:
            self.add(Decided([], []), [], [])

    def add(self, decided: Decided, items: Iterable[Item], done: list[asyncio.Future[None]]) -> None:
        """One more turn. It is written with the next commit."""
        self.held.add(decided, items)
        self.held.done += done
        if self._task is None:
            self._take_held()
            self._tried_at = self._loop.time()
            self._task = asyncio.create_task(self._write())

    def forget(self, session: int) -> None:
        for turns in (self.trying, self.held):
            turns.forget(session)

    async def close(self) -> None:
        """Waits for a commit that is under way."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    def _take_held(self) -> None:
        self.trying, self.held = self.held, Turns()

    async def _write(self) -> None:
        try:
            while self.trying or self.trying.done or not self._store.claimed:
                await self._write_trying()
                turns = self.trying
                self._take_held()
                self._heal()
                await self._landed(turns)
        except Exception as error:
            self.failure = error
        else:
            self._task = None
        self._news()

    async def _write_trying(self) -> None:
        """Returns when all of `trying` is on disk."""
        pause = FIRST_PAUSE
        while self.trying.saves or not self._store.claimed:
            self._tried_at = self._loop.time()
            try:
                await self._loop.run_in_executor(self._thread, self._store.commit, self.trying.saves)
                return
            except StoreTroubled as error:
                self._fall_ill(str(error))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            self.trying.absorb(self.held)
            self.held = Turns()

    def _fall_ill(self, why: str) -> None:
        if not self._trouble:
            self._troubled_since = self._loop.time()
        if why != self._trouble:
            logger.warning("%s; nothing new is accepted, and it is tried again; what runs goes on", why)
            self._trouble = why
            self._news()

    def _heal(self) -> None:
        if self._trouble:
            took = self._loop.time() - self._troubled_since
            logger.info("the database can be written again, after %.1f s, and nothing was lost", took)
            self._trouble = ""
