"""What both backends do with a connection."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc.aio

from cluster.domain.base.errors import Unreachable


async def ready(channel: grpc.aio.Channel, address: str, patience: float) -> None:
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
    """A call that is over with the body of this, also when the reader of its answers has had enough: gRPC would go on
    with it until somebody collects the garbage."""
    try:
        yield call
    finally:
        call.cancel()
