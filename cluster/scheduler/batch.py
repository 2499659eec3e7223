"""What gathers while a turn and its commit are under way, and is cut to what the next turn may be given."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    HeartbeatReceived,
    ReportReceived,
    SessionClosed,
    SessionOpened,
)
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE, weight
from cluster.store.interface import Item

# What matters to leases and cancels: it is taken even when much waits for the disk.
URGENT = HeartbeatReceived | CancelRequested | SessionOpened | SessionClosed
_OF_A_SESSION = HeartbeatReceived | ReportReceived | SessionOpened | SessionClosed


Waiter = asyncio.Future[Any]
Read = tuple[Callable[[SchedulerCore], Any], Waiter]


@dataclass(slots=True)
class Put:
    """What one caller has put, which goes into one turn."""

    events: tuple[Event, ...] = ()
    items: tuple[Item, ...] = ()  # to be committed that are not the core's: tokens, users
    taken: asyncio.Future[None] | None = None  # told after the turn: on disk, or ahead of it
    done: asyncio.Future[None] | None = None  # told when it is on disk
    weight: int = field(init=False)  # what its events cost a turn

    def __post_init__(self) -> None:
        self.weight = sum(map(weight, self.events))

    @property
    def is_urgent(self) -> bool:
        return not self.items and all(isinstance(event, URGENT) for event in self.events)

    @property
    def is_heartbeat(self) -> bool:
        return bool(self.events) and not self.items and all(isinstance(e, HeartbeatReceived) for e in self.events)

    @property
    def sessions(self) -> set[int]:
        """The sessions in which its events came."""
        return {event.session for event in self.events if isinstance(event, _OF_A_SESSION)}


@dataclass(slots=True)
class Batch:
    """What gathers until the next turn. Heartbeats go before what others have put, or the leases of those who are well
    would end while much waits; but not before what came earlier in their own session."""

    puts: list[Put] = field(default_factory=list)
    heartbeats: list[Put] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    _in_line: dict[int, int] = field(default_factory=dict)  # session: how many of `puts` came in it

    def __len__(self) -> int:
        return len(self.puts) + len(self.heartbeats) + len(self.reads)

    def add(self, put: Put) -> None:
        if put.is_heartbeat and not any(session in self._in_line for session in put.sessions):
            self.heartbeats.append(put)
        else:
            self.puts.append(put)
            self._stand_in_line(put)

    def add_first(self, puts: list[Put]) -> None:
        """These have waited for longer than all others."""
        self.puts[:0] = puts
        for put in puts:
            self._stand_in_line(put)

    def _stand_in_line(self, put: Put) -> None:
        for session in put.sessions:
            self._in_line[session] = self._in_line.get(session, 0) + 1

    def cut(self, most: int = MOST_AT_ONCE) -> "Batch":
        """Takes out what one turn is given: so much of what was put (by weight), as many heartbeats, all reads."""
        count, _ = self._share(most)
        for put in self.puts[:count]:
            for session in put.sessions:
                self._in_line[session] -= 1
                if not self._in_line[session]:
                    del self._in_line[session]
        cut = Batch([*self.heartbeats[:most], *self.puts[:count]], reads=self.reads)
        self.puts, self.heartbeats, self.reads = self.puts[count:], self.heartbeats[most:], []
        return cut

    def fills_turn(self, most: int = MOST_AT_ONCE) -> bool:
        """Whether `cut` would take all that a turn may be given."""
        _, is_full = self._share(most)
        return is_full

    def _share(self, most: int) -> tuple[int, bool]:
        """How many of `puts` one turn is given, and whether they are all that it may be given."""
        room, count = most, 0
        while count < len(self.puts) and room > 0:
            room -= self.puts[count].weight
            count += 1
        return count, room <= 0

    def futures(self) -> Iterator[asyncio.Future[Any]]:
        """Whoever waits for any of it."""
        for put in (*self.heartbeats, *self.puts):
            yield from (future for future in (put.taken, put.done) if future is not None)
        yield from (answer for _, answer in self.reads)


def settle(future: asyncio.Future[Any], value: Any) -> None:
    """Gives the answer, or raises it there, unless nobody waits for it any more."""
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
        future.exception()  # it counts as seen, even if its caller has gone
    else:
        future.set_result(value)
