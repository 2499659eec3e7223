"""Only few large requests are received at a time; `cluster.domain.trust.request_permits` decides whose. That bounds the
memory that they take, and a caller whose request comes slowly, or never, does not keep the others waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from cluster.domain.base.errors import Exhausted, Unreachable
from cluster.domain.trust.request_permits import Permit, Permits

PATIENCE = 60.0  # seconds until a permit is free


class HeldPermit:
    """The permit of one request; None for a request that needs none."""

    def __init__(self, permit: Permit | None = None) -> None:
        self._permit = permit
        self._is_cut = False
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def receiving(self, patience: float) -> AsyncIterator[None]:
        """Receive the request in the body of this. Unreachable, upon which clients try again, when it takes longer than
        `patience` seconds, or when the permit is cut meanwhile because others wait."""
        try:
            async with asyncio.timeout(0.0 if self._is_cut else patience) as self._timer:
                yield
        except TimeoutError:
            if self._is_cut:
                raise Unreachable("the request came slowly, and others were waiting; try again") from None
            raise Unreachable(f"the request did not arrive within {patience:g} s") from None
        finally:
            self._timer = None
        if self._permit is not None:
            self._permit.arrived = True

    def cut(self) -> None:
        """Take the permit away, for somebody else has it now."""
        self._is_cut = True
        if self._timer is not None:
            self._timer.reschedule(0.0)


class RequestPermits:
    """All permits of a server."""

    def __init__(self, permits: Permits | None = None, patience: float = PATIENCE) -> None:
        self._permits = permits or Permits()
        self._patience = patience
        self._asked: dict[Permit, tuple[HeldPermit, asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def permit(self, caller: Hashable) -> AsyncIterator[HeldPermit]:
        """Hold a permit in the body of this. Exhausted when none became free in time."""
        permit = self._permits.ask(caller)
        hold, granted = HeldPermit(permit), asyncio.get_running_loop().create_future()
        self._asked[permit] = hold, granted
        self._turn()
        try:
            if not granted.done():
                await self._granted(granted)
            yield hold
        finally:
            del self._asked[permit]
            self._permits.leave(permit, _now())
            self._turn()

    async def _granted(self, granted: asyncio.Future[None]) -> None:
        try:
            await asyncio.wait_for(granted, self._patience)
        except TimeoutError:
            raise Exhausted(
                f"the requests of others are being taken in for {self._patience:g} s already; try again later"
            ) from None

    def _turn(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        begun, cut = self._permits.turn(_now())
        for permit in begun:
            granted = self._asked[permit][1]
            if not granted.done():  # else the caller has just given up waiting
                granted.set_result(None)
        for permit in cut:
            self._asked[permit][0].cut()
        deadline = self._permits.next_deadline(_now())
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._turn)


def _now() -> float:
    return asyncio.get_running_loop().time()
