"""Hands the newest events to whoever follows them. What is older, readers fetch from the store.

A reader has nothing here but its own place, the number of the last event that it was sent: one that is slow or stands
still costs no memory, and delays nobody.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.uncommitted import Saved

IN_MEMORY = 2000  # of the newest events


class EventFeed:
    def __init__(self) -> None:
        self._newest: deque[EventRecord] = deque(maxlen=IN_MEMORY)
        self._first = 0  # of all that have come here; 0: none has
        self._noticed = 0  # the last of these that somebody wants to be told of
        self._wakes: set[asyncio.Event] = set()

    def landed(self, saves: Sequence[Saved]) -> None:
        """These are on disk. The events among them come in order."""
        fresh = [save for save in saves if type(save) is EventRecord]
        if fresh:
            self._first = self._first or fresh[0].sequence
            self._noticed = next((event.sequence for event in reversed(fresh) if event.notify), self._noticed)
            self._newest.extend(fresh)
            self.wake_all()

    def wake_all(self) -> None:
        """There is something to see for all readers, or nothing will come any more."""
        for wake in self._wakes:
            wake.set()

    def without_notices(self, sequence: int) -> int:
        """The last event up to which nobody wants to be told of those after that one, as far as all of them have come
        here. So who looks for notices alone need not read them."""
        knows_all = 0 < self._first <= sequence + 1 and self._noticed <= sequence
        return max(sequence, self._newest[-1].sequence) if knows_all else sequence

    def after(self, sequence: int, most: int) -> list[EventRecord] | None:
        """Those after that one, at most so many. None where that is not in memory: then the store knows."""
        if not self._newest or self._newest[0].sequence > sequence + 1:
            return None
        start = sequence + 1 - self._newest[0].sequence
        return [self._newest[place] for place in range(start, min(start + most, len(self._newest)))]

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """The event is set whenever there may be something new."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)
