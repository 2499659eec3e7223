"""Callers who hold on to the permits for large requests keep nobody from submitting one. Real connections."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.domain.trust.identity import IdentityKind, Role, scheduler_server_name
from cluster.pki.files import save_credentials
from cluster.rpc.request_intake import LARGE
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2
from tests.integration.schedulers import W1, Cluster, in_cluster
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow

LONG = 5.0  # seconds of attack
# Seconds in which each of the others is through, on a machine with other things to do: less than the 10 after which a
# call that says nothing loses its permit anyway (request_intake.PATIENCE).
BAR = 8.0
CROWD = 6  # callers, each with twice as many streams as one may have permits


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize(("callers", "hold"), [(3, 1e9), (CROWD, 0.4)])
def test_silent_streams_keep_nobody_from_submitting_what_is_large(tmp_path: Path, callers: int, hold: float) -> None:
    """`hold`: seconds after which each is broken off and made again; 0.4: before the permit could be taken away."""

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


SUBMIT, SESSION = "/cluster.v1.Jobs/Submit", "/cluster.v1.Scheduler/Session"
CALLS = 60
MOST_GROWTH = 200_000_000  # bytes, of 450,000,000 that are sent


def _refused_requests() -> dict[str, tuple[str, bytes]]:
    """Of 7 MB each, within all bounds but one, which is found late."""
    lines = b"\n".join([b"y" * 140_000] * 53)  # longer than Linux takes
    padding = b"".join(b"\x22\xd0\x86\x03" + b"z" * 50_000 for _ in range(140))  # the same field again and again
    hello = scheduler_pb2.Hello(incarnation="x" * 20_000, capacity_millicpus=1000)
    return {
        "no UUID": (SUBMIT, jobs_pb2.SubmitRequest(id="x", spec=job_pb2.JobSpec(lines=lines)).SerializeToString()),
        "long lines": (
            SUBMIT,
            jobs_pb2.SubmitRequest(
                id=str(uuid.uuid4()), spec=job_pb2.JobSpec(argv=["true"], lines=lines)
            ).SerializeToString(),
        ),
        "a long text": (SESSION, scheduler_pb2.SessionRequest(hello=hello).SerializeToString() + padding),
    }


@pytest.mark.parametrize("name", list(_refused_requests()))
def test_many_large_requests_that_are_refused_take_little_memory(tmp_path: Path, name: str) -> None:
    """All were taken in at once, and kept by the frames of what refused them."""
    method, request = _refused_requests()[name]

    async def body(cluster: Cluster) -> None:
        key, file = tmp_path / "key.pem", tmp_path / "request"
        kind, who = (IdentityKind.WORKER, W1) if method == SESSION else (IdentityKind.USER, "admin")
        save_credentials(key, cluster.credentials(kind, who))
        file.write_bytes(request)
        server_name = scheduler_server_name(cluster.authority.cluster_id)
        words = [cluster.service.address, server_name, str(key), method, str(file), str(CALLS)]
        before = most = _resident()
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.hostile.crowd_of_calls", *words, cwd=REPOSITORY
        )
        while crowd.returncode is None:
            most = max(most, _resident())
            await asyncio.sleep(0.01)
        print(f"{CALLS} requests of {len(request) / 1e6:.0f} MB: {(most - before) / 1e6:.0f} MB more")
        assert crowd.returncode == 0
        assert most - before < MOST_GROWTH

    in_cluster(tmp_path, body)


def _resident() -> int:
    """Bytes of this process, in which the scheduler is."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
