"""What the scheduler knows about a worker: the persisted record."""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.amounts import CPUS, GPUS, MEMORY
from cluster.domain.job.expressions import Facts
from cluster.domain.job.request import Beside
from cluster.domain.job.sandbox import SANDBOX_FACT
from cluster.domain.scheduler.judge import Judge
from cluster.domain.scheduler.promises import Promises
from cluster.domain.scheduler.worker_states import Drain, WorkerState
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.messages import Fetching
from cluster.domain.session.offer import NOTHING, Offer
from cluster.domain.session.spec_memory import SpecMemory

MOST_BOOTS = 8  # that a worker came from and that are known
MOST_EXPRESSIONS = 1024  # of which a worker's answer is known
MAX_MILLICPUS = 65_536_000  # of one worker; Linux itself knows no machine of more than 8,192 cpus


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """Persisted when it registers and whenever one of these changes."""

    id: str  # UUID, the same after every restart
    name: str
    millicpus: int
    address: str  # host:port of its own API; empty: none
    version: str
    registered_at: float
    incarnation: str = ""  # of the launcher it last said hello with
    offline: bool = False
    removed: bool = False  # forgotten once it holds nothing, unless it registers again
    home: Home = UNKNOWN  # where it last said hello from
    drain: Drain | None = None
    offer: Offer = NOTHING  # what it has beside cpus
    is_silent: bool = False  # nothing was heard of it for a lease, and it has not come back
    is_drained: bool = False  # since somebody drained it last it has come to hold nothing


def facts_of(record: WorkerRecord) -> Facts:
    """What expressions may say of a worker: its labels, what it has of each resource, its name, and what shuts jobs in
    there, if anything does."""
    cpus = record.millicpus / 1000
    sandbox = {SANDBOX_FACT: record.offer.sandbox} if record.offer.sandbox else {}
    return {
        MEMORY: 0.0,
        GPUS: 0.0,
        **record.offer.amounts,
        **dict(record.offer.labels),
        CPUS: cpus,
        **sandbox,
        "name": record.name,
    }


class Greeting(NamedTuple):
    """When a worker said hello: by the clock of that boot of its machine, in seconds."""

    boot: str
    uptime: float

    def is_before(self, other: "Greeting | None") -> bool:
        """Whether it was certainly said before that one. It may arrive after it all the same: what an agent that was
        killed has sent waits in a socket, and a scheduler that was stopped may read the next one's first."""
        return other is not None and bool(self.boot) and self.boot == other.boot and self.uptime < other.uptime


class Rival(NamedTuple):
    """Who asks for the identity of a worker that seems to be there."""

    home: Home
    since: float  # monotonic clock of the scheduler: from when on it asks
    asked: float  # and when it did last


