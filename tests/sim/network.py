"""A session between one agent and the scheduler, over a link that delays, stalls, breaks and half-breaks.

What is sent arrives in order, or not at all. While its machine's link is blocked, what arrives waits, as TCP would
let it; what is on its way when the connection is cut is gone. Each end learns of a cut only by luck: an end that does
not is half-open, and has nothing but its own timeouts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.sim.world import World

LATENCY = (0.0005, 0.04)  # seconds


@dataclass(slots=True)
class Link:
    """Of one machine to everybody else."""

    blocked_up: bool = False
    blocked_down: bool = False
    latency: tuple[float, float] = LATENCY

    @property
    def blocked(self) -> bool:
        return self.blocked_up or self.blocked_down


class _Direction:
    """One way of a connection: in order, each message after its own delay but never before the one that it follows."""

    def __init__(self, world: World, link: Link, is_blocked: Callable[[], bool]) -> None:
        self._world, self._link, self._is_blocked = world, link, is_blocked
        self._arrival = 0.0  # of the last message
        self._stalled: list[Callable[[], None]] = []
        self.cut = False

    def send(self, deliver: Callable[[], None]) -> None:
        self._arrival = max(self._arrival, self._world.now + self._world.between(*self._link.latency))
        self._world.at(self._arrival - self._world.now, lambda: self._arrive(deliver))

    def _arrive(self, deliver: Callable[[], None]) -> None:
        if self.cut:
            return
        if self._is_blocked() or self._stalled:
            self._stalled.append(deliver)
            return
        deliver()

    def delay(self, seconds: float) -> None:
        """What is sent from now on is lost, and arrives when it has been sent again."""
        self._arrival = self._world.now + seconds

    def resume(self) -> None:
        stalled, self._stalled = self._stalled, []
        for deliver in stalled:
            self._arrive(deliver)


@dataclass(slots=True)
class Connection:
    """`number` is the scheduler's name for the session, `session` the agent's."""

    number: int
    machine_id: str  # the worker's
    machine_name: str
    session: int
    world: World
    link: Link
    on_worker_closed: Callable[[], None]  # the agent learns that it is over
    on_scheduler_closed: Callable[[], None]
    worker_open: bool = True
    scheduler_open: bool = True
    ready: bool = False  # the worker has registered
    up: _Direction = field(init=False)
    down: _Direction = field(init=False)

    def __post_init__(self) -> None:
        self.up = _Direction(self.world, self.link, lambda: self.link.blocked_up)
        self.down = _Direction(self.world, self.link, lambda: self.link.blocked_down)

    def send_up(self, deliver: Callable[[], None]) -> None:
        self.up.send(lambda: deliver() if self.scheduler_open else None)

    def send_down(self, deliver: Callable[[], None]) -> None:
        self.down.send(lambda: deliver() if self.worker_open else None)

    def close_by_worker(self) -> None:
        """The agent hangs up, or its process is gone and its kernel says so."""
        self.worker_open = False
        self.up.send(self._scheduler_learns)

    def close_by_scheduler(self) -> None:
        self.scheduler_open = False
        self.down.send(self._worker_learns)

    def give_up(self) -> None:
        """The agent waits no longer for the answer to its first call."""
        if not self.ready:
            self._worker_learns()

    def break_off(self) -> None:
        """Both directions are gone, with everything on its way."""
        self.up.cut = self.down.cut = True
        if self.world.chance(0.5):
            self.world.at(self.world.between(0.001, 2.0), self._worker_learns)
        if self.world.chance(0.5):
            self.world.at(self.world.between(0.001, 2.0), self._scheduler_learns)

    def _worker_learns(self) -> None:
        if self.worker_open:
            self.worker_open = False
            self.on_worker_closed()

    def _scheduler_learns(self) -> None:
        if self.scheduler_open:
            self.scheduler_open = False
            self.on_scheduler_closed()
