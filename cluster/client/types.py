"""What the client's verbs answer: plain frozen values. Times are Unix seconds, durations seconds; 0 means not yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cluster.client.job_fields import Counts
from cluster.domain.job.pause import Pause
from cluster.domain.job.raised_exception import RaisedException
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Explanation
from cluster.domain.scheduler.worker_record import Drain, WorkerState
from cluster.domain.session.offer import NOTHING, Offer


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was at one moment."""

    number: int
    id: str
    owner: str
    spec: JobSpec  # without the lines of --each-line; the environment is there only from `submit` and `get`
    state: TaskState
    reason: str  # why it ended; of an array: the first abnormal task's
    counts: Counts
    submitted_at: float
    started_at: float
    ended_at: float
    exit_code: int  # once ended: the highest of its tasks, 128 + signal number for a signal
    pending_because: tuple[str, ...]
    no_worker_can: bool  # it waits, and no worker that there is now could run a task of it
    cancelled_by: str
    cancel_reason: str
    schedule: int = 0  # of a run: the job that is its schedule
    last_run: int = 0  # of a schedule: the job that it made last
    waits_until: float = 0.0  # none of its waiting tasks starts before; 0: it waits for no time
    rerun_of: int = 0  # the number of the job that it repeats; 0: none
    callers: tuple[str, ...] = ()  # the attempts by which it was called, as in 5.17#1; the last has submitted it
    children: tuple[int, ...] = ()  # only from `get`: the jobs that it has submitted itself, the newest hundred
    no_worker_ever: bool = False  # however long it waits: none has what it needs, whether it takes work or not
    explanation: Explanation = NOT_EXPLAINED  # from `get`, where it waits for a worker
    part: str = ""  # from `wait` and `watch`: the tasks that were selected, which state to exit code are of; empty: all
    pause: Pause | None = None  # who wants that no more of its tasks start
    priority: int = 0  # as it is now

    @property
    def parent(self) -> int:
        """The job that has submitted it; 0: a person has."""
        return int(self.callers[-1].partition("#")[0].partition(".")[0]) if self.callers else 0

    @property
    def is_array(self) -> bool:
        return self.spec.is_array or self.counts.total > 1


class JobTree(NamedTuple):
    """Jobs that have to do with each other, by number: `Job.parent` has submitted each, and it waits for those that its
    spec names."""

    jobs: tuple[Job, ...]
    cut: bool  # there are more, which are not shown


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """What has happened to a job, some of its tasks, a worker or the queue. What a kind does not tell is empty or 0.
    The kinds are in docs/events.md."""

    sequence: int  # to go on after
    at: float
    kind: str  # as in job.started
    job: int
    owner: str
    name: str  # of the job
    worker: str  # its name
    tasks: str  # as in 1-5,8
    count: int  # of these tasks
    attempt: int
    state: str
    reason: str
    exit_code: int
    by: str
    detail: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it was at one moment: its last attempt."""

    index: int
    number: int
    state: TaskState
    attempt: int
    reason: str
    exit_code: int
    signal: str
    detail: str
    worker_id: str
    worker_name: str
    started_at: float
    ended_at: float
    cpu_seconds: float
    peak_memory: int  # bytes
    line: bytes | None = None  # of a job with lines
    exception: RaisedException | None = None  # from `get`, where it is the one task, and failed by raising it
    stderr_tail: bytes = b""  # from `get`, where it is the one task, and failed: at most 2 KiB
    attempts: tuple["Task", ...] = ()  # from `get` where they were asked for: each as if it were the last


@dataclass(frozen=True, slots=True)
class Output:
    """Some bytes that a task wrote, in the order in which it wrote them to that stream."""

    job: int
    task: int  # its number
    attempt: int
    stderr: bool
    data: bytes
    end: int  # where `data` ends in its stream, in bytes as they were written; means nothing where `tail` was given
    note: str = ""  # instead of data: what is to be said about this attempt's output, such as how much is missing


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the scheduler knows it."""

    id: str
    name: str
    state: WorkerState
    millicpus: int
    used_millicpus: int
    running: int
    assigned: int
    address: str
    version: str
    registered_at: float
    last_heard_at: float
    no_room: str = ""  # why it takes nothing just now; "" when it has room
    drain: Drain | None = None  # who wants that it takes nothing
    offer: Offer = NOTHING  # what it has beside cpus
    taken: Mapping[str, int] = field(default_factory=dict)  # of that, by the resource's name; memory in bytes


@dataclass(frozen=True, slots=True)
class Share:
    """What a user has had lately: at one priority, who has had least for its weight goes first."""

    user: str  # as jobs have their owner
    weight: float
    used_cpu_seconds: float  # half of it is forgotten in a day
    held_millicpus: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """All jobs that have not ended, and whether anything starts."""

    pause: Pause | None  # who wants that nothing starts
    jobs: int
    paused_jobs: int  # those of them that are paused themselves
    shares: tuple[Share, ...] = ()  # of users who have had anything, the next to go first


@dataclass(frozen=True, slots=True)
class Token:
    """A join token as the scheduler keeps it: without its secret."""

    id: str
    role: str
    user: str
    created_at: float
    expires_at: float
    uses_left: int | None  # None: without limit
    revoked: bool
    joined: tuple["Member", ...] = ()  # by it, in order: the first of them; who was expelled is left out
    joined_total: int = 0
    maker: str = ""  # who made it: user/NAME, or scheduler/main; empty: not known


@dataclass(frozen=True, slots=True)
class Member:
    """A worker or a user."""

    kind: str  # worker or user
    id: str  # of a worker its UUID
    name: str  # empty: a worker that has not registered yet
    token: str = ""  # by whose id it has joined, where that is told


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """What came of revoking a user or a token."""

    expelled: tuple[Member, ...]  # who has no certificate any more that lets it in
    tokens: tuple[str, ...]  # ids of tokens that those had made and that were good until now
    joined: tuple[Member, ...]  # who has joined by tokens of theirs, and stays: the first of them
    joined_total: int
    kept: tuple[Member, ...]  # users of whom only one joining is refused, with the token of another: the first of them
    cancelled: int  # tasks that were asked to stop


@dataclass(frozen=True, slots=True)
class User:
    """A user as the scheduler knows it."""

    name: str
    role: str
    created_at: float
    revoked_at: float  # 0: it was not
    joined: int  # how many times, by tokens, without those that were revoked
    id: str = ""  # what its jobs have as their owner


@dataclass(frozen=True, slots=True)
class RemovedWorker:
    """A worker that was taken off the list."""

    id: str
    name: str  # empty: it had not registered yet
    held: int  # tasks: it is listed until they are given up
    tokens: tuple[str, ...]  # ids of those that it has joined by, and may join by again
