"""The states of a task, and the only ways from one to another.

    waiting ─► ready ─► assigned ─► running ─► succeeded | failed | cancelled
                 ▲          │           │
                 │◄─returned┘           │
                 └──── backoff ◄────────┘  (a failed or lost attempt that may be tried again)

Nothing waits yet: the state is kept for tasks that wait for a time or for other jobs.

The table is the rule: an event that has no entry for a state is an error of ours, and nothing changes.
"""

from enum import IntEnum, StrEnum


class TaskState(IntEnum):
    """The numbers are those of cluster.v1.TaskState, and of the database: never renumber."""

    WAITING = 1
    READY = 2
    ASSIGNED = 3
    RUNNING = 4
    BACKOFF = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8

    @property
    def ended(self) -> bool:
        return self >= TaskState.SUCCEEDED

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


class TaskEvent(StrEnum):
    """What can happen to a task. Named after what happened, not after what to do."""

    ASSIGNED = "assigned"  # given to a worker, which may start it at any moment from now on
    STARTED = "started"  # its worker says so
    RETURNED = "returned"  # its worker gave it back, or never got it: certainly not started
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # for good
    RETRIED = "retried"  # the attempt failed or is lost, another will follow after a pause
    CANCELLED = "cancelled"
    DUE = "due"  # the pause between two attempts is over


_S, _E = TaskState, TaskEvent

TRANSITIONS: dict[tuple[TaskState, TaskEvent], TaskState] = {
    (_S.READY, _E.ASSIGNED): _S.ASSIGNED,
    (_S.READY, _E.CANCELLED): _S.CANCELLED,
    (_S.ASSIGNED, _E.STARTED): _S.RUNNING,
    (_S.ASSIGNED, _E.RETURNED): _S.READY,
    # Short tasks start and end within one report.
    (_S.ASSIGNED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.ASSIGNED, _E.FAILED): _S.FAILED,
    (_S.ASSIGNED, _E.RETRIED): _S.BACKOFF,
    (_S.ASSIGNED, _E.CANCELLED): _S.CANCELLED,
    (_S.RUNNING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.RUNNING, _E.FAILED): _S.FAILED,
    (_S.RUNNING, _E.RETRIED): _S.BACKOFF,
    (_S.RUNNING, _E.CANCELLED): _S.CANCELLED,
    (_S.BACKOFF, _E.DUE): _S.READY,
    (_S.BACKOFF, _E.CANCELLED): _S.CANCELLED,
}


class IllegalTransition(AssertionError):
    """A bug of ours: an event that a state has no entry for."""

    def __init__(self, state: TaskState, event: TaskEvent, what: str = "") -> None:
        super().__init__(f"a task that is {state.word} cannot be {event.value}{f' ({what})' if what else ''}")


def next_state(state: TaskState, event: TaskEvent) -> TaskState:
    """The state after `event`. Raises IllegalTransition when the table has no entry."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
