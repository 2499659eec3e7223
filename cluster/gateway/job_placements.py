"""Where the attempts of a job were placed: since when, when each began there, by which reference its worker knows it,
whether it succeeded; and a node that is asked anew."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from cluster.domain.base.errors import NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.wall_time import iso
from cluster.domain.job.states import TaskState
from cluster.gateway.handled_routes import Exchange, Schema
from cluster.gateway.members import JSON, TEXT, document, object_of
from cluster.v1 import jobs_pb2

LIMIT, SKIP = "limit", "skip"
QUERY = {LIMIT: "Of at most so many tasks.", SKIP: "Leave out so many of the first tasks: those of the pages before."}

_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_HOW = ("succeeded", "reason")
_PLACEMENT: Schema = {
    **object_of(*("task", "attempt", "node", "node-id", "reference", "assigned-at", "began-at", "ended-at"), *_HOW),
    "properties": {
        "task": {"type": "integer"},
        "attempt": {"type": "integer"},
        **dict.fromkeys(("node", "node-id", "reference", "reason"), TEXT),
        **dict.fromkeys(("assigned-at", "began-at", "ended-at"), _TIME),
        "succeeded": {"type": ["boolean", "null"]},
    },
}
ANSWERS = {
    JSON: object_of(
        *("placements", "more"), placements={"type": "array", "items": _PLACEMENT}, more={"type": "boolean"}
    )
}


async def placements_of(exchange: Exchange, number: int) -> Response:
    """Those of the job of that number: the attempts of each task in their order."""
    found = await exchange.one(
        "Jobs.Get",
        selector=jobs_pb2.Selector(text=str(number)),
        max_tasks=exchange.number(LIMIT) or 100,
        skip=exchange.number(SKIP),
        attempts=True,
    )
    placements = [_placement(number, attempt) for task in found.tasks for attempt in task.attempts]
    return document({"placements": placements, "more": found.more})


def _placement(job: int, attempt: Any) -> Mapping[str, Any]:
    state = TaskState(attempt.state)
    key = AttemptKey(job, attempt.index, attempt.attempt)
    return {
        "task": attempt.number,
        "attempt": attempt.attempt,
        "node": attempt.worker_name,
        "node-id": attempt.worker_id,
        "reference": attempt.reference or f"{attempt.worker_id}/{key}",
        "assigned-at": iso(attempt.assigned_at) if attempt.assigned_at else None,
        "began-at": iso(attempt.started_at) if attempt.started_at else None,
        "ended-at": iso(attempt.ended_at) if attempt.ended_at else None,
        "succeeded": (state is TaskState.SUCCEEDED) if attempt.reason or state.ended else None,
        "reason": attempt.reason,
    }


async def ask_node(exchange: Exchange, found: Any) -> None:
    """Asks the node of the job's first task that runs for what it has written last: so that is there, and what it has
    said of the job before is known. Unreachable where it does not answer."""
    task = found.tasks[0] if found.tasks else None
    if task is None or task.state != TaskState.RUNNING:
        return
    text = f"{found.job.number}.{task.number}" if task.number else str(found.job.number)
    wanted = exchange.message(
        "Jobs.ReadOutput", selector=jobs_pb2.Selector(text=text), stdout=True, stderr=True, tail_lines=1
    )
    try:
        async with aclosing(exchange.several("Jobs.ReadOutput", wanted)) as pieces:
            async for _ in pieces:
                pass
    except NotFound:
        return  # it has ended, and left nothing to read
