"""Pools of workers: what those who keep them tell and are told, and what admins want of them."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.request import Request
from cluster.domain.pools.settings import MACHINE_LABEL, MOST_OF_A_POOL, POOL_LABEL, check_pool_name
from cluster.domain.pools.told import PoolWorker
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import PoolsTold, PoolWished
from cluster.domain.scheduler.pool_board import PoolStatus, PoolTold, PoolWish
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.offer import MAX_LABEL
from cluster.scheduler.driver import Driver
from cluster.scheduler.leading import ALONE, Leadership
from cluster.scheduler.message_checks import check_seconds, check_text

MOST_POOLS = 100
MOST_TROUBLE = 500  # characters
MOST_AMOUNTS = 100  # resources of a worker


class PoolNews(NamedTuple):
    """`demand`: what tasks ask for that could start, and how many; nothing while the queue is paused. `schedulers`: of
    the cluster, by their addresses; none: there is one."""

    demand: Sequence[tuple[Request, int]]
    workers: Sequence[PoolWorker]
    wishes: Sequence[PoolWish]
    schedulers: Sequence[str] = ()


class PoolOperations:
    def __init__(self, driver: Driver, leading: Leadership = ALONE) -> None:
        self._driver, self._leading = driver, leading

    async def exchange(self, pools: Sequence[PoolTold]) -> PoolNews:
        """`pools`: all that the caller keeps, as they are now. InvalidInput."""
        if len(pools) > MOST_POOLS:
            raise InvalidInput(f"{len(pools)} pools: one who keeps pools may have {MOST_POOLS}")
        for pool in pools:
            _check(pool)
        await self._driver.ask(lambda ask: PoolsTold(ask, pools))
        news = await self._driver.read_after(partial(_news, pools))
        return news._replace(schedulers=[each.address for each in self._leading.schedulers()])

    async def list(self) -> Sequence[PoolStatus]:
        """Those that somebody keeps, or has kept within the hour, by name."""
        return await self._driver.read(lambda core: core.pools.status(self._driver.clock().wall))

    async def set(self, wish: PoolWish) -> PoolStatus:
        """What an admin wants of a pool, until it is said otherwise. NotFound, InvalidInput."""
        check_pool_name(wish.pool)
        if wish.count is not None and wish.count > MOST_OF_A_POOL:
            raise InvalidInput(f"{wish.count} workers: a pool may have {MOST_OF_A_POOL}")
        await self._driver.ask(lambda ask: PoolWished(ask, wish))
        now = self._driver.clock().wall
        return await self._driver.read_after(
            lambda core: next(each for each in core.pools.status(now) if each.pool.name == wish.pool)
        )


def _check(pool: PoolTold) -> None:
    """InvalidInput."""
    check_pool_name(pool.name)
    check_text("the provider", pool.provider, MAX_LABEL)
    check_text("what failed", pool.trouble, MOST_TROUBLE)
    check_seconds(f"pool {pool.name}: a start at", pool.starting_since)
    if len(pool.amounts) > MOST_AMOUNTS:
        raise InvalidInput(f"pool {pool.name}: {len(pool.amounts)} resources of a worker: at most {MOST_AMOUNTS}")
    for name in pool.amounts:
        check_text("the resource", name, MAX_LABEL)


def _news(pools: Sequence[PoolTold], core: SchedulerCore) -> PoolNews:
    demand = [] if core.queue_pause else list(core.ready.demand())
    there = [worker for worker in core.workers.values() if not worker.record.removed]
    workers = [found for worker in there if (found := _of_a_pool(worker))]
    return PoolNews(demand, workers, [wish for pool in pools if (wish := core.pools.wish(pool.name))])


def _of_a_pool(worker: Worker) -> PoolWorker | None:
    labels = dict(worker.record.offer.labels)
    if POOL_LABEL not in labels:
        return None
    return PoolWorker(
        labels[POOL_LABEL],
        labels.get(MACHINE_LABEL, ""),
        worker.id,
        worker.session is not None,
        worker.held,
        worker.record.drain is not None,
    )
