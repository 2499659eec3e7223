"""The loop that keeps pools: what scheduler and providers tell goes into the core, what the core asks for is done."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import groupby
from typing import Any

from cluster.domain.base.errors import ClusterError
from cluster.domain.job.request import Request
from cluster.domain.pools.core import PoolsCore
from cluster.domain.pools.pool import Pool
from cluster.domain.pools.told import (
    DemandClass,
    DemandTold,
    DrainMachine,
    ForgetMachine,
    MachineRefused,
    MachinesTold,
    MachinesUnknown,
    PoolEffect,
    PoolEvent,
    StartMachine,
    StopMachine,
    StopRefused,
    ToldMachine,
    Wished,
)
from cluster.domain.scheduler.pool_board import PoolTold
from cluster.pools.calls import KeeperCalls
from cluster.pools.config import KeptPool
from cluster.pools.providers.interface import NewMachine, ProviderError
from cluster.pools.written import AskedFor, MachinesFile
from cluster.rpc.pools import PoolAnswer

EXCHANGE_EVERY = 1.0  # seconds
WATCHED_AGAIN = 5.0  # seconds after a provider could not tell of changes
MOST_TROUBLE = 500  # characters
PATIENCE = 90.0  # seconds for what is under way when it is told to stop

logger = logging.getLogger(__name__)


class Keeper:
    def __init__(
        self,
        pools: Sequence[KeptPool],
        written: MachinesFile,
        scheduler: KeeperCalls,
        run: str,
        told_where: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """`run`: a few letters or digits that no other had. `told_where` is called when the schedulers are elsewhere,
        or others than before."""
        self._told_where = told_where
        self._kept = {pool.settings.name: pool for pool in pools}
        self._core = PoolsCore([pool.settings for pool in pools], run)
        self._written, self._scheduler = written, scheduler
        self._events: list[PoolEvent] = []
        self._something = asyncio.Event()
        self._since: dict[Request, float] = {}  # when tasks that ask for that were first told
        self._doing: set[asyncio.Task[None]] = set()
        self._look = {name: asyncio.Event() for name in self._kept}  # set: what the pool has is to be listed
        self._said = ""  # of the scheduler, that it does not answer
        for name, machine in written.machines.items():
            self._core.remember(machine.pool, name, machine.began)
            if machine.pool not in self._kept:
                logger.warning("pool %s is not kept any more: its machine %s is left alone", machine.pool, name)

    async def keep(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Until `stop` is set: what is under way then is ended, machines stay. `ready` is called when each provider has
        said that it can work. ClusterError, OSError where it cannot go on."""
        await asyncio.gather(*(pool.provider.check() for pool in self._kept.values()))
        ready()
        async with asyncio.TaskGroup() as group:
            loops: list[Coroutine[Any, Any, None]] = [self._exchanging()]
            for name in self._kept:
                loops += [self._listing(name), self._watching(name)]
            going = [group.create_task(each) for each in [*loops, self._turning()]]
            await stop.wait()
            for each in going:
                each.cancel()
        if self._doing:
            await asyncio.wait(self._doing, timeout=PATIENCE)
        for pool in self._kept.values():
            await pool.provider.close()

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, *events: PoolEvent) -> None:
        self._events += events
        self._something.set()

    async def _exchanging(self) -> None:
        while True:
            try:
                answer = await self._scheduler.exchange([self._told(pool) for pool in self._core.pools.values()])
            except ClusterError as error:
                if str(error) != self._said:
                    logger.warning("the scheduler does not answer, nothing is started meanwhile: %s", error)
                self._said = str(error)
            else:
                self._said = ""
                self._heard(answer)
                if self._scheduler.told(answer.schedulers):
                    self._told_where(answer.schedulers)
            await asyncio.sleep(EXCHANGE_EVERY)

    def _heard(self, answer: PoolAnswer) -> None:
        now = time.time()
        self._since = {request: self._since.get(request, now) for request, _ in answer.demand}
        classes = [DemandClass(request, ready, self._since[request]) for request, ready in answer.demand]
        wishes = {wish.pool: wish for wish in answer.wishes}
        for name in self._kept:
            wish = wishes.get(name)
            self._tell(Wished(name, wish.count, wish.is_paused) if wish else Wished(name))
        self._tell(DemandTold(classes, answer.workers))

    async def _listing(self, name: str) -> None:
        """At first, when something may have changed, and each second while it is not clear what there is."""
        while True:
            self._look[name].clear()
            asked_at = time.time()
            try:
                self._tell(MachinesTold(name, await self._kept[name].provider.list(), asked_at))
            except ProviderError as error:
                self._tell(MachinesUnknown(name, _short(error)))
            pool = self._core.pools[name]
            await asyncio.sleep(EXCHANGE_EVERY)
            if not self._core.is_unclear(name) and not pool.trouble:
                await self._look[name].wait()

    async def _watching(self, name: str) -> None:
        while True:
            try:
                async for _ in self._kept[name].provider.changes():
                    self._look[name].set()
            except ProviderError as error:
                logger.warning("pool %s is looked at without being told of changes: %s", name, error)
            self._look[name].set()
            await asyncio.sleep(WATCHED_AGAIN)

    def _told(self, pool: Pool) -> PoolTold:
        settings, coming = pool.settings, [each.began for each in pool.machines.values() if each.comes]
        return PoolTold(
            pool.name,
            self._kept[pool.name].provider_name,
            settings.minimum,
            settings.maximum,
            len(coming),
            min(coming, default=0.0),
            sum(each.is_online and not each.leaves for each in pool.machines.values()),
            sum(each.leaves for each in pool.machines.values()),
            pool.trouble[:MOST_TROUBLE],
            settings.shape.millicpus,
            settings.shape.amounts,
        )

    # ── what is done ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _turning(self) -> None:
        while True:
            now = time.time()
            due = self._core.next_deadline(now)
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._something.wait()
            except TimeoutError:
                pass
            self._something.clear()
            events, self._events = self._events, []
            now = time.time()
            self._act(self._core.turn(events, now), now)
            for name, look in self._look.items():
                if self._core.is_unclear(name):
                    look.set()

    def _act(self, effects: Sequence[PoolEffect], now: float) -> None:
        """Starts are written down before any of them is begun."""
        starts = [each for each in effects if isinstance(each, StartMachine)]
        if starts:
            self._written.add({each.name: AskedFor(each.pool, now) for each in starts})
        for pool, group in groupby(starts, key=lambda each: each.pool):
            self._do(self._start(pool, [each.name for each in group]))
        forgotten = [each.name for each in effects if isinstance(each, ForgetMachine)]
        if forgotten:
            self._written.remove(forgotten)
        for effect in effects:
            match effect:
                case DrainMachine():
                    logger.info("pool %s: %s is drained: %s", effect.pool, effect.name, effect.reason)
                    self._do(self._call(self._scheduler.drain(effect.worker, effect.reason)))
                case StopMachine():
                    logger.info("pool %s: %s is stopped: %s", effect.pool, effect.name, effect.reason)
                    self._do(self._stop(effect))
                case ForgetMachine() if effect.worker:
                    self._do(self._call(self._scheduler.remove(effect.worker)))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._doing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s: %s", type(error).__name__, error)

    async def _start(self, pool: str, names: Sequence[str]) -> None:
        new: list[NewMachine] = []
        refused: dict[str, str] = {}
        within = self._kept[pool].settings.start_within
        for name in names:
            try:
                new.append(NewMachine(name, await self._scheduler.join_token(within)))
            except ClusterError as error:
                refused[name] = _short(error)
        if new:
            logger.info("pool %s: starting %s", pool, ", ".join(each.name for each in new))
            refused |= await self._made(pool, new)
        for name, why in refused.items():
            logger.warning("pool %s: %s was not made: %s", pool, name, why)
        self._written.remove(list(refused))
        self._tell(*(MachineRefused(pool, name, why) for name, why in refused.items()))
        self._look[pool].set()

    async def _made(self, pool: str, new: Sequence[NewMachine]) -> Mapping[str, str]:
        try:
            return await self._kept[pool].provider.start(new)
        except ProviderError as error:
            return {each.name: _short(error) for each in new}

    async def _stop(self, effect: StopMachine) -> None:
        try:
            await self._kept[effect.pool].provider.stop([ToldMachine(effect.name, effect.id)])
        except ProviderError as error:
            logger.warning("pool %s: %s was not stopped: %s", effect.pool, effect.name, error)
            self._tell(StopRefused(effect.pool, effect.name, _short(error)))
        self._look[effect.pool].set()

    async def _call(self, call: Awaitable[None]) -> None:
        """What fails is asked for again by the core."""
        try:
            await call
        except ClusterError as error:
            logger.warning("%s", error)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:MOST_TROUBLE] or "failed"
