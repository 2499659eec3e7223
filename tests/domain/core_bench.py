"""A scheduler's core to test with: workers that say hello, jobs, and what the core answered."""

import struct

from cluster.domain.base.intervals import Range
from cluster.domain.base.now import Now
from cluster.domain.job.chunks import joined
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.pause import Pause, QueuePause
from cluster.domain.job.records import (
    PACKED,
    Held,
    JobChunk,
    JobEnded,
    JobHeld,
    JobProgress,
    JobRecord,
    JobReopened,
    OkEnds,
    TaskEnd,
)
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.usage import UsageAdded, UsageKind
from cluster.domain.scheduler import invariants
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, Amended, Decided, Save, Send, WorkerForgotten
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.event_records import EventRecord
from cluster.domain.scheduler.events import Event, JobSubmitted, ReportReceived, SessionOpened, WorkerRegistered
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.session.leashes import leash_of
from cluster.domain.session.messages import Assign, Attempts, Downward, Hello, Report
from cluster.domain.session.offer import NOTHING, Offer

WALL = 1_700_000_000.0

Effect = Save | Amended | Act


def effects(*turns: Decided) -> list[Effect]:
    """All that these turns have decided, the saves of each first."""
    return [effect for decided in turns for effect in (*decided.saves, *decided.acts)]


def spec(tasks: int = 1, **fields: object) -> JobSpec:
    """A job of that many tasks; each needs one cpu unless `millicpus` says otherwise."""
    array = (ArraySegment(1, tasks),) if tasks > 1 else ()
    return JobSpec(argv=("true",), array=array, **fields)  # type: ignore[arg-type]


def attempts(job: int, attempt: int, *ranges: tuple[int, int]) -> Attempts:
    return Attempts(job, attempt, tuple(Range(*r) for r in ranges))


def assign(
    job: int, attempt: int, *ranges: tuple[int, int], first: JobSpec | None = None, lost_after: float = 60.0
) -> Assign:
    """`first`: the spec that goes with the job's first assign in a session."""
    return Assign(
        attempts(job, attempt, *ranges),
        first,
        leash_of(lost_after),
        (),
        uuid(job) if first else "",
        "alice" if first else "",
    )


def ok(
    job: int, start: int, stop: int, attempt: int = 1, run: float = 1.0, worker: str = "", began: float = WALL
) -> OkEnds:
    packed = struct.pack(PACKED, began, int(run * 1e6), 0, 0, 0) * (stop - start)
    return OkEnds(job, attempt, start, stop - start, packed, worker)


def failed(job: int, index: int, attempt: int = 1, reason: str = "exit:3", code: int = 3, worker: str = "") -> TaskEnd:
    return TaskEnd(job, index, attempt, reason, exit_code=code, worker_id=worker)


def uuid(job: int) -> str:
    return f"uuid-{job}"


