"""Pools as messages have them."""

from collections.abc import Sequence
from typing import NamedTuple

from cluster.domain.job.request import Beside, Request
from cluster.domain.pools.told import PoolWorker
from cluster.domain.scheduler.pool_board import PoolStatus, PoolTold, PoolWish
from cluster.v1 import pools_pb2


def pool_from_proto(pool: pools_pb2.PoolInfo) -> PoolTold:
    return PoolTold(
        pool.name,
        pool.provider,
        pool.minimum,
        pool.maximum,
        pool.starting,
        pool.starting_since,
        pool.online,
        pool.leaving,
        pool.trouble,
        pool.millicpus,
        dict(pool.amounts),
    )


def pool_to_proto(pool: PoolTold) -> pools_pb2.PoolInfo:
    return pools_pb2.PoolInfo(
        name=pool.name,
        provider=pool.provider,
        minimum=pool.minimum,
        maximum=pool.maximum,
        starting=pool.starting,
        starting_since=pool.starting_since,
        online=pool.online,
        leaving=pool.leaving,
        trouble=pool.trouble,
        millicpus=pool.millicpus,
        amounts=pool.amounts,
    )


def wish_from_proto(wish: pools_pb2.PoolWish) -> PoolWish:
    return PoolWish(wish.pool, wish.count if wish.HasField("count") else None, wish.paused)


def wish_to_proto(wish: PoolWish) -> pools_pb2.PoolWish:
    return pools_pb2.PoolWish(pool=wish.pool, count=wish.count, paused=wish.is_paused)


def status_from_proto(status: pools_pb2.PoolStatus) -> PoolStatus:
    wish = wish_from_proto(status.wish) if status.HasField("wish") else None
    return PoolStatus(pool_from_proto(status.pool), status.age, wish)


def status_to_proto(status: PoolStatus) -> pools_pb2.PoolStatus:
    wish = wish_to_proto(status.wish) if status.wish else None
    return pools_pb2.PoolStatus(pool=pool_to_proto(status.pool), age=status.age, wish=wish)


class PoolAnswer(NamedTuple):
    """What the one who keeps pools hears. `demand`: requests, and how many tasks could start that ask for that.
    `schedulers`: of the cluster, by their addresses; none: there is one."""

    demand: Sequence[tuple[Request, int]]
    workers: Sequence[PoolWorker]
    wishes: Sequence[PoolWish]
    schedulers: Sequence[str] = ()


def news_from_proto(news: pools_pb2.ExchangeResponse) -> PoolAnswer:
    return PoolAnswer(
        [(_request(each), each.ready) for each in news.demand],
        [PoolWorker(w.pool, w.machine, w.worker, w.online, w.held, w.drained) for w in news.workers],
        list(map(wish_from_proto, news.wishes)),
        list(news.schedulers),
    )


def _request(demand: pools_pb2.Demand) -> Request:
    beside = Beside(tuple(sorted(demand.amounts.items())), demand.need, exclusive=demand.exclusive)
    return Request(demand.millicpus, demand.worker, beside if any(beside) else None)
