"""Callers who hold on to the places for large requests keep nobody from submitting one. Real connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.domain.identity import Role
from cluster.rpc.intake import LARGE
from tests.integration.schedulers import Cluster, in_cluster

pytestmark = pytest.mark.slow

LONG = 5.0  # seconds of attack
BAR = 3.0  # seconds in which each of the others is through, on a machine with other things to do
CROWD = 6  # callers, each with twice as many streams as one may have places


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize(("callers", "hold"), [(3, 1e9), (CROWD, 0.4)])
def test_silent_streams_keep_nobody_from_submitting_what_is_large(tmp_path: Path, callers: int, hold: float) -> None:
    """`hold`: seconds after which each is broken off and made again; 0.4: before the place could be taken away."""

    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER, bob=Role.USER, **{f"eve{n}": Role.USER for n in range(callers)})
        attack = [asyncio.create_task(_hold_on(_submits(cluster, n), hold)) for n in range(callers) for _ in range(4)]
        try:
            await asyncio.sleep(1.0)
            took, large = list[float](), b"\n".join([b"y" * 60_000] * (LARGE // 40_000))
            people = [cluster.user("ann"), cluster.user("bob")]
            until = time.monotonic() + LONG
            while time.monotonic() < until:
                for person in people:
                    began = time.monotonic()
                    await person.submit("true", lines=large)
                    took.append(time.monotonic() - began)
        finally:
            for each in attack:
                each.cancel()
            await asyncio.gather(*attack, return_exceptions=True)
        middle = sorted(took)[len(took) // 2]
        print(f"{len(took)} large requests, the longest {max(took):.2f} s, in the middle {middle:.2f} s")
        assert max(took) < BAR

    in_cluster(tmp_path, body)


def _submits(cluster: Cluster, number: int) -> Any:
    return cluster.user(f"eve{number}").channel.stream_unary("/cluster.v1.Jobs/Submit")


async def _hold_on(submit: Any, hold: float) -> None:
    while True:
        call = submit(never())
        try:
            await asyncio.wait([asyncio.ensure_future(_end_of(call))], timeout=hold)
        finally:
            call.cancel()


async def _end_of(call: Any) -> None:
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await call
