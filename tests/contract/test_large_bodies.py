"""Large bodies of requests are read beside the gateway's event loop, which serves everybody; small ones at once."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cluster.gateway import execute, execute_request, job_requests, members, worker_jobs
from cluster.gateway.binding import QUICK
from cluster.gateway.execute_answers import CodeOutcome, document
from cluster.v1 import job_pb2, jobs_pb2

FORM = "application/x-www-form-urlencoded"


class Exchange:
    """A request with that body, of a route that takes any. Jobs that are handed in are taken."""

    def __init__(self, kind: str, body: bytes) -> None:
        scope = {"query_string": b""}
        self.request = SimpleNamespace(method="POST", headers={"content-type": kind}, scope=scope)
        self._body = body

    @asynccontextmanager
    async def body(self) -> AsyncIterator[bytes]:
        yield self._body

    def parameter(self, name: str) -> str:
        return ""

    async def one(self, call: str, **fields: Any) -> Any:
        return jobs_pb2.SubmitResponse(job=job_pb2.Job(number=1))


@pytest.mark.parametrize(
    ("module", "name", "ask", "kind", "around"),
    [
        (job_requests, "_read", job_requests.job_request, "application/json", b'{"command": "echo %s"}'),
        (job_requests, "_read", job_requests.job_request, FORM, b"command=echo+%s"),
        (execute_request, "source_in_form", execute_request.read_request, FORM, b"code=print(1)%%23%s"),
        (members, "_texts", worker_jobs.start, "application/json", b'{"command": "echo %s"}'),
        (worker_jobs, "_words", worker_jobs.start, "application/json", b'{"command": "echo %s"}'),
    ],
)
def test_they_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, ask: Callable[[Any], Any], kind: str, around: bytes
) -> None:
    read: Callable[..., Any] = getattr(module, name)
    lengths: dict[int, set[bool]] = {}

    def noted(*values: Any) -> Any:
        lengths.setdefault(max(len(value) for value in values if isinstance(value, (str, bytes))), set()).add(
            threading.current_thread() is threading.main_thread()
        )
        return read(*values)

    monkeypatch.setattr(module, name, noted)
    for size in (1, QUICK + 1):
        asyncio.run(ask(Exchange(kind, around % (b"x" * size))))
    assert {length > QUICK: where for length, where in lengths.items() if length} == {False: {True}, True: {False}}


def test_large_outputs_are_told_beside_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, threads = CodeOutcome(job_pb2.Job(number=7), job_pb2.Task(reason="ok")), list[threading.Thread]()

    async def ran(*arguments: Any) -> CodeOutcome:
        return outcome

    def noted(outcome: CodeOutcome) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return document(outcome)

    monkeypatch.setattr(execute, "_outcome", ran)
    monkeypatch.setattr(execute, "document", noted)
    for reason, status in (("ok", 200), ("exit:1", 422)):
        outcome.task.reason = reason
        answer = asyncio.run(execute.execute_and_tell(Exchange(FORM, b"code=print(1)")))  # type: ignore[arg-type]
        assert (answer.status_code, json.loads(bytes(answer.body))["reason"]) == (status, reason)
        assert answer.headers["cluster-job"] == "7"
    assert threading.main_thread() not in threads
