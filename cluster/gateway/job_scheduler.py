"""The job scheduler of a founding document: /scheduler/jobs and /scheduler/nodes, in its words, singular or plural."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from starlette.responses import PlainTextResponse, Response

from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso
from cluster.domain.job.job_requests import JobRequest
from cluster.domain.job.job_tables import key_of
from cluster.domain.job.spec import OPTIONS, JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.trust.tokens import split_address
from cluster.gateway.binding import accepts
from cluster.gateway.handled_routes import Exchange, HandledRoute, Schema, in_both_forms
from cluster.gateway.job_placements import ANSWERS, QUERY, ask_node, placements_of
from cluster.gateway.job_processor import NO_JOB
from cluster.gateway.job_requests import BODIES, job_request, request_of_query
from cluster.gateway.job_states import (
    ERROR,
    GOOD,
    RUNNING,
    STATE_SCHEMAS,
    STOPPED,
    UNKNOWN,
    job_in_path,
    state_and_status,
)
from cluster.gateway.members import JSON, TEXT, document, object_of
from cluster.gateway.node_processor import uri_of
from cluster.gateway.problems import WrongPlace, invalid
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import jobs_pb2

_FILTERS = {
    RUNNING: [state for state in TaskState if not state.ended],
    STOPPED: [state for state in TaskState if state.ended],
    "dead": [TaskState.FAILED, TaskState.CANCELLED],
    UNKNOWN: [state for state in TaskState if not state.ended],
    GOOD: [TaskState.SUCCEEDED],
    ERROR: [TaskState.FAILED, TaskState.CANCELLED],
}
_WORDS = {"state": (RUNNING, STOPPED, "dead"), "status": (UNKNOWN, GOOD, ERROR)}
# What a request for nodes asks about, which runs nothing.
_ANY_COMMAND = {"command": ["true"]}
# The fields of a spec that say what its tasks need of a worker, and what those options are called.
_NEEDS = ("millicpus", "worker", "memory", "gpus", "resources", "need", "exclusive")
_NEEDS_BY_KEY = {key_of(option): option.help for option in OPTIONS if option.field in _NEEDS}
FREE, LIMIT, BELOW = "free", "limit", "below"


# ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def new_job(exchange: Exchange) -> Response:
    """Queues a job. The same request id of the same caller again is the same job."""
    asked = await job_request(exchange)
    if asked is None:
        raise InvalidInput(NO_JOB)
    spec = spec_to_proto(asked.spec)
    spec.key = asked.id or spec.key
    job = (await exchange.one("Jobs.Submit", id=new_job_id(), spec=spec)).job
    headers = {"Location": f"/scheduler/jobs/{job.number}"}
    return document({"request_id": asked.id or job.spec.key or job.id}, 201, headers)


async def list_jobs(exchange: Exchange) -> Response:
    """The numbers of jobs, the newest first, a line each; or as JSON."""
    states = set(TaskState)
    for name, words in _WORDS.items():
        if word := exchange.parameter(name):
            if word not in words:
                raise invalid([WrongPlace(f"{word[:60]!r} is none of {', '.join(words)}", parameter=name)])
            states &= set(_FILTERS[word])
    found = (
        await exchange.one(
            "Jobs.List", states=sorted(states), limit=exchange.number(LIMIT), below=exchange.number(BELOW)
        )
        if states
        else jobs_pb2.ListResponse()
    )
    numbers = [job.number for job in found.jobs]
    if accepts(exchange.request, JSON):
        return document({"jobs": numbers, "next": found.next})
    return PlainTextResponse("".join(f"{number}\n" for number in numbers))


async def status(exchange: Exchange) -> Response:
    """How one job is."""
    return document(_status(await _found(exchange)))


async def update(exchange: Exchange) -> Response:
    """Asks the job's node anew, if it runs on one; how it is then."""
    found = await _found(exchange)
    await ask_node(exchange, found)
    return document(_status(await _get(exchange, str(found.job.number))))


async def placements(exchange: Exchange) -> Response:
    """Where the job's attempts were placed."""
    return await placements_of(exchange, (await _found(exchange)).job.number)


async def kill(exchange: Exchange) -> Response:
    """Stops one job, all of its processes; how it is then."""
    found = await _found(exchange)
    await exchange.one("Jobs.Cancel", selectors=[jobs_pb2.Selector(text=str(found.job.number))])
    return document(_status(await _get(exchange, str(found.job.number))))


def _status(found: Any) -> Mapping[str, str]:
    return {
        **state_and_status(TaskState(found.job.state)),
        "node": found.tasks[0].worker_name if found.tasks else "",
        "created-at": iso(found.job.submitted_at),
    }


async def _found(exchange: Exchange) -> Any:
    """The job that the path names, with its first task."""

    async def ask(selector: jobs_pb2.Selector) -> Any:
        return await exchange.one("Jobs.Get", selector=selector, max_tasks=1)

    return await job_in_path(exchange, ask, "/scheduler/jobs")


async def _get(exchange: Exchange, text: str) -> Any:
    return await exchange.one("Jobs.Get", selector=jobs_pb2.Selector(text=text), max_tasks=1)


# ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def available_nodes(exchange: Exchange) -> Response:
    """The nodes that are online, and of these, where the query or the body says what a job needs, those that can run
    it; with `free` those that have room for it now."""
    query = exchange.request.query_params.multi_items()
    asked = await job_request(exchange, _ANY_COMMAND)
    if asked is None:
        asked = request_of_query([pair for pair in query if pair[0] != FREE], _ANY_COMMAND)
    elif any(name != FREE for name, _ in query):
        raise InvalidInput("what the job needs is said by the query or by the body: give one of them")
    free = exchange.parameter(FREE) or "false"
    if free not in ("true", "false"):
        raise invalid([WrongPlace(f"{free[:60]!r} is not true or false", parameter=FREE)])
    wanted = exchange.message("Jobs.ListWorkers", able=_needs(asked), free=free == "true")
    nodes: list[Mapping[str, Any]] = []
    while True:
        page = await exchange.one("Jobs.ListWorkers", able=wanted.able, free=wanted.free, after=wanted.after)
        nodes += (_node(worker, uri_of(exchange.request, worker.name)) for worker in page.workers)
        if not page.next:
            return document({"nodes": nodes})
        wanted.after = page.next


def _needs(asked: JobRequest) -> Any:
    """What it asks of a worker: what it runs there does not matter."""
    needs: dict[str, Any] = {name: getattr(asked.spec, name) for name in _NEEDS}
    return spec_to_proto(JobSpec(argv=("true",), **needs))


def _node(worker: Any, uri: str) -> Mapping[str, Any]:
    """A worker as the document has a node: where its job processor answers, and by which id and labels others know it.
    Its own API, which is gRPC, is at `address`."""
    labels = dict(sorted(worker.offer.labels.items()))
    host = split_address(worker.address)[0] if worker.address else ""
    return {
        "name": worker.name,
        "ipv4": [host] if _is_ipv4(host) else [],
        "hostname": labels.get("hostname", worker.name),
        "uri": uri,
        "address": worker.address,
        "id": worker.id,
        "external-id": labels.get("external-id", worker.offer.external_id),
        "metadata": dict(sorted({**worker.offer.metadata, **labels}.items())),
    }


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


# ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────────

_REQUEST_ID = {JSON: object_of("request_id", request_id=TEXT)}
_STATUS_SCHEMA: Schema = {
    **object_of("state", "status", "node", "created-at"),
    "properties": dict(STATE_SCHEMAS),
}
_TEXTS: Schema = {"type": "array", "items": TEXT}
_NODE_SCHEMA: Schema = {
    **object_of("name", "ipv4", "hostname", "uri", "address", "id", "external-id", "metadata"),
    "properties": {
        **dict.fromkeys(("name", "hostname", "uri", "address", "id", "external-id"), TEXT),
        "ipv4": _TEXTS,
        "metadata": {"type": "object", "additionalProperties": TEXT},
    },
}
_NODES = {JSON: object_of("nodes", nodes={"type": "array", "items": _NODE_SCHEMA})}
_NUMBERS: Schema = {"type": "array", "items": {"type": "integer"}}
_LIST = {
    "text/plain": {"type": "string", "description": "The number of each job, a line each."},
    JSON: object_of("jobs", "next", jobs=_NUMBERS, next={"type": "integer"}),
}
_ONE = {JSON: _STATUS_SCHEMA}
_LISTED = {
    "state": "running, stopped, or dead: stopped, and not by success.",
    "status": "unknown, good or error.",
    LIMIT: "At most so many.",
    BELOW: "Only those of lower numbers: the `next` of the page before.",
}
_NODE_QUERY = {FREE: "true: only those with room for it now.", **_NEEDS_BY_KEY}

ROUTES = in_both_forms(
    HandledRoute(
        *("POST", "/scheduler/jobs/new", ("Jobs.Submit",), "Queue a job.", new_job),
        bodies=BODIES,
        answers=_REQUEST_ID,
        status=201,
    ),
    HandledRoute(
        *("GET", "/scheduler/jobs", ("Jobs.List",), "The numbers of jobs, the newest first.", list_jobs),
        query=_LISTED,
        answers=_LIST,
    ),
    HandledRoute("GET", "/scheduler/jobs/{job}", ("Jobs.Get",), "How a job is.", status, answers=_ONE),
    HandledRoute("GET", "/scheduler/jobs/{job}/status", ("Jobs.Get",), "How a job is.", status, answers=_ONE),
    HandledRoute(
        *("POST", "/scheduler/jobs/{job}/update", ("Jobs.ReadOutput", "Jobs.Get")),
        *("Ask a job's node anew; how the job is then.", update),
        answers=_ONE,
    ),
    HandledRoute(
        *("GET", "/scheduler/jobs/{job}/placements", ("Jobs.Get",), "Where a job's attempts were placed.", placements),
        query=QUERY,
        answers=ANSWERS,
    ),
    HandledRoute("POST", "/scheduler/jobs/{job}/kill", ("Jobs.Cancel", "Jobs.Get"), "Stop a job.", kill, answers=_ONE),
    HandledRoute(
        *("GET", "/scheduler/nodes/available", ("Jobs.ListWorkers",), "Nodes that can run a job.", available_nodes),
        query=_NODE_QUERY,
        bodies=BODIES,
        answers=_NODES,
    ),
    HandledRoute(
        *("POST", "/scheduler/nodes/available", ("Jobs.ListWorkers",), "Nodes that can run a job.", available_nodes),
        query=_NODE_QUERY,
        bodies=BODIES,
        answers=_NODES,
    ),
)
