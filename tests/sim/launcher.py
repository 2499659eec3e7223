"""A launcher of the simulated machine: the real core over a simulated journal, processes and socket.

It does what `cluster.launcher.driver` does in the same order: a `begin` is in the journal before its process starts,
a report is there before it is sent.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.domain import launcher_events as ev
from cluster.domain.ids import AttemptKey
from cluster.domain.launcher_core import LauncherCore
from cluster.launcher.journal import Begun, Recollection
from tests.sim.truth import Run

if TYPE_CHECKING:
    from tests.sim.machine import Machine

PASSING = (0.0, 0.002)  # seconds that a line between agent and launcher takes
ToAgent = Callable[[ev.Welcome | ev.Started | ev.Ended], None]


JournalLine = Begun | ev.Started | ev.Ended


@dataclass(slots=True)
class Process:
    """A process tree that runs. `strays` outlive its leader for so many seconds, unless they are killed."""

    key: str
    run: Run
    obeys: bool  # ends when it is told SIGTERM
    strays: float
    leader: bool = True
    alive: bool = True


class LauncherCrash(Exception):
    """The launcher dies here and now, in the middle of what it does."""


class Launcher:
    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.alive = True
        self.dies_at_spawn = ""  # "begun" or "spawned": dies at that point of the next spawn
        self._to_agent: ToAgent | None = None
        self._agent_line = 0  # of the connection with the present agent
        self._out: list[ev.Welcome | ev.Started | ev.Ended] = []
        self._pending: list[JournalLine] = []
        self._events: deque[ev.Event] = deque()
        self._tick_at: float | None = None
        self._take_over()

    def _recall(self) -> Recollection:
        said = Recollection(self.machine.journal_base)
        for line in self.machine.journal:
            if isinstance(line, Begun):
                said.begin(line)
            else:
                said.report(line)
        return said

    def _take_over(self) -> None:
        """As `cluster.launcher.driver.Launcher._take_over`: nothing of a predecessor's runs on."""
        said, same_boot = self._recall(), self.machine.journal_readable and not self.machine.rebooted
        if not same_boot:
            self.machine.new_incarnation()
        for process in list(self.machine.processes.values()):
            self.machine.ends(process, "signal:SIGKILL")
        self.core = LauncherCore(self.machine.millicpus, said.seq, said.unacked(whole=same_boot))
        self._journal_anew(said.begun)
        for key in said.begun:
            self.feed(ev.FoundUnfinished(key, 0, 0))

    def connect(self, to_agent: ToAgent, incarnation: str, acked: int) -> int:
        """An agent says hello. What an earlier one had sent and was not read yet is gone. Answers its line."""
        self._to_agent = to_agent
        self._agent_line += 1
        self._out.clear()
        known = acked if incarnation == self.machine.incarnation else 0
        self.feed(ev.AgentConnected(known, self.machine.millicpus))
        return self._agent_line

    def disconnect(self, line: int) -> None:
        if line == self._agent_line:
            self._to_agent = None

    def receive(self, line: int, event: ev.Event) -> None:
        """What an agent sent."""
        if self.alive and line == self._agent_line and self._to_agent is not None:
            self.feed(event)
            if isinstance(event, ev.AgentAcked) and self.world.chance(self.machine.compacts):
                self._journal_anew(self.machine.processes)

    def feed(self, event: ev.Event) -> None:
        """Tells the core, and performs all that follows from it; then the journal; then the agent."""
        if not self.alive:
            return
        self._events.append(event)
        try:
            while self._events:
                event = self._events.popleft()
                for effect in self.core.handle(event, self.machine.boot_clock):
                    self._perform(effect)
        except LauncherCrash:
            self.die()
            return
        self._flush()
        self._set_timer()

    def die(self) -> None:
        """Its processes run on, for nobody."""
        self.alive = False
        self.machine.truth.orphans.update(map(AttemptKey.parse, self._recall().begun))
        self.world.tell(self.machine.name, "the launcher dies")
        self.machine.launcher_died(self)

    def _perform(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Report(report):
                self._pending.append(report)
                self._out.append(report)
            case ev.Spawn():
                self._spawn(effect)
            case ev.Signal(key, name):
                self.machine.signal(key, name)
            case ev.Kill(key):
                self.machine.kill(key)
            case ev.Welcome():
                self._out.append(effect)
            case ev.Exit():
                raise AssertionError("nobody asked the launcher to quit")

    def _spawn(self, spawn: ev.Spawn) -> None:
        key = AttemptKey.parse(spawn.item.key)
        self._check_item(key, spawn.item)
        self._pending.append(_begun(spawn.item.key))
        self._write_journal()
        self._die_at("begun")
        if self.machine.disk.full or self.world.chance(self.machine.launch_failures):
            self.machine.truth.launch_failures.add(key)
            self._events.append(ev.StartFailed(spawn.item.key, "no such file", 127))
            return
        self.machine.starts(key)
        self._die_at("spawned")
        self._events.append(ev.ProcessStarted(spawn.item.key, 4711, round(self.world.wall * 1e6)))

    def _check_item(self, key: AttemptKey, item: ev.Item) -> None:
        spec = self.machine.truth.specs[key.job]
        wanted = spec.number_of(key.index) if spec.is_array else None
        assert item.number in (wanted, wanted or 0), f"{key} should be number {wanted}, is {item.number}"
        line = spec.lines.split(b"\n")[key.index].decode() if spec.lines else None
        assert item.line == line, f"{key} should get line {line!r}, gets {item.line!r}"

    def _die_at(self, point: str) -> None:
        if self.dies_at_spawn == point:
            raise LauncherCrash

    def _flush(self) -> None:
        self._write_journal()
        out, self._out = self._out, []
        if self._to_agent is not None:
            for message in out:
                self._to_agent(message)

    def _write_journal(self) -> None:
        """What does not fit stays in memory, and goes out all the same."""
        if not self.machine.disk.full:
            self.machine.journal += self._pending
            self._pending = []

    def _journal_anew(self, begun: Iterable[str]) -> None:
        self.machine.journal_base = self.core.seq
        self.machine.journal = [*map(_begun, begun), *self.core.unacked]
        self._pending = []

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._tick_at:
            self._tick_at = due
            self.world.at(max(0.0, self.machine.until_boot_clock(due)), lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        if self._tick_at == due:
            self._tick_at = None
            self.feed(ev.Tick())


def _begun(key: str) -> Begun:
    return Begun(key, 0.0, 0)
