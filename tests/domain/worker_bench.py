"""A worker's core to test with, and short words for what it is told."""

import struct
from collections.abc import Sequence

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import PACKED, OkEnds
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Downward,
    Welcome,
)
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.journal import entries_of, keys_of
from cluster.domain.worker.messages import (
    CommandsReceived,
    LauncherConnected,
    LauncherReported,
    SessionReady,
    WorkerEffect,
    WorkerEvent,
)

SPEC = JobSpec(argv=("true",), array=(ArraySegment(1, 1000, 2),))
LEASE = 15.0
ID = "0190a1b2-0000-7000-8000-000000000000"


def connected(
    incarnation: str, running: Sequence[str] = (), backlog: Sequence[str] = (), reports: Sequence[Started | Ended] = ()
) -> LauncherConnected:
    """A launcher with that incarnation, which holds these."""
    return LauncherConnected(incarnation, keys_of(running), keys_of(backlog), entries_of(reports))


def reported(*reports: Started | Ended) -> LauncherReported:
    """The launcher says so."""
    return LauncherReported(entries_of(reports))


NOTHING = connected("inc")


class Bench:
    """A core with its clock, which stands still unless a test moves it."""

    def __init__(self, epoch: int = 0, connect: bool = True, leaves_at: float | None = None) -> None:
        self.core = WorkerCore(2000, epoch, connect, leaves_at=leaves_at)
        self.now = 100.0

    def turn(self, *events: WorkerEvent) -> list[WorkerEffect]:
        return self.core.turn(events, Now(self.now, self.now))

    def pass_on(self) -> list[WorkerEffect]:
        """To the next deadline."""
        deadline = self.core.next_deadline()
        assert deadline is not None
        self.now = max(self.now, deadline)
        return self.turn()

    def down(self, *commands: Downward, session: int = 1) -> list[WorkerEffect]:
        return self.turn(CommandsReceived(session, commands))

    def opened(self, held: LauncherConnected = NOTHING, epoch: int = 1) -> "Bench":
        """With its first session open, and a moment later."""
        self.turn(held)
        self.turn(SessionReady(1))
        self.down(Welcome(epoch, LEASE))
        self.now += 1
        return self


def key(index: int, attempt: int = 1, job: int = 5) -> AttemptKey:
    return AttemptKey(job, index, attempt)


def some(start: int, stop: int, attempt: int = 1) -> Attempts:
    return Attempts(5, attempt, (Range(start, stop),))


def assign(start: int, stop: int, spec: JobSpec | None = SPEC, attempt: int = 1) -> Assign:
    return Assign(some(start, stop, attempt), spec, 30.0, (), ID if spec else "")


def ended(seq: int, index: int, reason: str = "ok", out: int = 0, err: int = 0) -> Ended:
    return Ended(seq, str(key(index)), reason, 0, None, 1_000_000, 2_000, 300, 40, out, err)


def ok(index: int, count: int = 1, waiting: int = 0) -> OkEnds:
    return OkEnds(5, 1, index, count, struct.pack(PACKED, 1.0, 2000, 300, 40, waiting) * count)
