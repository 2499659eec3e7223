"""The client's verbs about pools of workers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cluster.domain.scheduler.pool_board import PoolStatus, PoolTold, PoolWish
    from cluster.rpc.pools import PoolAnswer


class PoolsBackend(Protocol):
    """Makes the calls. See AsyncPools for what each verb does."""

    async def pools(self) -> "tuple[PoolStatus, ...]":
        """The pools, by name."""

    async def set_pool(self, wish: "PoolWish") -> "PoolStatus":
        """Says what is wanted of a pool."""


class AsyncPools(ABC):
    """Those of AsyncClient's verbs."""

    async def pools(self) -> "tuple[PoolStatus, ...]":
        """The pools that somebody keeps, or has kept within the hour, by name, each as it was told last."""
        return await self._backend().pools()

    async def set_pool(self, name: str, *, count: int | None = None, paused: bool = False) -> "PoolStatus":
        """Wants of a pool exactly `count` workers, within its bounds, or None: as many as are asked for; of one that is
        paused nothing is started, and nothing leaves. Until it is said otherwise, over restarts too. For admins.
        NotFound."""
        from cluster.domain.scheduler.pool_board import PoolWish

        return await self._backend().set_pool(PoolWish(name, count, paused))

    @abstractmethod
    def _backend(self) -> PoolsBackend:
        """What makes the calls."""


class PoolCalls(ABC):
    """As PoolsBackend, by calls of a scheduler's service."""

    async def pools(self) -> "tuple[PoolStatus, ...]":
        from cluster.rpc.pools import status_from_proto
        from cluster.v1 import pools_pb2

        with self._calling():
            answer = await self._beside("Pools").ListPools(pools_pb2.ListPoolsRequest())
        return tuple(map(status_from_proto, answer.pools))

    async def set_pool(self, wish: "PoolWish") -> "PoolStatus":
        from cluster.rpc.pools import status_from_proto, wish_to_proto
        from cluster.v1 import pools_pb2

        with self._calling():
            answer = await self._beside("Pools").SetPool(pools_pb2.SetPoolRequest(wish=wish_to_proto(wish)))
        return status_from_proto(answer.pool)

    async def exchange_pools(self, pools: "Sequence[PoolTold]") -> "PoolAnswer":
        """Tells how the pools are that the caller keeps, and hears what is asked of them. In the role pools."""
        from cluster.rpc.pools import news_from_proto, pool_to_proto
        from cluster.v1 import pools_pb2

        with self._calling():
            answer = await self._beside("Pools").Exchange(pools_pb2.ExchangeRequest(pools=map(pool_to_proto, pools)))
        return news_from_proto(answer)

    @abstractmethod
    def _calling(self) -> AbstractContextManager[None]:
        """As of JobsServiceBackend."""

    @abstractmethod
    def _beside(self, service: str) -> Any:
        """As of JobsServiceBackend."""
