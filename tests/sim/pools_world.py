"""A world of pools: providers that are slow, that fail, whose machines vanish and who count wrongly; a scheduler that
gives tasks to the workers that are there; and a `cluster pools` that is killed in between. All in simulated seconds.

Checked at each step: there are never more machines than the pool may have, by the provider's own count. At the end: all
work is done, only the fewest that the pool keeps are left, and not many more were started than someone would have
started who knows all that is to come (each that failed or vanished is one that has to be started again).
"""

from dataclasses import dataclass, field
from random import Random

from cluster.domain.job.request import Request
from cluster.domain.pools.core import PoolsCore
from cluster.domain.pools.settings import PoolSettings
from cluster.domain.pools.shape import Shape
from cluster.domain.pools.told import (
    DemandClass,
    DemandTold,
    DrainMachine,
    ForgetMachine,
    MachineRefused,
    MachineState,
    MachinesTold,
    PoolEffect,
    PoolEvent,
    PoolWorker,
    StartMachine,
    StopMachine,
    ToldMachine,
    Wished,
)
from cluster.domain.scheduler.pool_board import PoolBoard, PoolTold, PoolWish, PoolWishes

STEP = 1.0  # seconds
LATEST = 6 * 3600.0  # by then all must be done
SLOTS = 4  # tasks at a time on one machine
POOL = "p"
TASK = Request(1000)


@dataclass(frozen=True, slots=True)
class Climate:
    """Chances are for each start, or for each machine and second."""

    boots: tuple[float, float] = (5.0, 40.0)  # seconds until the worker is there
    refused: float = 0.0
    never_comes: float = 0.0
    is_told_broken: float = 0.5  # of those
    vanishes: float = 0.0
    is_not_told: float = 0.0  # by one list
    is_killed: float = 0.0  # the process of pools, at one step
    leaves: float = 0.0  # the scheduler, at one step; when it is back its workers are offline for some seconds
    is_paused: float = 0.0  # the pool, by an admin, at one step; it goes on after some minutes


CLIMATES = (
    Climate(),
    Climate(boots=(30.0, 110.0)),
    Climate(refused=0.3),
    Climate(never_comes=0.2),
    Climate(vanishes=0.0005),
    Climate(is_not_told=0.1),
    Climate(is_killed=0.02),
    Climate((5.0, 90.0), 0.15, 0.1, 0.5, 0.0003, 0.05, 0.01),
    Climate(leaves=0.01, is_killed=0.005),
    Climate(leaves=0.01, is_killed=0.005, is_paused=0.005),
)


@dataclass(slots=True)
class Real:
    """A machine as it really is. `ends`: when each of its tasks is done."""

    name: str
    comes: float  # when its worker is there; infinity: never
    is_broken: bool = False
    is_drained: bool = False
    is_stopped_at: float = float("inf")
    ends: list[float] = field(default_factory=list)


class Wrong(AssertionError):
    """What the core must never let happen."""


