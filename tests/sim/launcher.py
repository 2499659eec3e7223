"""A launcher of the simulated machine: the real core over a simulated journal, processes and socket.

It does what `cluster.launcher.driver` does in the same order: a `begin` is in the journal before its process starts,
a report is there before it is sent.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.domain import launcher_events as ev
from cluster.domain.ids import AttemptKey
from cluster.domain.launcher_core import LauncherCore
from cluster.launcher.journal import Begun, Recollection
from tests.sim.truth import Run

if TYPE_CHECKING:
    from tests.sim.machine import Machine

HANDING = (0.0, 0.002)  # seconds until a slot takes what it is handed
PASSING = (0.0, 0.002)  # seconds that a line between agent and launcher takes
ToAgent = Callable[[ev.Welcome | ev.Started | ev.Ended], None]


@dataclass(frozen=True, slots=True)
class Back:
    """A slot has given this back, which it had not begun."""

    key: str


JournalLine = Begun | Back | ev.Started | ev.Ended


@dataclass(slots=True)
class Slot:
    """A process that runs what it is handed one after another. `now`: what it has begun and not told the end of."""

    number: int
    queue: deque[tuple[int, ev.Spawn]] = field(default_factory=deque)
    now: str = ""


@dataclass(slots=True)
class Process:
    """A process tree that runs. `strays`: others of it go on when its leader ends, until their slot has killed them."""

    key: str
    run: Run
    obeys: bool  # ends when it is told SIGTERM
    strays: bool
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
        self._events: list[ev.Event] = []
        self._slots: dict[int, Slot] = {}
        self._handed = 0
        self._tick_at: float | None = None
        self._take_over()

    def _recall(self) -> Recollection:
        said = Recollection(self.machine.journal_base)
        for line in self.machine.journal:
            if isinstance(line, Begun):
                said.begin(line)
            elif isinstance(line, Back):
                said.back(line.key)
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
        unfinished = [key for key, begun in said.begun.items() if self._has_begun(begun)]
        self._journal_anew(unfinished)
        self.machine.begun = {}
        for key in unfinished:
            self.feed(ev.FoundUnfinished(key, 0, 0))

    def _has_begun(self, begun: Begun) -> bool:
        return begun.slot < 0 or begun.pid != 0 or self.machine.begun.get(begun.slot, 0) >= begun.number

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
                events, self._events = self._events, []
                for effect in self.core.turn(events, self.machine.boot_clock):
                    self._perform(effect)
        except LauncherCrash:
            self.die()
            return
        self._flush()
        self._set_timer()

    def die(self) -> None:
        """Its processes run on, for nobody."""
        self.alive = False
        begun = self._recall().begun.values()
        self.machine.truth.orphans.update(AttemptKey.parse(b.key) for b in begun if self._has_begun(b))
        self.world.tell(self.machine.name, "the launcher dies")
        self.machine.launcher_died(self)

    def _perform(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Report(report):
                self._pending.append(report)
                self._out.append(report)
            case ev.Spawn():
                self._spawn(effect)
            case ev.TakeBack(number):
                self._take_back(number)
            case ev.Signal(number, key, name):
                assert not self._slots[number].queue, f"{key} is signalled, and another may begin in its slot"
                self.machine.signal(key, name)
            case ev.Kill(number, key) | ev.KillSlot(number, key):
                assert not self._slots[number].queue, f"{key} is killed, and another may begin in its slot"
                self.machine.kill(key)
            case ev.Retire(number):
                slot = self._slots.pop(number)
                assert not slot.queue, "a slot that is to end has something to do"
                assert not slot.now, "a slot that is to end runs something"
            case ev.Welcome():
                self._out.append(effect)
            case ev.Exit():
                raise AssertionError("nobody asked the launcher to quit")

    def _spawn(self, spawn: ev.Spawn) -> None:
        self._check_item(AttemptKey.parse(spawn.item.key), spawn.item)
        self._handed += 1
        self._pending.append(Begun(spawn.item.key, 0.0, 0, 0, spawn.slot, self._handed))
        self._write_journal()
        self._die_at("begun")
        slot = self._slots.setdefault(spawn.slot, Slot(spawn.slot))
        slot.queue.append((self._handed, spawn))
        if not slot.now:
            self.world.at(self.world.between(*HANDING), lambda: self._step(slot))

    def _step(self, slot: Slot) -> None:
        """The slot begins what comes next, unless its launcher is dead: then it ends."""
        if not self.alive or slot.now or not slot.queue:
            return
        number, spawn = slot.queue.popleft()
        key = AttemptKey.parse(spawn.item.key)
        self.machine.begun[slot.number] = number
        if self.machine.disk.full or self.world.chance(self.machine.launch_failures):
            self.machine.truth.launch_failures.add(key)
            self.feed(ev.StartFailed(spawn.item.key, "no such file", 127))
            self._step(slot)
            return
        slot.now = spawn.item.key
        self.machine.starts(key)
        if self.dies_at_spawn == "spawned":
            self.die()
            return
        self.feed(ev.ProcessStarted(slot.now, 4711, round(self.world.wall * 1e6), self.machine.boot_clock))

    def ended(self, event: ev.ProcessEnded) -> None:
        """A slot tells that nothing of an attempt runs any more, and goes on."""
        slot = next((slot for slot in self._slots.values() if slot.now == event.key), None)
        if not self.alive or slot is None:
            return
        slot.now = ""
        self.feed(event)
        self._step(slot)

    def _take_back(self, number: int) -> None:
        slot = self._slots[number]
        keys = [spawn.item.key for _, spawn in slot.queue]
        slot.queue.clear()
        self._pending += map(Back, keys)
        self._events.append(ev.TakenBack(number, keys))

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
