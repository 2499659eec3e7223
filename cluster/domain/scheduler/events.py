"""Everything that can happen to the scheduler. Events are plain values; clocks and ids come in with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.intervals import Range
from cluster.domain.job.changes import Changes
from cluster.domain.job.dependencies import Course
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobProgress, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.pool_board import PoolTold, PoolWish
from cluster.domain.scheduler.retention import EndedJob, OutputsWalked, Pin
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.messages import Fetching, Hello, Report
from cluster.domain.session.offer import NOTHING, Offer
from cluster.domain.trust.identity import Vouched


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """`spec` has passed job.validate, and names other jobs by their numbers. `ask` names the caller to reply to."""

    ask: int
    id: str
    owner: str
    spec: JobSpec
    ended: Mapping[int, Course] = field(default_factory=dict)  # those that it is to wait for and that have left memory
    vouched: Vouched | None = None  # the attempt that submits it; None: a person does
    rerun_of: int = 0  # the job that it repeats; 0: none

    @property
    def jobs(self) -> tuple[NewJob, ...]:
        return (NewJob(self.id, self.spec),)


@dataclass(frozen=True, slots=True)
class JobsSubmitted:
    """Jobs that come together, all or none: each as in JobSubmitted, and after those of them that it waits for. These
    it names by their UUIDs, all others by numbers."""

    ask: int
    owner: str
    jobs: tuple[NewJob, ...]
    ended: Mapping[int, Course] = field(default_factory=dict)
    vouched: Vouched | None = None


@dataclass(frozen=True, slots=True)
class ValuesSet:
    """An attempt sets values of its job. They have passed `job_values.check_values`."""

    ask: int
    vouched: Vouched
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the store has of the UUIDs that it was asked about (LookUp): those that are jobs; or why it cannot say."""

    job_ids: tuple[str, ...]
    found: Mapping[str, JobRecord] | ClusterError


@dataclass(frozen=True, slots=True)
class ReopenRequested:
    """Somebody wants those of `tasks` tried again that are in one of `states`: they have ended without success."""

    ask: int
    job: int
    tasks: tuple[Range, ...]
    states: tuple[TaskState, ...]
    kept: tuple[JobRecord, JobProgress] | None  # as the store has it, where it has left memory
    openings: int  # as of State.openings, before the store was asked
    rest: tuple[str, int] | None = None  # the reason and the exit code of those that stay as they are; None: not known
    ended: Mapping[int, Course] = field(default_factory=dict)  # as of JobSubmitted
    value_sizes: Mapping[str, int] = field(default_factory=dict)  # with `kept`: what the job keeps, by key


@dataclass(frozen=True, slots=True)
class CancelRequested:
    ask: int
    targets: tuple[Target, ...]
    by: str
    grace: float | None = None  # None: as the job says
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobsPaused:
    """Somebody wants that nothing more of these, by numbers, starts."""

    ask: int
    jobs: tuple[int, ...]
    pause: Pause


@dataclass(frozen=True, slots=True)
class JobsResumed:
    """Somebody wants that these, by numbers, go on."""

    ask: int
    jobs: tuple[int, ...]
    by_admin: bool  # who asks


@dataclass(frozen=True, slots=True)
class JobsChanged:
    """Somebody wants that these, by numbers, have these options from now on. They have passed `check_changes`."""

    ask: int
    jobs: tuple[int, ...]
    changes: Changes
    by_admin: bool  # who asks


@dataclass(frozen=True, slots=True)
class JobsDeleted:
    """Somebody wants these, which have ended, deleted, or they are kept no longer; as the store has them."""

    ask: int
    jobs: tuple[EndedJob, ...]
    why: str  # as of Tombstone
    refuses: bool  # all of them are deleted, or none


@dataclass(frozen=True, slots=True)
class JobsPinned:
    """Somebody wants these, by numbers, kept from now on; `pin` None: no longer."""

    ask: int
    jobs: tuple[int, ...]
    pin: Pin | None


@dataclass(frozen=True, slots=True)
class OutputsExpire:
    """What these jobs, by numbers, have written is kept no longer. `walked`: up to there all jobs were looked at for
    that; None: not all."""

    ask: int
    jobs: tuple[int, ...]
    why: str  # as of OutputExpired
    walked: OutputsWalked | None


@dataclass(frozen=True, slots=True)
class ShareWeighed:
    """Somebody wants that the user's share has that weight."""

    ask: int
    owner: str
    weight: float


@dataclass(frozen=True, slots=True)
class PoolsTold:
    """By who keeps them: all that it keeps."""

    ask: int
    pools: Sequence[PoolTold]


@dataclass(frozen=True, slots=True)
class PoolWished:
    ask: int
    wish: PoolWish


@dataclass(frozen=True, slots=True)
class QueuePaused:
    """Somebody wants that nothing more starts."""

    ask: int
    pause: Pause


@dataclass(frozen=True, slots=True)
class QueueResumed:
    ask: int


@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    ask: int
    worker_id: str
    name: str
    millicpus: int
    address: str = ""
    version: str = ""
    home: Home = UNKNOWN
    uptime: float = 0.0  # seconds, of its machine
    offer: Offer = NOTHING
    trouble: str = ""  # why it can start no job, and opens no session


@dataclass(frozen=True, slots=True)
class WorkerDeregistered:
    ask: int
    worker_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkerRemoved:
    """Somebody wants it off the list. `expelled`: it can't come back, so even one that is connected goes."""

    ask: int
    worker_id: str
    expelled: bool = False


@dataclass(frozen=True, slots=True)
class WorkersDrained:
    """Somebody wants that these, by names or ids, take nothing more."""

    ask: int
    workers: tuple[str, ...]
    by: str
    reason: str = ""
    within: float | None = None  # seconds from now, after which what still runs there is stopped; None: never


@dataclass(frozen=True, slots=True)
class WorkersResumed:
    """Somebody wants that these, by names or ids, take work again."""

    ask: int
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """`session` numbers are the driver's, never used twice in one process."""

    session: int
    worker_id: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    session: int
    sequence: int
    no_room: str = ""  # why the worker takes nothing just now
    fetching: tuple[Fetching, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportReceived:
    session: int
    report: Report


@dataclass(frozen=True, slots=True)
class SessionClosed:
    session: int
    why: str = ""


Event = (
    JobSubmitted
    | JobsSubmitted
    | ValuesSet
    | LookedUp
    | ReopenRequested
    | CancelRequested
    | JobsPaused
    | JobsResumed
    | JobsChanged
    | JobsDeleted
    | JobsPinned
    | OutputsExpire
    | ShareWeighed
    | PoolsTold
    | PoolWished
    | QueuePaused
    | QueueResumed
    | WorkerRegistered
    | WorkerDeregistered
    | WorkerRemoved
    | WorkersDrained
    | WorkersResumed
    | SessionOpened
    | HeartbeatReceived
    | ReportReceived
    | SessionClosed
)
