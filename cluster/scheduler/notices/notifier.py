"""Sends the notices that jobs asked for, when they end.

It is a follower of the event log: the event of an end names who is to be told. How far all is told is kept, so what a
crash interrupts is told again: at least once, with an id by which receivers know what they have had. It shares nothing
with scheduling but the event loop, on which it never does anything long.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cluster.domain.base.errors import Unreachable
from cluster.domain.job.notice_options import COMMAND
from cluster.domain.scheduler.event_records import EventRecord, NoticesDone, as_told
from cluster.scheduler.driver import Driver
from cluster.scheduler.event_reading import read_events
from cluster.scheduler.notices.sending import SendingFailed, post, run_command, signature
from cluster.scheduler.notices.targets import NoticeTargets, receiver_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_TRIES = 12
LONGEST = 3600.0  # seconds after the end from when on nothing is tried again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds before it is tried again; each is twice the last
MOST_WAITING = 1000  # notices of one receiver; more are given up
AT_ONCE = 2  # of one receiver
ASKED_AGAIN = 5.0  # seconds after the disk has not answered
SAVED_AFTER = 1000  # events without a notice


class Notifier:
    def __init__(self, driver: Driver, targets: NoticeTargets, secret: bytes, cluster_id: str) -> None:
        self._driver, self._targets = driver, targets
        self._secret, self._cluster_id = secret, cluster_id
        self._open: dict[int, int] = {}  # event: notices of it that are not done; in the order of their numbers
        self._waiting: dict[str, int] = {}  # by receiver
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._tasks: set[asyncio.Task[None]] = set()
        self._read = self._saved = 0  # the last event that was read; up to which all is done, as is on disk
        self._is_saving = False

    async def run(self) -> None:
        """Goes on until it is cancelled, or nothing can be asked any more: then it raises Unreachable."""
        self._read = self._saved = await self._asked(lambda: self._driver.fetch(lambda store: store.notices_done()))
        try:
            with self._driver.event_feed.listening() as wake:
                while True:
                    wake.clear()
                    self._read = self._driver.event_feed.without_notices(self._read)
                    read = await self._asked(lambda: read_events(self._driver, self._read, None))
                    for event in read.events:
                        self._begin(event)
                    self._read = read.position
                    self._save(at_least=SAVED_AFTER)
                    if self._read >= read.last:
                        await wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the disk answers, which may not do so for a while."""
        while True:
            try:
                return await ask()
            except Unreachable as error:
                self._driver.check()
                logger.warning("nobody is told of ends just now: %s", error)
                await asyncio.sleep(ASKED_AGAIN)

    def _begin(self, event: EventRecord) -> None:
        for target in event.notify:
            if not self._targets.allows(target):
                logger.warning("job %d: %s is not told, because that is not allowed any more", event.job, target)
                continue
            receiver = receiver_of(target)
            if self._waiting.get(receiver, 0) >= MOST_WAITING:
                logger.warning("job %d: %s is not told: %d notices wait for it", event.job, target, MOST_WAITING)
                continue
            self._open[event.sequence] = self._open.get(event.sequence, 0) + 1
            self._waiting[receiver] = self._waiting.get(receiver, 0) + 1
            task = asyncio.create_task(self._tell(event, target, receiver))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, event: EventRecord, target: str, receiver: str) -> None:
        """Until it is told, or given up."""
        pause = FIRST_PAUSE
        for tries in range(1, MOST_TRIES + 1):
            try:
                async with self._turns[receiver]:
                    await self._try(event, target)
                break
            except SendingFailed as error:
                over = tries == MOST_TRIES or self._driver.clock().wall + pause > event.at + LONGEST
                what = "it is given up" if over else f"it is tried again in {pause:g} s"
                logger.warning("job %d: %s could not be told that it has ended: %s; %s", event.job, target, error, what)
                if over:
                    break
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        self._waiting[receiver] -= 1
        if not self._waiting[receiver]:
            del self._waiting[receiver], self._turns[receiver]
        self._open[event.sequence] -= 1
        if not self._open[event.sequence]:
            del self._open[event.sequence]
            self._save(at_least=1)

    async def _try(self, event: EventRecord, target: str) -> None:
        notice = {"id": f"{self._cluster_id}-{event.sequence}", **as_told(event)}
        body = json.dumps(notice).encode()
        if target.startswith(COMMAND):
            await run_command(self._targets.commands[target.removeprefix(COMMAND)], body)
            return
        at = int(self._driver.clock().wall)
        headers = {"Cluster-Notice": str(notice["id"]), "Cluster-Signature": signature(self._secret, at, body)}
        await post(target, body, headers)

    # ── how far all is told ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _done(self) -> int:
        return next(iter(self._open)) - 1 if self._open else self._read

    def _save(self, at_least: int) -> None:
        """If so many more events are done than is on disk."""
        if not self._is_saving and self._done - self._saved >= at_least:
            self._is_saving = True
            task = asyncio.create_task(self._saving())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _saving(self) -> None:
        try:
            done = self._done
            await self._driver.save(NoticesDone(done))
            self._saved = done
        finally:
            self._is_saving = False
