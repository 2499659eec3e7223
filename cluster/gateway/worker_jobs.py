"""Jobs for one chosen worker: /start, /stop, /query and /stream, in the words of a founding document."""

import asyncio
import shlex
from typing import Any

from starlette.responses import Response

from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.job.selectors import SelectorKind, parse_selector
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.gateway import event_streams
from cluster.gateway.binding import QUICK
from cluster.gateway.handled_routes import Exchange, HandledRoute
from cluster.gateway.members import JSON, SWITCH, TEXT, document, object_of, texts_in
from cluster.gateway.problems import WrongPlace, invalid
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import jobs_pb2


async def start(exchange: Exchange) -> Response:
    """A job on that worker, or on any where none is named."""
    said = await texts_in(exchange, "worker_id", "command", "path")
    worker, path = said["worker_id"], said["path"]
    if worker:
        await _expect_worker(exchange, worker)
    words = (
        await asyncio.to_thread(_words, said["command"]) if len(said["command"]) > QUICK else _words(said["command"])
    )
    spec = JobSpec(argv=words, script=path, worker=worker)
    answer = await exchange.one("Jobs.Submit", id=new_job_id(), spec=spec_to_proto(spec))
    headers = {"Location": f"/v1/jobs/{answer.job.number}"}
    return document({"job_id": answer.job.id}, 201, headers)


async def stop(exchange: Exchange) -> Response:
    """The job does not run any longer, or is about to end. One that has ended stays as it is."""
    said = await texts_in(exchange, "job_id", "worker_id")
    job = _job(said["job_id"])
    if said["worker_id"]:
        await _found(exchange, job, said["worker_id"])
    await exchange.one("Jobs.Cancel", selectors=[job])
    return document({"success": True})


async def query(exchange: Exchange) -> Response:
    """How the job is."""
    said = await texts_in(exchange, "job_id", "worker_id")
    found = await _found(exchange, _job(said["job_id"]), said["worker_id"])
    state = TaskState(found.job.state)
    error = state in (TaskState.FAILED, TaskState.CANCELLED)
    return document({"done": state.ended, "error": error, "error_text": _error_text(found) if error else ""})


async def stream(exchange: Exchange) -> Response:
    """What the job has written and writes, as events until it has ended."""
    job = _job(exchange.parameter("job_id"))
    if worker := exchange.parameter("worker_id"):
        await _found(exchange, job, worker)
    wanted = exchange.message("Jobs.ReadOutput", selector=job, stdout=True, stderr=True, follow=True)
    if last := exchange.request.headers.get("last-event-id"):
        wanted.position.CopyFrom(event_streams.position_of(last))
    pieces = exchange.several("Jobs.ReadOutput", wanted)
    return await event_streams.as_events(pieces, event_streams.output_events())


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise invalid([WrongPlace(f"it cannot be split into words as a shell does: {error}", "/command")]) from None


def _job(text: str) -> jobs_pb2.Selector:
    """The one job that is meant by its id or number: nothing that selects more can be said here."""
    if not text:
        raise InvalidInput("job_id is missing: give the id that /start has answered")
    selector = parse_selector(text)
    if selector.kind not in (SelectorKind.ID, SelectorKind.NUMBER) or not selector.is_whole:
        raise InvalidInput(f"job_id {text[:60]!r} is no job's id: give the one that /start has answered")
    return jobs_pb2.Selector(text=text)


async def _expect_worker(exchange: Exchange, worker: str) -> None:
    if not (await exchange.one("Jobs.ListWorkers", workers=[worker])).workers:
        raise NotFound(f"there is no worker {worker[:60]!r}; GET /v1/workers tells which there are")


async def _found(exchange: Exchange, job: jobs_pb2.Selector, worker: str) -> Any:
    """The job with its task. NotFound where it is not on that worker (empty: on any)."""
    found = await exchange.one("Jobs.Get", selector=job, max_tasks=1)
    if worker:
        await _expect_worker(exchange, worker)
        task = found.tasks[0] if found.tasks else None
        if worker not in (found.job.spec.worker, *((task.worker_id, task.worker_name) if task else ())):
            raise NotFound(f"job {job.text} is not on worker {worker[:60]!r}")
    return found


def _error_text(found: Any) -> str:
    """Why it ended, in words: the reason, the signal, and what else is known."""
    job, task = found.job, found.tasks[0] if found.tasks else None
    words = [job.reason]
    if task is not None and task.signal and task.signal not in job.reason:
        words.append(f"ended by {task.signal}")
    if job.cancelled_by:
        words.append(f"as {job.cancelled_by} asked" + (f": {job.cancel_reason}" if job.cancel_reason else ""))
    if task is not None and task.detail:
        words.append(task.detail)
    return ", ".join(words)


_OF_A_JOB = {JSON: object_of("job_id", job_id=TEXT, worker_id=TEXT)}

ROUTES = (
    HandledRoute(
        *("POST", "/start", ("Jobs.Submit", "Jobs.ListWorkers"), "Start a command, or a script, on one worker.", start),
        bodies={JSON: object_of("command", command=TEXT, path=TEXT, worker_id=TEXT)},
        answers={JSON: object_of("job_id", job_id=TEXT)},
        status=201,
    ),
    HandledRoute(
        *("POST", "/stop", ("Jobs.Cancel", "Jobs.Get", "Jobs.ListWorkers"), "Stop a job.", stop),
        bodies=_OF_A_JOB,
        answers={JSON: object_of("success", success=SWITCH)},
    ),
    HandledRoute(
        *("POST", "/query", ("Jobs.Get", "Jobs.ListWorkers"), "Whether a job has ended, and with which error.", query),
        bodies=_OF_A_JOB,
        answers={JSON: object_of(*("done", "error", "error_text"), done=SWITCH, error=SWITCH, error_text=TEXT)},
    ),
    HandledRoute(
        *(
            "GET",
            "/stream",
            ("Jobs.ReadOutput", "Jobs.Get", "Jobs.ListWorkers"),
            "What a job writes, as it comes.",
            stream,
        ),
        query={"job_id": "The id that /start has answered.", "worker_id": "Where it is to be."},
        answers={event_streams.EVENT_STREAM: event_streams.EVENT},
    ),
)
