"""What the client's methods return: plain frozen values. Times are Unix seconds, durations seconds; a time of 0 means
not yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cluster.client.job_fields import NOTHING_USED, Counts, Used
from cluster.domain.job.pause import Pause, frozen_tasks
from cluster.domain.job.raised_exception import RaisedException
from cluster.domain.job.results import ResultsTotal
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.spread import Spread
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Explanation
from cluster.domain.scheduler.worker_states import Drain, WorkerState
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
    changed: tuple[str, ...] = ()  # names of options that are not as they were submitted
    rerun_of: int = 0  # the number of the job that it repeats; 0: none
    callers: tuple[str, ...] = ()  # the attempts by which it was called, as in 5.17#1; the last has submitted it
    children: tuple[int, ...] = ()  # only from `get`: the jobs that it has submitted itself, the newest hundred
    results: ResultsTotal | None = None  # only from `get`, of a job with `out`: what its attempts have left for keeps
    no_worker_ever: bool = False  # however long it waits: none has what it needs, whether it takes work or not
    explanation: Explanation = NOT_EXPLAINED  # from `get`, where it waits for a worker
    part: str = ""  # from `wait` and `watch`: the tasks that were selected, which state to exit code are of; empty: all
    pause: Pause | None = None  # who wants that no more of its tasks start
    priority: int = 0  # as it is now
    reserved_worker: str = ""  # the name of the worker that is kept for it, while it waits; empty: none is
    reserved_from: float = 0.0  # when there will be room, about; 0: nobody knows
    waits_for: str = ""  # what keeps it from going on, in a few words; empty: nothing, or nobody knows
    next_try_at: float = 0.0  # when a task of it that did not succeed is tried again; 0: none is
    used: Used = NOTHING_USED  # by its attempts that have ended
    kept: "Kept | None" = None  # only from `get`

    @property
    def parent(self) -> int:
        """The job that has submitted it; 0: a person has."""
        return int(self.callers[-1].partition("#")[0].partition(".")[0]) if self.callers else 0

    @property
    def frozen(self) -> int:
        """Tasks that have begun and stand still, as somebody has paused the job."""
        return frozen_tasks(self.pause, self.counts.running)

    @property
    def is_array(self) -> bool:
        return self.spec.is_array or self.counts.total > 1

    def _repr_html_(self) -> str:
        from cluster.client.notebook import job_html

        return job_html(self)


class HistoryPage(NamedTuple):
    """Jobs that have ended, the one that ended last first."""

    jobs: tuple[Job, ...]
    next: str  # `page` of the call that goes on after these; empty: there are no more


@dataclass(frozen=True, slots=True)
class JobStats:
    """What the last attempts of a job, or of the newest jobs of a name, took."""

    first_job: int  # the number of the oldest job that was looked at
    last_job: int  # of the newest one
    jobs: int  # how many that were
    more: bool  # there are older jobs or earlier attempts, which were not looked at
    attempts: int
    failed: int  # attempts that neither succeeded nor were cancelled
    failures: tuple[tuple[str, int], ...]  # the reasons, the most frequent first, and how often
    since: float  # when the first and the last of them ended
    until: float
    run_seconds: Spread  # of those that succeeded (where none did, of all that ran), as are the others
    cpus: Spread  # CPU time by run time, of those that ran for 0.1 s or more
    peak_memory_bytes: Spread
    asked_millicpus: int  # what the newest of the jobs asks for
    asked_memory: int
    proposed_millicpus: int  # what the next one should ask for, and why; 0: nothing can be said
    cpus_because: str
    proposed_memory: int
    memory_because: str


class UsageRow(NamedTuple):
    """What was used by one user, name of jobs or worker."""

    key: str  # the user's id, the name of jobs (empty: those without) or the worker's id
    worker: str  # the name of a worker that is on the list
    used: Used


class UsageReport(NamedTuple):
    """What was used from a day on, those with most CPU time first."""

    rows: tuple[UsageRow, ...]
    total: Used  # also of those that are not among the rows
    more: int  # so many are not
    since: float  # the beginning of the first day, in UTC; 0: from the first


class Kept(NamedTuple):
    """What is kept of a job."""

    pinned_by: str = ""  # the user who wants it kept; empty: nobody
    pinned_at: float = 0.0
    output_expired_at: float = 0.0  # when its output was deleted; 0: it is kept
    output_expired_why: str = ""


class Deleted(NamedTuple):
    """What became of jobs that were to be deleted."""

    jobs: tuple[int, ...]  # the numbers of those deleted, a hundred thousand of them at most
    total: int  # of those deleted
    kept: int  # of `all`: those that stay, because they go on, are pinned, or are needed by one that goes on


class SpaceUsed(NamedTuple):
    """Bytes that something takes on a disk."""

    name: str
    size: int
    free: int = 0  # of these, what is free within it


class WorkerRoom(NamedTuple):
    """What a worker's things take on its disk, as it has said last. 0: not said."""

    id: str
    name: str
    spaces: tuple[SpaceUsed, ...]
    free: int
    size: int
    reserve: int  # what it keeps free


