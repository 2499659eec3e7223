"""What turns have decided and what is not on disk yet. A store may fail for a while: a disk is full, another holds it.

Meanwhile the core goes on, so that leases hold and cancels stop what runs. What it saves and says waits, in order, and
nothing is said before what it follows from is on disk, but for what a crash right after could not make untrue:

- `Welcome` and `HeartbeatAnswered`: a lease is never on disk, and after a restart everyone has a fresh one;
- `Stop`: whoever asked for it is answered later. (An attempt that was stopped has ended, whatever is remembered of
  why.) It is said again in its place, because the assign that comes before it may be waiting too;
- `CloseSession`: connections may break at any time;
- `LookUp`: to ask changes nothing, and what is asked about is not what waits;
- a reply that is `sure`: it repeats who is called what on disk, unless a name that was given or taken waits itself.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

from cluster.domain.base.ids import AttemptKey
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
from cluster.domain.job.results import KeptResults
from cluster.domain.job.usage import UsageAdded
from cluster.domain.scheduler.effects import (
    Act,
    Amended,
    CloseSession,
    Decided,
    LookUp,
    Notify,
    Reply,
    Save,
    Send,
    WorkerForgotten,
)
from cluster.domain.scheduler.event_records import EventRecord, NoticesDone
from cluster.domain.scheduler.pool_board import PoolWishes
from cluster.domain.scheduler.retention import (
    JobPinned,
    OutputExpired,
    OutputsWalked,
    RemainsDropped,
    RemainsGone,
    SpaceReturned,
    Tombstone,
    UsageDropped,
)
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.domain.session.messages import HeartbeatAnswered, Stop, Welcome
from cluster.domain.trust.enrolments import Enrolment, EnrolmentForgotten
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord

_Removal = RemainsDropped | RemainsGone | SpaceReturned | UsageDropped
# What a store can commit.
Saved = Save | KeptResults | UserRecord | TokenRecord | Enrolment | EnrolmentForgotten | NoticesDone | _Removal

_KIB = 1024


class Waiting:
    """The saves of some turns, of several with one key the last, or the sum; and what is to be done when they are on
    disk."""

    def __init__(self) -> None:
        self.has_names = False  # whether anything is about who is called what
        self.weight = 0  # entries, and KiB of output: what it takes in memory, roughly
        self._saves: dict[object, Saved] = {}
        self._acts: list[Act] = []
        self._fresh: list[Act] = []  # come after these; whether they may go ahead was not asked yet
        self._changed: dict[int, None] = {}  # jobs whose watchers are to be told

    def __bool__(self) -> bool:
        return bool(self._saves or self._acts or self._fresh or self._changed)

    @property
    def saves(self) -> list[Saved]:
        return list(self._saves.values())

    @property
    def acts(self) -> list[Act]:
        """What is to be done when all saves are on disk, in order."""
        return [*self._acts, *self._fresh, *map(Notify, self._changed)]

    @property
    def jobs(self) -> Iterator[int]:
        """Those that are otherwise in memory than on disk."""
        return (save.number for save in self._saves.values() if isinstance(save, JobProgress))

    @property
    def ended(self) -> list[JobEnded]:
        """Jobs that the store answers for once this is on disk."""
        return [save for save in self._saves.values() if isinstance(save, JobEnded)]

    def has_record(self, job: int) -> bool:
        """Whether the job itself is to be saved, and not only how it goes on."""
        return (JobRecord, job) in self._saves

    def add(self, decided: Decided, items: Iterable[Saved] = ()) -> None:
        """All that follows from one turn, and records that are not the core's."""
        self._save(items)
        saves = decided.saves
        if not _OF_WORKERS.isdisjoint(map(type, saves)):
            self.has_names |= any(isinstance(save, (WorkerRecord, WorkerForgotten)) for save in saves)
            saves = [save.record if isinstance(save, Amended) else save for save in saves]
        self._save(saves)  # type: ignore[arg-type]  # none is Amended
        for act in decided.acts:
            if isinstance(act, Notify):
                self._changed[act.job] = None
            else:
                self._fresh.append(act)
                self.weight += 1

    def absorb(self, later: "Waiting") -> None:
        """What waits there comes after what waits here, and goes to disk together with it."""
        self._save(later._saves.values())
        self._acts = [*self._acts, *self._fresh, *later._acts]
        self._fresh = later._fresh
        self.has_names |= later.has_names
        self.weight += len(later._acts) + len(later._fresh)
        self._changed |= later._changed

    def go_ahead(self, before: "Waiting | None" = None) -> list[Act]:
        """What may be done at once of what was added since this was asked last. `before`: what waits for the disk, too.
        A stop is still to be done in its place; what goes to a session that is closed is not to be done any more."""
        sure = not self.has_names and not (before and before.has_names)
        early = [act for act in self._fresh if _may_go_ahead(act, sure)]
        said = {id(act) for act in early if not (isinstance(act, Send) and isinstance(act.message, Stop))}
        self._acts += [act for act in self._fresh if id(act) not in said]
        self._fresh = []
        self.weight -= len(said)
        return early

    def forget(self, session: int) -> None:
        """Nobody can be told anything in it any more."""
        for acts in (self._acts, self._fresh):
            before = len(acts)
            acts[:] = [act for act in acts if not (isinstance(act, Send) and act.session == session)]
            self.weight -= before - len(acts)

    def _save(self, saves: Iterable[Saved]) -> None:
        """They come after those that are here."""
        kept = self._saves
        before = len(kept)
        for save in saves:
            if number := _NUMBERS.get(type(save)):
                kept[type(save), number(save)] = save
                continue
            key = _key(save)
            if isinstance(save, UsageAdded) and key in kept:
                save = kept[key].plus(save)  # type: ignore[union-attr]  # the key says that it is one, too
            elif isinstance(save, SmallOutput) and key not in kept:
                self.weight += (len(save.stdout) + len(save.stderr)) // _KIB
            kept[key] = save
        self.weight += len(kept) - before


