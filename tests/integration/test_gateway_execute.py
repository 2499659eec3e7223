"""/execute where no worker runs code, or what runs it fails: not told as the code's fault, nor by an empty answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cluster.client.calls_for_others import method
from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.records import SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign
from cluster.domain.session.offer import Offer
from cluster.gateway import app, execute
from cluster.rpc.on_behalf import Proof
from cluster.v1 import job_pb2, jobs_pb2
from tests.integration.gateways import Answer, Gateway, in_gateway
from tests.integration.schedulers import Worker
from tests.integration.test_scheduler_output import end_with_output, to_keep

SHUTS_IN = Offer((("mem", 1 << 40),), sandbox="bubblewrap")


async def begun(
    gateway: Gateway, target: str = "/execute?code=print(1)", **how: Any
) -> tuple["asyncio.Task[Answer]", Worker, Assign]:
    """A request, and the worker that has got its code."""
    worker = gateway.cluster.worker()
    worker.offer = SHUTS_IN
    await worker.connect()  # before: where nobody runs code a request is refused at once
    asking = asyncio.create_task(gateway.ask("GET", target, **how))
    return asking, worker, await worker.hear(Assign)


def test_without_a_worker_that_runs_code_it_says_so_at_once(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.cluster.worker().connect()
        answer = await gateway.ask("GET", "/execute?code=print(1)")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "there is no worker of which that is true: has sandbox" in answer.json["detail"]
        (job,) = (await gateway.ask("GET", "/v1/jobs")).json["jobs"]
        assert job["state"] == "TASK_STATE_CANCELLED"

    in_gateway(tmp_path, body)


def test_what_fails_by_no_fault_of_the_code_is_ours(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for reason, fields, says in (
            ("launch_failed", {"detail": "no room"}, "launch_failed: no room"),
            ("launch_failed", {"detail": "the sandbox could not be made: bwrap: no"}, "could not be made: bwrap: no"),
            ("stopped", {}, "stopped"),
        ):
            asking, worker, assign = await begun(gateway)
            await worker.fail(assign, 1, reason, **fields)
            answer = await asking
            assert (answer.status, answer.json["reason"]) == (503, reason)
            assert says in answer.json["detail"]
            await worker.deregister("")

    in_gateway(tmp_path, body)


def test_code_that_speaks_as_its_sandbox_does_has_failed_itself(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        asking, worker, assign = await begun(gateway)
        said = b"bwrap: Creating new namespace failed: Resource temporarily unavailable\n"
        a = assign.attempts
        end = TaskEnd(a.job, 0, a.attempt, "exit:1", 1, started_at=1.0, ended_at=2.0)
        await worker.report(ended=(end,), outputs=(SmallOutput(a.job, 0, a.attempt, b"", said),))
        answer = await asking
        assert (answer.status, answer.json["stderr"]) == (422, said.decode())

    in_gateway(tmp_path, body)


def test_outputs_have_a_limit_all_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(gateway: Gateway) -> None:
        monkeypatch.setattr(execute, "_room", execute.OutputRoom(20))
        for size, status in ((11, 429), (10, 200), (11, 429), (10, 200)):
            asking, worker, assign = await begun(gateway)
            await worker.finish(assign, SmallOutput(assign.attempts.job, 0, 1, b"x" * size, b""))
            assert (await asking).status == status
            await worker.deregister("")

    in_gateway(tmp_path, body)


def test_output_counts_until_its_reader_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one caller's leave room for those of others."""

    async def body(gateway: Gateway) -> None:
        monkeypatch.setattr(app, "PIECE", 100)
        monkeypatch.setattr(execute, "_room", execute.OutputRoom(1000))
        others = gateway.showing(await gateway.new_token(user="bob"))
        reads, held, came = asyncio.Event(), asyncio.Event(), list[int]()

        async def run(by: Gateway, **how: Any) -> "asyncio.Task[Answer]":
            asking, worker, assign = await begun(by, **how)
            await worker.finish(assign, SmallOutput(assign.attempts.job, 0, 1, b"x" * 300, b""))
            await worker.deregister("")
            return asking

        async def taken(content: bytes) -> None:
            came.append(len(content))
            held.set()
            await reads.wait()

        slow = await run(gateway, taken=taken)
        await held.wait()
        assert (await (await run(gateway))).status == 429
        assert (await (await run(others))).body == b"x" * 300
        assert came == [100]
        reads.set()
        assert (await slow).body == b"x" * 300
        assert came == [100, 200, 300]
        assert (await (await run(gateway))).body == b"x" * 300

    in_gateway(tmp_path, body)


