"""How long callers wait for the disk, and work that goes on to its end when they wait no longer."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from cluster.domain.base.errors import Unreachable

T = TypeVar("T")

PATIENCE = 10.0  # seconds that a caller waits for a disk in trouble before it is told that nobody knows
LONGEST_READ = 30.0  # seconds that a caller waits for what it asks of the disk; a question takes milliseconds

_patient: ContextVar[bool] = ContextVar("patient", default=False)  # whether this task waits as long as it takes


class Patience:
    """Waits for one disk, no longer than callers would. `trouble`: why nothing can be written now; empty: it can."""

    def __init__(self, trouble: Callable[[], str]) -> None:
        self._trouble = trouble
        self.under_way: set[asyncio.Future[Any]] = set()  # what must be done whole

    async def wait(self, answer: asyncio.Future[T]) -> T:
        """What it is resolved with. Unreachable if the disk keeps it waiting for long; it may be resolved later."""
        while True:
            await asyncio.wait([answer], timeout=PATIENCE)
            if answer.done():
                return answer.result()
            if not _patient.get() and (trouble := self._trouble()):
                raise Unreachable(f"this is under way, but not on disk yet: {trouble}; look later what became of it")

    async def wait_for_read(self, answer: asyncio.Future[T]) -> T:
        """What the disk answers. Unreachable if it does not for long; then nobody waits for that answer any more."""
        try:
            await asyncio.wait([answer], timeout=None if _patient.get() else LONGEST_READ)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        why = f"the disk of the scheduler's database has not answered for {LONGEST_READ:g} s"
        raise Unreachable(f"this cannot be looked up just now: {why}; try again later")

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Does all of the work, also when the caller breaks off, is cut, or hears Unreachable: each `wait` in it lasts
        until the disk has healed, and then the work goes on."""
        task = asyncio.create_task(_patiently(work))
        self.under_way.add(task)
        task.add_done_callback(self._ended)
        return await self.wait(task)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.under_way.discard(task)
        if not task.cancelled():
            task.exception()  # it counts as seen, even if its caller has gone


async def _patiently(work: Coroutine[Any, Any, T]) -> T:
    _patient.set(True)
    return await work
