"""Jobs for one chosen worker, over HTTP: /start, /stop, /query and /stream."""

import asyncio
from pathlib import Path

from cluster.domain.job.records import SmallOutput
from cluster.domain.session.messages import Assign
from tests.integration.gateways import Gateway, in_gateway
from tests.integration.schedulers import W1
from tests.integration.test_gateway_requests import joined, parsed, problem

NOBODY = "01a21880-816e-76f6-b7f5-a23e82b1c838"


def test_a_script_is_started_on_one_worker_followed_and_asked_about(tmp_path: Path) -> None:  # S2.12
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        request = {"worker_id": W1, "path": "worker/scripts/count.sh", "command": "bash"}
        started = await gateway.ask("POST", "/start", request)
        assert (started.status, started.json.keys()) == (201, {"job_id"})
        job = started.json["job_id"]
        assert (await gateway.ask("GET", started.headers["location"])).json["job"]["id"] == job
        assigned = await worker.hear(Assign)
        assert assigned.spec is not None
        assert (assigned.spec.argv, assigned.spec.script) == (("bash",), "worker/scripts/count.sh")
        asked = {"job_id": job, "worker_id": "box"}
        assert (await gateway.ask("POST", "/query", asked)).json == {"done": False, "error": False, "error_text": ""}
        following = asyncio.create_task(gateway.ask("GET", f"/stream?job_id={job}"))
        await worker.show(b"1\n2\n", b"odd\n")
        await worker.finish(assigned, SmallOutput(1, 0, 1, b"1\n2\n", b"odd\n"))
        events = parsed((await following).body)
        assert (joined(events), events[-1][0]) == ((b"1\n2\n", b"odd\n"), "end")
        rest = await gateway.ask("GET", f"/stream?job_id={job}", last_event_id=events[0][1])
        assert joined(parsed(rest.body)) == (b"", b"odd\n")
        assert (await gateway.ask("POST", "/query", asked)).json == {"done": True, "error": False, "error_text": ""}
        for _ in range(2):  # what has ended stays as it is
            stopped = await gateway.ask("POST", "/stop", {"job_id": job})
            assert (stopped.status, stopped.json) == (200, {"success": True})
        assert (await gateway.ask("POST", "/query", asked)).json["error"] is False

    in_gateway(tmp_path, body)


def test_a_command_without_a_script_may_run_anywhere_and_a_stop_says_by_whom(tmp_path: Path) -> None:  # S2.12
    async def body(gateway: Gateway) -> None:
        job = (await gateway.ask("POST", "/start", {"command": "sh -c 'exit 3'", "path": ""})).json["job_id"]
        shown = (await gateway.ask("GET", f"/v1/jobs/{job}")).json["job"]
        assert (shown["spec"]["argv"], shown["spec"].get("worker")) == (["sh", "-c", "exit 3"], None)
        assert (await gateway.ask("POST", "/stop", {"job_id": job})).json == {"success": True}
        asked = (await gateway.ask("POST", "/query", {"job_id": job})).json
        assert asked == {"done": True, "error": True, "error_text": "cancelled, as ada asked"}

    in_gateway(tmp_path, body)


def test_what_is_unknown_or_wrong_is_a_clear_json_error(tmp_path: Path) -> None:  # S2.12
    async def body(gateway: Gateway) -> None:
        async def refused(path: str, said: object, status: int, kind: str = "invalid") -> str:
            return str(problem(await gateway.ask("POST", path, said), status, kind)["detail"])

        job = (await gateway.ask("POST", "/start", {"command": "true"})).json["job_id"]
        unknown = await refused("/start", {"worker_id": "box", "command": "true"}, 404, "not-found")
        assert unknown == "there is no worker 'box'; GET /v1/workers tells which there are"
        for path in ("/stop", "/query"):
            assert NOBODY in await refused(path, {"job_id": NOBODY}, 404, "not-found")
            assert "no worker" in await refused(path, {"job_id": job, "worker_id": "box"}, 404, "not-found")
            for text in ("all", "last", "name", f"{job}.1", "5:failed"):
                assert "no job's id" in await refused(path, {"job_id": text}, 400)
            assert "job_id is missing" in await refused(path, {}, 400)
            assert "no text" in await refused(path, {"job_id": 5}, 400)
        worker = gateway.cluster.worker()
        await worker.connect()
        other = (await gateway.ask("POST", "/start", {"command": "true", "worker_id": "box"})).json["job_id"]
        assert "job_id" in await refused("/query", {"jobid": other}, 400)
        assert "split" in await refused("/start", {"command": 'sh -c "'}, 400)
        assert "command" in await refused("/start", {"command": ""}, 400)
        assert "leaves" in await refused("/start", {"command": "sh", "path": "../secret"}, 400)
        await refused("/start", {"command": "\ud800"}, 400)
        await refused("/start", b"{", 400, "malformed")
        await refused("/start", [], 400)
        problem(await gateway.ask("GET", "/start"), 405, "wrong-method")
        problem(await gateway.ask("GET", f"/stream?job_id={NOBODY}"), 404, "not-found")
        problem(await gateway.ask("GET", f"/stream?job_id={job}&worker_id=nobody"), 404, "not-found")
        problem(await gateway.ask("GET", "/stream"), 400, "invalid")
        problem(await gateway.ask("GET", f"/stream?job_id={job}&job_id={job}"), 400, "invalid")
        problem(await gateway.ask("GET", f"/stream?job_id={job}", last_event_id="x"), 400, "invalid")
        viewer = gateway.showing(await gateway.new_token("viewer", "eve"))
        problem(await viewer.ask("POST", "/start", {"command": "true"}), 403, "not-permitted")
        problem(await viewer.ask("POST", "/stop", {"job_id": job}), 403, "not-permitted")
        bob = gateway.showing(await gateway.new_token("user", "bob"))
        for path in ("/stop", "/query"):
            problem(await bob.ask("POST", path, {"job_id": job}), 404, "not-found")

    in_gateway(tmp_path, body)


def test_a_job_is_not_on_a_worker_that_has_not_got_it(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        worker = gateway.cluster.worker()
        await worker.connect()
        waits = (await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "hold": True})).json["id"]
        answer = await gateway.ask("POST", "/query", {"job_id": waits, "worker_id": "box"})
        assert problem(answer, 404, "not-found")["detail"] == f"job {waits} is not on worker 'box'"

    in_gateway(tmp_path, body)
