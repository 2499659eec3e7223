"""The job processor of a founding document: /processor/jobs on a worker that stands alone, singular or plural."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.wall_time import iso
from cluster.domain.job.states import TaskState
from cluster.gateway import event_streams
from cluster.gateway.binding import media_type
from cluster.gateway.handled_routes import Exchange, HandledRoute, Schema, in_both_forms
from cluster.gateway.job_requests import BODIES, FORM, job_request, said_in_form
from cluster.gateway.job_states import STATE_SCHEMAS, job_in_path, state_and_status
from cluster.gateway.members import JSON, TEXT, document, object_in, object_of
from cluster.gateway.problems import MALFORMED, Problem, WrongPlace, invalid
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import jobs_pb2

STATUS = "status"
NO_JOB = 'there is no body: give a job, as in {"commands": [{"exec": ["echo", "hello"]}]}'


async def new_job(exchange: Exchange) -> Response:
    """Starts a job here. Both of its streams go into one log."""
    asked = await job_request(exchange)
    if asked is None:
        raise InvalidInput(NO_JOB)
    spec = spec_to_proto(asked.spec)
    spec.key, spec.merge_output = asked.id or spec.key, True
    job = (await exchange.one("Worker.StartJob", id=new_job_id(), spec=spec)).job
    headers = {"Location": f"/processor/jobs/{job.number}"}
    return document({"request_id": job.spec.key or job.id}, 201, headers)


async def all_statuses(exchange: Exchange) -> Response:
    """How all jobs are, the newest first, in pages."""
    below = exchange.number("below")
    page = await exchange.one("Worker.GetJobs", below=below)
    jobs = [_status(job, task) for job, task in zip(page.jobs, page.tasks, strict=True)]
    return document({"jobs": jobs, "next": page.next})


async def status(exchange: Exchange) -> Response:
    """How one job is."""
    return document(_status(*await _found(exchange)))


async def record_status(exchange: Exchange) -> Response:
    """Takes down what somebody says of the job."""
    async with exchange.body() as body:
        text = _said(media_type(exchange.request), body)
    job, _ = await _found(exchange)
    selector = jobs_pb2.Selector(text=str(job.number))
    answer = await exchange.one("Worker.RecordJobStatus", selector=selector, status=text)
    return document(_status(answer.job, answer.task))


async def log(exchange: Exchange) -> Response:
    """What the job has written so far, as it is; as events also what comes."""
    job, _ = await _found(exchange)
    wanted = exchange.message(
        "Worker.ReadJobOutput", selector=jobs_pb2.Selector(text=str(job.number)), stdout=True, stderr=True
    )
    return await event_streams.as_bytes(exchange.several("Worker.ReadJobOutput", wanted))


async def kill(exchange: Exchange) -> Response:
    """Stops the job, all of its processes; how it is then."""
    job, _ = await _found(exchange)
    await exchange.one("Worker.StopJob", selector=jobs_pb2.Selector(text=str(job.number)))
    return document(_status(*await _found(exchange)))


def _said(kind: str, body: bytes) -> str:
    """The status that a body says: its member or field of that name, or all of a text."""
    if kind == JSON or body.lstrip()[:1] == b"{":
        value = object_in(body)
        if value.keys() != {STATUS} or not isinstance(value[STATUS], str):
            raise invalid([WrongPlace('one text is wanted, as in {"status": "half done"}', f"/{STATUS}")])
        return str(value[STATUS])
    found = said_in_form(body, STATUS) if kind == FORM else None
    if found is not None:
        return found
    try:
        return body.decode().strip()
    except UnicodeDecodeError as error:
        raise Problem(MALFORMED, f"the status is not UTF-8: {error.reason} at byte {error.start}") from None


def _status(job: Any, task: Any) -> Mapping[str, Any]:
    recorded = {STATUS: job.recorded_status, "at": iso(job.recorded_at)} if job.recorded_at else None
    state = TaskState(job.state)
    return {
        "job": job.number,
        "request_id": job.spec.key or job.id,
        **state_and_status(state),
        "node": task.worker_name,
        "created-at": iso(job.submitted_at),
        "exit-code": job.exit_code if state.ended else None,
        "reason": job.reason,
        "recorded": recorded,
    }


async def _found(exchange: Exchange) -> tuple[Any, Any]:
    """The job that the path names, with its task."""

    async def ask(selector: jobs_pb2.Selector) -> tuple[Any, Any]:
        answer = await exchange.one("Worker.GetJobs", selector=selector)
        if not answer.jobs:
            raise NotFound("there is none of that key")
        return answer.jobs[0], answer.tasks[0]

    return await job_in_path(exchange, ask, "/processor/jobs/status")


_STATUS_SCHEMA: Schema = {
    **object_of("job", "request_id", "state", "status", "node", "created-at", "exit-code", "reason", "recorded"),
    "properties": {
        **STATE_SCHEMAS,
        "job": {"type": "integer"},
        "request_id": TEXT,
        "exit-code": {"type": ["integer", "null"]},
        "reason": TEXT,
        "recorded": {
            "type": ["object", "null"],
            "properties": {STATUS: TEXT, "at": {"type": "string", "format": "date-time"}},
        },
    },
}
ONE = {JSON: _STATUS_SCHEMA}
ALL = {JSON: object_of("jobs", "next", jobs={"type": "array", "items": _STATUS_SCHEMA}, next={"type": "integer"})}
_SAID = {JSON: object_of(STATUS, status=TEXT), "text/plain": TEXT, FORM: object_of(STATUS, status=TEXT)}

ROUTES = in_both_forms(
    HandledRoute(
        *("POST", "/processor/jobs/new", ("Worker.StartJob",), "Start a job here.", new_job),
        bodies=BODIES,
        answers={JSON: object_of("request_id", request_id=TEXT)},
        status=201,
    ),
    HandledRoute(
        *("GET", "/processor/jobs/status", ("Worker.GetJobs",), "How all jobs are, the newest first.", all_statuses),
        query={"below": "Only those of lower numbers: the `next` of the page before."},
        answers=ALL,
    ),
    HandledRoute("GET", "/processor/jobs/{job}", ("Worker.GetJobs",), "How a job is.", status, answers=ONE),
    HandledRoute("GET", "/processor/jobs/{job}/status", ("Worker.GetJobs",), "How a job is.", status, answers=ONE),
    HandledRoute(
        *("POST", "/processor/jobs/{job}/status", ("Worker.RecordJobStatus", "Worker.GetJobs")),
        *("Take down what somebody says of a job.", record_status),
        bodies=_SAID,
        answers=ONE,
    ),
    HandledRoute(
        *(
            "GET",
            "/processor/jobs/{job}/log",
            ("Worker.ReadJobOutput", "Worker.GetJobs"),
            "What a job has written.",
            log,
        ),
        answers={"text/plain": TEXT},
    ),
    HandledRoute(
        *("POST", "/processor/jobs/{job}/kill", ("Worker.StopJob", "Worker.GetJobs"), "Stop a job.", kill),
        answers=ONE,
    ),
)