class RoomStatus(NamedTuple):
    """What takes room on the scheduler's disk and on those of its workers; in bytes."""

    spaces: tuple[SpaceUsed, ...]  # the largest first
    free: int  # of its file system
    size: int
    keep_jobs: str  # how long and how much of ended jobs is kept, such as 365d
    keep_output: str
    workers: tuple[WorkerRoom, ...]
    reserve: int = 0  # of the free bytes, those that no upload may take
    keep_files: str = ""
    user_files: int = 0  # bytes of files that one user's jobs may have; 0: as many as there is room for
    users: tuple[tuple[str, int], ...] = ()  # where that is limited: who has how many
    keep_usage: str = ""  # how long sums of usage are kept
    user_output: int = 0  # bytes of output that is kept of one user's jobs; 0: as many as there is room for
    outputs: tuple[tuple[str, int], ...] = ()  # where that is limited: who has how many, about


class Pruned(NamedTuple):
    """What was deleted because it is kept no longer, or would be. Bytes are about right."""

    jobs: int
    outputs: int  # outputs of jobs that stay
    job_bytes: int  # in the database, without outputs
    output_bytes: int
    keep_jobs: str  # the limits
    keep_output: str
    files: int = 0  # uploads and results of so many jobs that stay
    file_bytes: int = 0
    keep_files: str = ""
    usage_days: int = 0  # of which the sums of usage went
    keep_usage: str = ""


class JobTree(NamedTuple):
    """Jobs that have to do with each other, by number: `Job.parent` has submitted each, and it waits for those that its
    spec names."""

    jobs: tuple[Job, ...]
    cut: bool  # there are more, which are not shown


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something that happened to a job, some of its tasks, a worker or the queue. Fields that a kind does not use are
    empty or 0. docs/events.md lists the kinds."""

    sequence: int  # its number: `events(since=…)` goes on after it
    at: float
    kind: str  # such as job.started
    job: int
    owner: str
    name: str  # the job's
    worker: str  # the worker's name
    tasks: str  # numbers, such as 1-5,8
    count: int  # how many tasks
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
    exception: RaisedException | None = None  # that it failed by; only from `get` of a single task
    stderr_tail: bytes = b""  # of a failed task, at most 2 KiB; only from `get` of a single task
    attempts: tuple["Task", ...] = ()  # only from `get(attempts=True)`: the task as of each attempt
    next_try_at: float = 0.0  # between two attempts: when the next one is
    assigned_at: float = 0.0  # while one is under way: when a worker was given tasks of its job last
    grown: int = 0  # how many of its attempts took too much memory, of a job with `grow`
    reference: str = ""  # how the engine that runs that attempt calls it; empty: it runs on the worker's own machine

    def _repr_html_(self) -> str:
        from cluster.client.notebook import task_html

        return task_html(self)


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that a task wrote to one stream, in the order in which it wrote them."""

    job: int
    task: int  # the task's number
    attempt: int
    stderr: bool
    data: bytes
    end: int  # offset in its stream, in bytes, at which `data` ends; without meaning when `tail` was given
    note: str = ""  # comes instead of data: a remark about this attempt's output, such as how much is missing


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
    no_room: str = ""  # why it takes no tasks now; empty when it does
    trouble: str = ""  # why it can start no job, and is not connected, as it has said; empty: it has not
    drain: Drain | None = None  # who drained it, and why; None when nobody did
    offer: Offer = NOTHING  # its resources other than cpus, and its labels
    taken: Mapping[str, int] = field(default_factory=dict)  # how much of each resource is in use; memory in bytes
    leaves_at: float = 0.0  # Unix seconds: what it takes ends before, and then it leaves; 0: it stays

    def _repr_html_(self) -> str:
        from cluster.client.notebook import worker_html

        return worker_html(self)


