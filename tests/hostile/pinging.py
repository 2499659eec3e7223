"""Asks servers for little, all the time, and prints when it asked and how long the answer took: a line for each.

    python -m tests.hostile.pinging NAME ADDRESS SERVER_NAME CREDENTIALS …

A process of its own, so that what it measures is the servers and not the attackers.
"""

import asyncio
import sys
import time
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.pki.files import load_credentials
from cluster.rpc.channel import dial

PAUSE = 0.01  # seconds between an answer and the next question


async def ping(name: str, address: str, server_name: str, credentials: str) -> None:
    async with dial(address, load_credentials(Path(credentials)), server_name) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            began = time.monotonic()
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
            except grpc.aio.AioRpcError as error:
                print(f"# {name}: {error.details()}", flush=True)
            print(name, began, time.monotonic() - began, flush=True)
            await asyncio.sleep(PAUSE)


async def main(words: list[str]) -> None:
    targets = [words[at : at + 4] for at in range(0, len(words), 4)]
    await asyncio.gather(*(ping(*target) for target in targets))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
