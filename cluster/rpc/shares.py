"""Few large requests are taken in at a time, as `cluster.domain.trust.request_places` decides: so what they take of
memory stays bounded, and nobody whose requests come slowly, or never, keeps others waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from cluster.domain.base.errors import Exhausted, Unreachable
from cluster.domain.trust.request_places import Permit, Permits

PATIENCE = 60.0  # seconds until there is a place


class HeldPermit:
    """A place that one has, or the lack of any need for one."""

    def __init__(self, place: Permit | None = None) -> None:
        self._place = place
        self._is_cut = False
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def receiving(self, patience: float) -> AsyncIterator[None]:
        """The request arrives in the body of this, within so many seconds, or as long as others let it: else
        Unreachable, upon which clients try again."""
        try:
            async with asyncio.timeout(0.0 if self._is_cut else patience) as self._timer:
                yield
        except TimeoutError:
            if self._is_cut:
                raise Unreachable("the request came slowly, and others were waiting; try again") from None
            raise Unreachable(f"the request did not arrive within {patience:g} s") from None
        finally:
            self._timer = None
        if self._place is not None:
            self._place.arrived = True

    def cut(self) -> None:
        """Somebody else has got the place."""
        self._is_cut = True
        if self._timer is not None:
            self._timer.reschedule(0.0)


class RequestPermits:
    """All places of a server."""

    def __init__(self, places: Permits | None = None, patience: float = PATIENCE) -> None:
        self._places = places or Permits()
        self._patience = patience
        self._asked: dict[Permit, tuple[HeldPermit, asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def place(self, caller: Hashable) -> AsyncIterator[HeldPermit]:
        """One of them is the caller's in the body of this. Exhausted when there was none for too long."""
        place = self._places.ask(caller)
        hold, granted = HeldPermit(place), asyncio.get_running_loop().create_future()
        self._asked[place] = hold, granted
        self._turn()
        try:
            try:
                await asyncio.wait_for(granted, self._patience)
            except TimeoutError:
                raise Exhausted(
                    f"the requests of others are being taken in for {self._patience:g} s already; try again later"
                ) from None
            yield hold
        finally:
            del self._asked[place]
            self._places.leave(place, _now())
            self._turn()

    def _turn(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        begun, cut = self._places.turn(_now())
        for place in begun:
            granted = self._asked[place][1]
            if not granted.done():  # else it has just been waited for in vain
                granted.set_result(None)
        for place in cut:
            self._asked[place][0].cut()
        deadline = self._places.next_deadline(_now())
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._turn)


def _now() -> float:
    return asyncio.get_running_loop().time()
