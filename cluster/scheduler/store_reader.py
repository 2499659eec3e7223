"""Asks the store in a thread. Going there and back takes longer than most questions: those that come while it is being
asked go there together.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from cluster.domain.base.errors import Unreachable
from cluster.store.interface import Store

T = TypeVar("T")

QUICK = 0.002  # seconds of questions whose answers go back together

Query = Callable[[Store], Any]
Answered = tuple[asyncio.Future[Any], Any, BaseException | None]


class StoreReader:
    """Make it inside the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "store-reader")
        self._gathering: list[tuple[Query, asyncio.Future[Any]]] = []
        self._asking = False

    def ask(self, query: Callable[[Store], T]) -> "asyncio.Future[T]":
        """What the store answers, or raises. Who cancels it in time is not asked for."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._gathering.append((query, answer))
        if not self._asking:
            self._begin()
        return answer

    def close(self) -> None:
        """Waits for what is being asked. Nobody may ask any more."""
        self._thread.shutdown()

    def _begin(self) -> None:
        asked, self._gathering = self._gathering, []
        try:
            self._thread.submit(self._answer, asked)
            self._asking = True
        except RuntimeError:  # it is closed
            self._told([(answer, None, Unreachable("the scheduler has stopped")) for _, answer in asked], ended=True)

    def _answer(self, asked: list[tuple[Query, asyncio.Future[Any]]]) -> None:
        """In the thread."""
        answered: list[Answered] = []
        began = time.monotonic()
        for query, answer in asked:
            if answer.cancelled():
                continue
            try:
                answered.append((answer, query(self._store), None))
            except Exception as error:
                answered.append((answer, None, error))
            if time.monotonic() - began > QUICK:
                self._tell(answered, ended=False)
                answered, began = [], time.monotonic()
        self._tell(answered, ended=True)

    def _tell(self, answered: list[Answered], *, ended: bool) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._told, answered, ended)

    def _told(self, answered: list[Answered], ended: bool) -> None:
        for answer, value, error in answered:
            if answer.done():
                continue
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)
        if ended:
            self._asking = False
            if self._gathering:
                self._begin()
