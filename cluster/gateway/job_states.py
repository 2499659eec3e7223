"""How a founding document tells a job's state: whether it has stopped, and whether that was well."""

from collections.abc import Mapping

from cluster.domain.job.states import TaskState
from cluster.gateway.handled_routes import Schema
from cluster.gateway.members import TEXT

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
