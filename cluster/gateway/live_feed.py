"""What changes in a cluster, for pages that are open: events, and the jobs and workers as they are after them.

All pages of one caller share one subscription and the questions that come of it, and get the same bytes: what the
scheduler is asked does not depend on how many they are. Who comes is told from then on, and asks itself for what there
is; who is too slow for what is kept is told so, and asks anew.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any

from cluster.domain.base.errors import ClusterError, NotFound, NotPermitted
from cluster.domain.job.states import RUN
from cluster.gateway.event_streams import PULSE, event
from cluster.gateway.handled_routes import Exchange
from cluster.gateway.json_messages import to_json
from cluster.gateway.problems import problem_of
from cluster.v1 import jobs_pb2

GATHER = 0.2  # seconds from one message to the next while much happens; the first comes at once
LOOK = 1.0  # seconds from one look at workers and queue to the next
SHARE = 0.05  # of the time that such looks may take: of a thousand workers one takes its time
CLOCK = 2.0  # seconds after which what runs is looked at although nothing was told: how far an array is, is no event
AT_ONCE = 200  # jobs that are asked for by one call
MOST_RUNNING = 100  # that are looked at by the clock
KEPT = 100  # messages, for who is slow
_AROUND = ("worker.", "queue.")  # events after which these are looked at at once
_RUN = [f"TASK_STATE_{state.name}" for state in RUN]


class LiveFeed:
    """One caller's. It lives as long as it has readers."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange  # of the reader that came first; all are the same caller
        self._messages: deque[bytes] = deque(maxlen=KEPT)
        self._count = 0  # of messages that there have been
        self._problem: ClusterError | None = None  # that ended it
        self._readers = 0
        self._events: list[Any] = []
        self._position = 0
        self._wake = asyncio.Event()  # there are events
        self._begun = asyncio.Event()  # the subscription stands, or has failed
        self._next = self._new_future()  # done: there is a message, or no more
        self._workers: dict[str, bytes] = {}  # by their ids, as they were told last
        self._queue: Any = None  # the same of the queue
        self._runs: dict[int, Any] = {}  # what is known of each job that runs
        self.is_over = False
        self._tasks = [asyncio.create_task(work) for work in (self._ending(self._follow()), self._ending(self._tell()))]

    async def enter(self) -> None:
        """For one more reader, who leaves by `leave`. Raises the ClusterError that keeps the subscription from
        standing."""
        self._readers += 1
        await self._begun.wait()
        if self._problem is not None:
            raise self._problem

    def leave(self) -> None:
        self._readers -= 1
        if not self._readers:
            self.is_over = True
            for task in self._tasks:
                task.cancel()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """What is told from now on, as Server-Sent Events; ends with a `problem` where it breaks."""
        place = self._count
        yield event("begin", {}, str(self._position))
        while not (self.is_over and place == self._count):
            if place == self._count:
                await asyncio.wait([self._next], timeout=PULSE)
            late, place = self._count - place, self._count
            if late == 0:
                yield b": \n\n"
            elif late == 1:
                yield self._messages[-1]
            elif late <= len(self._messages):
                yield b"".join(list(self._messages)[-late:])
            else:
                yield event("begin", {}, str(self._position))
        if self._problem is not None:
            yield event("problem", problem_of(self._problem).as_json())

    # ── what comes ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ending(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work. Where that fails or has an end, all of it ends."""
        try:
            await work
        except ClusterError as error:
            self._problem = self._problem or error
        finally:
            self.is_over = True
            self._begun.set()
            self._told()
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    async def _follow(self) -> None:
        pages = self._exchange.several("Events.Follow", self._exchange.message("Events.Follow", follow=True))
        async with aclosing(pages):
            async for page in pages:
                self._position = page.position or self._position
                self._events += page.events
                self._begun.set()
                if page.events:
                    self._wake.set()

    async def _tell(self) -> None:
        await self._begun.wait()
        looked = took = 0.0  # monotonic seconds: when it looked last, and how long that took
        is_stale = True  # something has happened since
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), CLOCK if is_stale or self._runs else None)
            self._wake.clear()
            events, self._events = self._events, []
            began = time.monotonic()
            if events:
                self._publish(await self._about(events))
                is_stale = True
            is_around = any(each.kind.startswith(_AROUND) for each in events)
            if not events or began - looked >= max(0.0 if is_around else LOOK, took / SHARE):
                self._publish(await self._surroundings())
                took = time.monotonic() - began
                if not events or began - looked >= CLOCK:
                    self._publish({"jobs": await self._running()})
                looked, is_stale = began, bool(events)
            await asyncio.sleep(max(0.0, began + GATHER - time.monotonic()))

    def _publish(self, told: dict[str, Any]) -> None:
        if any(told.values()):
            self._messages.append(event("changes", told, str(self._position)))
            self._count += 1
            self._told()

    def _told(self) -> None:
        if not self._next.done():
            self._next.set_result(None)
        self._next = self._new_future()

    @staticmethod
    def _new_future() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    # ── what is asked ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _about(self, events: Sequence[Any]) -> dict[str, Any]:
        """The events, and the jobs that they tell of as they are now."""
        numbers = sorted({each.job for each in events if each.job}, reverse=True)
        jobs: list[Any] = []
        for at in range(0, len(numbers), AT_ONCE):
            jobs += await self._jobs(numbers[at : at + AT_ONCE])
        for job in jobs:
            if job["state"] in _RUN:
                self._runs[job["number"]] = job
            else:
                self._runs.pop(job["number"], None)
        return {"events": [to_json(each) for each in events], "jobs": jobs}

    async def _jobs(self, numbers: Sequence[int]) -> list[Any]:
        """Those of them that are there: one that was deleted meanwhile would make the whole list fail."""
        selectors = [jobs_pb2.Selector(text=str(number)) for number in numbers]
        try:
            answer = await self._exchange.one("Jobs.List", selectors=selectors)
        except NotFound:
            if len(numbers) == 1:
                return []
            half = len(numbers) // 2
            return [*await self._jobs(numbers[:half]), *await self._jobs(numbers[half:])]
        found = [to_json(job) for job in answer.jobs]
        if answer.next:  # more than one answer holds
            rest = [number for number in numbers if number < answer.next]
            found += await self._jobs(rest) if 0 < len(rest) < len(numbers) else []
        return found

    async def _surroundings(self) -> dict[str, Any]:
        """Workers that are others than were told last, the ids of those that have left the list, and the queue if it is
        another."""
        found = {worker.id: worker async for worker in self._all_workers()}
        now = {name: _lasting(worker) for name, worker in found.items()}
        before, self._workers = self._workers, now
        told: dict[str, Any] = {
            "workers": [to_json(found[name]) for name, told in now.items() if before.get(name) != told],
            "left": [name for name in before if name not in now],
        }
        with suppress(NotPermitted):
            queue = to_json((await self._exchange.one("Queue.ShowQueue")).queue)
            queue.pop("shares", None)  # they change all the time, and no page shows them
            told["queue"] = queue if queue != self._queue else None
            self._queue = queue
        return {name: value for name, value in told.items() if value}

    async def _all_workers(self) -> AsyncGenerator[Any, None]:
        after = ""
        while True:
            page = await self._exchange.one("Jobs.ListWorkers", after=after)
            for worker in page.workers:
                yield worker
            after = page.next
            if not after:
                return

    async def _running(self) -> list[Any]:
        """Of the jobs that run, those that are others than they were when they were looked at last."""
        answer = await self._exchange.one("Jobs.List", states=list(RUN), limit=MOST_RUNNING)
        jobs = {job.number: to_json(job) for job in answer.jobs}
        changed = [job for number, job in jobs.items() if self._runs.get(number) != job]
        self._runs = jobs
        return changed


def _lasting(worker: Any) -> bytes:
    """A worker without what changes all the time and says nothing."""
    same = type(worker)()
    same.CopyFrom(worker)
    same.ClearField("last_heard_at")
    return bytes(same.SerializeToString(deterministic=True))
