"""The agent of a simulated machine: the real worker's core and the real order of steps
(`cluster.worker.agent_pipeline`) between a simulated launcher and a simulated network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.domain.base.errors import ClusterError, IdentityInUse
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job import endings
from cluster.domain.launcher import messages as lev
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.messages import Downward, HeartbeatAnswered, Welcome
from cluster.domain.worker import messages as wm
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.journal import entries_of, keys_of
from cluster.worker.agent_pipeline import DISK_PATIENCE, AgentPipeline, ReportQueue
from cluster.worker.launcher_link import LauncherLink
from cluster.worker.launcher_reports import is_unsized
from cluster.worker.templates import RunAs, Templates
from tests.sim.launcher import PASSING, Launcher, Message
from tests.sim.network import Connection
from tests.sim.stalling import Stalling
from tests.sim.uploads import Fetching

if TYPE_CHECKING:
    from tests.sim.machine import Machine

READING = (0.0, 0.01)  # seconds that the outputs of a report take, or an epoch that is saved
TEMPLATES = Templates(Path("/outputs"), Path("/work"), None, {}, RunAs())


class Agent:
    """Also the host of its steps."""

    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.core = WorkerCore(machine.millicpus, epoch=machine.epoch, home=machine.home, offer=machine.offer)
        self.link = LauncherLink(_unused, TEMPLATES, self)  # type: ignore[arg-type]
        self.pipeline = AgentPipeline(self.core, self.link, self)
        self.alive = True
        self.process = Stalling(self.world)
        self.usable = False  # a scheduler has welcomed it
        self.connection: Connection | None = None
        self._reports = ReportQueue(self._send)
        self.fetching = Fetching(self, machine)
        self._sending: Any = None  # the way through `_reports` that is under way
        self._heard: deque[Iterator[Downward]] = deque()  # what was said in the session, and the core has not heard
        self._saving: Any = None  # what is saved before it does
        self._turn_is_set = False
        self._wake_at: float | None = None
        self._line: _Line | None = None  # to the launcher
        self._unread_answers = 0  # of the scheduler, that wait in a socket
        self.world.at(self.world.between(0.01, 0.3), self.connect_launcher)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, event: wm.WorkerEvent) -> None:
        if self.alive:
            self.process.hear(lambda: self.pipeline.put(event))

    def woken(self) -> None:
        if not self._turn_is_set:
            self._turn_is_set = True
            self.world.at(self.world.between(0.0, 0.002), lambda: self.process.on_time(self._turn))

    def _turn(self) -> None:
        self._turn_is_set = False
        if not self.alive:
            return
        for effect in self.pipeline.turn(Now(self.machine.box.clock, self.world.wall)):
            if not self.alive:
                return
            if isinstance(effect, wm.SaveEpoch):
                assert self.machine.epoch >= effect.epoch, f"epoch {effect.epoch} is obeyed, and not on disk"
        self.usable = self.usable or self.core.connected
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self.world.at(max(0.0, self.machine.box.until(due)), lambda: self.process.on_time(lambda: self._wake(due)))

    def _wake(self, due: float) -> None:
        if self._wake_at == due:
            self._wake_at = None
            self.woken()

    def crash(self) -> None:
        """The kernel closes what it had open."""
        self.alive = False
        self.machine.cache.forgot_uses = True
        if self._line:
            self._line.close()
        if self.connection:
            self.connection.close_by_worker()

    def _on_disk(self, then: Callable[[], None], timed_out: Callable[[], None], patience: float) -> None:
        """In a lane: `then` when the machine's disk has answered, or `timed_out`, unless it has within so many
        seconds."""
        over = False

        def once(action: Callable[[], None]) -> None:
            nonlocal over
            if not over and self.alive:
                over = True
                action()

        def answers() -> None:
            self.world.at(self.world.between(*READING), lambda: self.process.hear(partial(once, then)))

        if self.machine.disk.hangs:
            self.machine.disk.when_it_goes_on(answers)
            self.world.at(patience, lambda: self.process.on_time(partial(once, timed_out)))
        else:
            answers()

    # ── launcher ────────────────────────────────────────────────────────────────────────────────────────────────

    def connect_launcher(self) -> None:
        """Connects to the living launcher, or starts one."""
        if self.alive:
            self._line = _Line(self, self.machine.living_launcher())
            self.link.adopt(self._line)  # type: ignore[arg-type]
            self.pipeline.launcher_changed()

    def launcher_died(self) -> None:
        self._line = None
        self.link.adopt(None)
        self.world.at(self.world.between(0.0, 0.01), lambda: self.feed(wm.LauncherLost()))
        self.world.at(self.world.between(0.02, 1.0), self.connect_launcher)

    def from_launcher(self, line: "_Line", message: Message) -> None:
        if self._line is not line:
            return
        if isinstance(message, lev.Greet):
            unacked = entries_of(map(self._with_sizes, message.unacked))
            running, backlog, frozen = map(keys_of, (message.running, message.backlog, message.frozen))
            self.feed(wm.LauncherConnected(self.machine.incarnation, running, backlog, unacked, frozen=frozen))
        else:
            self.feed(wm.LauncherReported(entries_of([self._with_sizes(message)])))

    def _with_sizes(self, report: lev.Started | lev.Ended) -> lev.Started | lev.Ended:
        if isinstance(report, lev.Ended) and is_unsized(report):
            out, err = self.machine.sizes(report.key)
            return report._replace(out=out, err=err)
        return report

    def remove_job(self, job: int) -> None:
        """Of a job that its launcher knows no more, the directory of its outputs."""

    # ── what comes of the steps (`cluster.worker.agent_pipeline.AgentHost`) ──────────────────────────────────────────

    def open_session(self, session: int) -> None:
        self.machine.dial(self, session)

    def hang_up(self, session: int, why: str) -> None:
        assert "without its spec" not in why, why
        assert "has not answered" not in why or not self._unread_answers, f"{why}; what it said was not read yet"
        self.world.tell(self.machine.name, f"closes session {session}: {why}")
        if self.connection and self.connection.session == session:
            self.connection.close_by_worker()
            self.connection = None
        self.session_closed(session)

    def session_closed(self, session: int) -> None:
        """What belongs to it ends with it."""
        self._reports.clear()
        self._heard.clear()
        self._sending = self._saving = None
        self.feed(wm.SessionEnded(session, self.world.random.random()))

    def send_hello(self, effect: wm.SendHello) -> None:
        if (connection := self._connection_of(effect.session)) is None:
            return
        if self.machine.dies_at_hello:
            self.machine.dies_at_hello = False
            connection.up.delay(self.world.between(0.0, 20.0))
            self.world.at(0.0, lambda: self.machine.crash_agent(self.world.between(0.0, 0.2)))
        self.machine.scheduler.hello(connection, effect.hello)

    def heartbeat(self, effect: wm.SendHeartbeat) -> None:
        self._reports.heartbeat(effect)

    def report(self, effect: wm.SendReport) -> None:
        self._reports.report(effect)
        if self._sending is None:
            self._sending = steps = self._reports.steps()
            self._make_ready(steps, next(steps))

    def _make_ready(self, steps: Any, report: wm.SendReport) -> None:
        """Its outputs are read, and the way through the queue goes on."""

        def goes_on(found: Callable[[AttemptKey], Any]) -> None:
            if self._sending is not steps:
                return
            try:
                following = steps.send(tuple(output for output in map(found, report.small) if output))
            except StopIteration:
                self._sending = None
            else:
                self._make_ready(steps, following)

        self._on_disk(
            lambda: goes_on(self.machine.small_output),
            lambda: goes_on(self.machine.output_is_left_out),
            self.world.between(8.0, 10.0),
        )

    def _send(self, item: wm.SendReport | wm.SendHeartbeat) -> None:
        if (connection := self._connection_of(item.session)) is None:
            return
        if isinstance(item, wm.SendReport):
            self.machine.scheduler.report(connection, item.report)
        else:
            self.machine.scheduler.heartbeat(connection, item.sequence, item.no_room)

    def _connection_of(self, session: int) -> Connection | None:
        """None: it is broken, and the core will hear of it."""
        connection = self.connection
        if connection is None or connection.session != session or not connection.worker_open:
            return None
        return connection

    def push_output(self, keys: Iterable[AttemptKey]) -> None:
        for key in keys:
            self.machine.outputs.pop(key, None)

    remove_output = push_output

    def fetch_contents(self, effect: wm.FetchContents) -> None:
        self.fetching.fetch(effect)

    def release_contents(self, number: int) -> None:
        self.fetching.release(number)

    def hand_over(self, reports: object) -> None:
        raise AssertionError("there are no jobs of the worker's own API here")

    def own_saved(self) -> bool:
        return True

    def finish(self) -> None:
        self.machine.agent_finished(self)

    # ── the scheduler ───────────────────────────────────────────────────────────────────────────────────────────

    def commands(self, session: int, messages: Sequence[Downward]) -> None:
        answers = sum(isinstance(message, HeartbeatAnswered | Welcome) for message in messages)
        self._unread_answers += answers

        def reads() -> None:
            self._unread_answers -= answers
            if self.connection is not None and self.connection.session == session:
                self._heard.append(self.pipeline.heard(session, messages))
                self._hear_on(session)

        if self.alive:
            self.process.hear(reads)

    def _hear_on(self, session: int) -> None:
        """As `cluster.worker.session`: nothing is read before what came earlier was heard."""
        while self._heard and self._saving is None:
            command = next(self._heard[0], None)
            if command is None:
                self._heard.popleft()
            else:
                assert isinstance(command, Welcome), "there are no scripts here"
                self._save_epoch(session, command.epoch)

    def _save_epoch(self, session: int, epoch: int) -> None:
        self._saving = me = object()

        def saves() -> None:
            if self.machine.disk.full:
                fails()
                return
            self.machine.epoch = max(self.machine.epoch, epoch)
            if self._saving is me:
                self._saving = None
                self._hear_on(session)

        def fails() -> None:
            if self._saving is me:
                self.hang_up(session, "its directory does not answer")

        self._on_disk(saves, fails, DISK_PATIENCE)

    def refused(self, session: int, error: ClusterError) -> None:
        """By the scheduler, when it registered."""
        self.world.tell(self.machine.name, f"is refused: {error}")
        if isinstance(error, IdentityInUse) and not self.usable:
            self.machine.agent_gives_up(self)
        else:
            self.session_closed(session)


class _Line:
    """A connection to the launcher, which takes a while in both directions: what `cluster.worker.runners.interface` is
    of a real one."""

    def __init__(self, agent: Agent, launcher: Launcher) -> None:
        self._agent, self._launcher, self._world = agent, launcher, agent.world
        self._templates: list[Template] = []
        self._arrivals = [0.0, 0.0]  # of the last message to the launcher, and of the last from it
        self._number = launcher.connect(self._pass_up)

    def _pass_up(self, message: Message) -> None:
        self._pass(1, lambda: self._agent.from_launcher(self, message))

    def _tell(self, event: lev.Event) -> None:
        self._pass(0, lambda: self._launcher.receive(self._number, event))

    def _pass(self, way: int, deliver: Callable[[], None]) -> None:
        arrival = max(self._arrivals[way], self._world.now + self._world.between(*PASSING))
        self._arrivals[way] = arrival
        self._world.at(arrival - self._world.now, deliver)

    def define(self, template: Template) -> int:
        self._templates.append(template)
        return len(self._templates) - 1

    def redefine(self, template_id: int, template: Template) -> None:
        self._templates[template_id] = template

    def start(self, template: int, items: Iterable[Item]) -> None:
        confirmed_at = self._launcher.table.confirmed_at
        self._tell(lev.StartRequested(self._templates[template], list(items), confirmed_at))

    def recall(self, keys: Iterable[str]) -> None:
        self._tell(lev.RecallRequested(list(keys)))

    def stop(self, keys: Iterable[str], reason: str = endings.CANCELLED, grace: float | None = None) -> None:
        self._tell(lev.StopRequested(list(keys), reason, grace))

    def freeze(self, keys: Iterable[str], thaw: bool = False) -> None:
        self._tell(lev.FreezeRequested(list(keys), thaw))

    def confirm_lease(self, at: float) -> None:
        self._launcher.table.confirm(at)

    def ack(self, seq: int) -> None:
        self._tell(lev.AgentAcked(seq))

    def close(self) -> None:
        self._launcher.disconnect(self._number)


async def _unused() -> Any:
    raise AssertionError("the simulation connects by itself")
