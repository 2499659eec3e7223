"""Makes many calls at once, each with a large request that will be refused; ends when all of them have.

python -m tests.hostile.crowd_of_calls ADDRESS SERVER_NAME CREDENTIALS METHOD REQUEST HOW_MANY
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio

from cluster.pki.files import load_credentials
from cluster.rpc.channel import dial

CONNECTIONS = 3


async def main(address: str, server_name: str, credentials: Path, method: str, request: bytes, count: int) -> None:
    channels = [dial(address, load_credentials(credentials), server_name) for _ in range(CONNECTIONS)]

    async def requests() -> AsyncIterator[bytes]:
        yield request
        await asyncio.Event().wait()  # the stream stays open

    async def call(channel: grpc.aio.Channel) -> None:
        many: Any = channel.stream_stream(method)
        with suppress(grpc.aio.AioRpcError):
            await many(requests()).read()

    await asyncio.gather(*(call(channels[number % CONNECTIONS]) for number in range(count)))


if __name__ == "__main__":
    where, who, key, what, file, many_ = sys.argv[1:]
    asyncio.run(main(where, who, Path(key), what, Path(file).read_bytes(), int(many_)))
