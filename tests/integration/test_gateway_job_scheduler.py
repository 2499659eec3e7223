"""The job scheduler of a founding document, over HTTP: /scheduler/jobs and /scheduler/nodes."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

from cluster.domain.job.amounts import MEMORY
from cluster.domain.session.elsewhere import KnownElsewhere
from cluster.domain.session.messages import Assign, Stop
from cluster.domain.session.offer import Offer
from cluster.gateway.bodies import most_of
from cluster.v1 import scheduler_pb2
from tests.integration.gateways import Answer, Gateway, in_gateway
from tests.integration.schedulers import W1, W2
from tests.integration.test_gateway_requests import problem

FORM = "application/x-www-form-urlencoded"
TIMESTAMP = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d\d\d)?Z")


async def new(gateway: Gateway, body: Any, **headers: Any) -> Answer:
    return await gateway.ask("POST", "/scheduler/jobs/new", body, **headers)


async def spec_of(gateway: Gateway, answer: Answer) -> Mapping[str, Any]:
    """As the job was submitted."""
    assert (answer.status, list(answer.json)) == (201, ["request_id"]), answer
    number = answer.headers["location"].removeprefix("/scheduler/jobs/")
    spec: Mapping[str, Any] = (await gateway.ask("GET", f"/v1/jobs/{number}")).json["job"]["spec"]
    return spec


def test_a_job_is_asked_for_as_json_or_as_a_form(tmp_path: Path) -> None:  # S3.3, S3.7
    async def body(gateway: Gateway) -> None:
        whole = {
            "commands": [{"exec": ["curl", "https://www.google.com/"]}, {"exec": ["true"]}],
            "environment": {"A": "1"},
            "request_id": "123456789",
        }
        first = await new(gateway, whole)
        assert first.json == {"request_id": "123456789"}
        spec = await spec_of(gateway, first)
        assert (spec["argv"], spec["then"]) == (["curl", "https://www.google.com/"], [{"words": ["true"]}])
        assert (spec["env"], spec["key"]) == ([{"name": "A", "value": "1"}], "123456789")
        forms = {
            b'command=curl "https://www.google.com/"': ["curl", "https://www.google.com/"],
            b"command=echo+'a+b'%20%24x": ["echo", "a b", "$x"],
            # The document's own example, which leaves out the braces around a command.
            b'{"commands": [ "command": [ "curl", "https://www.google.com/" ] ] }': ["curl", "https://www.google.com/"],
            rb'{"commands": [ "exec": [ "echo", "[\"a\": 1]" ] ] }': ["echo", '["a": 1]'],
        }
        for form, words in forms.items():
            assert (await spec_of(gateway, await new(gateway, form, content_type=FORM)))["argv"] == words
        typed = b'{"command": "echo hello", "timeout": "1m", "cpus": 2, "name": "greeting", "hold": true}'
        spec = await spec_of(gateway, await new(gateway, typed, content_type=FORM))  # as curl -d calls it
        assert (spec["argv"], spec["timeout"], spec["millicpus"], spec["name"]) == (
            ["echo", "hello"],
            60,
            2000,
            "greeting",
        )
        form = b"command=true&environment=A=1&environment=B=2&retries=3&merge-output=true&need=x==1"
        spec = await spec_of(gateway, await new(gateway, form, content_type=FORM))
        assert (spec["env"][1], spec["retries"], spec["merge_output"]) == ({"name": "B", "value": "2"}, 3, True)
        several = await new(gateway, {"commands": ["make all", ["make", "test"], {"command": ["make", "it"]}]})
        spec = await spec_of(gateway, several)
        assert (spec["argv"], [each["words"] for each in spec["then"]]) == (
            ["make", "all"],
            [["make", "test"], ["make", "it"]],
        )

    in_gateway(tmp_path, body)


def test_a_request_id_is_the_same_job_again_and_names_it(tmp_path: Path) -> None:  # S3.7
    async def body(gateway: Gateway) -> None:
        job = {"command": "true", "request_id": "123456789"}
        assert (await new(gateway, job)).headers["location"] == "/scheduler/jobs/1"
        assert (await new(gateway, {**job, "request_id": 123456789})).headers["location"] == "/scheduler/jobs/1"
        again = gateway.showing(await gateway.new_token("user", "ada"))  # another token of the same user's
        assert (await new(again, job)).headers["location"] == "/scheduler/jobs/1"
        problem(await new(gateway, {**job, "command": "false"}), 409, "conflict")
        bob = gateway.showing(await gateway.new_token("user", "bob"))
        assert (await new(bob, job)).headers["location"] == "/scheduler/jobs/2"
        assert (await bob.ask("POST", "/scheduler/job/123456789/kill")).json["state"] == "stopped"
        assert (await gateway.ask("GET", "/scheduler/job/123456789/status")).json["state"] == "running"
        made = await new(gateway, {"command": "true"})
        own = made.json["request_id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", own)
        assert (await gateway.ask("GET", f"/scheduler/jobs/{own}/status")).status == 200
        # A number is a job's in the plural, and a request id first in the singular.
        await new(gateway, {"command": "true", "request_id": "1"})
        await gateway.ask("POST", "/scheduler/jobs/1/kill")
        states = [(await gateway.ask("GET", f"/scheduler/{form}/1/status")).json["state"] for form in ("jobs", "job")]
        assert states == ["stopped", "running"]

    in_gateway(tmp_path, body)


def test_a_job_is_running_or_stopped_and_good_or_in_error(tmp_path: Path) -> None:  # S3.6, S3.10
    async def body(gateway: Gateway) -> None:
        async def status(number: int) -> tuple[str, str, str]:
            answer = (await gateway.ask("GET", f"/scheduler/jobs/{number}/status")).json
            assert TIMESTAMP.fullmatch(answer.pop("created-at"))
            return answer["state"], answer["status"], answer["node"]

        async def numbers(query: str = "") -> list[int]:
            text = (await gateway.ask("GET", f"/scheduler/jobs{query}")).body.decode()
            assert not text or text.endswith("\n")
            return [int(line) for line in text.splitlines()]

        worker = gateway.cluster.worker(millicpus=1000)
        for _ in range(4):
            await new(gateway, {"command": "true"})
        assert await status(1) == ("running", "unknown", "")
        await worker.connect()
        await worker.finish(await worker.hear(Assign))
        await worker.fail(await worker.hear(Assign))
        await worker.hear(Assign)
        assert await status(1) == ("stopped", "good", "box")
        assert await status(2) == ("stopped", "error", "box")
        assert await status(3) == ("running", "unknown", "box")
        killed = await gateway.ask("POST", "/scheduler/jobs/3/kill")
        assert killed.json["state"] == "running"
        await worker.hear(Stop)
        assert (await gateway.ask("POST", "/scheduler/jobs/4/kill")).json["status"] == "error"
        assert (await gateway.ask("POST", "/scheduler/jobs/4/kill")).status == 200
        assert await numbers() == [4, 3, 2, 1]
        assert await numbers("?state=running") == [3]
        assert await numbers("?state=stopped") == [4, 2, 1]
        assert await numbers("?state=dead") == await numbers("?status=error") == [4, 2]
        assert await numbers("?status=good") == [1]
        assert await numbers("?state=running&status=good") == []
        assert await numbers("?limit=2&below=4") == [3, 2]
        listed = await gateway.ask("GET", "/scheduler/jobs?limit=1", accept="application/json")
        assert listed.json == {"jobs": [4], "next": 4}

    in_gateway(tmp_path, body)


def test_each_attempt_is_told_with_its_node_its_reference_and_its_end(tmp_path: Path) -> None:  # S3.11
    async def body(gateway: Gateway) -> None:
        async def told(number: int, query: str = "") -> tuple[list[Mapping[str, Any]], bool]:
            answer = await gateway.ask("GET", f"/scheduler/jobs/{number}/placements{query}")
            return answer.json["placements"], answer.json["more"]

        worker = gateway.cluster.worker()
        await new(gateway, {"command": "true", "retries": 1, "backoff": "0s..0s"})
        assert await told(1) == ([], False)
        await worker.connect()
        await worker.fail(await worker.hear(Assign))
        again = await worker.hear(Assign)
        first, second = (await told(1))[0]
        times = {"began-at": "1970-01-01T00:00:01Z", "ended-at": "1970-01-01T00:00:02Z"}
        where = {"task": 0, "node": "box", "node-id": W1}
        assert first == {
            **where,
            **times,
            "attempt": 1,
            "assigned-at": None,
            "reference": f"{W1}/1.0#1",
            "succeeded": False,
            "reason": "exit:3",
        }
        assert (second["attempt"], second["reference"], second["succeeded"]) == (2, f"{W1}/1.0#2", None)
        assert second["began-at"] is None
        assert time() - 60 < datetime.fromisoformat(second["assigned-at"]).timestamp() < time() + 1
        await worker.finish(again)
        assert [each["succeeded"] for each in (await told(1))[0]] == [False, True]
        await new(gateway, {"command": "true", "array": "1-3"})
        for _ in range(2):  # there is room for two at once
            await worker.finish(await worker.hear(Assign))
        page, more = await told(2, "?limit=2")
        assert ([each["task"] for each in page], more) == ([1, 2], True)
        page, more = await told(2, "?limit=2&skip=2")
        assert ([each["reference"] for each in page], more) == ([f"{W1}/2.2#1"], False)
        await worker.deregister("going")
        engine = gateway.cluster.worker(W2, "engine")
        engine.offer = Offer(elsewhere=KnownElsewhere(reference="jobs/cluster-ab-{job}-{index}-{attempt}"))
        await engine.connect()
        await new(gateway, {"command": "true"})
        await engine.hear(Assign)
        (running,) = (await gateway.ask("GET", "/scheduler/jobs/3/placements")).json["placements"]
        assert running["reference"] == "jobs/cluster-ab-3-0-1"

    in_gateway(tmp_path, body)


def test_an_update_asks_the_node_and_says_when_that_does_not_answer(tmp_path: Path) -> None:  # S3.10
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        await new(gateway, {"command": "true"})
        assigned = await worker.hear(Assign)
        await worker.report(started=(assigned.attempts,))
        updating = asyncio.create_task(gateway.ask("POST", "/scheduler/jobs/1/update"))
        asked = await worker.asked_for()
        assert not updating.done(), "it waits for the node"
        await worker.push(scheduler_pb2.PushOutputRequest(transfer_id=asked.transfer_id, data=b"x", complete=True))
        assert (await updating).json["state"] == "running"
        await worker.deregister("going")
        problem(await gateway.ask("POST", "/scheduler/jobs/1/update"), 503, "unavailable")
        assert (await gateway.ask("GET", "/scheduler/jobs/1/status")).json["state"] == "running"

    in_gateway(tmp_path, body)


def test_nodes_are_listed_that_can_take_a_job(tmp_path: Path) -> None:  # S3.8, S3.9
    async def body(gateway: Gateway) -> None:
        async def names(verb: str, query: str = "", said: Any = None) -> list[str]:
            answer = await gateway.ask(verb, f"/scheduler/nodes/available{query}", said)
            assert answer.status == 200, answer
            return [node["name"] for node in answer.json["nodes"]]

        small, large = gateway.cluster.worker(W1, "small", 1000), gateway.cluster.worker(W2, "large", 4000)
        small.own_address = "192.168.0.1:30000"
        labels = (("external-id", "i-0abc"), ("hostname", "node01.internal"), ("zone", "a"))
        small.offer = Offer(labels=labels)
        large.offer = Offer(sums=((MEMORY, 1 << 34),), elsewhere=KnownElsewhere("arn:task/1", (("kind", "ecs"),)))
        assert (await gateway.ask("GET", "/scheduler/nodes/available")).json == {"nodes": []}
        await small.connect()
        (node,) = (await gateway.ask("GET", "/scheduler/node/available")).json["nodes"]
        assert node == {
            "name": "small",
            "ipv4": ["192.168.0.1"],
            "hostname": "node01.internal",
            "uri": "https://gate.example/nodes/small",
            "address": "192.168.0.1:30000",
            "id": W1,
            "external-id": "i-0abc",
            "metadata": dict(labels),
        }
        await large.connect()
        behind = await gateway.ask("GET", "/scheduler/node/available?cpus=2", x_forwarded_proto="https")
        assert behind.json["nodes"][0]["uri"].startswith("https://")
        node = (await gateway.ask("GET", "/scheduler/node/available?cpus=2")).json["nodes"][0]
        assert (node["external-id"], node["metadata"]) == ("arn:task/1", {"kind": "ecs"})
        assert await names("GET") == ["large", "small"]
        assert await names("GET", "?cpus=2") == await names("GET", "?mem=1G") == ["large"]
        assert await names("GET", "?need=zone=='a'") == await names("GET", "?worker=small") == ["small"]
        request = {"commands": [{"exec": ["true"]}], "environment": {}, "cpus": 3}
        assert await names("POST", said=request) == await names("GET", said=request) == ["large"]
        assert await names("POST", said={"mem": "99G"}) == []
        await new(gateway, {**request, "cpus": 4})
        await large.hear(Assign)
        assert await names("GET", "?cpus=2") == ["large"]  # it is busy, and could
        assert await names("GET", "?cpus=2&free=true") == []
        assert await names("POST", "?free=true", {"cpus": 1}) == ["small"]
        await small.deregister("going")
        assert await names("GET") == ["large"]

    in_gateway(tmp_path, body)


def test_each_node_has_a_job_processor_at_its_uri(tmp_path: Path) -> None:  # S3.1, S3.5, S3.8
    async def body(gateway: Gateway) -> None:
        async def at(verb: str, path: str, said: Any = None) -> Answer:
            return await gateway.ask(verb, f"{uri}/processor/{path}", said)

        one, other = gateway.cluster.worker(W1, "one", 1000), gateway.cluster.worker(W2, "other", 4000)
        await one.connect()
        await other.connect()
        nodes = (await gateway.ask("GET", "/scheduler/nodes/available")).json["nodes"]
        assert [node["uri"] for node in nodes] == [f"https://gate.example/nodes/{name}" for name in ("one", "other")]
        uri = nodes[0]["uri"].removeprefix("https://gate.example")
        for form in ("job", "jobs"):  # the same id again is the same job
            made = await at("POST", f"{form}/new", {"commands": [{"exec": ["true"]}], "request_id": "7"})
            assert (made.status, made.json) == (201, {"request_id": "7"})
            assert made.headers["location"] == f"{uri}/processor/jobs/1"
        assigned = await one.hear(Assign)
        for path in ("job/7/status", "jobs/1/status", "jobs/1"):
            found = (await at("GET", path)).json
            assert TIMESTAMP.fullmatch(found.pop("created-at"))
            assert found == {
                "job": 1,
                "request_id": "7",
                "state": "running",
                "status": "unknown",
                "node": "one",
                "exit-code": None,
                "reason": "",
                "recorded": None,
            }
        await new(gateway, {"command": "true", "worker": "other"})
        await new(gateway, {"command": "true", "request_id": "8"})
        assert [job["job"] for job in (await at("GET", "jobs/status")).json["jobs"]] == [1], "those for it alone"
        said = problem(await at("POST", "job/7/status", {"status": "half"}), 405, "wrong-method")
        assert "cluster job state set status=TEXT" in said["detail"]
        problem(await at("GET", "jobs/2/status"), 404, "not-found")  # on another node
        problem(await at("POST", "jobs/2/kill"), 404, "not-found")
        problem(await at("POST", "jobs/new", {"command": "true", "worker": "other"}), 400, "invalid")
        problem(await at("POST", "jobs/new"), 400, "invalid")
        problem(await gateway.ask("POST", "/nodes/nobody/processor/jobs/new", {"command": "true"}), 404, "not-found")
        bob = gateway.showing(await gateway.new_token("user", "bob"))
        problem(await bob.ask("GET", f"{uri}/processor/jobs/1/status"), 404, "not-found")
        problem(await bob.ask("POST", f"{uri}/processor/jobs/1/kill"), 404, "not-found")
        eve = gateway.showing(await gateway.new_token("viewer", "eve"))
        said = problem(await eve.ask("POST", f"{uri}/processor/jobs/new", {"command": "true"}), 403, "not-permitted")
        assert said["detail"].endswith("may not use `POST /nodes/{node}/processor/jobs/new`")
        await one.fail(assigned)
        found = (await at("GET", "job/7/status")).json
        assert (found["state"], found["status"], found["exit-code"], found["reason"]) == (
            "stopped",
            "error",
            3,
            "exit:3",
        )

    in_gateway(tmp_path, body)


def test_each_wrong_request_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        async def refused(said: Any, place: str | None, **headers: Any) -> str:
            found = problem(await new(gateway, said, **headers), 400, "invalid")
            places = [each.get("pointer", each.get("parameter")) for each in found.get("errors", ())]
            assert places == ([] if place is None else [place]), found
            return str(found["detail"])

        exec_true = [{"exec": ["true"]}]
        assert "there is no body" in await refused(b"", None)
        assert "nearest" in await refused({"commands": exec_true, "timeuot": 1}, "/timeuot")
        assert "closing quotation" in await refused(b'command=echo "a', "/command", content_type=FORM)
        assert "list of commands" in await refused({"commands": {"exec": ["true"]}}, "/commands")
        assert "one member" in await refused({"commands": [{"exec": ["true"], "cwd": "/"}]}, "/commands/0")
        await refused({"commands": [{"exec": [5]}]}, "/commands")
        await refused({"commands": [{"exec": []}]}, "/commands/0")
        await refused({"commands": exec_true, "environment": ["A=1"]}, "/environment")
        await refused({"commands": exec_true, "environment": {"A B": "1"}}, "/environment")
        await refused({"commands": exec_true, "environment": {"A": 1}}, "/environment")
        await refused({"commands": exec_true, "environment": {}, "env": {}}, "/env")
        await refused({"commands": exec_true, "request_id": []}, "/request_id")
        await refused({"commands": exec_true, "command": "true"}, "/commands")
        await refused({"request_id": "1"}, "")
        await refused({"commands": [{"exec": ["\ud800"]}]}, "")
        await refused({"commands": exec_true, "script-file": "/etc/passwd"}, "/script-file")
        await refused(b"command=true&environment=A", "environment", content_type=FORM)
        for malformed in (b"command", b"command=%ff", b"\xff=1"):
            problem(await new(gateway, malformed, content_type=FORM), 400, "malformed")
        for text in (
            b'{"commands": [ "exec": ["a"], "exec": ["b"] ] }',
            b'{"commands": [ "exec": ["a" ] }',
            b'{"commands": ]: }',
        ):
            assert "column" in problem(await new(gateway, text), 400, "malformed")
        problem(await new(gateway, b"command: true", content_type="text/yaml"), 415, "wrong-type")
        problem(await new(gateway, {"command": "true", "request_id": "x" * 300}), 400, "invalid")
        large = b" " * (most_of("/cluster.v1.Jobs/Submit") + 1)
        problem(await new(gateway, large), 413, "too-large")

    in_gateway(tmp_path, body)


def test_what_is_not_there_or_asked_in_another_way_is_told_so(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for path in ("9/status", "9", "nobody/status", "last/status", "all/status"):
            said = problem(await gateway.ask("GET", f"/scheduler/jobs/{path}"), 404, "not-found")
            assert "GET /scheduler/jobs tells which there are" in said["detail"]
        problem(await gateway.ask("POST", "/scheduler/jobs/all/kill"), 404, "not-found")
        for verb, path in (
            ("GET", "/scheduler/jobs/new"),
            ("POST", "/scheduler/jobs"),
            ("GET", "/scheduler/jobs/1/kill"),
        ):
            problem(await gateway.ask(verb, path), 405, "wrong-method")
        for query in ("state=alive", "status=fine", "limit=x", "limit=1&limit=2", "stat=running", f"below={1 << 40}"):
            problem(await gateway.ask("GET", f"/scheduler/jobs?{query}"), 400, "invalid")
        nodes = "/scheduler/nodes/available"
        for query in ("free=yes", "cpus=x", "cpu=1", "need=(", "timeout=1"):
            problem(await gateway.ask("GET", f"{nodes}?{query}"), 400, "invalid")
        problem(await gateway.ask("POST", f"{nodes}?cpus=1", {"cpus": 1}), 400, "invalid")
        viewer = gateway.showing(await gateway.new_token("viewer", "eve"))
        problem(await new(viewer, {"command": "true"}), 403, "not-permitted")
        await new(gateway, {"command": "true"})
        problem(await viewer.ask("POST", "/scheduler/jobs/1/kill"), 403, "not-permitted")
        assert (await viewer.ask("GET", "/scheduler/jobs/1/status")).status == 200
        problem(await gateway.showing().ask("GET", "/scheduler/jobs"), 401, "unauthenticated")

    in_gateway(tmp_path, body)
