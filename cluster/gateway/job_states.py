"""How a founding document names a job, and tells its state: whether it has stopped, and whether that was well."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from cluster.domain.base.errors import NotFound
from cluster.domain.job.selectors import SelectorKind, parse_selector
from cluster.domain.job.states import TaskState
from cluster.gateway.handled_routes import Exchange, Schema
from cluster.gateway.members import TEXT
from cluster.v1 import jobs_pb2

T = TypeVar("T")

RUNNING, STOPPED = "running", "stopped"  # a job's state
UNKNOWN, GOOD, ERROR = "unknown", "good", "error"  # its status
_STATUS = {TaskState.SUCCEEDED: GOOD, TaskState.FAILED: ERROR, TaskState.CANCELLED: ERROR}

STATE_SCHEMAS: Mapping[str, Schema] = {
    "state": {"type": "string", "enum": [RUNNING, STOPPED]},
    "status": {"type": "string", "enum": [UNKNOWN, GOOD, ERROR]},
    "node": TEXT,
    "created-at": {"type": "string", "format": "date-time"},
}


def state_and_status(state: TaskState) -> Mapping[str, str]:
    """Both, by their names. What waits in the queue is running, too."""
    return {"state": STOPPED if state.ended else RUNNING, "status": _STATUS.get(state, UNKNOWN)}


async def job_in_path(exchange: Exchange, ask: Callable[[jobs_pb2.Selector], Awaitable[T]], list_path: str) -> T:
    """What `ask` answers of the one job that the path names: by its number or id, else by its caller's request id. In a
    path with `job` the request id comes first, as the document has it. `ask` raises NotFound where there is none, and
    so does this, which tells at which path all are listed."""
    text = str(exchange.request.path_params["job"])
    ways = (_by_number, _by_request_id)
    for way in ways[::-1] if "/job/" in exchange.request.scope["route"] else ways:
        try:
            return await ask(way(text))
        except NotFound:
            continue
    raise NotFound(f"there is no job {text[:60]!r}; GET {list_path} tells which there are")


def _by_number(text: str) -> jobs_pb2.Selector:
    """NotFound for what is no number and no id, InvalidInput for what selects nothing at all."""
    selector = parse_selector(text)
    if selector.kind not in (SelectorKind.ID, SelectorKind.NUMBER) or not selector.is_whole:
        raise NotFound("it is none")
    return jobs_pb2.Selector(text=text)


def _by_request_id(text: str) -> jobs_pb2.Selector:
    return jobs_pb2.Selector(key=text)
