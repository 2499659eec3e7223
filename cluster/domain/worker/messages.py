"""What can happen to a worker, and what its core may ask for. `Now.mono` is CLOCK_BOOTTIME everywhere here.

Job 0 of a launcher is not the cluster's, whose jobs count from 1: its tasks are the jobs of the worker's own API, each
under its number. The core hands their reports on and otherwise lets them be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.spec import JobSpec
from cluster.domain.session.messages import Downward, Hello, Report
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.room import Space

OWN = 0  # the job number under which the launcher has what the worker's own API started

# ---------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class LauncherConnected:
    """What the launcher holds. `reports`: everything nobody has acknowledged, in order. `quiet`: of what runs, how long
    it may write nothing, where that has a limit. `limits_memory`: it ends what takes more memory than it asks for.
    `frozen`: what of all that stands still."""

    incarnation: str
    running: Sequence[AttemptKey]
    backlog: Sequence[AttemptKey]
    reports: Sequence[JournalEntry]
    quiet: Mapping[AttemptKey, float] = field(default_factory=dict)  # seconds
    limits_memory: bool = False
    frozen: Sequence[AttemptKey] = ()


@dataclass(frozen=True, slots=True)
class LauncherReported:
    reports: Sequence[JournalEntry]


@dataclass(frozen=True, slots=True)
class LauncherLost:
    """The connection broke. The driver makes another by itself."""


@dataclass(frozen=True, slots=True)
class RoomMeasured:
    """How much is free where jobs write."""

    spaces: tuple[Space, ...]


@dataclass(frozen=True, slots=True)
class ContentsFetched:
    """A fetch has ended: all is here, and stays until it is released; or nothing is, and is not fetched any more.
    `refusal`: why that can never be had here. `shortage`: why there is no room for it just now. Both in words."""

    number: int
    refusal: str = ""
    shortage: str = ""


@dataclass(frozen=True, slots=True)
class SessionReady:
    """Connected and registered: the scheduler waits for hello."""

    session: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`jitter` is a random number from 0 to 1, drawn by the driver. `for_good`: the scheduler will never take us."""

    session: int
    jitter: float
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class CommandsReceived:
    session: int
    commands: Sequence[Downward]


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The agent ends. Without `stop_jobs` the attempts that run go on below the launcher."""

    stop_jobs: bool = False


WorkerEvent = (
    LauncherConnected
    | LauncherReported
    | LauncherLost
    | RoomMeasured
    | ContentsFetched
    | SessionReady
    | SessionEnded
    | CommandsReceived
    | ShutdownRequested
)

# --------------------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Dial and register; then say SessionReady, or SessionEnded."""

    session: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection, and say SessionEnded."""

    session: int
    why: str


@dataclass(frozen=True, slots=True)
class SendHello:
    session: int
    hello: Hello


@dataclass(frozen=True, slots=True)
class SendHeartbeat:
    session: int
    sequence: int
    no_room: str = ""  # why this worker takes nothing just now


@dataclass(frozen=True, slots=True)
class SendReport:
    """`small`: attempts whose whole output is to be read from their files and added to the report. `large`: attempts
    whose output is to be on disk before it is sent, for it will be pushed later."""

    session: int
    report: Report
    small: tuple[AttemptKey, ...] = ()
    large: tuple[AttemptKey, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveEpoch:
    """To disk, before any effect that follows."""

    epoch: int


class StartItem(NamedTuple):
    """`number` is the task's, None when the job is no array; `line` its line, of a job that has lines."""

    key: AttemptKey
    number: int | None = None
    line: bytes | None = None


@dataclass(frozen=True, slots=True)
class Define:
    """The launcher's template of that number is from now on for this job. `refusal`: why none of its attempts can be
    started, in words; empty: they can."""

    template: int
    job: int
    job_id: str
    spec: JobSpec
    leash: float
    owner: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    template: int
    items: tuple[StartItem, ...]


@dataclass(frozen=True, slots=True)
class FetchContents:
    """Have on this worker what attempts of that job use, by digests in hex ("": none), and say ContentsFetched. Of the
    upload only the files at these paths, which their tasks find; None: all of it. Of what is beside that, all."""

    number: int
    job: int
    upload: str
    stdin: str
    paths: tuple[bytes, ...] | None = None
    beside: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseContents:
    """No attempt uses what was fetched under that number: it may go. Nobody waits for it any more if it is not here."""

    number: int


@dataclass(frozen=True, slots=True)
class RecallAttempts:
    """Give back those that have not started."""

    keys: tuple[AttemptKey, ...]


@dataclass(frozen=True, slots=True)
class StopAttempts:
    """`grace` None: as the job says."""

    keys: tuple[AttemptKey, ...]
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class FreezeAttempts:
    """Let them stand still where they are; with `thaw`, let them go on."""

    keys: tuple[AttemptKey, ...]
    thaw: bool


@dataclass(frozen=True, slots=True)
class ConfirmLease:
    """The scheduler has confirmed a lease that was asked for at `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class AckJournal:
    sequence: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """Reports about jobs of the worker's own API: to disk, before any effect that follows."""

    reports: tuple[JournalEntry, ...]


@dataclass(frozen=True, slots=True)
class PushOutput:
    """Push what output is left of these for keeps, then remove it: it was too large for the report, or nobody wanted
    the report any more."""

    keys: tuple[AttemptKey, ...]


@dataclass(frozen=True, slots=True)
class RemoveOutput:
    """Nobody needs the output files of these any more."""

    keys: tuple[AttemptKey, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The shutdown may go on: all that could be given back and reported has been."""


WorkerEffect = (
    OpenSession
    | HangUp
    | SendHello
    | SendHeartbeat
    | SendReport
    | SaveEpoch
    | Define
    | Start
    | FetchContents
    | ReleaseContents
    | RecallAttempts
    | StopAttempts
    | FreezeAttempts
    | ConfirmLease
    | AckJournal
    | HandOver
    | PushOutput
    | RemoveOutput
    | Finished
)