def _may_go_ahead(act: Act, sure: bool) -> bool:
    match act:
        case CloseSession() | Send(message=Welcome() | HeartbeatAnswered() | Stop()):
            return True
        case LookUp():
            return True
        case Reply(sure=True):
            return sure
        case _:
            return False


_OF_WORKERS = frozenset((WorkerRecord, WorkerForgotten, Amended))
# By what a store finds those that commits have most of.
_NUMBERS: dict[type, Callable[[Any], object]] = {
    JobRecord: attrgetter("number"),
    JobProgress: attrgetter("number"),
    JobEnded: attrgetter("number"),
    EventRecord: attrgetter("sequence"),
    OkEnds: attrgetter("job", "first"),
}


def _key(save: Saved) -> object:
    """What a store replaces: two saves with one key are one record. Of what is none of _NUMBERS."""
    record = type(save)
    match save:
        case JobReopened(number=number):
            return JobEnded, number
        case JobValue(job=job, key=name):
            key: object = (job, name)
        case JobChunk(job=job, chunk=first):
            key = (job, first)
        case JobHeld(job=job, worker_id=name, attempt=attempt):
            key = (job, name, attempt)
        case TaskEnd(job=job, index=index, attempt=attempt) | SmallOutput(job=job, index=index, attempt=attempt):
            key = AttemptKey(job, index, attempt)
        case KeptResults():
            key = save.key
        case WorkerRecord(id=name) | WorkerForgotten(worker_id=name):
            return WorkerRecord, name
        case TokenRecord(id=name) | UserRecord(name=name):
            key = name
        case Enrolment(kind=kind, name=name, id=number) | EnrolmentForgotten(kind=kind, name=name, id=number):
            return Enrolment, (kind, name, number)
        case ShareRecord(owner=name):
            key = name
        case UsageAdded(place=place):
            key = place
        case Tombstone(number=number) | JobPinned(job=number) | OutputExpired(job=number):
            key = number
        case RemainsGone():
            key = save
        case QueuePause() | PoolWishes() | NoticesDone():
            key = None  # there is one
        case OutputsWalked() | RemainsDropped() | SpaceReturned() | UsageDropped():
            key = None  # there is one
    return record, key
