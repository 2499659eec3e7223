"""Telling those who watch jobs that there is something new, without drowning them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress

# A job of one short task changes a few times within milliseconds, and a person waits for the last of it: the first
# changes are told at once. An array that changes hundreds of times a second is told of 20 times.
BURST = 6
PER_SECOND = 20.0
# Whoever watches many jobs is shown all of them each time: a thousand jobs are shown less often than one.
JOBS_PER_SECOND = 2000.0


class Watchers:
    def __init__(self) -> None:
        self._events: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    def changed(self, job: int) -> None:
        for event in self._events.get(job, ()):
            event.set()

    def all_changed(self) -> None:
        """For what concerns every job: a worker has come, or nothing can be asked any more."""
        for events in self._events.values():
            for event in events:
                event.set()

    async def changes(self, jobs: Iterable[int], patience: float | None = None) -> AsyncGenerator[None, None]:
        """Yields at once, and again after every change of one of the jobs, or after `patience` seconds without; fast
        ones are joined. Never ends: close it (contextlib.aclosing). A change between two yields is never missed."""
        event = asyncio.Event()
        watched = list(jobs)
        for job in watched:
            self._events[job].add(event)
        pace = Pace(time.monotonic(), min(PER_SECOND, JOBS_PER_SECOND / max(1, len(watched))))
        try:
            while True:
                event.clear()
                yield
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await event.wait()
                await asyncio.sleep(pace.delay(time.monotonic()))
        finally:
            for job in watched:
                self._events[job].discard(event)
                if not self._events[job]:
                    del self._events[job]


class Pace:
    """A token bucket: BURST at once, `per_second` in the long run. Times are monotonic seconds."""

    def __init__(self, now: float, per_second: float = PER_SECOND) -> None:
        self._tokens = float(BURST)
        self._at = now
        self._per_second = per_second

    def delay(self, now: float) -> float:
        """Seconds to wait before the next; takes its token."""
        self._tokens = min(BURST, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)
