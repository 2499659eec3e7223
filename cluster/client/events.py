"""Following what happens on a cluster."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from cluster.client.backend import Backend
from cluster.client.retrying import RetryPatience
from cluster.client.types import ClusterEvent
from cluster.domain.base.errors import Unreachable


async def follow_events(
    backend: Backend, patience: RetryPatience, since: int | None, selectors: Sequence[str], *, follow: bool
) -> AsyncGenerator[ClusterEvent, None]:
    """As AsyncClient.events. After a break a follower goes on where it was."""
    while True:
        try:
            async with aclosing(backend.events(since, selectors, patience.left(), follow=follow)) as pages:
                async for events, position in pages:
                    patience.renew()
                    since = position
                    for event in events:
                        yield event
            return
        except Unreachable as error:
            if not follow:
                raise
            await patience.pause(error)
