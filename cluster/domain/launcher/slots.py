"""Attempts, and which slot runs which: the launcher core's picture of its slots.

A *slot* is a small process that runs one attempt after another. What an attempt holds, its slot holds: its millicpus
are free when the slot has nothing left to do. Where attempts are short, a slot is handed some in advance, so that it
goes on by itself and nobody is woken for each: `AHEAD` seconds of them by the mean of how long they took here. All that
a slot has at one time is of one template, so what comes next needs just what its predecessor held.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush

from cluster.domain.launcher.messages import StopRequested
from cluster.domain.launcher.template import Item, Template

AHEAD = 0.060  # seconds of work in advance; three times what the launcher waits for company before it reports
MOST_AHEAD = 100  # attempts in advance; a slot's queue in the kernel takes about twice as many
# Seconds without an end in a slot after which what waits there is taken back: its attempt takes longer than those
# before, and what waits behind it may start elsewhere.
STALE = 0.150
MOST_SLOTS = 4096  # at one time: the shared table has so many rows
IDLE_SLOTS = 16  # kept for what comes; each takes some 2 MiB
_RECENT = 0.2  # weight of the latest attempt in the mean

User = tuple[int | None, int | None]


def user_of(template: Template) -> User:
    """The user that a slot must be to run this; a slot never becomes another user."""
    return template.uid, template.gid


class Phase(Enum):
    BACKLOG = "backlog"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    KILLING = "killing"
    ENDED = "ended"


class IllegalEvent(RuntimeError):
    """Our bug, not the user's: an event that cannot happen in this phase. Nothing was changed."""

    def __init__(self, key: str, phase: str, event: str) -> None:
        super().__init__(f"attempt {key} is {phase}: {event} cannot happen there")


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt that is held here. `deadline`: boot clock of what comes next by itself (timeout or end of grace).
    `asked`: its leader got a signal of ours that a program may answer, so that what it exits with may be the answer.
    `slot`: who has been handed it. `wanted`: what is to be done about it once its slot has given it back, or has
    started it: a stop, or to kill it for that cause. Of one in the backlog: it goes back.
    `frozen`: it stands still, or is to once it has begun. `left`: seconds that it may still run then; None: no limit.
    """

    item: Item
    template: Template
    phase: Phase = Phase.BACKLOG
    slot: "Slot | None" = None
    pid: int = 0
    wall_us: int = 0
    deadline: float | None = None
    cause: str | None = None
    sent: str | None = None
    asked: bool = False
    leashed: bool = False
    stillborn: int = 0  # slots that died before they could begin it
    wanted: StopRequested | str | None = None
    frozen: bool = False
    left: float | None = None

    @property
    def key(self) -> str:
        return self.item.key

    @property
    def waits(self) -> bool:
        """Whether it may be handed to a slot."""
        return self.phase is Phase.BACKLOG and self.wanted is None


STARTED_PHASES = (Phase.RUNNING, Phase.STOPPING, Phase.KILLING)
IF_UNBEGUN = "recall"  # `wanted` of what is to go back unless it has begun
KILLED = "killed"  # `wanted` of what is to be killed without a cause of ours: the launcher is told to quit


@dataclass(slots=True, eq=False)
class Slot:
    """`queue`: what it was handed and has not ended; the first is begun, or about to be. `since`: boot clock of the
    last end, or of the first that it was handed. `most`: that it can hold just now. `clearing`: it was asked to give
    back what it has not begun."""

    number: int
    user: User
    template: Template | None = None
    queue: deque[Attempt] = field(default_factory=deque)
    since: float = 0.0
    mean: float | None = None
    most: int = MOST_AHEAD + 1
    clearing: bool = False

    def hand(self, attempt: Attempt, now: float) -> None:
        if self.template is not attempt.template:
            self.template, self.mean = attempt.template, None
        if not self.queue:
            self.since, self.most = now, MOST_AHEAD + 1
        self.queue.append(attempt)

    def took(self, seconds: float, now: float) -> None:
        """An attempt of its present template took so long."""
        self.since = now
        self.mean = seconds if self.mean is None else self.mean + _RECENT * (seconds - self.mean)

    @property
    def goes_on(self) -> bool:
        """Whether it does what it was handed in order, without anybody to stop what it runs."""
        return bool(self.queue) and self.queue[0].phase in (Phase.STARTING, Phase.RUNNING) and not self.queue[0].wanted

    @property
    def room(self) -> int:
        """How many attempts of its template may still be handed to it in advance. None before one has ended."""
        if self.mean is None or self.clearing or not self.queue:
            return 0
        return min(self.most, int(AHEAD / max(self.mean, 1e-6)) + 1) - len(self.queue)


class Slots:
    """All slots of a launcher."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._idle: dict[User, list[int]] = {}
        self._idle_count = 0
        self._unused: list[int] = []  # a heap of numbers that were used once
        self._next = 0

    def __getitem__(self, number: int) -> Slot:
        return self._slots[number]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def idle(self, user: User) -> Slot | None:
        """One that has nothing to do, made if need be; None when there are too many already."""
        if numbers := self._idle.get(user):
            self._idle_count -= 1
            return self._slots[numbers.pop()]
        if self._unused:
            number = heappop(self._unused)
        elif self._next < MOST_SLOTS:
            number, self._next = self._next, self._next + 1
        else:
            return None
        slot = self._slots[number] = Slot(number, user)
        return slot

    def rest(self, slot: Slot) -> bool:
        """It has nothing to do any more. False: there are enough of those, and it is gone."""
        if self._idle_count >= IDLE_SLOTS:
            self.remove(slot)
            return False
        self._idle.setdefault(slot.user, []).append(slot.number)
        self._idle_count += 1
        return True

    def remove(self, slot: Slot) -> None:
        """Its process is gone, or takes nothing more; the number may be used again."""
        del self._slots[slot.number]
        numbers = self._idle.get(slot.user, [])
        if slot.number in numbers:
            numbers.remove(slot.number)
            self._idle_count -= 1
        heappush(self._unused, slot.number)

    def holds(self, number: int) -> bool:
        return number in self._slots
