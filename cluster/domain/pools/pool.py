"""One pool as the core has it: its machines, what its provider says, and whether it may start any just now."""

from dataclasses import dataclass, field
from math import inf

from cluster.domain.pools.settings import PoolSettings
from cluster.domain.pools.told import MachineState, PoolWorker

DRAINED_IS_LATE = 30.0  # seconds after which what should have been done is asked for again


@dataclass(slots=True)
class Machine:
    """`began`: when it was asked for, or first told. Times are Unix seconds."""

    name: str
    began: float
    id: str = ""
    seen: float = 0.0  # when the provider was asked that told it last; 0: never
    is_told: bool = False  # the last time that all were told
    missed: float = 0.0  # since when it is not told any more; 0: it is, or never was
    state: MachineState = MachineState.STARTING
    why: str = ""
    worker: PoolWorker | None = None
    has_joined: bool = False
    online: float = 0.0  # when its worker was last known to be there
    idle_since: float | None = None
    drain_asked: float = 0.0
    stop_asked: float = 0.0
    reason: str = ""  # why it leaves

    @property
    def is_online(self) -> bool:
        return self.worker is not None and self.worker.is_online

    @property
    def leaves(self) -> bool:
        """Nothing more is expected of it."""
        return bool(self.drain_asked or self.stop_asked)

    @property
    def comes(self) -> bool:
        """Its worker was not there yet."""
        return not self.has_joined and not self.leaves

    @property
    def is_idle(self) -> bool:
        return self.is_online and not self.leaves and self.idle_since is not None


@dataclass(slots=True)
class Pool:
    settings: PoolSettings
    machines: dict[str, Machine] = field(default_factory=dict)  # by name
    count: int | None = None  # that an admin wants; None: by demand
    is_paused: bool = False
    told_at: float = 0.0  # when the provider was asked that told its machines last; 0: not yet
    trouble: str = ""  # what failed last; empty: nothing since the last success
    failures: int = 0  # in a row
    not_before: float = 0.0  # nothing is started until then
    heard: float = 0.0  # when the scheduler last said who is there
    heard_since: float = 0.0  # it has been there since then without a gap
    could_join_since: float = 0.0  # the same, where it had been heard before that gap; 0: there was none

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def minimum(self) -> int:
        return self.settings.minimum if self.count is None else min(self.count, self.settings.maximum)

    @property
    def maximum(self) -> int:
        return self.settings.maximum if self.count is None else min(self.count, self.settings.maximum)

    @property
    def stays(self) -> int:
        """Machines that are there or come, and are not to leave."""
        return sum(not machine.leaves for machine in self.machines.values())

    def room(self, now: float) -> int:
        """How many machines may be started now. After a failure one at a time, until one has come."""
        if not self.told_at or self.is_paused or now < self.not_before:
            return 0
        # Those that leave are counted until they are gone, and the settings' bound holds for all of them.
        room = min(self.maximum - self.stays, self.settings.maximum - len(self.machines))
        if self.failures:
            room = min(room, 1 - sum(machine.comes for machine in self.machines.values()))
        return max(0, room)

    def failed(self, why: str, now: float) -> None:
        """Several that fail together are one failure."""
        self.trouble = why
        if now >= self.not_before:
            self.failures += 1
            longest = self.settings.most_back_off
            pause = self.settings.back_off * 2.0 ** min(self.failures - 1, 30)
            self.not_before = now + min(pause, longest)

    def succeeded(self) -> None:
        """A worker of it has come."""
        self.failures, self.not_before, self.trouble = 0, 0.0, ""

    def next_deadline(self, now: float) -> float:
        """When something of it is due that nobody would tell; infinity: never."""
        due = [self.not_before] if self.not_before > now else []
        for machine in self.machines.values():
            due.extend(self._due(machine))
        return min((when for when in due if when > now), default=inf)

    def _due(self, machine: Machine) -> list[float]:
        if machine.stop_asked:
            return [machine.stop_asked + DRAINED_IS_LATE]
        due = [machine.drain_asked + DRAINED_IS_LATE] if machine.drain_asked else []
        if not machine.has_joined:
            return [*due, self.is_late_at(machine)]
        if not machine.is_online:
            due.append(self.is_late_at(machine))
        elif machine.idle_since is not None:
            due.append(machine.idle_since + self.settings.idle)
        return due

    def is_late_at(self, machine: Machine) -> float:
        """When its worker should be there: for the first time, or again."""
        if not machine.has_joined:
            return max(machine.began, self.could_join_since) + self.settings.start_within
        return max(machine.online, self.heard_since) + self.settings.lost_after

    def is_gone(self, machine: Machine) -> bool:
        """Whether it was not told for long enough, by lists that were asked for that far apart: one may miss it. One
        that was never told may be on its way."""
        if machine.is_told or machine.is_online:
            return False
        since = max(machine.missed, machine.stop_asked)
        if not machine.seen and not machine.stop_asked:
            since = machine.began + self.settings.start_within
        return self.told_at - since >= self.settings.missing_after

    @property
    def misses_any(self) -> bool:
        """Whether what it has is to be asked again soon, though nobody says that it has changed."""
        return any(not machine.is_told or machine.stop_asked for machine in self.machines.values())
