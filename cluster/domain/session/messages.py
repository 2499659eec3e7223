"""What a worker and the scheduler say to each other in a session, as plain values."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.offer import NOTHING, Offer


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempt-th attempts of some tasks of one job."""

    job: int
    attempt: int
    ranges: tuple[Range, ...]

    @property
    def count(self) -> int:
        return sum(r.size for r in self.ranges)

    def __iter__(self) -> Iterator[AttemptKey]:
        """Each of them, in order of the ranges."""
        return (AttemptKey(self.job, index, self.attempt) for r in self.ranges for index in range(*r))

    def __contains__(self, key: AttemptKey) -> bool:
        same = (key.job, key.attempt) == (self.job, self.attempt)
        return same and any(r.start <= key.index < r.stop for r in self.ranges)


def by_attempt(several: Iterable[Attempts]) -> dict[tuple[int, int], IntervalSet]:
    """The tasks of each job and attempt, which a worker may have listed apart and in any order."""
    ranges: dict[tuple[int, int], list[Range]] = {}
    for attempts in several:
        ranges.setdefault((attempts.job, attempts.attempt), []).extend(attempts.ranges)
    return {key: IntervalSet(found) for key, found in ranges.items()}


@dataclass(frozen=True, slots=True)
class Hello:
    """First word of a session: what the worker is and holds."""

    incarnation: str  # of its launcher: another one may have forgotten attempts
    millicpus: int
    epoch: int  # highest scheduler epoch it has obeyed
    backlog: tuple[Attempts, ...] = ()
    running: tuple[Attempts, ...] = ()
    ended: tuple[Attempts, ...] = ()  # not acknowledged; their reports follow
    frozen: tuple[Attempts, ...] = ()  # of what runs, and of the backlog: it stands still, once it has begun
    no_room: str = ""  # why it takes nothing just now
    home: Home = UNKNOWN
    uptime: float = 0.0  # seconds, of its machine
    offer: Offer = NOTHING  # beside the cpus
    leaves_in: float | None = None  # seconds in which all that it is given is to have ended; None: it stays


class Fetching(NamedTuple):
    """What tasks of a job find and read, on its way to a worker where they wait for it."""

    job: int
    done: int  # bytes
    total: int  # bytes; 0: not known yet


@dataclass(frozen=True, slots=True)
class Report:
    """What happened since the last report. Repeated after a reconnect until acknowledged."""

    sequence: int  # of the launcher's journal; 0: needs no acknowledgement
    started: tuple[Attempts, ...] = ()
    ok: tuple[OkEnds, ...] = ()
    ended: tuple[TaskEnd, ...] = ()
    returned: tuple[Attempts, ...] = ()
    outputs: tuple[SmallOutput, ...] = ()
    draining: bool = False  # the worker is about to end: it takes nothing more in this session
    more: bool = False  # never on the wire: the next part of the same report follows (domain.scheduler.turn_limits)


@dataclass(frozen=True, slots=True)
class Welcome:
    epoch: int
    lease: float  # seconds; a heartbeat at least every third of it


@dataclass(frozen=True, slots=True)
class Assign:
    """Run these. `spec` comes, without its lines, unless the worker remembers it."""

    attempts: Attempts
    spec: JobSpec | None
    leash: float  # seconds without a confirmed lease after which the worker kills the attempts by itself
    lines: tuple[bytes, ...] = ()  # of these tasks, in order, when the job has lines
    job_id: str = ""  # UUID, with the spec
    owner: str = ""  # of the job, by the user's id, with the spec


@dataclass(frozen=True, slots=True)
class Stop:
    attempts: Attempts
    grace: float


@dataclass(frozen=True, slots=True)
class Recall:
    """Give back those of these that have not started."""

    attempts: Attempts


@dataclass(frozen=True, slots=True)
class Freeze:
    """These are to stand still where they are, once they have begun; with `thaw` they are to go on."""

    attempts: Attempts
    thaw: bool = False


@dataclass(frozen=True, slots=True)
class Disown:
    """These are not yours any more: stop them, report nothing of them."""

    attempts: Attempts


@dataclass(frozen=True, slots=True)
class ReportAcknowledged:
    sequence: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswered:
    sequence: int


Downward = Welcome | Assign | Stop | Recall | Freeze | Disown | ReportAcknowledged | HeartbeatAnswered
