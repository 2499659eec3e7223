"""A launcher that starts nothing: every attempt ends at once, and well. A measuring tool.

With it a worker costs next to nothing, so a benchmark sees what a task costs the scheduler: sessions, assigns, reports
and their commits are the real ones. `cluster worker --null-launcher`.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable

from cluster.domain.launcher.messages import Ended, Item, Template
from cluster.launcher.client import LauncherHello, Reports


class NullLauncher:
    """Has no memory: after a restart it is another incarnation."""

    def __init__(self) -> None:
        self.hello = LauncherHello(uuid.uuid4().hex, "", 0, -1, 0, 0, [], [])
        self._seq = 0
        self._reports: asyncio.Queue[Reports | None] = asyncio.Queue()  # None: it has quit

    def define(self, template: Template) -> int:
        return 0

    def redefine(self, template_id: int, template: Template) -> None:
        pass

    def start(self, template: int, items: Iterable[Item]) -> None:
        now = time.time_ns() // 1000
        reports: Reports = []
        for item in items:
            self._seq += 1
            reports.append(Ended(self._seq, item.key, "ok", 0, None, now, 1000))
        self._reports.put_nowait(reports)

    def recall(self, keys: Iterable[str]) -> None:
        pass

    def stop(self, keys: Iterable[str], reason: str = "cancelled", grace: float | None = None) -> None:
        pass

    def confirm_lease(self, at: float) -> None:
        pass

    def ack(self, seq: int) -> None:
        pass

    def quit(self, kill: bool = False) -> None:
        self._reports.put_nowait(None)

    async def batches(self) -> AsyncIterator[Reports]:
        while (reports := await self._reports.get()) is not None:
            yield reports

    async def close(self) -> None:
        pass
