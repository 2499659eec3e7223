"""What a scheduler that stands by on Redis does meanwhile: it keeps a copy of the rows up to date, so that a takeover
reads what has changed since, however many there are."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from cluster.domain.base.errors import ClusterError
from cluster.domain.scheduler.leadership import Tenure
from cluster.store.interface import StoreTroubled
from cluster.store.redis.store import RedisStore

logger = logging.getLogger(__name__)

_EVERY = 0.5  # seconds
_AGAIN = 20.0  # seconds until it is tried anew where it cannot be done


class ReadAhead:
    """The copy of one process."""

    def __init__(self, open_copy: Callable[[], RedisStore | None]) -> None:
        """`open_copy` makes one of what is there; None where no cluster is there yet. It blocks."""
        self._open = open_copy
        self._store: RedisStore | None = None
        self._is_taken = False
        self._lock = threading.Lock()  # it is read in one thread, and taken in another

    async def keep(self) -> None:
        """Until it is cancelled. What is begun then goes on until it is done, and `take` waits for it."""
        while True:
            try:
                await asyncio.to_thread(self._step)
            except StoreTroubled as error:  # who waits for the lead says so
                logger.debug("%s", error)
            except ClusterError as error:
                logger.warning(
                    "jobs cannot be read before this scheduler leads, so its takeover is to take longer: %s", error
                )
                await asyncio.sleep(_AGAIN)
            await asyncio.sleep(_EVERY)

    def take(self, tenure: Tenure) -> RedisStore | None:
        """The store, for the caller to load and to close; None where nothing was read. Blocks."""
        with self._lock:
            self._is_taken = True
            store, self._store = self._store, None
        if store:
            store.serve_in(tenure)
        return store

    def close(self) -> None:
        with suppress(ClusterError):
            if store := self.take(Tenure(0, "")):
                store.close()

    def _step(self) -> None:
        with self._lock:
            if self._is_taken:
                return
            if self._store is None:
                self._store = self._open()
                return
            try:
                self._store.follow()
            except StoreTroubled:
                raise
            except ClusterError:
                store, self._store = self._store, None
                store.close()
                raise
