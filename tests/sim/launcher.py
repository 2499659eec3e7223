"""A launcher of the simulated machine: the real core and the real order of steps (`cluster.launcher.journal_pipeline`)
over a simulated journal, slots and socket."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import LauncherCore
from cluster.launcher.journal_pipeline import JournalPipeline, LauncherStep
from tests.sim.journal import Journal
from tests.sim.slots import WAKING, Slot, Slots, Table, Watchdog
from tests.sim.stalling import Stalling

if TYPE_CHECKING:
    from tests.sim.machine import Machine

PASSING = (0.0, 0.002)  # seconds that a line between agent and launcher takes
SLOW = 0.02  # of all steps: others have time to do something before the next
REMAINS = 0.05  # seconds after a launcher's death in which its slots kill what they run
Message = ev.Greet | ev.Started | ev.Ended
ToAgent = Callable[[Message], None]


class Launcher:
    """Also the host of its steps."""

    reads_first = True  # there to be broken by the test of the simulation itself

    def __init__(self, machine: "Machine") -> None:
        self.machine, self.world = machine, machine.world
        self.alive = True
        self.process = Stalling(self.world, reads_first=self.reads_first)
        self.dies_before: LauncherStep | None = None  # the next time
        self.dies_unwritten = False  # soon after it has told an end that a full disk keeps out of its journal
        self.table = Table()
        self.slots = Slots(self)
        self.watchdog = Watchdog(self)
        self._to_agent: ToAgent | None = None
        self._agent_line = 0  # of the connection with the present agent
        self._out: list[Message] = []
        self._round_at: float | None = None
        self._tick_at: float | None = None
        self._exits = False
        self._journal = Journal(machine)
        self._take_over()

    def _take_over(self) -> None:
        same_boot = self.machine.journal_readable and not self.machine.rebooted
        if not same_boot:
            self.machine.new_incarnation()
        for process in list(self.machine.processes.values()):
            self.machine.ends(process, "signal:SIGKILL")
        if (before := self.machine.launcher) is not None:
            before.loses_power()
        memory = self._journal.recall(same_boot=same_boot)
        self.core = LauncherCore(self.machine.millicpus, memory.seq, memory.unacked)
        self._pipeline = JournalPipeline(self.core, self, self._journal, self.slots, self.machine.notes)
        self._run(self._pipeline.take_over(memory))

    # ── what it hears ───────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, to_agent: ToAgent) -> int:
        """An agent says hello. What an earlier one had sent and was not read yet is gone. Answers its line."""
        self._agent_line += 1
        line = self._agent_line

        def take() -> None:
            self._to_agent = to_agent
            self._out.clear()

        def greets() -> None:
            if self.alive and line == self._agent_line:
                self._run(
                    self._pipeline.said(
                        [ev.AgentConnected(self.machine.millicpus), ev.OfferMade(self.machine.offer)], take
                    )
                )

        self.process.hear(greets)
        return line

    def disconnect(self, line: int) -> None:
        def leaves() -> None:
            if line == self._agent_line and self._to_agent is not None:
                self._to_agent = None
                self._out.clear()
                self._pipeline.events.append(ev.AgentLost())
                self._soon()

        self.process.hear(leaves)

    def receive(self, line: int, event: ev.Event) -> None:
        """What an agent sent."""

        def reads() -> None:
            if self.alive and line == self._agent_line and self._to_agent is not None:
                if isinstance(event, ev.AgentAcked) and self.world.chance(self.machine.compacts):
                    self._journal.is_long = True
                self._run(self._pipeline.said([event]))

        self.process.hear(reads)

    def woken(self) -> None:
        """By a slot, through the pipe."""
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

        def reaps() -> None:
            if self.alive:
                self._pipeline.reaped(slot.pid)
                self._soon()

        self.world.at(self.world.between(*WAKING), lambda: self.process.hear(reaps))

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _soon(self, wait: float = 0.0) -> None:
        """A round, in so many seconds, unless there is one sooner."""
        at = self.world.now + wait + self.world.between(0.0, 0.0005)
        if self._round_at is None or at < self._round_at:
            self._round_at = at
            self.world.at(at - self.world.now, lambda: self.process.on_time(lambda: self._round(at)))

    def _round(self, at: float) -> None:
        if at == self._round_at:
            self._round_at = None
            if self.alive:
                self._run(self._steps())

    def _steps(self) -> Iterator[LauncherStep]:
        yield from self._pipeline.round()
        if self._exits:
            yield from self._pipeline.leave()
            self._ends()

    def _run(self, steps: Iterator[LauncherStep]) -> None:
        """It may die before each, and hangs where it writes to a disk that is frozen. Some take a while."""
        for step in steps:
            if step is self.dies_before and self.machine.is_guarded(without_launcher=True):
                self.die()
                return
            if step is LauncherStep.JOURNAL and self.machine.disk.hangs and self._journal.would_write:
                self.process.hang_until(self.machine.disk.when_it_goes_on, partial(self._goes_on, steps))
                return
            if self.world.chance(0.5 if self.dies_before else SLOW):
                wait = partial(self.world.at, self.world.between(0.0, 0.005))
                self.process.hang_until(wait, partial(self._goes_on, steps))
                return
        self._set_timers()

    def _goes_on(self, steps: Iterator[LauncherStep]) -> None:
        if self.alive:
            self._run(steps)

    def _set_timers(self) -> None:
        wait = 0.0 if self._pipeline.events else self._pipeline.until_flush()
        if wait is not None:
            self._soon(wait)
        due = self.core.next_deadline()
        if due is not None and due != self._tick_at:
            self._tick_at = due
            wait = max(0.0, self.machine.box.until(due))
            self.world.at(wait, lambda: self.process.on_time(lambda: self._tick(due)))

    def _tick(self, due: float) -> None:
        if self._tick_at == due:
            self._tick_at = None
            if self.alive:
                self._pipeline.events.append(ev.Tick())
                self._run(self._steps())

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────

    def die(self) -> None:
        """Its slots and its watchdog learn of it, unless they are stopped."""
        if not self.alive:
            return
        self.alive = False
        begun = self._journal.recall(same_boot=True).begun
        self.machine.truth.orphans.update(map(AttemptKey.parse, begun))
        self.world.tell(self.machine.name, "the launcher dies")
        self.world.at(REMAINS, partial(self._check_what_remains, self.world.now))
        for slot in list(self.slots.values()):
            slot.launcher_died()
        self.watchdog.launcher_died()
        self.machine.launcher_died(self)

    def _die_if_guarded(self) -> None:
        if self.machine.is_guarded(without_launcher=True):
            self.die()

    def loses_power(self) -> None:
        """And all that is of it, also what hangs in a disk that answers later."""
        self.alive = self.watchdog.alive = False
        for slot in self.slots.values():
            slot.alive = False

    def _ends(self) -> None:
        """Nobody has needed it for long."""
        assert not self.core.attempts
        assert not self.has_agent, f"{self.machine.name}: its launcher leaves, and an agent is there"
        self.loses_power()
        self.world.tell(self.machine.name, "the launcher is not needed, and leaves")

    def _check_what_remains(self, died: float) -> None:
        """Its slots need nobody else to learn of it."""
        for slot in self.slots.values():
            if slot.tree is not None and slot.tree.alive and slot.process.awake_since(died):
                raise AssertionError(f"{slot.tree.key} runs on, its launcher is dead and its slot awake")

    # ── what comes of the steps (`cluster.launcher.journal_pipeline.LauncherHost`) ──────────────────────────────

    def now(self) -> float:
        return self.machine.box.clock

    def wall_us(self) -> int:
        return round(self.world.wall * 1e6)

    def confirmed_at(self) -> float:
        return self.table.confirmed_at

    @property
    def has_agent(self) -> bool:
        return self._to_agent is not None

    @property
    def has_news(self) -> bool:
        return bool(self._out)

    def send(self, line: Message) -> None:
        if self._to_agent is not None:
            self._out.append(line)

    greet = send

    def flush(self) -> None:
        out, self._out = self._out, []
        if self._to_agent is not None:
            for message in out:
                self._to_agent(message)
        if self.dies_unwritten and self._journal.lacks_an_end:
            self.dies_unwritten = False
            self.world.at(self.world.between(0.0, 1.0), self._die_if_guarded)

    def exit(self) -> None:
        self._exits = True

    def log(self, text: str) -> None:
        pass
