"""Requests are taken in only after the gate, and only within the bounds of their method."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput, NotPermitted, Unreachable
from cluster.domain.job.task_options import MAX_LINES_BYTES
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.request_permits import Permits
from cluster.rpc import request_intake
from cluster.rpc.bounds import BOUNDS, DEFAULT
from cluster.rpc.errors import calling
from cluster.rpc.permits import RequestPermits
from cluster.rpc.request_intake import Intake
from cluster.rpc.roles import ROLES
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2
from tests.integration.trust import SmallCluster, in_cluster


async def call(cluster: SmallCluster, name: str, method: str, data: bytes) -> bytes:
    async with cluster.dial(cluster.issue(IdentityKind.USER, name)) as channel:
        with calling(cluster.address):
            method_of: Any = channel.unary_unary(method)
            answer: bytes = await method_of(data)
    return answer


def test_a_request_that_may_not_be_made_is_never_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    monkeypatch.setattr(Intake, "_checked", lambda self, data: parsed.append(len(data)))
    many = jobs_pb2.SubmitRequest(spec=job_pb2.JobSpec(argv=[""] * 200_000)).SerializeToString()

    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(NotPermitted, match="viewer, which may not use `cluster job submit`"):
            await call(cluster, "eve", "/cluster.v1.Jobs/Submit", many)
        assert not parsed

    in_cluster(tmp_path, body)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x12\x02\x12\x00" * 200_000, "a request with more than 120000 fields"),
        (jobs_pb2.SubmitRequest(id="x" * (MAX_LINES_BYTES + 2**22)).SerializeToString(), "went beyond a limit"),
        (b"\x0a\x04abc", "Submit: the request is damaged"),
        (b"\x0a\x02\xff\xfe", "text in it is not UTF-8"),
    ],
)
def test_a_request_beyond_its_bounds_or_damaged_is_refused_in_words(tmp_path: Path, data: bytes, why: str) -> None:
    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(Exception, match=why):
            await call(cluster, "ann", "/cluster.v1.Jobs/Submit", data)

    in_cluster(tmp_path, body)


def test_each_method_has_its_own_bound_of_bytes(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        for method in ("/cluster.v1.Jobs/Rerun", "/cluster.v1.Scheduler/Renew"):
            with pytest.raises(
                InvalidInput, match=f"a request of {DEFAULT.size + 1} bytes; the limit is {DEFAULT.size}"
            ):
                await call(cluster, "ann", method, bytes(DEFAULT.size + 1))

    in_cluster(tmp_path, body)


def test_a_request_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def nothing() -> AsyncIterator[bytes]:
        return
        yield b""

    async def body() -> None:
        with pytest.raises(Unreachable, match="did not arrive within 0 s"):
            await Intake("/cluster.v1.Jobs/List", jobs_pb2.ListRequest.FromString, patience=0).one(
                never(), AsyncExitStack()
            )
        with pytest.raises(InvalidInput, match="List was called without a request"):
            await Intake("/cluster.v1.Jobs/List", jobs_pb2.ListRequest.FromString).one(nothing(), AsyncExitStack())

    asyncio.run(body())


def test_large_requests_are_parsed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    large = jobs_pb2.SubmitRequest(id="x" * (request_intake._QUICK + 1)).SerializeToString()

    async def one() -> AsyncIterator[bytes]:
        yield large

    async def body() -> None:
        intake_ = Intake("/cluster.v1.Jobs/Submit", jobs_pb2.SubmitRequest.FromString)
        checking = asyncio.Event()
        loop, real = asyncio.get_running_loop(), intake_._checked

        def checked(data: bytes) -> object:
            asyncio.run_coroutine_threadsafe(_set(checking), loop).result()  # waits for the event loop, if that is free
            return real(data)

        monkeypatch.setattr(intake_, "_checked", checked)
        assert (await intake_.one(one(), AsyncExitStack())).id == "x" * (request_intake._QUICK + 1)
        assert checking.is_set()

    asyncio.run(body())


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_bounds_are_of_methods_that_there_are() -> None:
    assert set(BOUNDS) <= set(ROLES)


def test_a_stream_of_requests_has_the_bound_for_each(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        worker = cluster.dial(cluster.issue(IdentityKind.WORKER, "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"))
        async with worker as channel:
            session: Any = channel.stream_stream("/cluster.v1.Scheduler/Session")
            call = session()
            await call.write(b"\x18\x05")
            assert await call.read() == b"\x30\x05"
            await call.write(b"\x18\x05" * 150_001)
            with pytest.raises(InvalidInput, match="Session: a request with more than 150000 fields"), calling("x"):
                await call.read()

    in_cluster(tmp_path, body)


def test_few_large_requests_are_there_at_a_time_and_fewer_of_one_caller() -> None:
    """A hundred of them at once took as much memory as there was."""
    large = jobs_pb2.SubmitRequest(id="x", spec=job_pb2.JobSpec(lines=bytes(request_intake.LARGE))).SerializeToString()
    small = jobs_pb2.SubmitRequest(id="x").SerializeToString()

    async def body() -> None:
        taken: list[str] = []
        permits = RequestPermits(Permits(most=3, most_of_one=2))
        submit = Intake("/cluster.v1.Jobs/Submit", jobs_pb2.SubmitRequest.FromString, permits=permits)
        stacks: list[AsyncExitStack] = []

        async def call(caller: str, data: bytes) -> None:
            async def requests() -> AsyncIterator[bytes]:
                taken.append(caller)
                yield data

            stacks.append(AsyncExitStack())
            await submit.one(requests(), stacks[-1], caller)

        await asyncio.gather(call("ann", large), call("ann", large))
        waiting = asyncio.create_task(call("ann", small))
        await asyncio.gather(*(call("bob", small) for _ in range(9)))  # each gives its permit back at once
        assert taken == ["ann", "ann", *["bob"] * 9]
        await call("bob", large)
        another = asyncio.create_task(call("eve", small))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert not another.done()
        for stack in stacks:
            await stack.aclose()
        await asyncio.gather(waiting, another)
        assert not permits._permits._callers

    asyncio.run(body())


def test_who_sends_nothing_keeps_no_place_for_ever() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def nothing_in_it() -> AsyncIterator[bytes]:
        yield b""

    async def body() -> None:
        permits = RequestPermits(Permits(most=1))
        slow, quick = (
            Intake("/cluster.v1.Jobs/Submit", jobs_pb2.SubmitRequest.FromString, patience, permits)
            for patience in (0.1, 99)
        )
        holding = asyncio.create_task(slow.one(never(), AsyncExitStack(), "eve"))
        await asyncio.sleep(0)
        await quick.one(nothing_in_it(), AsyncExitStack(), "ann")
        with pytest.raises(Unreachable, match="did not arrive"):
            await holding

    asyncio.run(body())


def test_the_first_request_of_a_stream_that_may_be_large_has_a_place_until_it_is_taken_in() -> None:
    """A worker may open any number of sessions, each with a hello of 8 MiB."""

    async def body() -> None:
        asked, gate = 0, asyncio.Event()
        sessions = Intake(
            "/cluster.v1.Scheduler/Session",
            scheduler_pb2.SessionRequest.FromString,
            permits=RequestPermits(Permits(most=9)),
        )

        async def requests() -> AsyncIterator[bytes]:
            nonlocal asked
            asked += 1
            await gate.wait()
            yield b"\x18\x01"
            yield b"\x18\x02"

        async def session(caller: str) -> list[int]:
            return [request.heartbeat async for request in sessions.each(requests(), caller)]

        theirs = [asyncio.create_task(session("eve")) for _ in range(5)]
        for _ in range(9):
            await asyncio.sleep(0)
        assert asked == 2
        mine = asyncio.create_task(session("ann"))
        for _ in range(9):
            await asyncio.sleep(0)
        assert asked == 3
        gate.set()
        assert await asyncio.gather(mine, *theirs) == [[1, 2]] * 6

    asyncio.run(body())


def test_a_stream_goes_on_after_its_first_request_and_may_have_none() -> None:
    async def body() -> None:
        sessions = Intake(
            "/cluster.v1.Scheduler/Session", scheduler_pb2.SessionRequest.FromString, permits=RequestPermits()
        )

        async def requests(count: int) -> AsyncIterator[bytes]:
            for number in range(1, count + 1):
                yield scheduler_pb2.SessionRequest(heartbeat=number).SerializeToString()

        for count in (0, 1, 3):
            heartbeats = [request.heartbeat async for request in sessions.each(requests(count), "box")]
            assert heartbeats == list(range(1, count + 1))

    asyncio.run(body())
