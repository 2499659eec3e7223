"""The next events after a place: from memory where they are there, else from the store."""

from typing import NamedTuple

from cluster.domain.scheduler.event_records import EventRecord
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store

PAGE = 500  # events that are read at once


class ReadEvents(NamedTuple):
    events: list[EventRecord]
    position: int  # all up to this one was read
    first: int  # of those that are kept
    last: int  # beyond the position: there is more already


async def read_events(driver: Driver, position: int, owner: str | None) -> ReadEvents:
    """Those after that one, of all or (an owner's) of its jobs and of no job. Unreachable once nothing can be asked any
    more."""
    driver.check()
    newest = driver.event_feed.after(position, PAGE)
    if newest is None:
        return await driver.fetch(lambda store: _page(store, position, owner))
    seen = [event for event in newest if owner is None or event.owner in ("", owner)]
    end = newest[-1].sequence if newest else position
    return ReadEvents(seen, end, position, end + 1 if len(newest) == PAGE else end)


def _page(store: Store, position: int, owner: str | None) -> ReadEvents:
    """While others commit: what was the last is asked before the events, what is the first after them."""
    _, last = store.edges_of_events()
    events = store.events(position, owner, PAGE)
    first, _ = store.edges_of_events()
    is_full = len(events) == PAGE
    end = events[-1].sequence if is_full else max(position, last)
    return ReadEvents([event for event in events if event.sequence <= end], end, first, last)
