"""What has happened to jobs and workers: the event log, read from any place on and followed."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.scheduler.event_records import EventKind, EventRecord
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select_whole
from cluster.scheduler.driver import Driver
from cluster.scheduler.event_reading import read_events
from cluster.scheduler.watching import Pace


class EventPage(NamedTuple):
    events: list[EventRecord]  # may be none
    position: int  # all that the caller may see up to this one was told


class EventOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def follow(
        self, caller: Caller, since: int | None, texts: Sequence[str] = (), *, follow: bool = False
    ) -> AsyncGenerator[EventPage, None]:
        """What happened after the event `since` (0: all that is kept; None: nothing), in order, and with `follow`
        what happens. A first page comes at once. A user is told of its own jobs, of workers and the queue; with
        selectors `texts` of these jobs alone. What is not kept any more is told by one event in its place.

        InvalidInput for a `since` that has not happened yet, and for tasks of a job; NotFound for a job that there is
        not."""
        wanted = set(await select_whole(self._driver, caller, texts, "events")) if texts else None
        owner, pace = VisibleJobs.owner_of(caller), Pace(time.monotonic())
        _, last = await self._driver.fetch(lambda store: store.edges_of_events())
        if since is not None and since > last:
            raise InvalidInput(f"there is no event {since} yet: the last one is {last}")
        position = last if since is None else since
        with self._driver.event_feed.listening() as wake:
            is_first = True
            while True:
                wake.clear()
                read = await read_events(self._driver, position, owner)
                events = [event for event in read.events if wanted is None or event.job in wanted]
                if position and read.first > position + 1:
                    events = [_missing(position, read.first, time.time()), *events]
                position = read.position
                if events or is_first:
                    yield EventPage(events, position)
                is_first = False
                if position < read.last:
                    continue
                if not follow:
                    return
                await wake.wait()
                await asyncio.sleep(pace.delay(time.monotonic()))


def _missing(position: int, first: int, now: float) -> EventRecord:
    """Told in the place of those that are not kept any more."""
    count = first - position - 1
    detail = f"events {position + 1} to {first - 1} are not kept any more"
    return EventRecord(first - 1, now, EventKind.EVENTS_MISSING, count=count, detail=detail)
