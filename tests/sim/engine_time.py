"""Simulated time for what runs in an event loop of asyncio: it goes on when nobody has anything left to do.

What blocks (an engine's calls, the disk) is done at once, at its own moment, and answered at a later one. A loop that
is dropped between two moments is a process that was killed: nothing of it goes on, but what was on its way.
"""

import asyncio
import selectors
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

START = 1_700_000_000.0


class Stuck(AssertionError):
    """All wait for each other."""


class Killed(BaseException):
    """The process of this loop is no more."""


class Time:
    """The clocks, and all that is to happen outside of any process. It stands for the module `time`, too."""

    CLOCK_BOOTTIME = 7

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0  # seconds since START
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        heappush(self._due, (self.now + seconds, next(self._numbers), what))

    def go_on(self, most: float | None) -> None:
        """To what is due next, which happens; or for `most` seconds, if nothing is due before. None: as long as it
        takes."""
        until = None if most is None else self.now + most
        if self._due and (until is None or self._due[0][0] <= until):
            when, _, what = heappop(self._due)
            self.now = max(self.now, when)
            what()
        elif until is None:
            raise Stuck("nothing is due, and nobody has anything to do")
        else:
            self.now = until

    # -- as the module has them

    def time(self) -> float:
        return START + self.now

    def time_ns(self) -> int:
        return round((START + self.now) * 1e9)

    def clock_gettime(self, _: int) -> float:
        return self.now + 1000.0


class _Selector(selectors.SelectSelector):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time, self.is_dead = time, False

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and not self.is_dead and (timeout is None or timeout > 0):
            self._time.go_on(timeout)
        return found


class Process(asyncio.SelectorEventLoop):
    """`survives`: whether a call that was under way when the process is killed is done all the same."""

    def __init__(self, time: Time, survives: Callable[[Callable[..., Any]], bool]) -> None:
        self._clock = _Selector(time)
        super().__init__(self._clock)
        self._time, self._survives = time, survives
        self.is_dead = False
        self.set_exception_handler(self._note)
        self.wrong: BaseException | None = None

    def time(self) -> float:
        return self._time.now

    def run_in_executor(  # type: ignore[override] # (of any function)
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        future: asyncio.Future[Any] = self.create_future()

        def answer(how: Callable[[Any], None], what: Any) -> None:
            if not self.is_dead and not future.cancelled():
                how(what)

        def done() -> None:
            if self.is_dead and not self._survives(func):
                return
            try:
                result = func(*args)
            except Exception as error:
                said = error
                self._time.after(self._delay(), lambda: answer(future.set_exception, said))
            else:
                self._time.after(self._delay(), lambda: answer(future.set_result, result))

        self._time.after(self._delay(), done)
        return future

    def _delay(self) -> float:
        return self._time.random.choice((0.001, 0.01, 0.1, 0.4)) * self._time.random.random()

    def _note(self, _: Any, context: dict[str, Any]) -> None:
        """Of a task that failed; what a dead process leaves behind is none of our affair."""
        if not self.is_dead and "exception" in context:
            self.wrong = context["exception"]

    def live(self, body: Any) -> bool:
        """Until it is done, or the process killed: False."""
        asyncio.set_event_loop(self)
        main = self.create_task(body)
        try:
            self.run_until_complete(main)
        except Killed:
            return False
        finally:
            self.is_dead = self._clock.is_dead = True
            left = asyncio.all_tasks(self)
            for task in left:  # so that nothing is left of it here; what it does meanwhile nobody sees
                task.cancel()
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            asyncio.set_event_loop(None)
            self.close()
        return True
