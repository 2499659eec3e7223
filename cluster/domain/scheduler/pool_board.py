"""What those who keep pools have told last, which is in memory alone, as it is told anew every few seconds; and what
admins want of pools, which is saved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cluster.domain.base.errors import NotFound
from cluster.domain.base.quantities import format_duration
from cluster.domain.job.request import Request

STALE = 60.0  # seconds after which a pool is nothing to wait for: whoever keeps it is gone
FORGOTTEN = 3600.0  # seconds after which it is not listed any more


@dataclass(frozen=True, slots=True)
class PoolWish:
    """`count`: exactly so many workers, within the pool's bounds; None: by demand. Paused: nothing is started, nothing
    leaves."""

    pool: str
    count: int | None = None
    is_paused: bool = False

    @property
    def is_none(self) -> bool:
        return self.count is None and not self.is_paused


class PoolWishes(NamedTuple):
    """All that is wanted of pools."""

    wishes: Sequence[PoolWish]


@dataclass(frozen=True, slots=True)
class PoolTold:
    """A pool as the one who keeps it sees it. `starting_since`: Unix seconds; 0: none is starting. `trouble`: what
    failed last. `millicpus`, `amounts`: what each of its workers will offer."""

    name: str
    provider: str
    minimum: int
    maximum: int
    starting: int = 0
    starting_since: float = 0.0
    online: int = 0
    leaving: int = 0
    trouble: str = ""
    millicpus: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)

    def may_take(self, request: Request) -> bool:
        """Whether it has as much as a task needs. What `--need` says of labels is known once a worker is there."""
        amounts = request.beside.amounts if request.beside else ()
        enough = all(self.amounts.get(name, 0) >= amount for name, amount in amounts)
        return enough and not request.worker and request.millicpus <= self.millicpus


class PoolStatus(NamedTuple):
    pool: PoolTold
    age: float  # seconds since it was told
    wish: PoolWish | None  # None: nobody wants anything of it


class PoolBoard:
    def __init__(self) -> None:
        self._told: dict[str, tuple[PoolTold, float]] = {}  # with the Unix second, by name
        self._wishes: dict[str, PoolWish] = {}

    def told(self, pools: Sequence[PoolTold], now: float) -> int:
        """`now`: Unix seconds. Answers how many there are in all."""
        self._told = {name: each for name, each in self._told.items() if now - each[1] < FORGOTTEN}
        self._told.update((pool.name, (pool, now)) for pool in pools)
        return len(self._told)

    def restore(self, wishes: Sequence[PoolWish]) -> None:
        """As they were saved."""
        self._wishes = {wish.pool: wish for wish in wishes}

    def wished(self, wish: PoolWish) -> PoolWishes | NotFound:
        """Answers all that is wanted now, which is to be saved."""
        if wish.pool not in self._told:
            return NotFound(f"there is no pool {wish.pool!r}: nobody who keeps one of that name has called")
        self._wishes.pop(wish.pool, None)
        if not wish.is_none:
            self._wishes[wish.pool] = wish
        return PoolWishes(tuple(self._wishes.values()))

    def wish(self, pool: str) -> PoolWish | None:
        """What is wanted of it; None: nothing."""
        return self._wishes.get(pool)

    def status(self, now: float) -> list[PoolStatus]:
        """By name."""
        told = sorted(self._told.values(), key=lambda each: each[0].name)
        return [PoolStatus(pool, max(0.0, now - at), self._wishes.get(pool.name)) for pool, at in told]

    def coming_for(self, request: Request, now: float) -> Iterator[str]:
        """What pools do for tasks that ask for that, and why one does not."""
        for pool, age, _ in self.status(now):
            if age >= STALE or not pool.may_take(request):
                continue
            if pool.starting:
                so_far = format_duration(max(0.0, now - pool.starting_since))
                workers = f"{pool.starting} worker{'' if pool.starting == 1 else 's'}"
                yield f"pool {pool.name} is starting {workers}, {so_far} so far"
            if pool.trouble:
                yield f"pool {pool.name} has failed to: {pool.trouble}"
