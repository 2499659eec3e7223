"""`cluster top` while it runs: events wake it, and what it costs decides how soon it looks again."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from cluster.cli.exit_codes import INTERRUPTED
from cluster.cli.top.cluster_side import change, failed_since, followed, look, opened
from cluster.cli.top.keys import KeyReader
from cluster.cli.top.model import LATELY, Intent, Model, View
from cluster.cli.top.screen import Screen
from cluster.client.aio import AsyncClient
from cluster.domain.base.errors import (
    ClusterError,
    InvalidInput,
    NotAuthenticated,
    NotPermitted,
    Unreachable,
    Untrusted,
)

SHARE = 0.02  # of a core that looking and drawing may take
SOON, CLOCK, SLOW_CLOCK = 0.1, 2.0, 10.0  # seconds: after an event; while something goes on, for rates; else
AGAIN = 1.0  # seconds until another try where nobody answers
ESCAPE = 0.1  # seconds after which an escape that nothing follows is a key
CLOSED = (NotAuthenticated, NotPermitted, Untrusted)  # which no further try changes


class Top:
    def __init__(self, model: Model, screen: Screen, connect: Callable[[], AsyncClient]) -> None:
        self._model, self._screen, self._connect = model, screen, connect
        self._client: AsyncClient | None = None
        self._counted = 0.0  # seconds of cpu of this process that pauses have been made for
        self._stale = asyncio.Event()  # something has happened in the cluster
        self._to_draw = asyncio.Event()
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._keys = KeyReader()
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """The exit code to leave with; minus a signal's number where that ended it. ClusterError where the cluster lets
        nobody like us in."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._repaint)
        loop.add_signal_handler(signal.SIGCONT, self._repaint)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            loop.add_signal_handler(number, self._leave, -number)
        loop.add_signal_handler(signal.SIGINT, self._leave, INTERRUPTED)
        self._enter()
        try:
            self._draw()
            self._begin(self._keep_drawn())
            self._begin(self._work())
            return await self._end
        finally:
            for task in self._tasks:
                task.cancel()
            self._screen.leave()

    def _enter(self) -> None:
        loop = asyncio.get_running_loop()
        self._screen.enter(loop, self._pressed, lambda: self._leave(-signal.SIGHUP), self._to_draw.set)

    def absence(self, error: Unreachable | None) -> None:
        """There is no answer, or there is one again."""
        words = str(error) if error else ""
        if words != self._model.absent:
            self._model.absent = words
            self._to_draw.set()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._end.done():
            self._end.set_exception(error)

    def _leave(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _work(self) -> None:
        self._client = self._connect()
        self._begin(self._follow_events(self._client))
        await self._keep_looking(self._client)

    async def _follow_events(self, client: AsyncClient) -> None:
        """Wakes whoever looks whenever something happens."""
        since: int | None = None
        while True:
            try:
                async with aclosing(client.events(since=since, follow=True)) as events:
                    async for event in events:
                        since = event.sequence
                        if event.kind == "job.ended" and event.state == "failed":
                            self._model.failures.append(event.at)
                        self._stale.set()
            except CLOSED:
                return  # looking tells it, where it matters
            except InvalidInput:
                if since is None:
                    return  # a worker that stands alone tells of no events
                since = None  # the scheduler is another than before
            except ClusterError as error:
                self.absence(error if isinstance(error, Unreachable) else None)
            await asyncio.sleep(AGAIN)

    async def _keep_looking(self, client: AsyncClient) -> None:
        model, first = self._model, True
        self._counted = time.process_time()
        while True:
            self._stale.clear()
            try:
                seen = await look(client, model.filter)
                model.see(*seen, time.time())
                if first:  # it is on the screen before more is asked
                    self._to_draw.set()
                    model.failures = await failed_since(client, time.time() - LATELY)
                if model.view is View.JOB:
                    await self._open(client, model.opened)
                first = False
                self.absence(None)
            except CLOSED:
                raise
            except Unreachable as error:
                self.absence(error)
            except ClusterError as error:
                model.message = str(error)
            self._to_draw.set()
            goes_on = any(not job.state.ended for job in model.jobs)
            await self._pause(CLOCK if goes_on else SLOW_CLOCK)

    async def _pause(self, clock: float) -> None:
        """Until something happens or the clock says so, and for so long that SHARE of a core is kept by all that was
        done since the pause before: drawing and the events too."""
        before, self._counted = self._counted, time.process_time()
        await asyncio.sleep(max(SOON, (self._counted - before) / SHARE))
        if self._model.absent:
            await asyncio.sleep(AGAIN)
            return
        try:
            await asyncio.wait_for(self._stale.wait(), clock)
            await asyncio.sleep(SOON / 2)  # what happens at once is seen at once
        except TimeoutError:
            pass

    async def _open(self, client: AsyncClient, number: str) -> None:
        try:
            found = await opened(client, number)
        except Unreachable:
            raise
        except ClusterError as error:
            self._model.message, self._model.view = str(error), View.LISTS
            return
        if self._model.opened == number:
            self._model.open_job = found

    async def _opening(self, number: str) -> None:
        if self._client is None:
            return
        try:
            await self._open(self._client, number)
        except Unreachable as error:
            self.absence(error)
        self._to_draw.set()

    async def _follow(self, number: str) -> None:
        """Follows the output of a job for as long as that is shown."""
        while self._client is not None:
            begin = time.process_time()
            try:
                async with aclosing(followed(self._client, number, lambda: self.absence(None))) as several:
                    async for lines in several:
                        before = len(self._model.output)
                        self._model.output = lines.lines()
                        if self._model.back:  # who has scrolled back sees the same lines
                            self._model.back += max(0, len(self._model.output) - before)
                        self._to_draw.set()
                        await asyncio.sleep((time.process_time() - begin) / SHARE)
                        begin = time.process_time()
                return
            except Unreachable as error:
                self.absence(error)
            except ClusterError as error:
                self._model.message = str(error)
                self._to_draw.set()
                return
            await asyncio.sleep(AGAIN)

    async def _change(self, intent: Intent) -> None:
        if self._client is None:
            return
        try:
            self._model.message = await change(self._client, intent)
        except ClusterError as error:
            self._model.message = str(error)
        self._stale.set()
        self._to_draw.set()

    def _pressed(self, data: bytes) -> None:
        for key in self._keys.feed(data):
            self._press(key)
        if self._keys.waits:
            asyncio.get_running_loop().call_later(ESCAPE, self._nothing_followed)
        self._draw()

    def _nothing_followed(self) -> None:
        for key in self._keys.flush():
            self._press(key)
        self._draw()

    def _press(self, key: str) -> None:
        before = self._model.view
        intent = self._model.press(key)
        if before is View.OUTPUT and self._model.view not in (View.OUTPUT, View.HELP):
            self._stop_following()
        if intent is None:
            return
        match intent.verb:
            case "quit":
                self._leave(0)
            case "interrupt":
                self._leave(INTERRUPTED)
            case "suspend":
                self._suspend()
            case "redraw":
                self._repaint()
            case "open":
                self._begin(self._opening(intent.of))
            case "follow":
                self._stop_following()
                self._following = self._begin(self._follow(intent.of))
            case "stay" | "find":
                self._stale.set()
            case _:
                self._begin(self._change(intent))

    def _stop_following(self) -> None:
        if self._following:
            self._following.cancel()
            self._following = None

    def _suspend(self) -> None:
        """Stands still as any program does that is stopped; goes on from here when it is continued."""
        self._screen.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()
        self._repaint()

    def _repaint(self) -> None:
        self._screen.forget()
        self._draw()

    async def _keep_drawn(self) -> None:
        while True:
            await self._to_draw.wait()
            self._to_draw.clear()
            begin = time.process_time()
            self._draw()
            await asyncio.sleep(max(SOON, (time.process_time() - begin) / SHARE))

    def _draw(self) -> None:
        if not self._end.done():
            self._screen.show(self._model)