class Bench:
    """Every turn checks the invariants, and keeps what the store would keep."""

    def __init__(self, core: SchedulerCore | None = None) -> None:
        self.core = core or SchedulerCore(epoch=1)
        self.mono = 100.0
        self.jumped = 0.0  # seconds by which the wall clock was set forward
        self.records: dict[int, JobRecord] = {}
        self.progress: dict[int, JobProgress] = {}
        self.chunks: dict[tuple[int, int], JobChunk] = {}
        self.held: dict[int, dict[tuple[str, int], Held]] = {}  # by job, what is saved apart
        self.ended: set[int] = set()
        self.workers: dict[str, WorkerRecord] = {}
        self.queue_pause: Pause | None = None
        self.shares: dict[str, ShareRecord] = {}
        self.events: list[EventRecord] = []
        self.jobs_by_step: list[int] = []  # that are known after each step of a start
        self.usage: dict[tuple[int, UsageKind, str, str], UsageAdded] = {}
        self._session = self._told = 0

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono + self.jumped)

    def turn(self, *events: Event, after: float = 0.0) -> list[Effect]:
        """`after` so many seconds, in which what is due has its turns."""
        until, turns = self.mono + after, []
        while (due := self.core.next_deadline()) is not None and due < until:
            self.mono = max(self.mono, due)
            turns.append(self.core.turn((), self.now))
        self.mono = until
        return self._take(*turns, self.core.turn(events, self.now))

    def sleep(self, seconds: float, *events: Event) -> list[Effect]:
        """The scheduler is stopped, and then has `events` in its first turn."""
        self.mono += seconds
        return self._take(self.core.turn(events, self.now))

    def _take(self, *turns: Decided) -> list[Effect]:
        invariants.check(self.core)
        for save in (save for decided in turns for save in decided.saves):
            match save:
                case JobRecord():
                    self.records[save.number] = save
                case JobProgress():
                    self.progress[save.number] = save
                case JobChunk():
                    self.chunks[save.job, save.chunk] = save
                case JobHeld(job=job, worker_id=worker, attempt=attempt, flat=flat):
                    self.held.setdefault(job, {})[worker, attempt] = Held(worker, attempt, flat)
                    if not flat:
                        del self.held[job][worker, attempt]
                case JobEnded():
                    self.ended.add(save.number)
                case JobReopened():
                    self.ended.discard(save.number)
                case (WorkerRecord() as record) | Amended(record):
                    self.workers[record.id] = record
                case WorkerForgotten():
                    del self.workers[save.worker_id]
                case QueuePause(pause=pause):
                    self.queue_pause = pause
                case ShareRecord(owner=owner):
                    self.shares[owner] = save
                case EventRecord():
                    self.events.append(save)
                case UsageAdded(place=place):
                    self.usage[place] = self.usage[place].plus(save) if place in self.usage else save
        return [effect for effect in effects(*turns) if not isinstance(effect, EventRecord | UsageAdded)]

    def told(self) -> list[str]:
        """The kinds of the events since this was asked last."""
        kinds = [event.kind.value for event in self.events[self._told :]]
        self._told = len(self.events)
        return kinds

    def sent(self, *events: Event, after: float = 0.0) -> list[tuple[int, Downward]]:
        """Only what is sent."""
        return [(e.session, e.message) for e in self.turn(*events, after=after) if isinstance(e, Send)]

    def submit(self, what: JobSpec) -> list[Effect]:
        return self.turn(JobSubmitted(7, uuid(self.core.next_number), "alice", what))

    def register(self, worker: str, millicpus: int = 2000, offer: Offer = NOTHING) -> None:
        self.turn(WorkerRegistered(8, worker, worker, millicpus, offer=offer))

    def hello(self, worker: str, hello: Hello | None = None) -> list[Effect]:
        """A session, numbered from 1."""
        self._session += 1
        record = self.core.workers[worker].record
        hello = hello or Hello("inc", record.millicpus, 1, offer=record.offer)
        return self.turn(SessionOpened(self._session, worker, hello))

    def worker(self, worker: str, millicpus: int = 2000, offer: Offer = NOTHING) -> int:
        """A worker with a session, whose number is returned."""
        self.register(worker, millicpus, offer)
        self.hello(worker)
        return self._session

    def report(self, session: int, sequence: int = 0, **parts: object) -> list[Effect]:
        return self.turn(ReportReceived(session, Report(sequence, **parts)))  # type: ignore[arg-type]

    def restart(self, after: float = 0.0, most: int = MOST_AT_ONCE) -> None:
        """The scheduler dies; another, whose turns and steps are given `most`, takes up what the store has."""
        self.mono += after
        live = sorted(self.records.keys() - self.ended)
        jobs = [(self.records[n], joined(self.progress[n], self._chunks_of(n), self._held_of(n))) for n in live]
        ids = EndedIds()
        for record in self.records.values():
            ids.add(record.id, record.submitted_at)
        workers = list(self.workers.values())
        loaded = Recovered(
            self.core.epoch + 1,
            len(self.records) + 1,
            jobs,
            workers,
            ids,
            queue_pause=self.queue_pause,
            next_event=len(self.events) + 1,
            shares=list(self.shares.values()),
        )
        self.core = SchedulerCore(loaded.epoch, self.core.lease)
        self.core.most = most
        self.take_up(loaded)
        invariants.check(self.core)

    def take_up(self, loaded: Recovered) -> None:
        """A scheduler that starts."""
        for _ in self.core.restore(loaded, self.now):
            self.jobs_by_step.append(len(self.core.jobs))

    def _chunks_of(self, job: int) -> list[JobChunk]:
        return [self.chunks[key] for key in sorted(self.chunks) if key[0] == job]

    def _held_of(self, job: int) -> list[Held]:
        return [held for _, held in sorted(self.held.get(job, {}).items())]

    def state(self, job: int, index: int = 0) -> str:
        return next(state.word for state, tasks in self.core.jobs[job].sets.items() if index in tasks)
