"""Pools as messages have them."""

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
