"""The keeper's calls of its scheduler: each has an end, and they go on with a new certificate."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.base.errors import NotFound, Unreachable
from cluster.domain.scheduler.pool_board import PoolTold
from cluster.domain.trust.credentials import Credentials
from cluster.rpc.pools import PoolAnswer

CALL_LIMIT = 40.0  # seconds; the scheduler itself says after 30 s that its disk does not answer
TOKEN_LIFE, LONGEST_LIFE = 3600.0, 86400.0  # seconds that a token is good for: usually, and at most

Answer = TypeVar("Answer")


class KeeperCalls:
    """Make it inside a running event loop, and `close` it. Methods raise ClusterError."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address = address
        self._present = SchedulerBackend(address, credentials)
        self._former: list[SchedulerBackend] = []

    def use(self, credentials: Credentials) -> None:
        """Connects with these from the next call on."""
        self._former.append(self._present)
        self._present = SchedulerBackend(self.address, credentials)

    async def close(self) -> None:
        for backend in (*self._former, self._present):
            await backend.close()

    async def exchange(self, pools: Sequence[PoolTold]) -> PoolAnswer:
        """How they are; answered by what is asked of them."""
        return await self._within(self._present.exchange_pools(pools))

    async def join_token(self, within: float) -> str:
        """By which one worker joins, once, within so many seconds: an hour at least, a day at most."""
        life = min(max(within, TOKEN_LIFE), LONGEST_LIFE)
        return (await self._within(self._present.create_token("worker", life, 1, "", False)))[1]

    async def drain(self, worker: str, reason: str) -> None:
        """One that is no more is drained."""
        with suppress(NotFound):
            await self._within(self._present.drain_workers([worker], reason, None))

    async def remove(self, worker: str) -> None:
        """For good. One that is no more is removed."""
        with suppress(NotFound):
            await self._within(self._present.remove_worker(worker, True))

    async def _within(self, call: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(CALL_LIMIT):
                return await call
        except TimeoutError:
            raise Unreachable(f"{self.address} did not answer within {CALL_LIMIT:g} s") from None
