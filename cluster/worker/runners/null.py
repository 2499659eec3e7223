"""A runner that starts nothing: every attempt ends at once, and well. A measuring tool.

With it a worker costs next to nothing, so a benchmark sees what a task costs the scheduler: sessions, assigns, reports
and their commits are the real ones. `cluster worker --runner null`.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Item, Template
from cluster.worker.runners.interface import Connect, Reports, Runner

_TOOK = 1000  # microseconds that each attempt says to have run


class NullHello(NamedTuple):
    incarnation: str
    running: Sequence[str] = ()
    backlog: Sequence[str] = ()
    unacked: int = 0
    quiet: Mapping[str, float] = MappingProxyType({})
    limits_memory: bool = False
    frozen: Sequence[str] | None = None


class NullRunner:
    """Has no memory: after a restart it is another incarnation."""

    def __init__(self) -> None:
        self.hello = NullHello(uuid.uuid4().hex)
        self._seq = self._templates = 0
        self._unacked: dict[str, int] = {}  # key: number of the report of its end
        self._reports: asyncio.Queue[Reports | None] = asyncio.Queue()  # None: it has quit

    def define(self, template: Template) -> int:
        self._templates += 1
        return self._templates

    def redefine(self, template_id: int, template: Template) -> None:
        pass

    def start(self, template: int, items: Iterable[Item]) -> None:
        now = time.time_ns() // 1000
        reports: Reports = []
        for item in items:
            if item.key not in self._unacked:
                self._seq += 1
                self._unacked[item.key] = self._seq
                reports.append(Ended(self._seq, item.key, endings.OK, 0, None, now, _TOOK))
        if reports:
            self._reports.put_nowait(reports)

    def recall(self, keys: Iterable[str]) -> None:
        pass

    def stop(self, keys: Iterable[str], reason: str = endings.CANCELLED, grace: float | None = None) -> None:
        pass

    def freeze(self, keys: Iterable[str], thaw: bool = False) -> None:
        pass

    def confirm_lease(self, at: float) -> None:
        pass

    def ack(self, seq: int) -> None:
        for key, number in list(self._unacked.items()):  # in order of their numbers
            if number > seq:
                break
            del self._unacked[key]

    def quit(self, kill: bool = False) -> None:
        self._reports.put_nowait(None)

    async def batches(self) -> AsyncIterator[Reports]:
        while (reports := await self._reports.get()) is not None:
            yield reports

    async def close(self) -> None:
        pass


def null() -> Connect:
    """Another one each time."""

    async def connect() -> Runner:
        return NullRunner()

    return connect
