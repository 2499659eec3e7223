"""The simulated scheduler as others know it: by an address, whichever process answers there, if any."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import (
    Event,
    HeartbeatReceived,
    ReportReceived,
    SessionOpened,
    WorkerDeregistered,
    WorkerRegistered,
)
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE, parts
from cluster.domain.session.messages import Hello, Report
from cluster.domain.trust.identity import Vouched
from cluster.domain.worker.messages import SessionReady
from cluster.store.interface import Store
from tests.sim.network import Connection
from tests.sim.scheduler_process import Answer, SchedulerProcess
from tests.sim.told_events import ToldEvents
from tests.sim.truth import Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.machine import Machine

DIAL_AGAIN = 1.5  # seconds; as cluster.worker.session does it
DIAL_WITHIN = 10.0  # seconds; what a call to register may take


class SchedulerHost:
    def __init__(self, world: World, truth: Truth, open_store: Callable[[], Store], lease: float) -> None:
        self.world, self.truth, self.lease = world, truth, lease
        self.open_store = open_store
        self.present: SchedulerProcess | None = None  # who answers
        self.slow = (0.0, 0.01)  # seconds that a commit takes
        self.store_fails = False  # every commit
        self.hangs = 0.0  # seconds that the next commit takes besides: its disk is frozen
        self.wall_ahead = 0.0  # seconds by which its machine's wall clock was set forward; negative: back
        self.most = MOST_AT_ONCE  # that a turn is given, by weight
        self.older: list[SchedulerProcess] = []  # that go on although another one was started on the same store
        self.lives = 0
        self._dark = False  # its machine is down: nobody says so
        self._last_connection = 0
        self._process_of: dict[int, SchedulerProcess] = {}  # by connection
        self.heard: dict[str, float] = {}  # machine: when the last scheduler that has ended had heard it
        self.hello_sent: dict[int, float] = {}  # connection: when
        self.ends: set[AttemptKey] = set()  # committed
        self.over: set[int] = set()  # jobs of which the last was committed
        self.told_events = ToldEvents()
        self.acknowledged: dict[str, int] = {}  # job UUID: number that a client was told

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        if self.present is None:
            self._dark = False
            self.lives += 1
            self.present = SchedulerProcess(self, self.lives)

    def start_another(self) -> None:
        """On the same store. The old one does not know, and is found by whoever finds it first."""
        assert self.present is not None
        self.heard = self.present.heard
        self.older.append(self.present)
        self.present = None
        self.start()

    def crash(self, *, power: bool = False) -> None:
        """`power`: not even its kernel lives to say that connections are gone."""
        if self.present is not None:
            present, self.present = self.present, None
            self._dark, self.heard = power, present.heard
            present.dies(power=power)

    @property
    def core(self) -> SchedulerCore | None:
        """None while nobody answers."""
        return self.present.core if self.present else None

    @property
    def store(self) -> Store:
        assert self.present is not None
        return self.present.store

    @property
    def epoch(self) -> int:
        assert self.present is not None
        return self.present.core.epoch

    def has_end_of(self, key: AttemptKey) -> bool:
        return key in self.ends

    def connections(self) -> list[Connection]:
        return list(self.present.connections.values()) if self.present else []

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, make: Callable[[int], Event], answer: Answer, of: int = 0) -> None:
        """A unary call; never answered when the scheduler dies before, or does not know the job that it is `of`."""
        process = self._found()
        if process is not None and (not of or of in process.core.jobs):
            process.ask(make, answer)

    def submit(
        self, job_id: str, spec: JobSpec, answer: Answer, vouched: Vouched | None = None, owner: str = "alice"
    ) -> None:
        """A call as `ask`. `vouched`: the attempt that makes it."""
        if process := self._found():
            process.submit(job_id, spec, answer, vouched, owner)

    def reopen(self, number: int, tasks: Range, answer: Answer) -> None:
        """A call as `ask`."""
        process = self._found()
        if process is not None and process.store.records([number]):
            process.reopen(number, tasks, answer)

    def submit_together(self, jobs: Sequence[NewJob], answer: Answer) -> None:
        """A call as `ask`."""
        if process := self._found():
            process.submit_together(jobs, answer)

    def _found(self) -> SchedulerProcess | None:
        """Who answers somebody."""
        self.older = [process for process in self.older if process.alive]
        if not self.older:
            return self.present
        return self.world.random.choice([*self.older, *([self.present] if self.present else [])])

    def dialled(self, machine: "Machine", agent: "Agent", session: int, since: float | None = None) -> None:
        """A connection is asked for; first of all the worker registers. Where nobody answers and nobody refuses, the
        worker dials beside what hangs (`cluster.worker.session`)."""
        if not agent.alive:
            return
        since = self.world.now if since is None else since
        process = self._found()
        if machine.link.blocked or (process.process.stopped if process else self._dark):
            if self.world.now - since > DIAL_WITHIN:
                agent.session_closed(session)
            else:
                wait = self.world.between(0.2, DIAL_AGAIN)
                self.world.at(wait, lambda: self.dialled(machine, agent, session, since))
            return
        if process is None:
            self.world.at(0.001, lambda: agent.session_closed(session))
            return
        self._connect(process, machine, agent, session)

    def _connect(self, process: SchedulerProcess, machine: "Machine", agent: "Agent", session: int) -> None:
        self._last_connection += 1
        connection = Connection(
            self._last_connection,
            machine.id,
            machine.name,
            session,
            self.world,
            machine.link,
            on_worker_closed=lambda: agent.session_closed(session),
            on_scheduler_closed=lambda: process.learns(connection),
        )
        agent.connection = connection
        machine.dialled.append(connection)
        self._process_of[connection.number] = process
        process.takes(connection, agent)
        process.ask(
            lambda ask: WorkerRegistered(
                ask,
                machine.id,
                machine.called,
                machine.millicpus,
                home=machine.home,
                uptime=machine.box.clock,
                offer=machine.offer,
            ),
            lambda value: self._registered(process, connection, agent, value),
        )
        self.world.at(DIAL_WITHIN, connection.give_up)

    def _registered(self, process: SchedulerProcess, connection: Connection, agent: "Agent", value: Replied) -> None:
        def arrives() -> None:
            connection.ready = True
            if isinstance(value, ClusterError):
                connection.worker_open = False
                agent.refused(connection.session, value)
            else:
                agent.feed(SessionReady(connection.session))

        connection.send_down(arrives)
        if isinstance(value, ClusterError):
            process.refuses(connection)

    def deregister(self, machine: "Machine") -> None:
        if not machine.link.blocked:
            self.ask(lambda ask: WorkerDeregistered(ask, machine.id), lambda _: None)

    def hello(self, connection: Connection, hello: Hello) -> None:
        sent = self.world.now

        def arrives() -> None:
            self.hello_sent[connection.number] = sent
            self.world.tell("scheduler", f"{connection.machine_id} opens {connection.number}: {_short_hello(hello)}")
            self._feed(connection, SessionOpened(connection.number, connection.machine_id, hello))

        connection.send_up(arrives)

    def heartbeat(self, connection: Connection, sequence: int, no_room: str) -> None:
        event = HeartbeatReceived(connection.number, sequence, no_room)
        connection.send_up(lambda: self._feed(connection, event))

    def report(self, connection: Connection, report: Report) -> None:
        def arrives() -> None:
            self._process_of[connection.number].reported(connection, report)
            for part in parts(report, self.most):
                self._feed(connection, ReportReceived(connection.number, part))

        connection.send_up(arrives)

    def _feed(self, connection: Connection, event: Event) -> None:
        self._process_of[connection.number].feed(event)


def _short_hello(hello: Hello) -> str:
    parts = []
    for word, held in (("backlog", hello.backlog), ("running", hello.running), ("ended", hello.ended)):
        parts += [f"{word} {a.job}.{list(map(tuple, a.ranges))}#{a.attempt}" for a in held]
    return f"epoch {hello.epoch}, launcher {hello.incarnation[:4]}, {'; '.join(parts) or 'empty'}"
