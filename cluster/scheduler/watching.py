"""Telling those who watch jobs that there is something new, without drowning them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import suppress

# A job of one short task changes a few times within milliseconds, and a person waits for the last of it: the first
# changes are told at once. An array that changes hundreds of times a second is told of 20 times.
BURST = 6
PER_SECOND = 20.0
# Whoever watches many jobs is shown all of them that have changed: ten thousand do so less often than one.
JOBS_PER_SECOND = 10_000.0
LONGEST_PAUSE = 5.0  # seconds
AT_ONCE = 5000  # jobs that are looked up before anybody else is served

Changed = Collection[int] | None  # jobs that have changed; None: all may have


class _Watch:
    """What one watcher has not been told yet."""

    __slots__ = ("everything", "jobs", "wake")

    def __init__(self) -> None:
        self.jobs: set[int] = set()
        self.everything = True
        self.wake = asyncio.Event()

    def take(self) -> Changed:
        changed = None if self.everything else self.jobs
        self.jobs, self.everything = set(), False
        self.wake.clear()
        return changed


class Watchers:
    def __init__(self) -> None:
        self._watches: set[_Watch] = set()
        self._of_job: defaultdict[int, set[_Watch]] = defaultdict(set)

    def changed(self, job: int) -> None:
        for watch in self._of_job.get(job, ()):
            watch.jobs.add(job)
            watch.wake.set()

    def all_changed(self) -> None:
        """Tells all watchers of what concerns every job: a worker has come, or nothing can be asked any more."""
        for watch in self._watches:
            watch.everything = True
            watch.wake.set()

    async def changes(self, jobs: Iterable[int], patience: float | None = None) -> AsyncGenerator[Changed, None]:
        """Yields at once, and again after every change of one of the jobs, or after `patience` seconds without; fast
        ones are joined. Never ends: close it (contextlib.aclosing). A change between two yields is never missed."""
        watch, watched = _Watch(), list(jobs)
        self._watches.add(watch)
        try:
            for place, job in enumerate(watched, start=1):
                self._of_job[job].add(watch)
                if place % AT_ONCE == 0:
                    await asyncio.sleep(0)
            pace = Pace(time.monotonic())
            while True:
                changed = watch.take()
                count = len(watched) if changed is None else len(changed)
                yield changed
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await watch.wake.wait()
                pause = min(LONGEST_PAUSE, count / JOBS_PER_SECOND)
                await asyncio.sleep(max(pace.delay(time.monotonic()), pause if count > PER_SECOND else 0.0))
        finally:
            self._watches.discard(watch)
            self._forget(watch, watched)

    def _forget(self, watch: _Watch, watched: list[int], start: int = 0) -> None:
        """That it watches these, and others in between."""
        for job in watched[start : start + AT_ONCE]:
            self._of_job[job].discard(watch)
            if not self._of_job[job]:
                del self._of_job[job]
        if start + AT_ONCE < len(watched):
            asyncio.get_running_loop().call_soon(self._forget, watch, watched, start + AT_ONCE)


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
