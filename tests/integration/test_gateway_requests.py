"""Requests over HTTP: what they answer, and what is said of each that is wrong."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.job.records import SmallOutput
from cluster.domain.session.messages import Assign
from cluster.gateway import bodies
from cluster.gateway.bodies import most_of
from tests.integration import gateways
from tests.integration.gateways import JSON, Answer, Gateway, in_gateway


def problem(answer: Answer, status: int, kind: str) -> Mapping[str, Any]:
    """The document of the problem, which is whole."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer
    document: Mapping[str, Any] = answer.json
    assert (document["type"], document["status"]) == (f"/v1/docs#{kind}", status)
    assert document["title"]
    assert document["detail"]
    return document


def test_a_malformed_body_is_told_with_its_place(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        async def submit(content: Any, **headers: Any) -> Answer:
            return await gateway.ask("POST", "/v1/jobs", content, **{**JSON, **headers})

        said = problem(await submit(b'{"argv": ["true"],\n "cwd": }'), 400, "malformed")
        assert (said["line"], said["column"]) == (2, 9)
        for text in (b"", b"\xff", b"[", b'{"argv":[],"argv":[]}', b'{"grace":NaN}', b"[" * 100_000):
            problem(await submit(text), 400, "malformed")
        wrong = {"argv": ["true", 5], "env": [{"nam": "A"}], "hold": "yes", "argvs": [], "lines": "%", "millicpus": 1.5}
        said = problem(await submit(wrong), 400, "invalid")
        places = {each["pointer"]: each["detail"] for each in said["errors"]}
        assert set(places) == {"/argv/1", "/env/0/nam", "/hold", "/argvs", "/lines", "/millicpus"}
        assert places["/argvs"] == "there is no such member; did you mean 'argv'?"
        odd = {"env": {"A": "1"}, "array": "0-3", "zz": 1}
        said = problem(await gateway.ask("POST", "/v1/jobs", odd), 400, "invalid")["errors"]
        assert {error["pointer"]: error["detail"] for error in said} == {
            "/env": "an object is not a list of objects with name, value",
            "/array": '"0-3" is not a list of objects with first, last, step',
            "/zz": "there is no such member; /v1/docs tells which there are",
        }
        late = problem(await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "timeout": -1}), 400, "invalid")
        assert late["errors"] == [{"detail": "timeout -1: use 0 to 1000000000 s", "pointer": "/timeout"}]
        said = problem(await gateway.ask("POST", "/v1/jobs", {"env": [{"key": "A"}]}), 400, "invalid")["errors"]
        assert said[0]["detail"] == "there is no such member; there are name, value"
        problem(await submit([]), 400, "invalid")
        problem(await submit({"argv": [], "cpus": 1}), 400, "invalid")
        assert "command" in problem(await submit({}), 400, "invalid")["detail"]  # the scheduler's own words
        problem(await submit({"argv": ["true"]}, content_type="text/plain"), 415, "wrong-type")
        problem(await submit({"argv": ["true"]}, idempotency_key=""), 400, "invalid")
        none = await gateway.ask("POST", "/v1/workflows", {"jobs": []}, idempotency_key="x" * 256)
        problem(none, 400, "invalid")
        assert (await gateway.ask("GET", "/v1/jobs")).json["jobs"] == []

    in_gateway(tmp_path, body)