class Worker:
    """A worker in the scheduler's memory: its record, its session, and what its attempts take."""

    __slots__ = (
        "_facts",
        "_judge",
        "_meets",
        "allocated",
        "boots",
        "ending",
        "exclusive",
        "fetching",
        "frozen",
        "greeting",
        "held",
        "jobs",
        "last_heard",
        "leaves_at",
        "no_room",
        "promises",
        "recalled",
        "record",
        "reporting",
        "rival",
        "session",
        "specs",
        "stopped",
        "taken",
        "told_trouble",
        "unstarted",
        "word_at",
    )

    def __init__(self, record: WorkerRecord, now: float, judge: Judge | None = None) -> None:
        """`judge`: that of its core."""
        self._judge = judge or Judge()
        self.renew(record)
        self.session: int | None = None
        self.last_heard = now  # on the monotonic clock; a scheduler that restarts gives everyone a fresh lease
        self.word_at: float | None = None  # when it was really heard; None: not since this scheduler started
        self.greeting: Greeting | None = None  # its last hello
        self.boots: tuple[str, ...] = ()  # that it came from, the latest last; the others are over
        self.comes_from(record.home.boot)
        self.rival: Rival | None = None  # who asks for its identity while it has a session
        self.allocated = 0  # millicpus of everything it holds, started or not
        self.taken: dict[str, int] = {}  # the same of each other resource
        self.promises = Promises()  # when what it holds ends
        self.leaves_at = inf  # on the monotonic clock: what it gets has ended by then; inf: it stays
        self.exclusive = 0  # tasks that are to be alone here: one at most
        self.held = 0  # tasks, started or not
        self.unstarted = 0  # of these: it has not said that they have started
        self.jobs: dict[int, int] = {}  # job: how many of its tasks it holds
        self.specs: SpecMemory[object] = SpecMemory()  # that it remembers in this session, each with what was changed
        self.fetching: dict[int, Fetching] = {}  # by jobs: what it fetches, as it said last
        self.no_room = ""  # why it takes nothing, as it said last in this session; "" when it has room
        self.told_trouble = ""  # as it registered last
        self.ending = False  # it said in this session that it is about to end: it gets nothing more
        self.reporting = False  # the rest of its report is still to be taken
        self.recalled: dict[int, IntervalSet] = {}  # job: tasks asked back in this session: once is enough
        self.frozen: dict[int, IntervalSet] = {}  # job: tasks that stand still here, as was said in this session
        self.stopped: dict[int, IntervalSet] = {}  # job: tasks that were told to stop, as its drain's deadline is over

    def hear(self, now: float) -> None:
        """It has said something."""
        self.last_heard = now
        self.word_at = now

    def comes_from(self, boot: str) -> None:
        """It registers or says hello, and is believed. A boot that is not known says nothing about others."""
        if boot:
            self.boots = (*(b for b in self.boots if b != boot), boot)[-MOST_BOOTS:]

    def greets(self, greeting: Greeting) -> None:
        """It says hello, and is believed."""
        self.comes_from(greeting.boot)
        self.greeting = greeting

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> WorkerState:
        if self.session is not None:
            if self.drains:
                idle = self.record.drain and not (self.held or self.ending)
                return WorkerState.DRAINED if idle else WorkerState.DRAINING
            return WorkerState.FULL if self.no_room else WorkerState.ONLINE
        if self.record.removed:
            return WorkerState.REMOVED
        return WorkerState.OFFLINE if self.record.offline else WorkerState.UNREACHABLE

    @property
    def trouble(self) -> str:
        """Why it can start no job, and opens no session; empty: it may open one. It may be told before the end of the
        last session is heard of."""
        return self.told_trouble if self.session is None else ""

    @property
    def drains(self) -> bool:
        """Whether it takes nothing more because it is about to end, or because somebody wants that."""
        return self.ending or self.record.drain is not None

    @property
    def takes_work(self) -> bool:
        """Whether it may get anything more now. In the midst of a report it may not: it would drop a task that it has
        given back before it knows that this was taken."""
        return self.session is not None and not (self.drains or self.no_room or self.reporting or self.exclusive)

    @property
    def free(self) -> int:
        """Millicpus that no attempt claims; negative when it has work in advance."""
        return self.record.millicpus - self.allocated

    def left_of(self, resource: str) -> int:
        """How much of a resource beside cpus no attempt claims; negative when it has less than before."""
        return self.record.offer.amounts.get(resource, 0) - self.taken.get(resource, 0)

    def take(self, beside: Beside, tasks: int) -> None:
        """So many more tasks hold that, fewer if negative."""
        self.exclusive += tasks * beside.exclusive
        for name, amount in beside.amounts:
            self.taken[name] = left = self.taken.get(name, 0) + tasks * amount
            if not left:
                del self.taken[name]

    @property
    def coming_back(self) -> int:
        """Tasks that were asked back, and of which it has said nothing yet."""
        return sum(map(len, self.recalled.values()))

    def renew(self, record: WorkerRecord) -> None:
        """What is known about it is from now on this."""
        self.record = record
        self._facts: Facts | None = None  # what expressions may say of it, once that was asked for
        self._meets: dict[str, bool] = {}  # expressions, and whether they are true of it

    def meets(self, expression: str) -> bool:
        """Whether the expression is true of it. Found out once, until its record changes."""
        known = self._meets.get(expression)
        if known is None:
            if len(self._meets) >= MOST_EXPRESSIONS:
                del self._meets[next(iter(self._meets))]
            if self._facts is None:
                self._facts = facts_of(self.record)
            known = self._meets[expression] = self._judge.holds(expression, self._facts)
        return known

    def forget(self, job: int) -> None:
        """It holds nothing of the job any more. (Its spec it may still know.)"""
        self.jobs.pop(job, None)
        self.promises.forget(job)
        self.recalled.pop(job, None)
        self.stopped.pop(job, None)
        self.frozen.pop(job, None)

    def is_called(self, name: str) -> bool:
        """Whether people mean this worker by `name`: its UUID or its name."""
        return name in (self.record.id, self.record.name)

    def fits(self, millicpus: int) -> bool:
        """Whether one such task could ever run here."""
        return millicpus <= self.record.millicpus
