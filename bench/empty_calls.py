"""What a gRPC call costs a Python server before anything is done in it: the CPU of one whose one method answers bytes
at once, without TLS and without a gate. No handing in of jobs by a call each can cost less.

    python3 -m bench.empty_calls [--calls 5000] [--abreast 100] [--rounds 3]
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from bench.harness import ROOT, cpu_seconds, show

METHOD = "/bench.Empty/Call"
REQUEST, ANSWER = bytes(100), bytes(200)  # about what a submission and its answer have


async def serve(ready: int) -> None:
    """Until it is killed. Writes its port to that file descriptor."""

    async def answer(requests: AsyncIterator[bytes], _: object) -> bytes:
        await anext(requests, None)
        return ANSWER

    server = grpc.aio.server()
    methods: dict[str, Any] = {"Call": grpc.stream_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Empty", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with os.fdopen(ready, "w") as file:
        file.write(str(port))
    await server.wait_for_termination()


async def call(port: int, calls: int, abreast: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary(METHOD)
        left = iter(range(calls))

        async def some() -> None:
            for _ in left:
                await method(REQUEST)

        await asyncio.gather(*(some() for _ in range(abreast)))


def measured(calls: int, abreast: int, rounds: int) -> list[float]:
    """CPU microseconds of the server for each call, of each round."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.empty_calls", "--serve", str(writer)], cwd=ROOT, pass_fds=[writer]
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as ready:
            port = int(ready.read())
        asyncio.run(call(port, calls, abreast))  # warm
        used = []
        for _ in range(rounds):
            before = cpu_seconds(server.pid)
            asyncio.run(call(port, calls, abreast))
            used.append((cpu_seconds(server.pid) - before) / calls * 1e6)
        return used
    finally:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--abreast", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        asyncio.run(serve(args.serve))
    else:
        show("CPU of a server for an empty call", measured(args.calls, args.abreast, args.rounds), "µs")


if __name__ == "__main__":
    main()
