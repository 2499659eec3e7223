"""The agent of a simulated machine: the real worker's core between a simulated launcher and a simulated network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.domain import launcher_events as lev
from cluster.domain import worker_messages as wm
from cluster.domain.events import Now
from cluster.domain.job import JobSpec
from cluster.domain.session import Downward
from cluster.domain.worker_core import WorkerCore
from tests.sim.launcher import PASSING, Launcher
from tests.sim.network import Connection

if TYPE_CHECKING:
    from tests.sim.machine import Machine


class Agent:
    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.core = WorkerCore(machine.millicpus, epoch=machine.epoch)
        self.alive, self.frozen = True, False
        self.connection: Connection | None = None
        self._inbox: list[wm.WorkerEvent] = []
        self._turn_is_set = False
        self._wake_at: float | None = None
        self._templates: dict[int, lev.Template] = {}
        self._line = 0  # of the connection to the launcher; another number is of an older one
        self._launcher: Launcher | None = None
        self._arrival = [0.0, 0.0]  # of the last line to the launcher, and of the last from it
        self._welcome: lev.Welcome | None = None
        self._acked, self._incarnation = 0, ""
        self.world.at(self.world.between(0.01, 0.3), self.connect_launcher)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, event: wm.WorkerEvent) -> None:
        if self.alive:
            self._inbox.append(event)
            self._soon()

    def _soon(self) -> None:
        if not self._turn_is_set:
            self._turn_is_set = True
            self.world.at(self.world.between(0.0, 0.002), self._turn)

    def _turn(self) -> None:
        self._turn_is_set = False
        if not self.alive or self.frozen:
            return
        events, self._inbox = self._inbox, []
        for effect in self.core.turn(events, Now(self.machine.boot_clock, self.world.wall)):
            if self.alive:
                self._perform(effect)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self.world.at(max(0.0, self.machine.until_boot_clock(due)), lambda: self._wake(due))

    def _wake(self, due: float) -> None:
        if self._wake_at == due:
            self._wake_at = None
            self._soon()

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
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
        self._line = launcher.connect(lambda message: self._pass_up(launcher, message), self._incarnation, self._acked)

    def launcher_died(self) -> None:
        self._launcher = None
        self.world.at(self.world.between(0.0, 0.01), lambda: self.feed(wm.LauncherLost()))
        self.world.at(self.world.between(0.02, 1.0), self.connect_launcher)

    def _pass_up(self, launcher: Launcher, message: lev.Welcome | lev.Started | lev.Ended) -> None:
        self._arrival[1] = max(self._arrival[1], self.world.now + self.world.between(*PASSING))
        self.world.at(self._arrival[1] - self.world.now, lambda: self._from_launcher(launcher, message))

    def _from_launcher(self, launcher: Launcher, message: lev.Welcome | lev.Started | lev.Ended) -> None:
        if self._launcher is not launcher:
            return
        if isinstance(message, lev.Welcome):
            if self._incarnation != self.machine.incarnation:
                self._incarnation, self._acked = self.machine.incarnation, 0
            self.feed(wm.LauncherConnected(self._incarnation, message.running, message.backlog, list(message.unacked)))
        else:
            self.feed(wm.LauncherReported([message]))

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
            case wm.CloseSession(session, why):
                self._hang_up(session, why)
            case wm.SendHello() | wm.SendHeartbeat() | wm.SendReport():
                self._send(effect)
            case wm.SaveEpoch(epoch):
                self.machine.epoch = epoch
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
                self._tell_launcher(lev.StartRequested(self._templates[number], wanted))
            case wm.Withdraw(keys):
                self._tell_launcher(lev.WithdrawRequested([str(k) for k in keys]))
            case wm.StopAttempts(keys, grace):
                self._tell_launcher(lev.StopRequested([str(k) for k in keys], grace=grace))
            case wm.Renew(at):
                self._tell_launcher(lev.RenewReceived(at))
            case wm.AckJournal(sequence):
                self._acked = sequence
                self._tell_launcher(lev.AgentAcked(sequence))
            case _:
                raise AssertionError(f"an effect that nobody performs: {effect}")

    def _hang_up(self, session: int, why: str) -> None:
        self.world.tell(self.machine.name, f"closes session {session}: {why}")
        if self.connection and self.connection.session == session:
            self.connection.close_by_worker()
            self.connection = None
        self.session_closed(session)

    def session_closed(self, session: int) -> None:
        self.feed(wm.SessionClosed(session, self.world.random.random()))

    def _send(self, effect: wm.SendHello | wm.SendHeartbeat | wm.SendReport) -> None:
        connection = self.connection
        if connection is None or connection.session != effect.session or not connection.worker_open:
            return  # broken, and the core will hear of it
        match effect:
            case wm.SendHello(_, hello):
                self.machine.scheduler.hello(connection, hello)
            case wm.SendHeartbeat(_, sequence):
                self.machine.scheduler.heartbeat(connection, sequence)
            case wm.SendReport(_, report, small):
                outputs = tuple(o for o in map(self.machine.small_output, small) if o)
                self.machine.scheduler.report(connection, replace(report, outputs=outputs))

    def commands(self, session: int, messages: Sequence[Downward]) -> None:
        self.feed(wm.CommandsReceived(session, tuple(messages)))


def _template(spec: JobSpec, leash: float) -> lev.Template:
    return lev.Template(
        spec.argv, spec.env, "/", cpus=spec.millicpus, timeout=spec.timeout or None, grace=spec.grace, leash=leash
    )
