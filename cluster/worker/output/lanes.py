"""Blocking calls on files that belong to jobs, in threads: such a file may hang, and must stall nobody but its readers.

Each job has a lane, whose calls happen one after another: so a descriptor is never closed beneath a read, and a job
whose files hang holds one thread, never all of them. A few threads serve all lanes; one that hangs is not counted any
more, and another takes its place.
"""

import asyncio
import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")

THREADS = 8  # that work; those that hang come on top
STUCK = 2.0  # seconds after which a call counts as one that hangs
PATIENCE = 60.0  # seconds that a caller waits for one


class Lanes:
    """The lanes of one event loop; `close` lets the threads go that do not hang."""

    def __init__(self, threads: int = THREADS) -> None:
        self._most = threads
        self._calls: dict[
            Hashable, deque[Callable[[], None]]
        ] = {}  # of lanes that have any, the first may be under way
        self._ready: deque[Hashable] = deque()  # lanes that no thread serves and that have calls
        lock = threading.Lock()
        self._changed, self._emptied = threading.Condition(lock), threading.Condition(lock)
        self._idle = 0
        self._busy: dict[int, float] = {}  # by thread: since when it is in a call, on the monotonic clock
        self._closed = False
        self._watched = False  # whether it is going to be looked whether threads hang

    async def run(self, lane: Hashable, call: Callable[[], T], patience: float = PATIENCE) -> T:
        """What the call answers or raises, when those before it in its lane are done. OSError where that takes longer
        than `patience` seconds; the call goes on unseen."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # its caller's, not this thread's
                _tell(loop, future, partial(future.set_exception, error))
            else:
                _tell(loop, future, partial(future.set_result, result))

        self.post(lane, work)
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            done, _ = await asyncio.wait([future], timeout=min(left, STUCK))
            if done:
                return future.result()
            self._relieve()
        future.cancel()
        raise OSError(errno.ETIMEDOUT, "its file does not answer")

    def post(self, lane: Hashable, call: Callable[[], None]) -> None:
        """Puts a call into a lane, without waiting for it. It must not raise."""
        with self._changed:
            calls = self._calls.get(lane)
            if calls is not None:
                calls.append(call)
                return
            self._calls[lane] = deque([call])
            self._ready.append(lane)
            self._changed.notify()
        self._relieve()
        self._look_again()

    def _look_again(self) -> None:
        """Nobody waits for what is posted: while a lane waits for a thread, it is looked whether those that there are
        hang."""
        with self._changed:
            if self._watched or self._closed or len(self._ready) <= self._idle:
                return
            self._watched = True
        timer = threading.Timer(STUCK, self._relieve_again)
        timer.daemon = True
        with suppress(RuntimeError):  # no thread is left in this machine
            timer.start()
            return
        self._watched = False

    def _relieve_again(self) -> None:
        self._relieve()
        self._watched = False
        self._look_again()

    def finish(self, patience: float) -> bool:
        """Closes it, and waits until all is done. Blocks. False where that takes longer than so many seconds."""
        with self._changed:
            finished = self._emptied.wait_for(lambda: not self._calls, patience)
        self.close()
        return finished

    def close(self) -> None:
        """What is under way or waits is still done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _relieve(self) -> None:
        """One more thread where lanes wait and all that do not hang are busy."""
        now = time.monotonic()
        with self._changed:
            working = sum(now - since < STUCK for since in self._busy.values())
            if len(self._ready) > self._idle and working + self._idle < self._most:
                with suppress(RuntimeError):  # no thread is left in this machine: those that there are do it
                    threading.Thread(target=self._serve, name="files", daemon=True).start()
                    self._idle += 1

    def _serve(self) -> None:
        me = threading.get_ident()
        while True:
            with self._changed:
                while not self._ready:
                    if self._closed or self._idle > self._most:
                        self._idle -= 1
                        return
                    self._changed.wait()
                lane = self._ready.popleft()
                call = self._calls[lane][0]
                self._idle -= 1
                self._busy[me] = time.monotonic()
            call()
            with self._changed:
                self._idle += 1
                del self._busy[me]
                calls = self._calls[lane]
                calls.popleft()
                if calls:
                    self._ready.append(lane)
                else:
                    del self._calls[lane]
                    self._emptied.notify_all()


def _tell(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", tell: Callable[[], None]) -> None:
    def now() -> None:
        if not future.done():  # else nobody waits for it any more
            tell()

    with suppress(RuntimeError):  # the loop is closed: the same
        loop.call_soon_threadsafe(now)
