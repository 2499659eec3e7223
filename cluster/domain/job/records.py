"""The records that a store keeps of jobs. Times are seconds since the Unix epoch, durations are seconds."""

from dataclasses import dataclass, replace
from struct import Struct
from typing import Any, NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.pause import Pause
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import NOTHING_USED, Usage


class CallingAttempt(NamedTuple):
    """An attempt that has submitted a job."""

    job: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls on it
    attempt: int
    number: int = 0  # of the task, as people type it; 0: its job has but one

    def __str__(self) -> str:
        """The key as people write it."""
        return AttemptKey(self.job, self.index, self.attempt).shown(self.number)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What never changes about a job. Persisted once, when it is accepted."""

    number: int
    id: str  # UUIDv7, made by the submitter
    owner: str  # the user's id (UserRecord.id)
    spec: JobSpec
    submitted_at: float
    # The attempt that submitted it comes last, before it those that called its job; none: a person has submitted it.
    callers: tuple[CallingAttempt, ...] = ()
    schedule: int = 0  # the job that it is a run of; 0: it is none
    rerun_of: int = 0  # the number of the job that it repeats; 0: none

    @property
    def parent(self) -> int:
        """The job that submitted it; 0: a person did."""
        return self.callers[-1].job if self.callers else 0

    @property
    def root(self) -> int:
        """The job that all of its tree comes of, perhaps itself."""
        return self.callers[0].job if self.callers else self.number


class JobValue(NamedTuple):
    """What a job keeps for others to read, by a key. Persisted as one record, rewritten when it is set again."""

    job: int
    key: str
    value: str


Flat = tuple[int, ...]  # a set of task indexes, as IntervalSet.flat()


class Held(NamedTuple):
    """Tasks that one worker holds, all in their attempt-th attempt."""

    worker_id: str
    attempt: int
    flat: Flat


class TaskSets(NamedTuple):
    """What changes about the tasks of a job: of all of them, or of those in one chunk. No pair has an empty set."""

    states: tuple[tuple[TaskState, Flat], ...] = ()  # those of states.KEPT, by their numbers
    held: tuple[Held, ...] = ()  # assigned or running
    attempts: tuple[tuple[int, Flat], ...] = ()  # (n, tasks whose n-th attempt is the last that has ended)
    cancelling: Flat = ()  # asked to stop, not yet ended
    losses: tuple[tuple[int, Flat], ...] = ()  # (n, tasks of which n attempts were lost, and not forgiven)
    forgiven: tuple[tuple[int, Flat], ...] = ()  # (n, tasks of which n attempts count for nothing)

    grown: tuple[tuple[int, Flat], ...] = ()  # (n, tasks of which n attempts took more memory than they asked for)

    def of(self, state: TaskState) -> Flat:
        """The tasks in a state of KEPT."""
        return next((flat for each, flat in self.states if each is state), ())


class JobProgress(NamedTuple):
    """What changes about a job. Persisted as one record, rewritten by each commit that touches the job; of a `chunked`
    job the sets are empty and persisted as JobChunks."""

    number: int
    sets: TaskSets = TaskSets()
    cancel_grace: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    cancelled_by: str = ""
    cancel_reason: str = ""
    exit_code: int = 0  # the highest so far
    reason: str = ""  # of the first abnormal end
    chunked: bool = False  # see cluster.domain.job.chunks
    pause: Pause | None = None  # somebody's wish that no task of it starts
    course: ScheduleCourse | None = None  # of a schedule: how far it has come
    changed: tuple[tuple[str, Any], ...] = ()  # options of its spec that are otherwise now, by fields
    used: Usage = NOTHING_USED  # by attempts that have ended, as far as that was counted when they did
    given_at: float = 0.0  # when a worker was given tasks of it last (Unix seconds); 0: none was
    held_apart: bool = False  # `sets.held` is persisted as JobHeld; told by there being some, and not persisted itself
    # From when a deadline among `changed` counts that was given as a duration, in Unix seconds; 0: a time was given.
    deadline_since: float = 0.0


@dataclass(frozen=True, slots=True)
class JobChunk:
    """The sets of a job as far as they are in one chunk of its indexes. Persisted as one record, rewritten by each
    commit that touches them."""

    job: int
    chunk: int
    sets: TaskSets


@dataclass(frozen=True, slots=True)
class JobHeld:
    """Tasks that one worker holds, as in Held, of a job that many workers hold tasks of. Persisted as one record,
    rewritten by each commit that touches them, and deleted when there are none."""

    job: int
    worker_id: str
    attempt: int
    flat: Flat


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The last that is persisted of a job, with the progress in which all of its tasks have ended. From when both are
    on disk on, the store alone answers for the job."""

    number: int
    state: TaskState  # what it has ended as: the worst end of its tasks
    opening: int = 0  # which of its ends that is, where it was reopened: as of Job.opening; not persisted