def test_who_waits_for_ends_alone_is_told_once(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        asking, worker, assign = await begun(gateway)
        wait, told = method("/cluster.v1.Jobs/Wait"), list[Any]()

        async def hear() -> None:
            request = jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text=str(assign.attempts.job))], ends_only=True)
            async for change in gateway.calls.several(wait, request, Proof(token=gateway.token)):
                told.extend(change.jobs)

        hearing = asyncio.create_task(hear())
        await worker.finish(assign)
        await asking
        await hearing
        await hear()  # it had ended before
        assert [job.state for job in told] == [job_pb2.TASK_STATE_SUCCEEDED] * 2

    in_gateway(tmp_path, body)


def test_what_ends_soon_is_told_with_its_output_by_one_call_and_the_rest_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(gateway: Gateway) -> None:
        called: list[str] = []
        for name in ("one", "several"):
            real = getattr(gateway.calls, name)

            def noted(method: Any, *more: Any, real: Any = real) -> Any:
                called.append(method.path.rpartition("/")[2])
                return real(method, *more)

            monkeypatch.setattr(gateway.calls, name, noted)

        async def run(finish: Any, wanted: bytes) -> list[str]:
            asking, worker, assign = await begun(gateway)
            await finish(worker, assign)
            answer = await asking
            assert (answer.status, answer.body) == (200, wanted)
            await worker.deregister("")
            calls = called.copy()
            called.clear()
            return calls

        async def small(worker: Worker, assign: Assign) -> None:
            await worker.finish(assign, SmallOutput(assign.attempts.job, 0, 1, b"out", b"err"))

        async def large(worker: Worker, assign: Assign) -> None:
            await worker.push(*to_keep(b"pushed it", job=assign.attempts.job))  # else its reader would ask the worker
            await end_with_output(worker, assign, 9)

        assert await run(small, b"out") == ["SubmitAndWait"]
        assert await run(large, b"pushed it") == ["SubmitAndWait", "ReadOutput"]
        monkeypatch.setattr(execute, "PATIENCE", 0.0)
        assert await run(small, b"out") == ["SubmitAndWait", "Wait", "ReadOutput"]

    in_gateway(tmp_path, body)


def test_a_scheduler_that_is_older_than_its_gateway_is_asked_by_several_calls(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        passed, lacking = gateway.cluster.service._passed_calls, "/cluster.v1.Jobs/SubmitAndWait"
        passed._handlers = {path: handler for path, handler in passed._handlers.items() if path != lacking}
        asking, worker, assign = await begun(gateway)
        await worker.finish(assign, SmallOutput(assign.attempts.job, 0, 1, b"out", b"err"))
        answer = await asking
        assert (answer.status, answer.body) == (200, b"out")
        assert len((await gateway.ask("GET", "/v1/jobs")).json["jobs"]) == 1

    in_gateway(tmp_path, body)


def test_a_job_that_is_waited_for_is_the_same_by_the_same_id(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        call, worker = method("/cluster.v1.Jobs/SubmitAndWait"), gateway.cluster.worker()
        await worker.connect()
        request = jobs_pb2.SubmitAndWaitRequest(id=new_job_id(), spec=job_pb2.JobSpec(argv=["true"]), patience=30)
        shown = Proof(token=gateway.token)
        asking = [asyncio.create_task(gateway.calls.one(call, request, shown)) for _ in range(2)]
        assign = await worker.hear(Assign)
        await worker.finish(assign, SmallOutput(assign.attempts.job, 0, 1, b"out", b""))
        answers = [*await asyncio.gather(*asking), await gateway.calls.one(call, request, shown)]
        assert [(each.job.number, each.job.state, each.with_output) for each in answers] == [
            (assign.attempts.job, job_pb2.TASK_STATE_SUCCEEDED, True)
        ] * 3
        assert [piece.data for each in answers for piece in each.output] == [b"out"] * 3
        for patience in (-1.0, 31.0, float("nan")):
            request.patience = patience
            with pytest.raises(InvalidInput, match=r"a patience of .* s: give 0 to 30"):
                await gateway.calls.one(call, request, shown)

    in_gateway(tmp_path, body)
