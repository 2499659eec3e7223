"""The job processor of each node that a scheduler has: /nodes/{node}/processor/jobs, as the uri of a node says.

The document's user takes a node's uri and asks for jobs there. A worker of a cluster speaks no HTTP, and takes jobs
from its scheduler alone: so the gateway stands for it, and each job is one of the scheduler's for that worker.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.wall_time import iso
from cluster.domain.job.states import TaskState
from cluster.gateway import event_streams
from cluster.gateway.handled_routes import Exchange, HandledRoute, in_both_forms
from cluster.gateway.http_words import NODE_PROCESSOR
from cluster.gateway.job_processor import ALL, NO_JOB, ONE, STATUS
from cluster.gateway.job_requests import BODIES, job_request
from cluster.gateway.job_states import job_in_path, state_and_status
from cluster.gateway.members import JSON, TEXT, document, object_of
from cluster.gateway.problems import WRONG_METHOD, Problem
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import jobs_pb2

_AT = f"{NODE_PROCESSOR}/jobs"


def uri_of(request: Request, node: str) -> str:
    """Where a node's processor answers, by the name and the scheme by which its caller reaches this gateway."""
    behind_tls = request.headers.get("x-forwarded-proto") == "https"  # a proxy ends it; nobody is believed by this
    scheme = "https" if behind_tls else request.url.scheme
    return f"{scheme}://{request.headers.get('host', '')}/nodes/{quote(node, safe='')}"


async def new_job(exchange: Exchange) -> Response:
    """A job for that node alone. Both of its streams go into one log."""
    node = await _node(exchange)
    asked = await job_request(exchange)
    if asked is None:
        raise InvalidInput(NO_JOB)
    spec = spec_to_proto(asked.spec)
    if spec.worker not in ("", node.name, node.id):
        raise InvalidInput(f"the job is for worker {spec.worker!r}, and this is {node.name}: ask there")
    spec.key, spec.merge_output, spec.worker = asked.id or spec.key, True, node.name
    job = (await exchange.one("Jobs.Submit", id=new_job_id(), spec=spec)).job
    headers = {"Location": f"/nodes/{quote(node.name, safe='')}/processor/jobs/{job.number}"}
    return document({"request_id": job.spec.key or job.id}, 201, headers)


async def all_statuses(exchange: Exchange) -> Response:
    """How those jobs are that are for that node, the newest first, in pages, which may be empty before the last."""
    node = await _node(exchange)
    page = await exchange.one("Jobs.List", below=exchange.number("below"))
    jobs = [_status(job, node.name, None) for job in page.jobs if job.spec.worker in (node.name, node.id)]
    return document({"jobs": jobs, "next": page.next})


async def status(exchange: Exchange) -> Response:
    """How one job is."""
    node, found = await _found(exchange)
    selector = jobs_pb2.Selector(text=str(found.job.number))
    values = (await exchange.one("Jobs.GetState", selector=selector)).values
    return document(_status(found.job, node.name, values.get(STATUS)))


async def record_status(exchange: Exchange) -> Response:
    """Problem: what is said of a job of the scheduler's, its own processes say."""
    await _found(exchange)
    words = (
        f"a job of a scheduler's says itself how it is: cluster job state set {STATUS}=TEXT, inside of it. GET tells "
        "that as recorded. (A worker that stands alone takes it from whoever may use it.)"
    )
    raise Problem(WRONG_METHOD, words, headers={"Allow": "GET, HEAD"})


async def log(exchange: Exchange) -> Response:
    """What the job has written so far."""
    _, found = await _found(exchange)
    selector = jobs_pb2.Selector(text=str(found.job.number))
    wanted = exchange.message("Jobs.ReadOutput", selector=selector, stdout=True, stderr=True)
    return await event_streams.as_bytes(exchange.several("Jobs.ReadOutput", wanted))


async def kill(exchange: Exchange) -> Response:
    """Stops the job, all of its processes; how it is then."""
    node, found = await _found(exchange)
    selector = jobs_pb2.Selector(text=str(found.job.number))
    await exchange.one("Jobs.Cancel", selectors=[selector])
    now = await exchange.one("Jobs.Get", selector=selector, max_tasks=1)
    return document(_status(now.job, node.name, None))


async def _node(exchange: Exchange) -> Any:
    """The worker that the path names. NotFound where there is none of that name or id."""
    name = str(exchange.request.path_params["node"])
    found = (await exchange.one("Jobs.ListWorkers", workers=[name])).workers
    if not found:
        raise NotFound(f"there is no node {name[:60]!r}; GET /scheduler/nodes/available tells which there are")
    return found[0]


async def _found(exchange: Exchange) -> tuple[Any, Any]:
    """The node and the job that the path names, with its first task. NotFound for a job that is elsewhere."""
    node = await _node(exchange)

    async def ask(selector: jobs_pb2.Selector) -> Any:
        found = await exchange.one("Jobs.Get", selector=selector, max_tasks=1)
        if not {found.job.spec.worker, *(task.worker_id for task in found.tasks)} & {node.id, node.name}:
            raise NotFound("it is on another node")
        return found

    return node, await job_in_path(exchange, ask, f"/nodes/{node.name}/processor/jobs/status")


def _status(job: Any, node: str, recorded: str | None) -> Mapping[str, Any]:
    state = TaskState(job.state)
    return {
        "job": job.number,
        "request_id": job.spec.key or job.id,
        **state_and_status(state),
        "node": node,
        "created-at": iso(job.submitted_at),
        "exit-code": job.exit_code if state.ended else None,
        "reason": job.reason,
        "recorded": None if recorded is None else {STATUS: recorded},
    }


_READS = ("Jobs.Get", "Jobs.ListWorkers")

ROUTES = in_both_forms(
    HandledRoute(
        *("POST", f"{_AT}/new", ("Jobs.Submit", "Jobs.ListWorkers"), "Start a job on that node.", new_job),
        bodies=BODIES,
        answers={JSON: object_of("request_id", request_id=TEXT)},
        status=201,
    ),
    HandledRoute(
        *("GET", f"{_AT}/status", ("Jobs.List", "Jobs.ListWorkers"), "How a node's jobs are, the newest first."),
        all_statuses,
        query={"below": "Only those of lower numbers: the `next` of the page before."},
        answers=ALL,
    ),
    HandledRoute(
        *("GET", f"{_AT}/{{job}}", ("Jobs.GetState", *_READS), "How a job on that node is.", status), answers=ONE
    ),
    HandledRoute(
        *("GET", f"{_AT}/{{job}}/status", ("Jobs.GetState", *_READS), "How a job on that node is.", status), answers=ONE
    ),
    HandledRoute(
        "POST", f"{_AT}/{{job}}/status", _READS, "Says that a job says this itself.", record_status, answers=ONE
    ),
    HandledRoute(
        *("GET", f"{_AT}/{{job}}/log", ("Jobs.ReadOutput", *_READS), "What a job on that node has written.", log),
        answers={"text/plain": TEXT},
    ),
    HandledRoute(
        *("POST", f"{_AT}/{{job}}/kill", ("Jobs.Cancel", *_READS), "Stop a job on that node.", kill),
        answers=ONE,
    ),
)
