"""What all backends do with a gRPC connection."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cluster.domain.base.errors import Unreachable

if TYPE_CHECKING:
    import grpc.aio


async def ready(channel: "grpc.aio.Channel", address: str, patience: float) -> None:
    """Waits up to `patience` seconds until there is a connection; Unreachable after that. 0: leaves it to the call,
    which fails at once where nobody answers."""
    if patience <= 0:
        return
    try:
        async with asyncio.timeout(patience):
            await channel.channel_ready()
    except TimeoutError:
        raise Unreachable(f"{address} cannot be reached: no connection within {patience:g} s") from None


@contextmanager
def hanging_up(call: Any) -> Iterator[Any]:
    """Cancels the call when the body ends, also when its reader stops early: gRPC would go on with the call until it is
    collected as garbage."""
    try:
        yield call
    finally:
        call.cancel()
