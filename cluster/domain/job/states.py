"""The states of a task, and the only ways from one to another.

    waiting ─► ready ─► assigned ─► running ─► succeeded | failed | cancelled
                 ▲          │           │
                 │◄─returned┘           │
                 └──── backoff ◄────────┘  (a failed or lost attempt that may be tried again)

A task that has succeeded is finishing for as long as jobs go on that it has called, where its job waits for these, and
no clock of its job ends it.

A task that waits for other jobs is cancelled once what it waits for cannot happen any more. One that has failed or was
cancelled waits again when somebody wants it tried again, at least until that turn is over.

Two tables are the rules. TRANSITIONS: an event that has no entry for a state is an error of ours, and nothing changes.
TRAITS: what else there is to know of each state; counts, JSON, lists and what a store keeps are made from it. A new
state is its number, its traits and its transitions here, its number and its count in job.proto, and what acts on it.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


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
    FINISHING = 70

    @property
    def ended(self) -> bool:
        return self in ENDED

    @property
    def word(self) -> str:
        """The state as people read it."""
        return _WORDS[self]


_WORDS = {state: state.name.lower() for state in TaskState}


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
    MET = "met"  # what it waited for has happened
    UNMET = "unmet"  # what it waited for can't happen any more
    LEFT = "left"  # its attempt has succeeded, and jobs that it has called go on
    EXPIRED = "expired"  # a clock of its job was over, and no worker had it
    REOPENED = "reopened"  # somebody wants it tried again although it has ended


class Traits(NamedTuple):
    """`job_rank`: a job has that state of its tasks' which ranks first. `list_rank`: tasks are listed in this order. No
    two states share a rank, and between two there is room for others.
    `held`: a worker holds the task, and says itself which of these states it is in, so that no store keeps that."""

    job_rank: int
    list_rank: int
    held: bool = False
    ended: bool = False


_S, _E = TaskState, TaskEvent

# Of each state that tasks can be in, in the order in which they are counted.
TRAITS = {
    _S.WAITING: Traits(job_rank=45, list_rank=80),
    _S.READY: Traits(job_rank=30, list_rank=70),
    _S.ASSIGNED: Traits(job_rank=20, list_rank=50, held=True),
    _S.RUNNING: Traits(job_rank=10, list_rank=10, held=True),
    _S.BACKOFF: Traits(job_rank=40, list_rank=20),
    _S.FINISHING: Traits(job_rank=15, list_rank=15),
    _S.SUCCEEDED: Traits(job_rank=70, list_rank=60, ended=True),
    _S.FAILED: Traits(job_rank=50, list_rank=30, ended=True),
    _S.CANCELLED: Traits(job_rank=60, list_rank=40, ended=True),
}
COUNTED = tuple(TRAITS)
HELD = tuple(state for state in COUNTED if TRAITS[state].held)
KEPT = tuple(sorted(set(COUNTED).difference(HELD)))  # as sets of tasks, with a job's progress
ENDED = tuple(state for state in COUNTED if TRAITS[state].ended)
LIVE = tuple(state for state in COUNTED if not TRAITS[state].ended)
RUN = (_S.RUNNING, _S.FINISHING)  # for people: it runs
# What no worker holds, and whose last attempt is still to come.
UNASSIGNED = tuple(state for state in LIVE if state not in HELD and state is not _S.FINISHING)
BY_JOB_RANK = tuple(sorted(COUNTED, key=lambda state: TRAITS[state].job_rank))
ENDED_BY_JOB_RANK = tuple(state for state in BY_JOB_RANK if TRAITS[state].ended)
BY_LIST_RANK = tuple(sorted(COUNTED, key=lambda state: TRAITS[state].list_rank))

TRANSITIONS: dict[tuple[TaskState, TaskEvent], TaskState] = {
    (_S.WAITING, _E.MET): _S.READY,
    (_S.WAITING, _E.UNMET): _S.CANCELLED,
    (_S.WAITING, _E.CANCELLED): _S.CANCELLED,
    (_S.WAITING, _E.EXPIRED): _S.FAILED,
    (_S.READY, _E.EXPIRED): _S.FAILED,
    (_S.BACKOFF, _E.EXPIRED): _S.FAILED,
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
    (_S.ASSIGNED, _E.LEFT): _S.FINISHING,
    (_S.RUNNING, _E.LEFT): _S.FINISHING,
    (_S.FINISHING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.FINISHING, _E.FAILED): _S.FAILED,
    (_S.FINISHING, _E.CANCELLED): _S.CANCELLED,
    (_S.FINISHING, _E.EXPIRED): _S.FAILED,
    (_S.BACKOFF, _E.DUE): _S.READY,
    (_S.BACKOFF, _E.CANCELLED): _S.CANCELLED,
    (_S.FAILED, _E.REOPENED): _S.WAITING,
    (_S.CANCELLED, _E.REOPENED): _S.WAITING,
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
