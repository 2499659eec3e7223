"""Stops attempts that have written nothing for too long (`cluster.domain.worker.quiet`)."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.messages import Started
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.quiet import QuietClocks, Written
from cluster.worker.output.files import STREAMS, Outputs
from cluster.worker.output.lanes import Lanes

logger = logging.getLogger(__name__)

FILES_AT_ONCE = 500  # that one call in a lane looks at
PAUSE = 1.0  # seconds until files that did not answer are looked at again


class QuietWatch:
    """Use it from one event loop. It sleeps until a clock may be over, and for good while there is none."""

    def __init__(self, outputs: Outputs, lanes: Lanes, stop: Callable[[Iterable[AttemptKey]], None]) -> None:
        self._outputs = outputs
        self._lanes = lanes
        self._stop = stop
        self._clocks = QuietClocks()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def heard(self, reports: Sequence[JournalEntry], limit_of: Callable[[AttemptKey], float]) -> None:
        """Attempts have begun and ended."""
        for key, what in reports:
            if isinstance(what, Started):
                self.begin(key, limit_of(key))
            else:
                self._clocks.forget(key)

    def begin(self, key: AttemptKey, limit: float) -> None:
        """It runs, and is to be stopped when it writes nothing for so many seconds; 0: never."""
        if not limit:
            return
        self._clocks.begin(key, limit, time.monotonic())
        self._look_again()

    @property
    def watches(self) -> bool:
        """Whether it knows of any attempt."""
        return bool(self._clocks)

    def freeze(self, keys: Iterable[AttemptKey], *, thaw: bool = False) -> None:
        """Their clocks stand still from now on; with `thaw`, they go on."""
        for key in keys:
            self._clocks.freeze(key, time.monotonic(), thaw=thaw)
        self._look_again()

    def _look_again(self) -> None:
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while (due := self._clocks.due()) is not None:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._wake.wait()
            over = self._clocks.over(time.monotonic())
            for at in range(0, len(over), FILES_AT_ONCE):
                await self._look(over[at : at + FILES_AT_ONCE])

    async def _look(self, keys: list[AttemptKey]) -> None:
        try:
            found = await self._lanes.run(self, lambda: [(key, self._written(key)) for key in keys])
        except OSError as error:
            logger.warning("it cannot be known whether attempts write anything: %s", error.strerror)
            await asyncio.sleep(PAUSE)
            return
        now = time.monotonic()
        quiet = [key for key, written in found if self._clocks.looked(key, written, now)]
        for key in quiet:
            self._clocks.forget(key)
        if quiet:
            self._stop(quiet)

    def _written(self, key: AttemptKey) -> Written:
        """Blocks."""
        length, latest = 0, 0.0
        for suffix in STREAMS:
            with suppress(FileNotFoundError):  # nothing was written, or it has ended
                status = os.lstat(self._outputs.path(key, suffix))
                length, latest = length + status.st_size, max(latest, status.st_mtime)
        return Written(length, time.time() - latest)
