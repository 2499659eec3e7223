"""A launcher of the simulated machine: the real core over a simulated journal, slots and socket.

It does what `cluster.launcher.driver` does in the same order: what waits is read, then the clock is looked at; a
`begin` is in the journal before its attempt is handed to a slot, a report is there before it is sent.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import LauncherCore
from cluster.domain.session.leashes import is_out
from cluster.launcher.journal import Begun, Recollection
from tests.sim.slots import Handed, Slot, Table, Watchdog
from tests.sim.stalling import Stalling

if TYPE_CHECKING:
    from tests.sim.machine import Machine

PASSING = (0.0, 0.002)  # seconds that a line between agent and launcher takes
REMAINS = 0.05  # seconds after a launcher's death in which its slots kill what they run
ToAgent = Callable[[ev.Greet | ev.Started | ev.Ended], None]


class Back(NamedTuple):
    """A line of the journal: it was taken back."""

    key: str


JournalLine = Begun | Back | ev.Started | ev.Ended


class LauncherCrash(Exception):
    """The launcher dies here and now, in the middle of what it does."""


class Launcher:
    reads_first = True  # there to be broken by the test of the simulation itself

    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.alive = True
        self.process = Stalling(self.world, reads_first=self.reads_first)
        self.dies_at_spawn = ""  # "begun" or "spawned": dies at that point of the next spawn
        self.dies_unwritten = False  # soon after it has told an end that a full disk keeps out of its journal
        self.table = Table()
        self.slots: dict[int, Slot] = {}
        self.watchdog = Watchdog(self)
        self._to_agent: ToAgent | None = None
        self._agent_line = 0  # of the connection with the present agent
        self._out: list[ev.Greet | ev.Started | ev.Ended] = []
        self._pending: list[JournalLine] = []
        self._events: list[ev.Event] = []
        self._pipe: list[tuple[Slot, ev.Event]] = []  # what slots have told and was not read
        self._turn_is_set = False
        self._tick_at: float | None = None
        self._count = 0  # of what was ever handed to slots
        self._begun: dict[str, Begun] = {}
        self._journal_is_ours = False  # else it is a predecessor's, because the disk is full
        self._take_over()

    def _load(self) -> Recollection:
        said = Recollection(self.machine.journal_base)
        for line in self.machine.journal:
            match line:
                case Begun():
                    said.begin(line)
                case Back():
                    said.back(line.key)
                case _:
                    said.report(line)
        return said

    def _take_over(self) -> None:
        """As `cluster.launcher.driver.LauncherDriver._take_over`: nothing of a predecessor's runs on."""
        said, same_boot = self._load(), self.machine.journal_readable and not self.machine.rebooted
        if not same_boot:
            self.machine.new_incarnation()
        for process in list(self.machine.processes.values()):
            self.machine.ends(process, "signal:SIGKILL")
        if (before := self.machine.launcher) is not None:
            before.watchdog.alive = False
            for slot in before.slots.values():
                slot.alive = False
        self.core = LauncherCore(self.machine.millicpus, said.seq, said.unacked(whole=same_boot))
        begun = {k: b for k, b in said.begun.items() if self._has_begun(b)}
        self._journal_anew([b._replace(slot=-1, number=0) for b in begun.values()])
        self._events += [ev.FoundUnfinished(key, 0, 0) for key in begun]
        self._turn()

    def _has_begun(self, begun: Begun) -> bool:
        return begun.slot < 0 or begun.pid != 0 or self.machine.begun.get(begun.slot, 0) >= begun.number

    # ── what it hears ───────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, to_agent: ToAgent) -> int:
        """An agent says hello. What an earlier one had sent and was not read yet is gone. Answers its line."""
        self._agent_line += 1
        line = self._agent_line

        def greets() -> None:
            if line != self._agent_line:
                return
            self._to_agent = to_agent
            self._out.clear()
            self._put(ev.AgentConnected(self.machine.millicpus))

        self.process.hear(greets)
        return line

    def disconnect(self, line: int) -> None:
        def leaves() -> None:
            if line == self._agent_line and self._to_agent is not None:
                self._to_agent = None
                self._put(ev.AgentLost())

        self.process.hear(leaves)

    def receive(self, line: int, event: ev.Event) -> None:
        """What an agent sent."""

        def reads() -> None:
            if self.alive and line == self._agent_line and self._to_agent is not None:
                self._put(event)
                if isinstance(event, ev.AgentAcked) and self.world.chance(self.machine.compacts):
                    self._compacts = True

        self.process.hear(reads)

    def told(self, slot: Slot, event: ev.Event) -> None:
        """By a slot, through the pipe."""
        self._pipe.append((slot, event))
        self.process.hear(self._soon)

    def watchdog_died(self) -> None:
        def replaces() -> None:
            if self.alive:
                self.watchdog = Watchdog(self)
                for leash in {leash for leash in self.table.leashes.values() if leash}:
                    self.watchdog.watch(leash)

        self.process.hear(replaces)

    def slot_died(self, slot: Slot) -> None:
        """The kernel says so."""
        self.process.hear(lambda: self._reaps(slot))

    def _reaps(self, slot: Slot) -> None:
        if not self.alive:
            return
        self._read_pipe()
        if self.slots.get(slot.number) is slot:
            unbegun = [h.item.key for h in slot.handed if self.machine.begun.get(slot.number, 0) < h.number]
            self._let_go(slot)
            for key in unbegun:
                self._takes_back(key)
            self._events.append(ev.SlotLost(slot.number, unbegun))
        self._soon()

    def _read_pipe(self) -> None:
        pipe, self._pipe = self._pipe, []
        for slot, event in pipe:
            if self.slots.get(slot.number) is not slot or not slot.handed:
                continue
            if not isinstance(event, ev.ProcessStarted):
                slot.handed.popleft()
                if not slot.handed:
                    self.table.leashes[slot.number] = 0.0
            self._events.append(event)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _put(self, event: ev.Event) -> None:
        self._events.append(event)
        self._soon()

    def _soon(self) -> None:
        if not self._turn_is_set:
            self._turn_is_set = True
            self.world.at(self.world.between(0.0, 0.0005), lambda: self.process.on_time(self._turn))

    _compacts = False

    def _turn(self) -> None:
        self._turn_is_set = False
        if not self.alive:
            return
        if not self.reads_first:
            self._events.append(ev.Tick())
            self._go_through()
        self._read_pipe()
        self._events.append(ev.LeaseConfirmed(self.table.confirmed_at))
        self._go_through()

    def _go_through(self) -> None:
        """Tells the core, performs all that follows from it; then the journal; then the agent. It hangs where it
        writes to a disk that is frozen."""
        try:
            while self._events:
                events, self._events = self._events, []
                effects = self.core.turn(events, self.machine.box.clock)
                spawns = [effect for effect in effects if isinstance(effect, ev.Spawn)]
                for effect in effects:
                    self._perform(effect)
                if self.machine.disk.hangs and (spawns or self._pending):
                    self.process.stop()
                    self.machine.disk.when_it_goes_on(partial(self._goes_on, spawns))
                    return
                self._spawn(spawns)
        except LauncherCrash:
            self.die()
            return
        if self.alive:
            self._flush()
            self._set_timer()

    def _goes_on(self, spawns: Sequence[ev.Spawn]) -> None:
        if self.alive:
            try:
                self._spawn(spawns)
            except LauncherCrash:
                self.die()
            else:
                self._go_through()
        self.process.go_on()

    def die(self) -> None:
        """Its slots and its watchdog learn of it, unless they are stopped."""
        if not self.alive:
            return
        self.alive = False
        self.machine.truth.orphans.update(AttemptKey.parse(b.key) for b in self._load().begun.values())
        self.world.tell(self.machine.name, "the launcher dies")
        self.world.at(REMAINS, partial(self._check_what_remains, self.world.now))
        for slot in list(self.slots.values()):
            slot.launcher_died()
        self.watchdog.launcher_died()
        self.machine.launcher_died(self)

    def loses_power(self) -> None:
        """And all that is of it, also what hangs in a disk that answers later."""
        self.alive = self.watchdog.alive = False
        for slot in self.slots.values():
            slot.alive = False

    def _check_what_remains(self, died: float) -> None:
        """Its slots need nobody else to learn of it."""
        for slot in self.slots.values():
            if slot.tree is not None and slot.tree.alive and slot.process.awake_since(died):
                raise AssertionError(f"{slot.tree.key} runs on, its launcher is dead and its slot awake")

    def _perform(self, effect: ev.Effect) -> None:
        match effect:
            case ev.JournalReport(report):
                self._pending.append(report)
                self._out.append(report)
                if isinstance(report, ev.Ended):
                    self._begun.pop(report.key, None)
            case ev.Spawn():
                pass  # all of a turn together, after the rest
            case ev.RecallFromSlot(number):
                self._recall(number)
            case ev.Signal(number, key, name):
                if not (self._runs_alone(number, key) and self.machine.signal(key, name)):
                    self._events.insert(0, ev.Unreached(key))
            case ev.Kill(number, key):
                self._kill(number, key)
            case ev.KillSlot(number, key):
                if self._runs_alone(number, key):
                    self.slots[number].kill("the launcher")
            case ev.Retire(number):
                if number in self.slots:
                    self._let_go(self.slots[number]).alive = False
            case ev.Greet():
                self._out.append(effect)
            case ev.Exit():
                self._exit()

    def _exit(self) -> None:
        """Nobody has needed it for long."""
        assert not self.core.attempts
        self._journal_anew([])
        self.alive = self.watchdog.alive = False
        for slot in self.slots.values():
            slot.alive = False
        self.world.tell(self.machine.name, "the launcher is not needed, and leaves")

    def _runs_alone(self, number: int, key: str) -> bool:
        self._read_pipe()
        slot = self.slots.get(number)
        return slot is not None and [h.item.key for h in slot.handed] == [key]

    def _kill(self, number: int, key: str) -> None:
        attempt = self.core.attempts.get(key)
        if attempt is not None and attempt.cause == "lease":
            out = is_out(self.machine.box.clock, self.table.confirmed_at, attempt.template.leash or 0.0)
            assert out, f"{key} is killed although its lease holds"
        if self._runs_alone(number, key):
            self.machine.kill(key)

    def _recall(self, number: int) -> None:
        keys = []
        if slot := self.slots.get(number):
            keys = [h.item.key for h in slot.queue]
            slot.handed = type(slot.handed)(h for h in slot.handed if h.item.key not in keys)
            slot.queue.clear()
            if not slot.handed:
                self.table.leashes[number] = 0.0
        for key in keys:
            self._takes_back(key)
        self._events.append(ev.SlotReturned(number, keys))

    def _takes_back(self, key: str) -> None:
        self._begun.pop(key, None)
        self._pending.append(Back(key))

    def _spawn(self, spawns: Sequence[ev.Spawn]) -> None:
        if not spawns:
            return
        handed = []
        for spawn in spawns:
            self._check_item(AttemptKey.parse(spawn.item.key), spawn.item)
            self._count += 1
            handed.append(Handed(self._count, spawn.item, spawn.template, spawn.by))
            self._begun[spawn.item.key] = begun = Begun(spawn.item.key, 0.0, 0, 0, spawn.slot, self._count)
            self._pending.append(begun)
        if self.machine.disk.full:
            self._pending = [line for line in self._pending if not isinstance(line, Begun)]
            for spawn in spawns:
                self._begun.pop(spawn.item.key)
                text = "the launcher cannot write its journal"
                self._events.append(ev.StartFailed(spawn.item.key, text, None, returned=True))
            return
        self._write_journal()
        self._die_at("begun")
        for spawn, each in zip(spawns, handed, strict=True):
            self._hand(spawn, each)
        self._die_at("spawned")

    def _hand(self, spawn: ev.Spawn, handed: Handed) -> None:
        slot = self.slots.get(spawn.slot)
        if slot is None:
            slot = self.slots[spawn.slot] = Slot(self, spawn.slot)
            self.machine.begun[spawn.slot] = 0
        leash = spawn.template.leash
        if not slot.handed:
            self.table.leashes[spawn.slot] = leash or 0.0
            if leash is not None:
                self.watchdog.watch(leash)
        slot.queue.append(handed)
        slot.handed.append(handed)
        slot.wake()

    def _let_go(self, slot: Slot) -> Slot:
        del self.slots[slot.number]
        self.table.leashes[slot.number] = 0.0
        return slot

    def _check_item(self, key: AttemptKey, item: ev.Item) -> None:
        spec = self.machine.truth.specs[key.job]
        wanted = spec.number_of(key.index) if spec.is_array else None
        assert item.number in (wanted, wanted or 0), f"{key} should be number {wanted}, is {item.number}"
        line = spec.lines.split(b"\n")[key.index].decode() if spec.lines else None
        assert item.line == line, f"{key} should get line {line!r}, gets {item.line!r}"

    def _die_at(self, point: str) -> None:
        if self.dies_at_spawn == point and self.machine.is_guarded(without_launcher=True):
            raise LauncherCrash

    def _die_if_guarded(self) -> None:
        if self.machine.is_guarded(without_launcher=True):
            self.die()

    def _flush(self) -> None:
        self._write_journal()
        if self._compacts:
            self._compacts = False
            self._journal_anew(self._begun.values())
        out, self._out = self._out, []
        if self._to_agent is not None:
            for message in out:
                self._to_agent(message)
        if self.dies_unwritten and any(isinstance(line, ev.Ended) for line in self._pending):
            self.dies_unwritten = False
            self.world.at(self.world.between(0.0, 1.0), self._die_if_guarded)

    def _write_journal(self) -> None:
        """What does not fit stays in memory, and goes out all the same."""
        if not self._journal_is_ours:
            self._journal_anew(self._begun.values())
        elif not self.machine.disk.full:
            self.machine.journal += self._pending
            self._pending = []

    def _journal_anew(self, begun: Iterable[Begun]) -> None:
        """As far as it can be written; else it goes on growing, or stays as a predecessor left it."""
        if self.machine.disk.full and self.machine.journal_readable:
            return
        if not self._journal_is_ours:
            self._journal_is_ours = True
            self.machine.begun.clear()
            self.machine.journal_readable, self.machine.rebooted = True, False
        self.machine.journal_base = self.core.seq
        self.machine.journal = [*begun, *self.core.unacked]
        self._pending = []

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._tick_at:
            self._tick_at = due
            wait = max(0.0, self.machine.box.until(due))
            self.world.at(wait, lambda: self.process.on_time(lambda: self._tick(due)))

    def _tick(self, due: float) -> None:
        if self._tick_at == due:
            self._tick_at = None
            if self.alive:
                self._events.append(ev.Tick())
                self._turn()
