"""Waiting for one of several schedulers to lead, before the first call: when one has vanished none does at first."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from cluster.client.retrying import PAUSE
from cluster.domain.base.errors import ClusterError, Unreachable

PATIENCE = 22.0  # seconds: the longest lease of a leader, and two for whoever takes over then


async def wait_for_lead(ask: Callable[[], Awaitable[object]], tell: Callable[[Unreachable], None]) -> None:
    """Returns when `ask` is answered, or refused: whoever calls next is told why. `tell` is called once, if it is to be
    waited for. Unreachable when nobody has answered for PATIENCE seconds."""
    until, is_told = time.monotonic() + PATIENCE, False
    while True:
        try:
            await ask()
            return
        except Unreachable as error:
            if time.monotonic() >= until:
                raise
            if not is_told:
                is_told = True
                tell(error)
        except ClusterError:
            return
        await asyncio.sleep(PAUSE)
