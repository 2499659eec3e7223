"""All that the scheduler's core may ask for. Saves are committed first, in one transaction; acts follow.

The two are apart from where they are decided, so that an act cannot reach a store: a new kind of either is added to its
own union below, and the type checker names whoever does not handle it yet.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cluster.domain.base.errors import ClusterError
from cluster.domain.job.pause import QueuePause
from cluster.domain.job.records import (
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    JobValue,
    OkEnds,
    SmallOutput,
    TaskEnd,
)
from cluster.domain.job.usage import UsageAdded
from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.pool_board import PoolWishes
from cluster.domain.scheduler.retention import JobPinned, OutputExpired, OutputsWalked, Tombstone
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.session.messages import Downward


@dataclass(frozen=True, slots=True)
class WorkerForgotten:
    """Its record is deleted. What is told of its attempts goes on naming it by its id."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class Amended:
    """Save something about a worker that keeps its name. Whoever heard the name before this is saved has heard the
    truth."""

    record: WorkerRecord


# What a store can commit. Each value is its own instruction: insert or replace the record with its key; but for
# UsageAdded, which is added to what there is.
_OfJob = (
    JobRecord | JobValue | JobProgress | JobChunk | JobHeld | JobEnded | JobReopened | OkEnds | TaskEnd | SmallOutput
)
_Removal = Tombstone | JobPinned | OutputExpired | OutputsWalked
_OfQueue = QueuePause | ShareRecord | PoolWishes
Save = _OfJob | WorkerRecord | WorkerForgotten | _OfQueue | EventRecord | UsageAdded | _Removal


@dataclass(frozen=True, slots=True)
class Send:
    session: int
    message: Downward


@dataclass(frozen=True, slots=True)
class CloseSession:
    session: int
    why: str


Replied = int | tuple[int, ...] | str | ClusterError


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one ask: a number (of the job, or of tasks), the numbers of several jobs, the worker's name, or an
    error."""

    ask: int
    value: Replied
    sure: bool = False  # it was true before this turn, and nothing in this turn is about that


@dataclass(frozen=True, slots=True)
class Notify:
    """Whoever watches this job has something new to see."""

    job: int


@dataclass(frozen=True, slots=True)
class LookUp:
    """The store is to be asked whether it has jobs of these UUIDs; LookedUp answers."""

    job_ids: tuple[str, ...]


Act = Send | CloseSession | Reply | Notify | LookUp


class Decided(NamedTuple):
    """What follows from one turn, each in the order in which it was decided."""

    saves: list[Save | Amended]
    acts: list[Act]
    goes_on: bool = False  # what this turn has begun the next ones end: all of it is committed together
