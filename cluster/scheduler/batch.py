"""What gathers while a turn and its commit are under way, and is cut to what the next turn may be given."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import CancelRequested, Event, HeartbeatReceived, SessionClosed, SessionOpened
from cluster.domain.scheduler.turns import MOST_AT_ONCE, weight
from cluster.store.interface import Item

# What matters to leases and cancels: it is taken even when much waits for the disk.
URGENT = HeartbeatReceived | CancelRequested | SessionOpened | SessionClosed


@dataclass(slots=True)
class Put:
    """What one caller has put, which goes into one turn."""

    events: tuple[Event, ...] = ()
    items: tuple[Item, ...] = ()  # to be committed that are not the core's: tokens, users
    taken: asyncio.Future[None] | None = None  # told after the turn: on disk, or ahead of it
    done: asyncio.Future[None] | None = None  # told when it is on disk

    @property
    def is_urgent(self) -> bool:
        return not self.items and all(isinstance(event, URGENT) for event in self.events)


@dataclass(slots=True)
class Batch:
    """What gathers until the next turn."""

    puts: list[Put] = field(default_factory=list)
    reads: list[tuple[Callable[[SchedulerCore], Any], asyncio.Future[Any]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.puts or self.reads)

    def cut(self, most: int = MOST_AT_ONCE) -> "Batch":
        """Takes out what one turn may be given: the first of what was put, by weight, and all reads."""
        room, count = most, 0
        while count < len(self.puts) and room > 0:
            room -= sum(map(weight, self.puts[count].events))
            count += 1
        cut = Batch(self.puts[:count], self.reads)
        self.puts, self.reads = self.puts[count:], []
        return cut

    def futures(self) -> Iterator[asyncio.Future[Any]]:
        """Whoever waits for any of it."""
        for put in self.puts:
            yield from (future for future in (put.taken, put.done) if future is not None)
        yield from (answer for _, answer in self.reads)
