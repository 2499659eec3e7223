"""The core of pools: what they are told goes in, what is to be started, drained and stopped comes out.

Nothing is started unless it is known what there is: by the provider since this process began, and by the scheduler not
long ago. What is asked for counts from then on, whether or not anybody tells it, until it is certainly gone: so there
are never more than the settings allow. Everything here can be found out again: a core that begins anew knows the names
that were written down, is told the rest, and decides the same.
"""

from collections.abc import Iterable, Sequence
from math import inf

from cluster.domain.pools.filling import wanted
from cluster.domain.pools.leaving import leave
from cluster.domain.pools.pool import Machine, Pool
from cluster.domain.pools.settings import PoolSettings
from cluster.domain.pools.told import (
    DemandClass,
    DemandTold,
    ForgetMachine,
    MachineRefused,
    MachinesTold,
    MachinesUnknown,
    PoolEffect,
    PoolEvent,
    PoolWorker,
    StartMachine,
    StopRefused,
    Wished,
)

STALE = 30.0  # seconds after which what the scheduler has said is nothing to act on
GAP = 10.0  # seconds without a word of it, after which its workers may need time to come back to it


class PoolsCore:
    def __init__(self, settings: Sequence[PoolSettings], run: str) -> None:
        """`run`: a few letters or digits that no other core had: names of machines begin so, and none comes twice."""
        self.pools = {each.name: Pool(each) for each in settings}
        self._run = run
        self._last = 0  # number of the last machine
        self._classes: Sequence[DemandClass] = ()
        self._heard = -inf  # when the scheduler said all that
        self._strays: dict[str, tuple[PoolWorker, float]] = {}  # offline, of no machine there is; since when; by UUID

    def remember(self, pool: str, name: str, began: float) -> None:
        """It was asked for by a core before this one, or just then: it counts. (Of a pool that is no more: nothing.)"""
        if pool in self.pools:
            self.pools[pool].machines.setdefault(name, Machine(name, began))

    def turn(self, events: Iterable[PoolEvent], now: float) -> list[PoolEffect]:
        """`now`: Unix seconds. What is asked for is taken as done: what was not is told by an event."""
        for event in events:
            self._take(event, now)
        effects: list[PoolEffect] = []
        for pool in self.pools.values():
            effects += self._forgotten(pool, now)
        fresh = now - self._heard < STALE
        if fresh:
            for pool in self.pools.values():
                waits = any(pool.settings.shape.takes(each.request) for each in self._classes)
                effects += leave(pool, now, waits=waits)
            effects += self._starts(now)
        return effects

    def next_deadline(self, now: float) -> float | None:
        """When there may be something to do that nobody tells, as Unix seconds; None: never."""
        due = [pool.next_deadline(now) for pool in self.pools.values()]
        shortest = [each.since + pool.settings.wait for each in self._classes for pool in self.pools.values()]
        when = min([*due, *(each for each in shortest if each > now)], default=inf)
        return None if when == inf else when

    def is_unclear(self, name: str) -> bool:
        """Whether what that pool has is to be asked again soon, though nobody says that it has changed: only that tells
        that a machine is gone."""
        return self.pools[name].misses_any or any(worker.pool == name for worker, _ in self._strays.values())

    def _take(self, event: PoolEvent, now: float) -> None:
        if isinstance(event, DemandTold):
            self._scheduler_heard(now)
            self._classes = event.classes
            self._workers_told(event.workers, now)
        elif pool := self.pools.get(event.pool):
            match event:
                case MachinesTold():
                    self._machines_told(pool, event, now)
                case MachinesUnknown():
                    pool.trouble = event.why
                case MachineRefused():
                    pool.machines.pop(event.name, None)
                    pool.failed(event.why, now)
                case StopRefused():
                    pool.trouble = event.why
                case Wished():
                    pool.count, pool.is_paused = event.count, event.is_paused

    @staticmethod
    def _machines_told(pool: Pool, event: MachinesTold, now: float) -> None:
        pool.told_at = event.asked_at
        if not pool.failures:
            pool.trouble = ""
        for machine in pool.machines.values():
            machine.missed = machine.missed or event.asked_at
            machine.is_told = False
        for told in event.machines:
            machine = pool.machines.setdefault(told.name, Machine(told.name, now))
            machine.id, machine.state, machine.why = told.id, told.state, told.why
            machine.seen, machine.is_told, machine.missed = event.asked_at, True, 0.0

    def _scheduler_heard(self, now: float) -> None:
        """While it was away no worker could come, and those that were there need a moment to find it again."""
        for pool in self.pools.values():
            if now - self._heard > GAP:
                pool.heard_since = now
                pool.could_join_since = now if pool.heard else 0.0
            pool.heard = now
        self._heard = now

    def _workers_told(self, workers: Sequence[PoolWorker], now: float) -> None:
        known = {(worker.pool, worker.machine): worker for worker in workers}
        for pool in self.pools.values():
            for machine in pool.machines.values():
                before, machine.worker = machine.worker, known.get((pool.name, machine.name))
                if before and machine.worker is None:
                    machine.worker = before._replace(is_online=False, held=0)  # it was taken off the list
                self._look_at(pool, machine, now)
        strays = [each for each in workers if each.machine and not each.is_online and self._is_nobodys(each)]
        self._strays = {each.id: (each, self._strays.get(each.id, (each, now))[1]) for each in strays}

    def _is_nobodys(self, worker: PoolWorker) -> bool:
        """It is said to be of one of these pools, which knows nothing of its machine."""
        return worker.pool in self.pools and worker.machine not in self.pools[worker.pool].machines

    @staticmethod
    def _look_at(pool: Pool, machine: Machine, now: float) -> None:
        """What its worker does just now."""
        if machine.worker and not machine.has_joined:
            machine.has_joined, machine.online = True, now
            if machine.is_online:
                pool.succeeded()
        if machine.is_online and machine.worker:
            machine.online = now
            if machine.worker.is_drained and not machine.drain_asked:
                # Before this process began, or by a person: it leaves as soon as it has nothing.
                machine.drain_asked, machine.reason = now, machine.reason or "it was drained"
            if machine.worker.held:
                machine.idle_since = None
            elif machine.idle_since is None:
                machine.idle_since = now
        else:
            machine.idle_since = None

    def _forgotten(self, pool: Pool, now: float) -> Iterable[PoolEffect]:
        """Those that are gone: not told any more for long enough, and their worker is not there either."""
        if not pool.told_at:
            return
        for machine in list(pool.machines.values()):
            if pool.is_gone(machine):
                del pool.machines[machine.name]
                if not machine.has_joined and not machine.leaves:
                    pool.failed(f"{machine.name} was gone before its worker had come", now)
                yield ForgetMachine(pool.name, machine.name, machine.worker.id if machine.worker else "")
        long_ago = pool.told_at - pool.settings.missing_after - pool.settings.lost_after
        for worker, since in list(self._strays.values()):
            if worker.pool == pool.name and since <= long_ago:  # a process ended before it could take it off the list
                del self._strays[worker.id]
                yield ForgetMachine(pool.name, worker.machine, worker.id)

    def _starts(self, now: float) -> Iterable[PoolEffect]:
        for name, count in wanted(list(self.pools.values()), self._classes, now).items():
            for _ in range(count):
                self._last += 1
                machine = Machine(f"{name}-{self._run}-{self._last}", now)
                self.pools[name].machines[machine.name] = machine
                yield StartMachine(name, machine.name)