def test_what_is_not_there_or_has_no_such_method_or_parameter_is_told(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for path in ("/v1", "/v1/", "/v1/job", "/v1/jobs/", "/v1/jobs/1/nothing", "//v1/jobs"):
            problem(await gateway.ask("GET", path), 404, "not-found")
        problem(await gateway.ask("GET", "/v1/jobs/99"), 404, "not-found")
        problem(await gateway.ask("POST", "/v1/workers/nobody/drain", {}), 403, "not-permitted")
        wrong = await gateway.ask("DELETE", "/v1/jobs")
        problem(wrong, 405, "wrong-method")
        assert wrong.headers["allow"] == "GET, POST, HEAD"
        head = await gateway.ask("HEAD", "/execute?code=1")  # it would run code
        assert (head.status, head.headers["allow"], head.body) == (405, "GET, POST", b"")
        assert (await gateway.ask("PUT", "/execute")).headers["allow"] == "GET, POST"
        problem(await gateway.ask("OPTIONS", "/v1/jobs"), 405, "wrong-method")  # no CORS
        said = problem(await gateway.ask("GET", "/v1/jobs?limit=x&state=1&states=RUNNING&below=-1"), 400, "invalid")
        assert {each["parameter"] for each in said["errors"]} == {"limit", "state", "states", "below"}
        assert "'RUNNING' is not one of waiting, ready, assigned, running," in str(said["errors"])
        problem(await gateway.ask("GET", "/v1/jobs/5?max_tasks=1&max_tasks=2"), 400, "invalid")
        problem(await gateway.ask("POST", "/v1/jobs/5/pause", {"selectors": []}), 400, "invalid")
        problem(await gateway.ask("GET", "/v1/events?since=99"), 400, "invalid")
        problem(
            await gateway.ask("GET", "/v1/jobs/5/logs", accept="text/event-stream", last_event_id="x"), 400, "invalid"
        )

    in_gateway(tmp_path, body)


def test_bodies_have_a_limit_each_and_all_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(gateway: Gateway) -> None:
        most = most_of("/cluster.v1.Jobs/Pause")
        large = json.dumps({"reason": "x" * most}).encode()
        problem(await gateway.ask("POST", "/v1/jobs/1/pause", large, **JSON), 413, "too-large")
        said = await gateway.ask("POST", "/v1/jobs/1/pause", b"{}", **JSON, content_length=str(most + 1))
        problem(said, 413, "too-large")
        monkeypatch.setattr(gateway.app._binder._bodies, "_left", 10)
        busy = await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        problem(busy, 503, "unavailable")
        assert busy.headers["retry-after"] == "1"
        assert gateway.app._binder._bodies._left == 10  # what was taken is given back
        monkeypatch.setattr(bodies, "PATIENCE", 0.0)
        monkeypatch.setattr(bodies, "SLOWEST", 1e12)
        problem(await gateway.ask("POST", "/v1/jobs", ...), 408, "too-slow")

    in_gateway(tmp_path, body)


def test_who_may_not_ask_is_told_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(gateway: Gateway) -> None:
        for host in ("evil.example", "", "gate.example.evil", "localhost"):
            problem(await gateway.ask("GET", "/healthz", host=host), 421, "wrong-host")
        for host in ("gate.example:5000", "GATE.example", "127.0.0.1", "[::1]:5000", "10.1.2.3:1"):
            assert (await gateway.ask("GET", "/healthz", host=host)).status == 200, host
        foreign: list[dict[str, Any]] = [
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://gate.example"},
        ]
        for headers in foreign:
            problem(await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]}, **headers), 403, "cross-site")
        own: list[dict[str, Any]] = [{"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}]
        for headers in [*own, {"origin": "https://gate.example"}]:
            assert (await gateway.ask("GET", "/v1/jobs", **headers)).status == 200, headers
        behind: dict[str, Any] = {"origin": "https://gate.example", "sec_fetch_site": "same-origin"}
        monkeypatch.setattr(gateways, "SCHEME", "http")  # as a proxy that has ended TLS passes it on
        assert (await gateway.ask("GET", "/v1/jobs", **behind)).status == 200
        for headers in ({**behind, "sec_fetch_site": None}, {**behind, "origin": "https://evil.example"}):
            problem(await gateway.ask("GET", "/v1/jobs", **headers), 403, "cross-site")
        for query in (f"token={gateway.token}", f"x={gateway.token}", "access_token=1", "API_KEY=1"):
            said = problem(await gateway.ask("GET", f"/v1/jobs?{query}"), 400, "invalid")
            assert "a token in a URL" in said["detail"]
            assert gateway.token not in json.dumps(said)

    in_gateway(tmp_path, body)


def test_every_answer_keeps_browsers_from_using_it_elsewhere(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for path in ("/healthz", "/v1/jobs", "/nothing"):
            headers = (await gateway.ask("GET", path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "date" in headers
            assert not any(name.startswith("access-control") for name in headers)

    in_gateway(tmp_path, body)


def test_what_there_is_is_told_to_everybody(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        nobody = gateway.showing()
        assert (await nobody.ask("GET", "/v1/openapi.json")).json["openapi"] == "3.1.0"
        page = await nobody.ask("GET", "/v1/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "style-src 'sha256-" in page.headers["content-security-policy"]
        assert b"<h2>Calls</h2>" in page.body

    in_gateway(tmp_path, body)


def test_without_its_scheduler_a_gateway_says_so_and_lives(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        assert (await gateway.ask("GET", "/readyz")).status == 200
        await gateway.cluster.service.stop()
        assert (await gateway.ask("GET", "/healthz")).json == {"status": "ok"}
        for path in ("/readyz", "/v1/jobs"):
            answer = await gateway.ask("GET", path)
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"
        await gateway.cluster.start()  # for the end of the test

    in_gateway(tmp_path, body)


def test_the_same_idempotency_key_of_the_same_caller_is_the_same_job(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        bob = gateway.showing(await gateway.new_token("user", "bob"))

        async def submit(who: Gateway, key: str | None) -> int:
            headers: dict[str, Any] = {} if key is None else {"idempotency_key": key}
            return int((await who.ask("POST", "/v1/jobs", {"argv": ["true"]}, **headers)).json["number"])

        own = "01a21880-816e-76f6-b7f5-a23e82b1c838"
        numbers = [await submit(gateway, key) for key in ("a", "a", "b", None, None, own, own)]
        assert numbers == [1, 1, 2, 3, 4, 5, 5]
        assert await submit(bob, "a") == 6
        assert (await gateway.ask("GET", f"/v1/jobs/{own}")).json["job"]["number"] == 5
        again = await gateway.ask("POST", "/v1/jobs/5/rerun", idempotency_key="c")
        assert (again.status, again.json["rerun_of"], again.headers["location"]) == (201, 5, "/v1/jobs/7")
        assert (await gateway.ask("POST", "/v1/jobs/5/rerun", idempotency_key="c")).json["number"] == 7

    in_gateway(tmp_path, body)


def test_what_is_read_often_has_a_tag_and_lists_have_pages(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for name in ("a", "b", "c"):
            await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "name": name, "hold": name == "a"})
        first = await gateway.ask("GET", "/v1/jobs?limit=2")
        assert [job["spec"]["name"] for job in first.json["jobs"]] == ["c", "b"]
        assert first.headers["link"] == '</v1/jobs?limit=2&below=2>; rel="next"'
        rest = await gateway.ask("GET", first.headers["link"][1:].partition(">")[0])
        assert [job["spec"]["name"] for job in rest.json["jobs"]] == ["a"]
        tag = first.headers["etag"]
        again = await gateway.ask("GET", "/v1/jobs?limit=2", if_none_match=f'"x", {tag}')
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        await gateway.ask("POST", "/v1/jobs/c/cancel")
        assert (await gateway.ask("GET", "/v1/jobs?limit=2", if_none_match=tag)).status == 200
        chosen = await gateway.ask("GET", "/v1/jobs?selectors=a&selectors=b&states=TASK_STATE_READY")
        assert [job["spec"]["name"] for job in chosen.json["jobs"]] == ["b", "a"]
        typed = "/v1/jobs?selectors=a&selectors=b&states=ready&states=running"  # as people type them
        assert (await gateway.ask("GET", typed)).body == chosen.body
        assert (await gateway.ask("GET", "/v1/workers?states=online&states=WORKER_STATE_FULL")).json["workers"] == []
        assert (await gateway.ask("GET", "/v1/usage?by=name")).status == 200

    in_gateway(tmp_path, body)


def test_output_is_read_as_bytes_or_as_events_from_any_place(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        assigned = await worker.hear(Assign)
        following = asyncio.create_task(gateway.ask("GET", "/v1/jobs/1/logs", accept="text/event-stream"))
        await worker.show(b"one\ntwo\n\xff", b"odd\n")
        await worker.finish(assigned, SmallOutput(1, 0, 1, b"one\ntwo\n\xff", b"odd\n"))
        events = parsed((await following).body)
        assert [kind for kind, _, _ in events] == ["output", "output", "end"]
        assert joined(events) == (b"one\ntwo\n\xff", b"odd\n")
        logs = await gateway.ask("GET", "/v1/jobs/1/logs?stdout=true")
        assert (logs.body, logs.headers["content-type"]) == (b"one\ntwo\n\xff", "text/plain; charset=utf-8")
        assert (await gateway.ask("GET", "/v1/jobs/1/logs?stdout=true&tail_lines=1")).body == b"\xff"
        place = events[0][1]
        rest = parsed(
            (await gateway.ask("GET", "/v1/jobs/1/logs", accept="text/event-stream", last_event_id=place)).body
        )
        assert events[0][2]["stderr"] is False
        assert joined(rest) == (b"", b"odd\n")

    in_gateway(tmp_path, body)


def test_who_waits_is_told_the_end_or_each_change(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "name": "a"})
        began = asyncio.Event()
        waiting = asyncio.create_task(gateway.ask("GET", "/v1/jobs/a/wait"))
        following = asyncio.create_task(gateway.ask("GET", "/v1/jobs/a/wait", accept="text/event-stream", began=began))
        await began.wait()
        await worker.finish(await worker.hear(Assign))
        (job,) = (await waiting).json["jobs"]
        assert (job["state"], job["spec"]["name"]) == ("TASK_STATE_SUCCEEDED", "a")
        events = parsed((await following).body)
        assert (events[0][0], events[-1][0]) == ("jobs", "end")
        assert events[-2][2]["jobs"][0]["state"] == "TASK_STATE_SUCCEEDED"

    in_gateway(tmp_path, body)


def test_jobs_that_wait_for_each_other_come_together(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        specs = [{"argv": ["true"], "name": "a"}, {"argv": ["true"], "name": "b", "after": ["a"]}]
        jobs = {"jobs": [{"spec": spec} for spec in specs]}
        for key, numbers in ((None, [1, 2]), ("x", [3, 4]), ("x", [3, 4])):
            made = await gateway.ask("POST", "/v1/workflows", jobs, idempotency_key=key)
            assert (made.status, made.json["numbers"]) == (201, numbers)
        assert (await gateway.ask("GET", "/v1/jobs/4")).json["job"]["state"] == "TASK_STATE_WAITING"
        specs[1]["after"] = ["nobody"]
        problem(await gateway.ask("POST", "/v1/workflows", jobs), 404, "not-found")
        assert len((await gateway.ask("GET", "/v1/jobs")).json["jobs"]) == 4

    in_gateway(tmp_path, body)


def test_what_happens_is_read_in_pages_or_followed(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"]})
        page = (await gateway.ask("GET", "/v1/events?since=0")).json
        assert ([event["kind"] for event in page["events"]], page["position"]) == (["job.submitted"], "1")
        began = asyncio.Event()

        def enough(content: bytes) -> bool:
            began.set()
            return b"job.ended" in content

        follower = asyncio.create_task(
            gateway.ask("GET", "/v1/events", accept="text/event-stream", last_event_id="0", stop=enough)
        )
        await began.wait()
        await gateway.ask("POST", "/v1/jobs/1/cancel")
        events = [event for event in parsed((await follower).body) if event[0]]
        told = [(kind, place) for kind, place, _ in events]
        assert told == [("job.submitted", "1"), ("job.cancelled", "2"), ("job.ended", "3")]
        assert events[1][2]["by"] == "ada"

    in_gateway(tmp_path, body)


Event = tuple[str, str, Mapping[str, Any]]


def parsed(content: bytes) -> list[Event]:
    """Events as (kind, id, data)."""
    found = []
    for block in content.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields.get("event", ""), fields.get("id", ""), json.loads(fields.get("data", "{}"))))
    return found


def joined(events: list[Event]) -> tuple[bytes, bytes]:
    """What came of stdout and of stderr."""
    pieces = [data for kind, _, data in events if kind == "output"]
    return (
        b"".join(base64.b64decode(piece["data"]) for piece in pieces if not piece["stderr"]),
        b"".join(base64.b64decode(piece["data"]) for piece in pieces if piece["stderr"]),
    )


def test_options_of_a_job_are_changed_by_patch(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "max_running": 1, "retry_on": ["lost"]})
        changes = {"retries": 2, "timeout": 90, "backoff": [1, 2], "defaults": ["max-running", "retry_on"]}
        answer = await gateway.ask("PATCH", "/v1/jobs/1", changes)
        assert (answer.status, answer.json["changed"]) == (200, 1)
        (job,) = answer.json["jobs"]
        assert (job["spec"]["retries"], job["spec"]["timeout"], job["spec"]["backoff"]) == (2, 90, [1, 2])
        assert set(job["changed"]) == {"retries", "timeout", "backoff", "max_running", "retry_on"}
        for wrong in ({}, {"retries": -1}, {"argv": ["x"]}, {"defaults": ["name"]}, {"spread": True, "pack": True}):
            problem(await gateway.ask("PATCH", "/v1/jobs/1", wrong), 400, "invalid")
        assert (await gateway.ask("GET", "/v1/jobs/1")).json["job"]["spec"]["retries"] == 2

    in_gateway(tmp_path, body)


def test_the_map_of_a_million_tasks_is_small_and_right(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        array = {"argv": ["true"], "array": [{"first": "1", "last": "1000000", "step": "1"}], "name": "sweep"}
        assert (await gateway.ask("POST", "/v1/jobs", array)).status == 201
        assert (await gateway.ask("POST", "/v1/jobs/1.3-5/cancel", {})).status == 200
        answer = await gateway.ask("GET", "/v1/jobs/sweep/states")
        assert len(answer.body) < 1000
        told = answer.json
        assert (told["job"], told["tasks"], told["first"], told["count"], told["per_cell"]) == (1, 10**6, 0, 10**6, 0)
        assert {each["state"]: (each["tasks"], each["ranges"]) for each in told["states"]} == {
            "TASK_STATE_READY": (10**6 - 3, [0, 2, 3, 10**6 - 5]),
            "TASK_STATE_CANCELLED": (3, [2, 3]),
        }
        summed = (await gateway.ask("GET", "/v1/jobs/1/states?first=4&count=10&most=2")).json
        assert (summed["first"], summed["count"], summed["per_cell"]) == (4, 10, 0)
        summed = (await gateway.ask("GET", "/v1/jobs/1/states?count=10&most=2")).json
        assert summed["per_cell"] == 8
        assert {each["state"]: each["cells"] for each in summed["states"]} == {
            "TASK_STATE_READY": [5, 2],
            "TASK_STATE_CANCELLED": [3, 0],
        }
        for target, words in {
            "1/states?first=1000000": "first is 1000000, and the last of its 1000000 tasks is at 999999",
            "1/states?most=10001": "most is 10001: at most 10000",
            "1.3/states": "selects tasks: a map is of a whole job; give 1, first and count",
        }.items():
            assert words in problem(await gateway.ask("GET", f"/v1/jobs/{target}"), 400, "invalid")["detail"]
        problem(await gateway.ask("GET", "/v1/jobs/2/states"), 404, "not-found")

    in_gateway(tmp_path, body)
