"""What pages that are open are told: by one subscription for all of one caller, and of nobody else's jobs."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from cluster.domain.scheduler.events import WorkerRegistered
from cluster.domain.session.messages import Assign
from cluster.gateway import live, live_feed
from cluster.gateway.bodies import Bodies
from cluster.gateway.handled_routes import Exchange
from cluster.rpc.on_behalf import Proof
from tests.integration.gateways import Answer, Gateway, in_gateway
from tests.integration.schedulers import Cluster, until

pytestmark = pytest.mark.slow


class Reader:
    """One page; what it was told is in `told`."""

    def __init__(self, gateway: Gateway) -> None:
        self.told: list[dict[str, Any]] = []
        self.begins = 0
        self._stop = False
        self._answer = asyncio.ensure_future(
            gateway.ask("GET", "/v1/live", stop=lambda _: self._stop, taken=self._taken, accept="text/event-stream")
        )

    async def _taken(self, content: bytes) -> None:
        messages = [part.split(b"\n") for part in content.split(b"\n\n") if b"data: " in part]
        told = [
            (lines[0].removeprefix(b"event: "), json.loads(lines[-1].removeprefix(b"data: "))) for lines in messages
        ]
        self.begins = sum(kind == b"begin" for kind, _ in told)
        self.told = [data for kind, data in told if kind == b"changes"]

    def state_of(self, job: int) -> str:
        """As it was told last."""
        states = [each["state"] for data in self.told for each in data.get("jobs", ()) if each["number"] == job]
        return states[-1] if states else ""

    async def answer(self) -> Answer:
        return await self._answer

    async def leave(self) -> None:
        self._answer.cancel()
        await asyncio.wait([self._answer])


def calls(cluster: Cluster, name: str) -> int:
    """Under way at the scheduler."""
    return sum(call.method.endswith(name) for call in cluster.service._gate._calls)


def test_all_pages_of_a_caller_share_one_subscription_and_see_their_jobs_alone(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        cluster = gateway.cluster
        eve = gateway.showing(await gateway.new_token(user="eve"))
        readers = [Reader(gateway) for _ in range(5)]
        other = Reader(eve)
        await until(lambda: all(reader.begins == 1 for reader in (*readers, other)))
        assert calls(cluster, "/Follow") == 2
        made = await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        number = made.json["number"]
        await until(lambda: all(reader.state_of(number) == "TASK_STATE_READY" for reader in readers))
        await gateway.ask("POST", "/v1/cancel-jobs", {"selectors": [{"text": str(number)}]})
        await until(lambda: all(reader.state_of(number) == "TASK_STATE_CANCELLED" for reader in readers))
        assert len({json.dumps(reader.told) for reader in readers}) == 1
        assert not any(data.get("jobs") or data.get("events") for data in other.told)
        for reader in (*readers, other):
            await reader.leave()
        await until(lambda: calls(cluster, "/Follow") == 0)
        assert not live._feeds.get(gateway.calls)

    in_gateway(tmp_path, body)


def test_a_job_that_was_deleted_meanwhile_hides_no_other(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        numbers = [(await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})).json["number"] for _ in range(5)]
        selectors = [{"text": str(number)} for number in numbers]
        await gateway.ask("POST", "/v1/cancel-jobs", {"selectors": selectors})
        await gateway.ask("DELETE", f"/v1/jobs/{numbers[2]}")
        feed = await _feed(gateway)
        found = await feed._jobs(numbers)
        assert sorted(job["number"] for job in found) == [number for number in numbers if number != numbers[2]]
        feed.leave()

    in_gateway(tmp_path, body)


def test_a_page_that_is_too_slow_is_told_to_ask_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "KEPT", 2)

    async def body(gateway: Gateway) -> None:
        feed = await _feed(gateway)
        messages = feed.messages()
        assert (await anext(messages)).startswith(b"event: begin\n")
        for number in range(3):
            feed._publish({"jobs": [{"number": number}]})
        assert (await anext(messages)).startswith(b"event: begin\n")
        feed._publish({"jobs": [{"number": 3}]})
        assert b'"number": 3' in await anext(messages)
        await messages.aclose()
        feed.leave()

    in_gateway(tmp_path, body)


def test_who_is_expelled_is_told_so_and_the_next_page_gets_nothing(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        reader = Reader(gateway)
        await until(lambda: reader.begins == 1)
        async with gateway.admin() as admin:
            await admin.revoke_user("ada", and_joined=False, keep_jobs=False)
        answer = await reader.answer()
        assert b"event: problem\n" in answer.body
        assert (await gateway.ask("GET", "/v1/live")).status == 401

    in_gateway(tmp_path, body)


def test_of_a_thousand_workers_all_are_told_once_and_then_each_that_changes(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await with_workers(gateway.cluster, 1000)
        feed = _feed_of(gateway)
        await asyncio.sleep(0)
        for task in feed._tasks:
            task.cancel()  # it looks only when it is told to here
        await asyncio.wait(feed._tasks)
        first = await feed._surroundings()
        assert [worker["name"] for worker in first["workers"]] == [f"w{number:04}" for number in range(1000)]
        assert await feed._surroundings() == {}
        async with gateway.admin() as admin:
            await admin.drain_workers(["w0999"], "its fan", None)
            changed = await feed._surroundings()
            assert [(worker["name"], worker["drain"]["reason"]) for worker in changed["workers"]] == [
                ("w0999", "its fan")
            ]
            await admin.remove_worker("w0000", revoke=False)
        assert await feed._surroundings() == {"left": [first["workers"][0]["id"]]}

    in_gateway(tmp_path, body)


def test_of_the_jobs_on_a_worker_each_caller_is_told_of_those_that_it_sees_if_it_asks(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        eve = gateway.showing(await gateway.new_token(user="eve"))
        admin = gateway.showing(await gateway.new_token("admin", "root"))
        ours = (await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})).json["number"]
        others = (await eve.ask("POST", "/v1/jobs", {"argv": ["true"]})).json["number"]
        for _ in range(2):
            await worker.hear(Assign)

        async def told(who: Gateway, query: str) -> list[int]:
            (found,) = (await who.ask("GET", f"/v1/workers{query}")).json["workers"]
            return [job["number"] for job in found.get("jobs", ())]

        assert await told(gateway, "?jobs=true") == [ours]
        assert await told(eve, "?jobs=true") == [others]
        assert await told(admin, "?jobs=true") == [ours, others]
        assert await told(admin, "") == []

    in_gateway(tmp_path, body)


async def with_workers(cluster: Cluster, count: int) -> None:
    """So many are on the list, none of which is there."""

    async def one(number: int) -> None:
        worker_id, name = str(uuid.UUID(int=number + 1)), f"w{number:04}"
        await cluster.service.driver.ask(lambda ask: WorkerRegistered(ask, worker_id, name, 4000))

    await asyncio.gather(*map(one, range(count)))


async def _feed(gateway: Gateway) -> live_feed.LiveFeed:
    """One in the right of the gateway's token, with one reader."""
    feed = _feed_of(gateway)
    await feed.enter()
    return feed


def _feed_of(gateway: Gateway) -> live_feed.LiveFeed:
    request = Request({"type": "http", "query_string": b"", "headers": []})
    return live_feed.LiveFeed(Exchange(live.ROUTES[0], request, gateway.calls, Proof(gateway.token), Bodies()))
