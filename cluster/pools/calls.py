"""The keeper's calls of its scheduler: each has an end, and they go on with a new certificate."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.base.errors import InvalidInput, NotFound, Unreachable
from cluster.domain.scheduler.pool_board import PoolTold
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.tokens import check_addresses
from cluster.rpc.pools import PoolAnswer

CALL_LIMIT = 40.0  # seconds; the scheduler itself says after 30 s that its disk does not answer
MOST_SCHEDULERS = 16  # that are taken in
TOKEN_LIFE, LONGEST_LIFE = 3600.0, 86400.0  # seconds that a token is good for: usually, and at most

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


def at_all(*addresses: str) -> str:
    """All of these, each once, with commas between."""
    return ",".join(dict.fromkeys(",".join(filter(None, addresses)).split(",")))


class KeeperCalls:
    """Make it inside a running event loop, and `close` it. Methods raise ClusterError."""

    def __init__(self, address: str, credentials: Credentials, given: str = "") -> None:
        """`address`: of several schedulers, with commas between, as is `given`: those that are always asked."""
        self.address, self._credentials, self._given = address, credentials, given
        self._present = SchedulerBackend(address, credentials)
        self._former: list[SchedulerBackend] = []

    def use(self, credentials: Credentials) -> None:
        """Connects with these from the next call on."""
        self._credentials = credentials
        self._former.append(self._present)
        self._present = SchedulerBackend(self.address, credentials)

    def told(self, schedulers: Sequence[str]) -> bool:
        """By the one that leads: where all are. From the next call on these are called; none: it is as it was. Answers
        whether they are others than before."""
        try:
            there = check_addresses(",".join(schedulers[:MOST_SCHEDULERS])) if schedulers else ()
        except InvalidInput as error:
            logger.warning("the scheduler names one that nobody can reach: %s", error)
            return False
        before = self.address
        if there:
            self.address = at_all(self._given, ",".join(there))
        if set(self.address.split(",")) == set(before.split(",")):
            self.address = before
            return False
        self.use(self._credentials)
        return True

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
