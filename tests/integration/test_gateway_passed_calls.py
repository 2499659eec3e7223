"""Calls that a gateway passes on by one stream: how they end, where the scheduler stops, is older, or nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.client import passing_on
from cluster.client.calls_for_others import method
from cluster.domain.base.errors import NotFound
from cluster.domain.trust.identity import Identity, IdentityKind, Peer
from cluster.rpc.on_behalf import Proof
from cluster.rpc.passed_calls import PassedCalls
from cluster.v1 import job_pb2
from cluster.v1.gateways_pb2 import PassedCall, PassOnRequest
from tests.integration.gateways import Gateway, in_gateway
from tests.patience import PATIENCE

CLUSTER, NAME = "0b7f3ca228fc4b4d", "5f0c9f0e-6f52-4d55-a2ac-9b4f6e36a0d7"
GATEWAY = Peer(Identity(CLUSTER, IdentityKind.GATEWAY, NAME), 1, 0, 1 << 40)


class Hanging:
    """A handler that answers once it may, and hears when it is cancelled."""

    def __init__(self) -> None:
        self.began, self.may_answer, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, request: bytes, context: Any) -> bytes:
        self.began.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"answer"


class Requests:
    """What a gateway sends, until somebody looks away."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[PassOnRequest] = asyncio.Queue()

    def send(self, *ids: int, given_up: tuple[int, ...] = ()) -> None:
        calls = [PassedCall(id=number, method="/m", token="H1.x") for number in ids]
        self._queue.put_nowait(PassOnRequest(calls=calls, given_up=given_up))

    async def __aiter__(self) -> AsyncIterator[PassOnRequest]:
        while True:
            yield await self._queue.get()


def test_when_a_scheduler_stops_what_is_under_way_is_answered_and_nothing_more() -> None:
    async def body() -> None:
        handler, requests = Hanging(), Requests()
        calls = PassedCalls({"/m": handler})
        answers = calls.answers(GATEWAY, aiter(requests))
        hearing = asyncio.ensure_future(anext(answers))
        requests.send(1)
        await handler.began.wait()
        calls.stop()
        requests.send(2)
        handler.may_answer.set()
        assert [answer.id for answer in (await hearing).answers] == [1]
        assert [batch async for batch in answers] == []
        assert [batch async for batch in calls.answers(GATEWAY, aiter(Requests()))] == []

    asyncio.run(asyncio.wait_for(body(), PATIENCE))


def test_a_call_that_is_given_up_ends_and_no_other() -> None:
    async def body() -> None:
        handlers = {"/m": Hanging()}
        calls, requests = PassedCalls(handlers), Requests()
        answers = calls.answers(GATEWAY, aiter(requests))
        hearing = asyncio.ensure_future(anext(answers))
        requests.send(1)
        await handlers["/m"].began.wait()
        first, handlers["/m"] = handlers["/m"], Hanging()
        requests.send(2, given_up=(1, 7))
        await first.cancelled.wait()
        handlers["/m"].may_answer.set()
        assert [(answer.id, answer.response) for answer in (await hearing).answers] == [(2, b"answer")]
        await answers.aclose()

    asyncio.run(asyncio.wait_for(body(), PATIENCE))


def test_whoever_waits_no_longer_ends_its_call_at_the_scheduler(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        handler = Hanging()
        passed = gateway.cluster.service._passed_calls
        passed._handlers = {**passed._handlers, "/cluster.v1.Users/WhoAmI": handler}
        asking = asyncio.create_task(gateway.ask("GET", "/v1/whoami"))
        await handler.began.wait()
        asking.cancel()
        await handler.cancelled.wait()
        assert (await gateway.ask("GET", "/v1/queue")).status == 200

    in_gateway(tmp_path, body)


def test_a_scheduler_that_stops_waits_for_no_gateway(tmp_path: Path) -> None:
    """In these tests it gives calls under way as long as a test may take."""

    async def body(gateway: Gateway) -> None:
        assert (await gateway.ask("GET", "/v1/whoami")).status == 200
        await gateway.cluster.restart()

    in_gateway(tmp_path, body)


def test_of_a_scheduler_that_is_older_each_call_is_made_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing_on, "PATH", "/cluster.v1.Gateways/Later")

    async def body(gateway: Gateway) -> None:
        asked = await asyncio.gather(*(gateway.ask("GET", "/v1/whoami") for _ in range(3)))
        assert [answer.status for answer in asked] == [200] * 3
        assert asked[0].json["name"] == "ada"
        assert (await gateway.ask("GET", "/v1/jobs/7")).status == 404

    in_gateway(tmp_path, body)


def test_who_asks_the_same_at_once_in_the_same_right_shares_one_call(tmp_path: Path) -> None:
    asked: list[tuple[bytes, str]] = []
    show = method("/cluster.v1.Jobs/Get")

    async def body(gateway: Gateway) -> None:
        passed = gateway.cluster.service._passed_calls
        real = passed._handlers[show.path]

        async def counting(request: bytes, context: Any) -> bytes:
            asked.append((request, context.shown_here.token))
            return bytes(await real(request, context))

        passed._handlers = {**passed._handlers, show.path: counting}
        assert (await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})).status == 201
        bob = Proof(await gateway.new_token(user="bob"))
        ada, mine = Proof(gateway.token), show.request(selector={"text": "1"})
        other = show.request(selector={"text": "2"})
        calls = [
            *(gateway.calls.one(show, mine, ada, reads=True) for _ in range(3)),
            *(gateway.calls.one(show, mine, bob, reads=True), gateway.calls.one(show, other, ada, reads=True)),
            gateway.calls.one(show, mine, ada),  # as of one that changes something
        ]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        tasks[0].cancel()  # the others have theirs all the same
        answers: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        gone, *own, of_bob, unknown, alone = answers
        assert isinstance(gone, asyncio.CancelledError)
        assert [answer.job.number for answer in (*own, alone)] == [1, 1, 1]
        assert isinstance(of_bob, NotFound)  # another's job
        assert isinstance(unknown, NotFound)
        assert len(asked) == 4
        # What is asked after that is read anew.
        assert (await gateway.ask("POST", "/v1/jobs/1/cancel")).status == 200
        assert (await gateway.calls.one(show, mine, ada, reads=True)).job.state == job_pb2.TASK_STATE_CANCELLED
        assert len(asked) == 5

    in_gateway(tmp_path, body)
