"""The agent of a simulated machine: the real worker's core between a simulated launcher and a simulated network."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.domain.base.errors import ClusterError, IdentityInUse
from cluster.domain.base.now import Now
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher import messages as lev
from cluster.domain.launcher.core import SLOT_LOST_TEXT
from cluster.domain.session.messages import Downward, HeartbeatAnswered, Welcome
from cluster.domain.worker import messages as wm
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.journal import entries_of, keys_of
from tests.sim.launcher import PASSING, Launcher
from tests.sim.network import Connection
from tests.sim.stalling import Stalling

if TYPE_CHECKING:
    from tests.sim.machine import Machine

# Effects for which the agent touches a file in its loop: outputs are read and removed, directories are made.
TOUCH_FILES = (wm.SendReport, wm.SaveEpoch, wm.RemoveOutput, wm.PushOutput, wm.Define)


class Agent:
    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.core = WorkerCore(machine.millicpus, epoch=machine.epoch, home=machine.home)
        self.alive = True
        self.process = Stalling(self.world)
        self.usable = False  # a scheduler has welcomed it
        self.connection: Connection | None = None
        self._effects: deque[wm.WorkerEffect] = deque()  # of this turn, still to be performed
        self._inbox: list[wm.WorkerEvent] = []
        self._turn_is_set = False
        self._wake_at: float | None = None
        self._templates: dict[int, lev.Template] = {}
        self._line = 0  # of the connection to the launcher; another number is of an older one
        self._launcher: Launcher | None = None
        self._arrival = [0.0, 0.0]  # of the last line to the launcher, and of the last from it
        self._unread_answers = 0  # of the scheduler, that wait in a socket
        self.world.at(self.world.between(0.01, 0.3), self.connect_launcher)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, event: wm.WorkerEvent) -> None:
        if self.alive:
            self.process.hear(lambda: self._put(event))

    def _put(self, event: wm.WorkerEvent) -> None:
        self._inbox.append(event)
        self._soon()

    def _soon(self) -> None:
        if not self._turn_is_set:
            self._turn_is_set = True
            self.world.at(self.world.between(0.0, 0.002), lambda: self.process.on_time(self._turn))

    def _turn(self) -> None:
        self._turn_is_set = False
        if not self.alive:
            return
        events, self._inbox = self._inbox, []
        self._effects += self.core.turn(events, Now(self.machine.box.clock, self.world.wall))
        self.usable = self.usable or self.core.connected
        self._go_through()

    def _go_through(self) -> None:
        """Performs what the turn asks for. It hangs, in the middle, where a file is touched and the disk is frozen."""
        while self._effects and self.alive:
            if self.machine.disk.hangs and isinstance(self._effects[0], TOUCH_FILES):
                self.process.stop()
                self.machine.disk.when_it_goes_on(self._goes_on)
                return
            self._perform(self._effects.popleft())
        self._set_timer()

    def _goes_on(self) -> None:
        self._go_through()
        self.process.go_on()

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self.world.at(max(0.0, self.machine.box.until(due)), lambda: self.process.on_time(lambda: self._wake(due)))

    def _wake(self, due: float) -> None:
        if self._wake_at == due:
            self._wake_at = None
            self._soon()

    def crash(self) -> None:
        """The kernel closes what it had open."""
        self.alive = False
        if self._launcher:
            self._launcher.disconnect(self._line)
        if self.connection:
            self.connection.close_by_worker()

    # ── launcher ────────────────────────────────────────────────────────────────────────────────────────────────

    def connect_launcher(self) -> None:
        """Connects to the living launcher, or starts one."""
        if not self.alive:
            return
        launcher = self._launcher = self.machine.living_launcher()
        self._line = 0
        self._line = launcher.connect(lambda message: self._pass_up(launcher, message))

    def launcher_died(self) -> None:
        self._launcher = None
        self.world.at(self.world.between(0.0, 0.01), lambda: self.feed(wm.LauncherLost()))
        self.world.at(self.world.between(0.02, 1.0), self.connect_launcher)

    def _pass_up(self, launcher: Launcher, message: lev.Greet | lev.Started | lev.Ended) -> None:
        self._arrival[1] = max(self._arrival[1], self.world.now + self.world.between(*PASSING))
        self.world.at(self._arrival[1] - self.world.now, lambda: self._from_launcher(launcher, message))

    def _from_launcher(self, launcher: Launcher, message: lev.Greet | lev.Started | lev.Ended) -> None:
        if self._launcher is not launcher:
            return
        if isinstance(message, lev.Greet):
            unacked = entries_of(map(self._with_sizes, message.unacked))
            running, backlog = keys_of(message.running), keys_of(message.backlog)
            self.feed(wm.LauncherConnected(self.machine.incarnation, running, backlog, unacked))
        else:
            self.feed(wm.LauncherReported(entries_of([self._with_sizes(message)])))

    def _with_sizes(self, report: lev.Started | lev.Ended) -> lev.Started | lev.Ended:
        """As `cluster.worker.launcher_reports.LauncherReports._with_sizes`."""
        if isinstance(report, lev.Ended) and report.text == SLOT_LOST_TEXT:
            out, err = self.machine.sizes(report.key)
            return report._replace(out=out, err=err)
        return report

    def _tell_launcher(self, event: lev.Event) -> None:
        launcher, line = self._launcher, self._line
        if launcher is None:
            return
        self._arrival[0] = max(self._arrival[0], self.world.now + self.world.between(*PASSING))
        self.world.at(self._arrival[0] - self.world.now, lambda: launcher.receive(line, event))

    # ── effects ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _perform(self, effect: wm.WorkerEffect) -> None:
        match effect:
            case wm.OpenSession(session):
                self.machine.dial(self, session)
            case wm.HangUp(session, why):
                self._hang_up(session, why)
            case wm.SendHello() | wm.SendHeartbeat() | wm.SendReport():
                self._send(effect)
            case wm.SaveEpoch(epoch):
                assert self.machine.epoch == epoch, "it is saved before the core hears of it"
            case wm.PushOutput(keys) | wm.RemoveOutput(keys):
                for key in keys:
                    self.machine.outputs.pop(key, None)
            case wm.HandOver():
                raise AssertionError("there are no jobs of the worker's own API here")
            case wm.Finished():
                self.machine.agent_finished(self)
            case _:
                self._perform_below(effect)

    def _perform_below(self, effect: wm.WorkerEffect) -> None:
        match effect:
            case wm.Define(template=number, spec=spec, leash=leash):
                self._templates[number] = _template(spec, leash)
            case wm.Start(number, items):
                wanted = [
                    lev.Item(str(i.key), i.number, i.line.decode() if i.line is not None else None) for i in items
                ]
                confirmed_at = self._launcher.table.confirmed_at if self._launcher is not None else None
                self._tell_launcher(lev.StartRequested(self._templates[number], wanted, confirmed_at))
            case wm.RecallAttempts(keys):
                self._tell_launcher(lev.RecallRequested([str(k) for k in keys]))
            case wm.StopAttempts(keys, grace):
                self._tell_launcher(lev.StopRequested([str(k) for k in keys], grace=grace))
            case wm.ConfirmLease(at):
                if self._launcher is not None:
                    self._launcher.table.confirm(at)
            case wm.AckJournal(sequence):
                self._tell_launcher(lev.AgentAcked(sequence))
            case _:
                raise AssertionError(f"an effect that nobody performs: {effect}")

    def _hang_up(self, session: int, why: str) -> None:
        assert "without its spec" not in why, why
        assert "has not answered" not in why or not self._unread_answers, f"{why}; what it said was not read yet"
        self.world.tell(self.machine.name, f"closes session {session}: {why}")
        if self.connection and self.connection.session == session:
            self.connection.close_by_worker()
            self.connection = None
        self.session_closed(session)

    def session_closed(self, session: int) -> None:
        self.feed(wm.SessionEnded(session, self.world.random.random()))

    def _send(self, effect: wm.SendHello | wm.SendHeartbeat | wm.SendReport) -> None:
        connection = self.connection
        if connection is None or connection.session != effect.session or not connection.worker_open:
            return  # broken, and the core will hear of it
        match effect:
            case wm.SendHello(_, hello):
                if self.machine.dies_at_hello:
                    self.machine.dies_at_hello = False
                    connection.up.delay(self.world.between(0.0, 20.0))
                    self.world.at(0.0, lambda: self.machine.crash_agent(self.world.between(0.0, 0.2)))
                self.machine.scheduler.hello(connection, hello)
            case wm.SendHeartbeat(_, sequence, no_room):
                self.machine.scheduler.heartbeat(connection, sequence, no_room)
            case wm.SendReport(_, report, small):
                outputs = tuple(o for o in map(self.machine.small_output, small) if o)
                self.machine.scheduler.report(connection, replace(report, outputs=outputs))

    def commands(self, session: int, messages: Sequence[Downward]) -> None:
        answers = sum(isinstance(message, HeartbeatAnswered | Welcome) for message in messages)
        self._unread_answers += answers

        def reads() -> None:
            self._unread_answers -= answers
            self._read(session, messages)

        if self.alive:
            self.process.hear(reads)

    def _read(self, session: int, messages: Sequence[Downward]) -> None:
        """As `cluster.worker.scheduler_link`: an epoch that cannot be saved is not obeyed."""
        for message in messages:
            if isinstance(message, Welcome) and message.epoch > self.core.epoch:
                if self.machine.disk.full:
                    self._hang_up(session, "the disk is full")
                    return
                self.machine.epoch = max(self.machine.epoch, message.epoch)
        self._put(wm.CommandsReceived(session, tuple(messages)))

    def refused(self, session: int, error: ClusterError) -> None:
        """By the scheduler, when it registered."""
        self.world.tell(self.machine.name, f"is refused: {error}")
        if isinstance(error, IdentityInUse) and not self.usable:
            self.machine.agent_gives_up(self)
        else:
            self.session_closed(session)


def _template(spec: JobSpec, leash: float) -> lev.Template:
    return lev.Template(
        spec.argv, spec.env, "/", cpus=spec.millicpus, timeout=spec.timeout or None, grace=spec.grace, leash=leash
    )