@dataclass(frozen=True, slots=True)
class Share:
    """A user's recent use: among jobs of one priority, those of the user with the least use for its weight go first."""

    user: str  # as in `Job.owner`
    weight: float
    used_cpu_seconds: float  # halved every day
    held_millicpus: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue: all jobs that have not ended, and whether tasks start."""

    pause: Pause | None  # who paused the queue, and why; None when tasks start
    jobs: int
    paused_jobs: int  # how many of the jobs are paused themselves
    shares: tuple[Share, ...] = ()  # of users with any recent use, in the order in which they go next
    running_jobs: int | None = None  # how many of the jobs run; None: it was not asked for


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the scheduler keeps it: without its secret."""

    id: str
    role: str
    user: str
    created_at: float
    expires_at: float
    uses_left: int | None  # None: without limit
    revoked: bool
    joined: tuple["Member", ...] = ()  # the first of those who joined by it, in order, without the expelled
    joined_total: int = 0
    maker: str = ""  # who made it: user/NAME, or scheduler/main; empty: not known
    http: bool = False  # a bearer token, for HTTP; otherwise it is for joining


@dataclass(frozen=True, slots=True)
class Member:
    """A worker or a user."""

    kind: str  # worker or user
    id: str  # a worker's UUID
    name: str  # empty: a worker that has not registered yet
    token: str = ""  # id of the token by which it joined; empty when unknown


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """The outcome of revoking a user or a token."""

    expelled: tuple[Member, ...]  # those whose certificates are all refused now
    tokens: tuple[str, ...]  # ids of tokens that these had made, now revoked
    joined: tuple[Member, ...]  # the first of those who joined by such tokens and stay
    joined_total: int
    kept: tuple[Member, ...]  # the first of those who lost one certificate and keep others
    cancelled: int  # tasks that were asked to stop


@dataclass(frozen=True, slots=True)
class User:
    """A user as the scheduler knows it."""

    name: str
    role: str
    created_at: float
    revoked_at: float  # 0: not revoked
    joined: int  # how many of its joinings by tokens are not revoked
    id: str = ""  # as in its jobs' `owner`


@dataclass(frozen=True, slots=True)
class SchedulerPlace:
    """One of the schedulers of a cluster, of which one leads and the others stand by."""

    address: str  # host:port
    leads: bool
    silent: float = 0.0  # seconds for which nothing was heard of it; 0: it is there


@dataclass(frozen=True, slots=True)
class Me:
    """Who calls, as the cluster knows it."""

    name: str
    role: str
    id: str  # as in its jobs' `owner`
    schedulers: tuple[SchedulerPlace, ...] = ()  # of the cluster; none: there is one


@dataclass(frozen=True, slots=True)
class RemovedWorker:
    """A worker that was removed from the list."""

    id: str
    name: str  # empty when it had never registered
    held: int  # tasks that it holds; it stays on the list until they are given up
    tokens: tuple[str, ...]  # ids of tokens by which it joined, and may join again
