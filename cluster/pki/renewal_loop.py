"""Keeping certificates renewed, for whoever serves: scheduler, worker, worker that stands alone."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from cluster.domain.base.errors import ClusterError
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.renewal import EARLIEST, LATEST, renewal_time

logger = logging.getLogger(__name__)

RETRY = 60.0  # seconds after a renewal that failed
LONGEST_NAP = 3600.0  # seconds; timers run on the monotonic clock, and the wall clock may be set meanwhile


async def keep_renewed(
    present: Callable[[], Credentials],
    renew: Callable[[Credentials], Awaitable[Credentials]],
    use: Callable[[Credentials], None],
    nap: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Renews the present credentials whenever they are due, or not valid because this machine slept or its clock was
    set, and hands the new ones to `use`. Never returns. After a ClusterError of `renew` it tries again. `nap` waits
    for at most the seconds that it is given."""
    fraction = _drawn()
    while True:
        credentials, now = present(), time.time()
        wait = renewal_time(credentials.not_before, credentials.not_after, fraction) - now
        if wait > 0 and credentials.valid_at(now):
            await nap(min(wait, LONGEST_NAP))
            continue
        try:
            fresh = await renew(credentials)
        except ClusterError as error:
            left = max(0.0, credentials.not_after - now) / 3600
            logger.warning("the certificate was not renewed, %.0f h are left: %s", left, error)
            await nap(RETRY)
            continue
        use(fresh)
        logger.info("the certificate was renewed; open connections keep the old one until it ends")
        fraction = _drawn()


def _drawn() -> float:
    return random.uniform(EARLIEST, LATEST)  # noqa: S311 (spreads renewals, keeps no secret)
