"""Who is about to put something is let put it into the same turn, and the same commit."""

import asyncio
from collections.abc import Callable

from cluster.domain.base.now import Now
from cluster.scheduler.batch import Batch

GATHERS = 0.02  # seconds that it takes at most
QUIET = 6  # rounds of the event loop, a tenth of a millisecond, in which nobody comes


async def others_come(gathering: Callable[[], Batch], clock: Callable[[], Now]) -> None:
    """Returns when nobody has put anything for QUIET rounds, a turn has its full share, or GATHERS is over; at once
    where there is nothing."""
    until, quiet, count = clock().mono + GATHERS, 0, len(gathering())
    while count and quiet < QUIET and not gathering().fills_turn() and clock().mono < until:
        await asyncio.sleep(0)
        before, count = count, len(gathering())
        quiet = quiet + 1 if count == before else 0
