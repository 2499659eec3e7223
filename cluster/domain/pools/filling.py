"""How many machines of which pool are to be started for what waits: the cheapest that suits, after those that come."""

from collections.abc import Sequence

from cluster.domain.pools.pool import Pool
from cluster.domain.pools.shape import Bin
from cluster.domain.pools.told import DemandClass

MOST_BINS = 10_000  # that are looked at for one class


def wanted(pools: Sequence[Pool], classes: Sequence[DemandClass], now: float) -> dict[str, int]:
    """How many to start, by pool. Of the classes those that have waited longest come first."""
    order = sorted(pools, key=lambda pool: (pool.settings.cost, pool.name))
    bins = {pool.name: _there(pool) for pool in order}
    room = {pool.name: pool.room(now) for pool in order}
    start = dict.fromkeys(room, 0)
    for pool in order:  # what is to be there in any case takes part of what waits
        for _ in range(min(room[pool.name], max(0, pool.minimum - pool.stays))):
            _open(pool, bins, room, start)
    for demand in sorted(classes, key=lambda each: each.since):
        left = demand.ready
        for pool in order:
            if left > 0 and demand.since + pool.settings.wait <= now:
                left = _put(demand, left, bins[pool.name])
        for pool in order:
            if left <= 0 or demand.since + pool.settings.wait > now or not pool.settings.shape.takes(demand.request):
                continue
            while left > 0 and room[pool.name] > 0:
                left -= _open(pool, bins, room, start).put(demand.request, left)
    return start


def _there(pool: Pool) -> list[Bin]:
    """The room of those that come, and of those that have come and have nothing yet."""
    return [Bin(pool.settings.shape) for machine in pool.machines.values() if machine.comes or machine.is_idle]


def _open(pool: Pool, bins: dict[str, list[Bin]], room: dict[str, int], start: dict[str, int]) -> Bin:
    """One more is started."""
    room[pool.name] -= 1
    start[pool.name] += 1
    bins[pool.name].append(Bin(pool.settings.shape))
    return bins[pool.name][-1]


def _put(demand: DemandClass, left: int, bins: list[Bin]) -> int:
    """What of it is left when these are full."""
    for each in bins[:MOST_BINS]:
        if left <= 0:
            break
        left -= each.put(demand.request, left)
    return left