@dataclass(frozen=True, slots=True)
class JobReopened:
    """It goes on although it had ended: persisted with its progress, in place of its JobEnded."""

    number: int


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """An end that is not plain success. Persisted once; the last one of a task decides its state."""

    job: int
    index: int
    attempt: int
    reason: str  # as in `endings`
    exit_code: int = 0  # as `endings.exit_code` says it
    signal: str = ""  # the signal that ended it, as in SIGTERM
    detail: str = ""
    worker_id: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0  # bytes
    output_bytes: int = 0  # on the worker, to be pushed
    is_exhausted: bool = False  # it would be tried again if its task had not been so often already

    @property
    def state(self) -> TaskState:
        """Of a task whose last attempt this was."""
        return endings.state_of(self.reason)

    @property
    def reason_of_task(self) -> str:
        """Of the same."""
        return endings.exhausted(self.reason) if self.is_exhausted else self.reason


class LastEnd(NamedTuple):
    """What of the last TaskEnd of a task is asked for many tasks at once."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls here
    reason: str
    exit_code: int
    is_exhausted: bool = False

    @property
    def reason_of_task(self) -> str:
        return endings.exhausted(self.reason) if self.is_exhausted else self.reason


PACKED = "<dIIII"  # struct format of one task in OkEnds.packed, 24 bytes
_packed = Struct(PACKED)


@dataclass(frozen=True, slots=True)
class OkEnds:
    """Plain successes of tasks first … first+count-1, each in its attempt-th attempt, on one worker.

    `packed` holds for each, as PACKED says: start (Unix seconds), run time (µs), CPU time (µs),
    peak memory (KiB), bytes of output waiting on the worker."""

    job: int
    attempt: int
    first: int
    count: int
    packed: bytes
    worker_id: str = ""

    @property
    def stop(self) -> int:
        return self.first + self.count

    def on(self, worker_id: str) -> "OkEnds":
        """The same on that worker."""
        return OkEnds(self.job, self.attempt, self.first, self.count, self.packed, worker_id)

    def part(self, start: int, stop: int) -> "OkEnds":
        """The ends of tasks start … stop-1 alone."""
        size = len(self.packed) // self.count
        packed = self.packed[(start - self.first) * size : (stop - self.first) * size]
        return replace(self, first=start, count=stop - start, packed=packed)

    def end_of(self, index: int) -> TaskEnd:
        """One of them, written out."""
        started, run, cpu, memory, output = _packed.unpack_from(self.packed, (index - self.first) * _packed.size)
        return TaskEnd(
            self.job,
            index,
            self.attempt,
            endings.OK,
            worker_id=self.worker_id,
            started_at=started,
            ended_at=started + run / 1e6,
            cpu_seconds=cpu / 1e6,
            peak_memory=memory * 1024,
            output_bytes=output,
        )


@dataclass(frozen=True, slots=True)
class SmallOutput:
    """The whole output of one attempt, small enough to ride along with its end."""

    job: int
    index: int
    attempt: int
    stdout: bytes
    stderr: bytes
