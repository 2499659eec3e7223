"""`cluster traces`: the lives of jobs reach a collector as spans."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cluster.cli.traces.exporting import export
from cluster.cli.traces.spans import spans_of
from cluster.client.job_fields import Counts
from cluster.client.types import Job, Task
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

ID = "01890000-0000-7000-8000-000000000005"


def attempt(number: int, begin: float, end: float, reason: str, history: tuple[Task, ...] = ()) -> Task:
    state = TaskState.SUCCEEDED if reason == "ok" else TaskState.FAILED
    return Task(0, 1, state, number, reason, 0, "", "", "id", "box1", begin, end, 0.5, 1000, attempts=history)


def test_a_trace_is_a_job_with_what_it_waited_and_its_attempts() -> None:
    first, second = attempt(1, 12.0, 13.0, "exit:3"), attempt(2, 15.0, 20.0, "ok")
    spec = JobSpec(("true",), name="sweep")
    counts = Counts(succeeded=1)
    job = Job(5, ID, "ann", spec, TaskState.SUCCEEDED, "ok", counts, 10.0, 12.0, 20.0, 0, (), False, "", "")
    exporter = InMemorySpanExporter()
    assert export(exporter, spans_of(job, [attempt(2, 15.0, 20.0, "ok", (first, second))]), "head:50000")
    root, *others = exporter.get_finished_spans()
    told = [(s.name, s.start_time, s.end_time, s.status.is_ok) for s in (root, *others)]
    assert told == [
        ("job sweep", 10 * 10**9, 20 * 10**9, True),
        ("waiting", 10 * 10**9, 12 * 10**9, True),
        ("attempt 5#1", 12 * 10**9, 13 * 10**9, False),
        ("attempt 5#2", 15 * 10**9, 20 * 10**9, True),
    ]
    assert root.context.trace_id == UUID(ID).int
    assert all(span.parent and span.parent.span_id == root.context.span_id for span in others)
    assert len({span.context.span_id for span in (root, *others)}) == 4
    assert list(spans_of(job, [])) == list(spans_of(job, []))


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A receiver of OTLP over HTTP, and what it has got."""
    got: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_a_collector_gets_the_jobs_of_a_real_cluster(cluster: Command) -> None:
    job = submit(cluster, "--name", "traced", "--array", "1-2", "--", "sh", "-c", "exit $(( CLUSTER_TASK - 1 ))")
    assert cluster("job", "wait", job).code == 1
    with collector() as (url, got):
        cluster.ok("traces", "--once", "--endpoint", url)
    spans = [span for request in got for resource in request.resource_spans for scope in resource.scope_spans
             for span in scope.spans]  # fmt: skip
    (root,) = [span for span in spans if span.name == "job traced"]
    own = {span.name: span for span in spans if span.trace_id == root.trace_id}
    assert set(own) == {"job traced", "waiting", f"attempt {job}.1#1", f"attempt {job}.2#1"}
    assert all(span.parent_span_id == root.span_id for span in own.values() if span is not own["job traced"])
    assert (root.status.code, root.status.message) == (2, "exit:1")
    assert own[f"attempt {job}.1#1"].status.code == 1


@pytest.mark.slow
def test_what_cannot_be_told_is_said_in_one_line(cluster: Command) -> None:
    for arguments, words in (((), "there is no collector: give --endpoint"), (("--endpoint", "x"), "it is no URL")):
        done = cluster("traces", *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert words in done.err


def test_without_the_sdk_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cluster.cli.main import run

    monkeypatch.setitem(sys.modules, "cluster.cli.traces.exporting", None)
    assert run(["traces", "--endpoint", "http://127.0.0.1:9"]) == 2
    assert "pip install 'cluster[traces]'" in capsys.readouterr().err
