"""The simulated scheduler: the real core between a store that survives crashes and connections that do not.

Its driver is the real one's order: turn, commit, then perform. Commit and perform take time, so a crash falls before,
between or after them by chance. While commits fail turns go on, and what they decide waits, as in the real one. What is
said in a session waits for a worker that is not ready, is joined and takes the form of the wire, by the functions that
the real session uses: they may change order, and order matters.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job.records import JobProgress, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.scheduler import invariants
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, CloseSession, Reply, Send
from cluster.domain.scheduler.events import (
    Event,
    HeartbeatReceived,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    WorkerDeregistered,
    WorkerRegistered,
)
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE, parts
from cluster.domain.scheduler.uncommitted import Saved, Waiting
from cluster.domain.session.messages import Assign, Downward, Hello, Report, ReportAcknowledged
from cluster.domain.worker.messages import SessionReady
from cluster.rpc.convert import joinable, messages_from_response, response_to_proto
from cluster.scheduler.batch import Batch, Put
from cluster.store.interface import Store
from tests.sim.network import Connection
from tests.sim.stalling import Stalling
from tests.sim.truth import Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.machine import Machine

SLOW_READER = 0.2  # of the times that something is to be sent, the worker is not ready yet
CUT = 0.1  # of the times that several could be sent as one, they are not: they may be too large together
DIAL_AGAIN = 1.5  # seconds; as cluster.worker.session does it
DIAL_WITHIN = 10.0  # seconds; what a call to register may take
ANOTHER_TURN = 0.2  # of the times that a commit is under way and enough has gathered for one
LOOK_AT_ALL = 50  # turns, after which all jobs are looked at for what must be true, and not only what has changed

Answer = Callable[[int | str | ClusterError], None]


class SchedulerHost:
    commits_first = True  # these two are there to be broken by the test of the simulation itself
    joinable = staticmethod(joinable)

    def __init__(self, world: World, truth: Truth, open_store: Callable[[], Store], lease: float) -> None:
        self.world, self.truth, self.lease = world, truth, lease
        self._open_store = open_store
        self.core: SchedulerCore | None = None
        self.store: Store
        self.slow = (0.0, 0.01)  # seconds that a commit takes
        self.store_fails = False  # every commit
        self._trying, self._held = Waiting(), Waiting()
        self._ahead = False  # turns go on although what they decide is not on disk
        self.hangs = 0.0  # seconds that the next commit takes besides: its disk is frozen
        self.process = Stalling(world)
        self.most = MOST_AT_ONCE  # that a turn is given, by weight
        self._inbox = Batch()
        self._turn_is_set = self._busy = False
        self._wake_at: float | None = None
        self._turns = 0
        self._life = 0  # counts starts: what an earlier life had planned does not happen
        self._asks: dict[int, Answer] = {}
        self._dark = False  # its machine is down: nobody says so
        self._last_ask = 0
        self._last_connection = 0
        self._connections: dict[int, Connection] = {}
        self._agents: dict[int, Agent] = {}
        self._waiting: dict[int, list[Downward]] = {}  # connection: said, and not yet sent
        self._hello_sent: dict[int, float] = {}  # connection: when
        self._reports: dict[int, list[Report]] = {}  # connection: handed to the core, not acknowledged
        self._ends: set[AttemptKey] = set()  # committed
        self._over: set[int] = set()  # jobs of which the last was committed
        self.acknowledged: dict[str, int] = {}  # job UUID: number that a client was told

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        if self.core is not None:
            return
        self._dark = False
        self.process = Stalling(self.world)
        self.store = self._open_store()
        loaded = self.store.load()
        known = {record.id: record.number for record, _ in loaded.jobs}
        for job_id, number in self.acknowledged.items():
            assert known.get(job_id) == number, f"job {number} was acknowledged, and is not in the store"
        self.core = SchedulerCore(loaded.epoch, self.lease)
        self.core.restore(loaded, self._now())
        invariants.check(self.core)
        self.world.tell("scheduler", f"starts, epoch {loaded.epoch}")
        self._soon()

    def crash(self, *, power: bool = False) -> None:
        """`power`: not even its kernel lives to say that connections are gone."""
        if self.core is None:
            return
        self.world.tell("scheduler", "dies")
        self.core = None
        self._dark = power
        self._life += 1
        self._inbox, self._asks, self._reports, self._waiting = Batch(), {}, {}, {}
        self._turn_is_set = self._busy = False
        self._wake_at = None
        if self._ahead and self.world.chance(0.2):
            self._commit(self._trying.saves)  # it had failed, and is found on disk all the same
        self._trying, self._held, self._ahead = Waiting(), Waiting(), False
        self.store.close()
        connections, self._connections, self._agents = self._connections, {}, {}
        for connection in connections.values():
            if power:
                connection.scheduler_open = False
                connection.up.cut = connection.down.cut = True
            else:
                connection.close_by_scheduler()

    def _now(self) -> Now:
        return Now(1000.0 * self._life + self.world.now, self.world.wall)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        life, process = self._life, self.process

        def act() -> None:
            if life == self._life:
                action()

        self.world.at(delay, lambda: process.on_time(act))

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, event: Event) -> None:
        if self.core is not None:
            life = self._life
            self.process.hear(lambda: self._put(event) if life == self._life else None)

    def _put(self, event: Event) -> None:
        self._inbox.add(Put((event,)))
        self._soon()

    def _soon(self) -> None:
        if not self._turn_is_set and (self._ahead or not self._busy or self._has_another_turn()):
            self._turn_is_set = True
            self._later(self.world.between(0.0, 0.002), self._turn)

    def _has_another_turn(self) -> bool:
        """Beside a commit: it may be too short for that."""
        return self._inbox.fills_turn(self.most) and self.world.chance(ANOTHER_TURN)

    def _turn(self) -> None:
        assert self.core is not None
        self._turn_is_set = False
        events = [event for put in self._inbox.cut(self.most).puts for event in put.events]
        for event in events:
            self._note(event)
        decided = self.core.turn(events, self._now())
        for event in events:
            if isinstance(event, SessionOpened) and event.session in self.core.sessions:
                self.truth.heard[event.worker_id] = self.world.now
                self.truth.greeted[event.worker_id] = self._hello_sent[event.session]
        self._turns += 1
        changed = {save.number for save in decided.saves if isinstance(save, JobProgress)}
        invariants.check(self.core, changed if self._turns % LOOK_AT_ALL else None)
        self.truth.note_lost(decided.saves, self.world.now)
        self._held.add(decided)
        if self._ahead:
            self._perform(self._held.go_ahead(self._trying))
            self._set_timer()
        elif not self._busy:
            self._busy = True
            self._write_held()
        if self._inbox:
            self._soon()

    def _write_held(self) -> None:
        self._trying, self._held = self._held, Waiting()
        wait, self.hangs = self.world.between(*self.slow) + self.hangs, 0.0
        if self.commits_first:
            self._later(wait, self._write)
        else:
            self._later(wait, lambda: self._perform(self._trying.acts))
            self._later(wait + self.world.between(0.0, 0.001), self._write)

    def _write(self) -> None:
        """Commits what waits. When that fails: goes ahead, and tries again with what has been decided meanwhile."""
        if self.store_fails and self._trying.saves:
            self._ahead = True
            self._perform(self._trying.go_ahead())
            self._perform(self._held.go_ahead(self._trying))
            self._trying.absorb(self._held)
            self._held = Waiting()
            self._later(self.world.between(0.05, 2.0), self._write)
            if self._inbox:
                self._soon()
            self._set_timer()
            return
        self._commit(self._trying.saves)
        self._ahead = False
        self._later(self.world.between(0.0, 0.001), self._finish)

    def _finish(self) -> None:
        if self.commits_first:
            self._perform(self._trying.acts)
        self._trying = Waiting()
        if self._held:
            self._write_held()
            return
        self._busy = False
        if self._inbox:
            self._soon()
        self._set_timer()

    def _set_timer(self) -> None:
        assert self.core is not None
        due = self.core.next_deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self._later(max(0.0, due - self._now().mono), lambda: self._wake(due))

    def _wake(self, due: float) -> None:
        if self._wake_at == due:
            self._wake_at = None
            self._soon()

    def _note(self, event: Event) -> None:
        match event:
            case HeartbeatReceived(session=number) | ReportReceived(session=number):
                assert self.core is not None
                if (connection := self._connections.get(number)) and number in self.core.sessions:
                    self.truth.heard[connection.machine_id] = self.world.now

    # ── acts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, saves: Sequence[Saved]) -> None:
        for save in saves:
            if isinstance(save, JobProgress):
                assert save.number not in self._over, f"job {save.number} has ended, and is saved again"
                if save.ended_at:
                    self._over.add(save.number)
        outputs = [save for save in saves if isinstance(save, SmallOutput)]
        for save in saves:
            match save:
                case JobRecord():
                    self.truth.specs[save.number] = save.spec
                case OkEnds() | TaskEnd():
                    self._check_end(save, outputs)
        if saves:
            self.store.commit(saves)

    def _check_end(self, end: OkEnds | TaskEnd, outputs: Collection[SmallOutput]) -> None:
        if isinstance(end, OkEnds):
            self.truth.check_success(end)
            keys = [AttemptKey(end.job, index, end.attempt) for index in range(end.first, end.stop)]
        else:
            self.world.tell("scheduler", f"{end.job}.{end.index}#{end.attempt} {end.reason} {end.detail}")
            self.truth.check_end(end)
            keys = [AttemptKey(end.job, end.index, end.attempt)]
        if not isinstance(end, TaskEnd) or end.reason != "lost":
            self.truth.check_outputs(keys, outputs)
        self._ends.update(keys)

    def _perform(self, acts: Sequence[Act]) -> None:
        for act in acts:
            match act:
                case Send(number, message):
                    if connection := self._connections.get(number):
                        self._send(connection, message)
                case CloseSession(number, why):
                    self.world.tell("scheduler", f"closes {number}: {why}")
                    if connection := self._connections.pop(number, None):
                        connection.close_by_scheduler()
                case Reply(ask, value):
                    if answer := self._asks.pop(ask, None):
                        answer(value)
                case _:
                    pass

    def _send(self, connection: Connection, message: Downward) -> None:
        waiting = self._waiting.setdefault(connection.number, [])
        if not waiting:
            ready = self.world.between(0.0, 0.05) if self.world.chance(SLOW_READER) else 0.0
            self._later(ready, lambda: self._send_joined(connection))
        waiting.append(message)
        match message:
            case Assign():
                self.world.tell("scheduler", f"assigns {_short(message)} to {connection.machine_id}")
                since = self.truth.greeted[connection.machine_id]
                for key in _keys(message):
                    self.truth.assigned[key] = (connection.machine_name, since)
            case ReportAcknowledged(sequence):
                self._check_acknowledged(connection.number, sequence)

    def _send_joined(self, connection: Connection) -> None:
        """The worker is ready for all that waits."""
        waiting = self._waiting.pop(connection.number)
        if connection.number not in self._connections:
            return
        agent = self._agents[connection.number]
        while waiting:
            count = self.joinable(waiting)
            if self.world.chance(CUT):
                count = 1
            commands = messages_from_response(response_to_proto(waiting[:count]))
            connection.send_down(partial(agent.commands, connection.session, commands))
            waiting = waiting[count:]

    def _check_acknowledged(self, number: int, sequence: int) -> None:
        """Whatever an acknowledged report says about an end is in the store: as it says, or as lost long before."""
        reports = self._reports.get(number, [])
        while reports and reports[0].sequence <= sequence:
            report = reports.pop(0)
            keys = [AttemptKey(e.job, e.index, e.attempt) for e in report.ended]
            keys += [AttemptKey(o.job, i, o.attempt) for o in report.ok for i in range(o.first, o.stop)]
            for key in keys:
                assert key in self._ends, f"the report of the end of {key} was acknowledged, and is not in the store"

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, make: Callable[[int], Event], answer: Answer) -> None:
        """A unary call; never answered when the scheduler dies before."""
        if self.core is None:
            return
        self._last_ask += 1
        self._asks[self._last_ask] = answer
        self.feed(make(self._last_ask))

    def dialled(self, machine: "Machine", agent: "Agent", session: int, since: float | None = None) -> None:
        """A connection is asked for; first of all the worker registers. Where nobody answers and nobody refuses, the
        worker dials beside what hangs (`cluster.worker.session`)."""
        if not agent.alive:
            return
        since = self.world.now if since is None else since
        if machine.link.blocked or self._dark or self.process.stopped:
            if self.world.now - since > DIAL_WITHIN:
                agent.session_closed(session)
            else:
                wait = self.world.between(0.2, DIAL_AGAIN)
                self.world.at(wait, lambda: self.dialled(machine, agent, session, since))
            return
        if self.core is None:
            self.world.at(0.001, lambda: agent.session_closed(session))
            return
        self._last_connection += 1
        connection = Connection(
            self._last_connection,
            machine.id,
            machine.name,
            session,
            self.world,
            machine.link,
            on_worker_closed=lambda: agent.session_closed(session),
            on_scheduler_closed=lambda: self._learns(connection),
        )
        agent.connection = connection
        machine.dialled.append(connection)
        self._connections[connection.number] = connection
        self._agents[connection.number] = agent
        self.ask(
            lambda ask: WorkerRegistered(
                ask, machine.id, machine.id, machine.millicpus, home=machine.home, uptime=machine.box.clock
            ),
            lambda value: self._registered(connection, agent, value),
        )
        self.world.at(DIAL_WITHIN, connection.give_up)

    def _registered(self, connection: Connection, agent: "Agent", value: int | str | ClusterError) -> None:
        def arrives() -> None:
            connection.ready = True
            if isinstance(value, ClusterError):
                connection.worker_open = False
                agent.refused(connection.session, value)
            else:
                agent.feed(SessionReady(connection.session))

        connection.send_down(arrives)
        if isinstance(value, ClusterError):
            self._connections.pop(connection.number, None)

    def deregister(self, machine: "Machine") -> None:
        if not machine.link.blocked:
            self.ask(lambda ask: WorkerDeregistered(ask, machine.id), lambda _: None)

    def hello(self, connection: Connection, hello: Hello) -> None:
        sent = self.world.now

        def arrives() -> None:
            self._hello_sent[connection.number] = sent
            self.world.tell("scheduler", f"{connection.machine_id} opens {connection.number}: {_short_hello(hello)}")
            self.feed(SessionOpened(connection.number, connection.machine_id, hello))

        connection.send_up(arrives)

    def heartbeat(self, connection: Connection, sequence: int, no_room: str) -> None:
        connection.send_up(lambda: self.feed(HeartbeatReceived(connection.number, sequence, no_room)))

    def report(self, connection: Connection, report: Report) -> None:
        def arrives() -> None:
            if report.sequence:
                self._reports.setdefault(connection.number, []).append(report)
            for part in parts(report, self.most):
                self.feed(ReportReceived(connection.number, part))

        connection.send_up(arrives)

    @property
    def epoch(self) -> int:
        assert self.core is not None
        return self.core.epoch

    def has_end_of(self, key: AttemptKey) -> bool:
        return key in self._ends

    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    def _learns(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is not None:
            self.feed(SessionClosed(connection.number, "the connection broke"))


def _keys(assign: Assign) -> list[AttemptKey]:
    attempts = assign.attempts
    return [AttemptKey(attempts.job, i, attempts.attempt) for r in attempts.ranges for i in range(*r)]


def _short(assign: Assign) -> str:
    a = assign.attempts
    return f"{a.job}.{','.join(f'{r.start}-{r.stop - 1}' for r in a.ranges)}#{a.attempt}"


def _short_hello(hello: Hello) -> str:
    parts = []
    for word, held in (("backlog", hello.backlog), ("running", hello.running), ("ended", hello.ended)):
        parts += [f"{word} {a.job}.{list(map(tuple, a.ranges))}#{a.attempt}" for a in held]
    return f"epoch {hello.epoch}, launcher {hello.incarnation[:4]}, {'; '.join(parts) or 'empty'}"