class PoolsWorld:
    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.climate = CLIMATES[seed % len(CLIMATES)]
        self.settings = PoolSettings(
            POOL,
            Shape(SLOTS * 1000),
            minimum=random.choice((0, 0, 1, 2)),
            maximum=random.choice((3, 5, 10, 20)),
            idle=random.choice((30.0, 120.0)),
            start_within=150.0,
            lost_after=30.0,
            back_off=2.0,
            most_back_off=60.0,
        )
        self.now = 1_000_000.0
        self.began = self.now
        self.machines: dict[str, Real] = {}
        self.ready: list[tuple[float, float]] = []  # when it came, and how long it takes
        self.coming = self._waves()
        self.written: dict[str, float] = {}
        self.runs = self.starts = self.spoilt = 0
        self.core = self._new_core()
        self.most = 0
        self.ideal, self.ideal_starts = self.settings.minimum, self.settings.minimum
        self.needs: list[tuple[float, int]] = []
        self.events: list[PoolEvent] = []
        self.back = 0.0  # when the scheduler is there again, or was
        self.board, self.saved = PoolBoard(), PoolWishes(())
        self.goes_on = 0.0  # when the admin lets it go on

    def _waves(self) -> list[tuple[float, float]]:
        """When each task comes, and how long it takes."""
        found, at = [], self.now + self.random.uniform(0, 60)
        for _ in range(self.random.randint(1, 4)):
            length = self.random.choice((5.0, 60.0, 300.0))
            count = self.random.choice((1, 7, 40, 150))
            found += [(at + self.random.uniform(0, 20), length * self.random.uniform(0.5, 1.5)) for _ in range(count)]
            at += self.random.choice((100.0, 900.0))
        return sorted(found)

    def _new_core(self) -> PoolsCore:
        """As after a kill: it knows what was written down."""
        self.runs += 1
        core = PoolsCore([self.settings], f"r{self.runs}")
        for name, began in self.written.items():
            core.remember(POOL, name, began)
        return core

    # ── the world goes on ─────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> None:
        """Until all is done, and the pool is as small as it may be."""
        while not self._is_over():
            self.now += STEP
            if self.now > self.began + LATEST:
                raise Wrong(f"not done by then: {len(self.ready)} tasks wait, there are {sorted(self.machines)}")
            self._machines_go_on()
            self._tasks_go_on()
            self._note_need()
            self._turn()
            self._check()
        allowed = 1.2 * self.ideal_starts + self.spoilt + 1
        if self.starts > allowed and not self.climate.is_paused:  # what waited for that long is asked for at once
            raise Wrong(f"{self.starts} starts, where {self.ideal_starts} do and {self.spoilt} were spoilt")

    def _is_over(self) -> bool:
        busy = self.ready or self.coming or any(machine.ends for machine in self.machines.values())
        return not busy and len(self.machines) == self.settings.minimum == len(self._online())

    def _online(self) -> list[Real]:
        return [m for m in self.machines.values() if m.comes <= self.now and m.is_stopped_at > self.now]

    def _machines_go_on(self) -> None:
        for machine in list(self.machines.values()):
            if self.random.random() < self.climate.vanishes * STEP:
                self.spoilt += 1
                self._lose(machine)
            elif machine.is_stopped_at <= self.now - 3.0:
                self._lose(machine)

    def _lose(self, machine: Real) -> None:
        self.ready += [(self.now, end - self.now) for end in machine.ends if end > self.now]
        del self.machines[machine.name]

    def _tasks_go_on(self) -> None:
        while self.coming and self.coming[0][0] <= self.now:
            self.ready.append(self.coming.pop(0))
        for machine in self.machines.values():
            machine.ends = [end for end in machine.ends if end > self.now]
        for machine in self._online():
            while self.ready and not machine.is_drained and len(machine.ends) < SLOTS:
                machine.ends.append(self.now + self.ready.pop(0)[1])

    def _note_need(self) -> None:
        """What someone would start who knows what comes, and keeps what has nothing to do as long as the pool does."""
        tasks = len(self.ready) + sum(len(machine.ends) for machine in self.machines.values())
        need = max(self.settings.minimum, min(self.settings.maximum, -(-tasks // SLOTS)))
        self.needs = [(at, n) for at, n in self.needs if at > self.now - self.settings.idle] + [(self.now, need)]
        self.ideal_starts += max(0, need - self.ideal)
        self.ideal = max(n for _, n in self.needs) if need <= self.ideal else need

    # ── what pools does ───────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        told: list[PoolEvent] = [self._list()] if self.random.random() < 0.5 else []
        if self.now >= self.back and self.random.random() < self.climate.leaves:
            self.back = self.now + self.random.uniform(1.0, 200.0)
            self.board = PoolBoard()  # as it begins anew
            self.board.restore(self.saved.wishes)
        demand: list[PoolEvent] = [self._wished(), self._demand()] if self.now >= self.back else []
        events, self.events = [*self.events, *told, *demand], []
        effects = self.core.turn(events, self.now)
        for effect in effects:
            if isinstance(effect, StartMachine):
                self.written[effect.name] = self.now
            if self.random.random() < self.climate.is_killed:
                self.core, self.events = self._new_core(), []
                if isinstance(effect, StartMachine):
                    self.spoilt += 1  # it is counted, and never comes
                return
            self._perform(effect)
        if self.random.random() < self.climate.is_killed:
            self.core, self.events = self._new_core(), []

    def _perform(self, effect: PoolEffect) -> None:
        match effect:
            case StartMachine():
                self._start(effect.name)
            case DrainMachine() if effect.name in self.machines:
                self.machines[effect.name].is_drained = True
            case StopMachine() if effect.name in self.machines:
                machine = self.machines[effect.name]
                machine.is_stopped_at = min(machine.is_stopped_at, self.now)
            case ForgetMachine():
                self.written.pop(effect.name, None)

    def _wished(self) -> Wished:
        """What an admin wants, as the scheduler knows it."""
        is_paused = self.board.wish(POOL) is not None
        if not is_paused and self.random.random() < self.climate.is_paused and self.now >= self.goes_on:
            self.goes_on = self.now + self.random.uniform(10.0, 600.0)
            self._wish(PoolWish(POOL, None, True))
        elif is_paused and self.now >= self.goes_on:
            self._wish(PoolWish(POOL))
        wish = self.board.wish(POOL) or PoolWish(POOL)
        return Wished(POOL, wish.count, wish.is_paused)

    def _wish(self, wish: PoolWish) -> None:
        self.board.told([PoolTold(POOL, "sim", self.settings.minimum, self.settings.maximum)], self.now)
        wishes = self.board.wished(wish)
        assert isinstance(wishes, PoolWishes)
        self.saved = wishes

    def _start(self, name: str) -> None:
        if self.now < self.goes_on:
            raise Wrong(f"{name} is started, while the pool is paused")
        self.starts += 1
        if self.random.random() < self.climate.refused:
            self.spoilt += 1
            self.events.append(MachineRefused(POOL, name, "the quota is reached"))
            self.written.pop(name)
            return
        comes, is_broken = self.now + self.random.uniform(*self.climate.boots), False
        if self.random.random() < self.climate.never_comes:
            self.spoilt += 1
            comes, is_broken = float("inf"), self.random.random() < self.climate.is_told_broken
        self.machines[name] = Real(name, comes, is_broken)

    def _list(self) -> MachinesTold:
        told = [
            ToldMachine(m.name, f"i-{m.name}", MachineState.BROKEN if m.is_broken else MachineState.RUNNING)
            for m in self.machines.values()
            if self.random.random() >= self.climate.is_not_told
        ]
        return MachinesTold(POOL, told, self.now)

    def _demand(self) -> DemandTold:
        classes = [DemandClass(TASK, len(self.ready), min(at for at, _ in self.ready))] if self.ready else []
        is_back = self.now >= self.back + 8.0 or not self.back
        workers = [
            PoolWorker(POOL, m.name, f"w-{m.name}", is_back and m.is_stopped_at > self.now, len(m.ends), m.is_drained)
            for m in self.machines.values()
            if m.comes <= self.now
        ]
        return DemandTold(classes, workers)

    def _check(self) -> None:
        self.most = max(self.most, len(self.machines))
        if len(self.machines) > self.settings.maximum:
            raise Wrong(f"{len(self.machines)} machines, where {self.settings.maximum} are the most")
        for machine in self.machines.values():
            if machine.ends and machine.is_stopped_at <= self.now and not machine.is_broken:
                raise Wrong(f"{machine.name} was stopped, and tasks were running there")


def play(seed: int) -> PoolsWorld:
    """One life. Wrong says what must not be."""
    world = PoolsWorld(seed)
    try:
        world.live()
    except Wrong as error:
        raise Wrong(f"seed {seed}, {world.now - world.began:.0f} s: {error}") from None
    return world
