"""Slots and watchdog of a simulated launcher, and the memory that they share with it and the agent.

A slot is a process of its own: it may be stopped, hang while it starts something, or be killed. It cuts its own leash
when the launcher has not, and the watchdog cuts it when the slot has not. What they do in the same order is in
`cluster.launcher.slot_process` and `cluster.launcher.watchdog`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.domain import launcher_events as ev
from cluster.domain.ids import AttemptKey
from cluster.domain.leashes import SLOT_MARGIN, WATCHDOG_MARGIN, cut_at, is_out
from tests.sim.stalling import Stalling
from tests.sim.truth import Run

if TYPE_CHECKING:
    from tests.sim.launcher import Launcher

WAKING = (0.0, 0.001)  # seconds until a process that is woken runs


@dataclass(slots=True)
class Process:
    """A process tree that runs. `strays` outlive its leader for so many seconds, unless they are killed."""

    key: str
    run: Run
    obeys: bool  # ends when it is told SIGTERM
    strays: float
    slot: "Slot"
    leader: bool = True
    alive: bool = True


@dataclass(slots=True)
class Table:
    """Shared memory: when the lease was last confirmed, and of each slot the leash of what it has (0: none)."""

    renewed: float = 0.0
    leashes: dict[int, float] = field(default_factory=dict)

    def renew(self, at: float) -> None:
        self.renewed = max(self.renewed, at)


@dataclass(slots=True)
class Handed:
    """`number`: the number-th attempt that this launcher has handed to any slot."""

    number: int
    item: ev.Item
    template: ev.Template


class Slot:
    def __init__(self, launcher: "Launcher", number: int) -> None:
        self.launcher, self.machine, self.world = launcher, launcher.machine, launcher.world
        self.number = number
        self.alive = True
        self.process = Stalling(self.world)
        self.queue: deque[Handed] = deque()  # that it has not read
        self.handed: deque[Handed] = deque()  # what the launcher knows it to have, in order
        self.tree: Process | None = None
        self._busy: Handed | None = None
        self._alarm = False

    # ── what it does ────────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        self.world.at(self.world.between(*WAKING), lambda: self.process.on_time(self._next))

    def _next(self) -> None:
        if not self.alive or self._busy or not self.queue:
            return
        if not self.launcher.alive:
            self._end()
            return
        self._busy = self.queue.popleft()
        self.machine.begun[self.number] = self._busy.number
        self._watch_leash()
        if self.machine.disk.hangs:
            self.process.stop()
            self.machine.disk.when_it_goes_on(self._goes_on)
        else:
            self._start()

    def _goes_on(self) -> None:
        self._start()
        self.process.go_on()

    def _start(self) -> None:
        if not self.alive or self._busy is None:
            return
        machine, item, template = self.machine, self._busy.item, self._busy.template
        key = AttemptKey.parse(item.key)
        if template.leash is not None and is_out(machine.boot_clock, self.launcher.table.renewed, template.leash):
            self._ended(ev.TakenBack(self.number, [item.key]))  # it hung, or was stopped, before it could start this
            return
        if machine.disk.full or self.world.chance(machine.launch_failures):
            machine.truth.launch_failures.add(key)
            self._ended(ev.StartFailed(item.key, "no such file", 127))
            return
        self.tree = machine.starts(key, self)
        self._tell(ev.ProcessStarted(item.key, 4711, round(self.world.wall * 1e6), machine.boot_clock))

    def leader_ended(self, code: int | None, signal: str | None, took: float, sizes: tuple[int, int]) -> None:
        """It kills what the leader has left, and says that nothing is left of the tree."""

        def reaps() -> None:
            tree = self.tree
            if not self.alive or tree is None:
                return
            if tree.alive:
                self.machine.ends(tree, tree.run.how)
            self._ended(ev.ProcessEnded(tree.key, code, signal, round(took * 1e6), 10, 20, sizes))

        self.process.on_time(reaps)

    def _ended(self, event: ev.Event) -> None:
        self.tree = self._busy = None
        self._tell(event)
        self.wake()

    def _tell(self, event: ev.Event) -> None:
        self.launcher.told(self, event)

    def _watch_leash(self) -> None:
        leash = self.launcher.table.leashes.get(self.number, 0.0)
        if not leash or self._alarm or not self.alive:
            return
        self._alarm = True
        at = cut_at(self.launcher.table.renewed, leash, SLOT_MARGIN)
        wait = max(self.machine.until_boot_clock(at), SLOT_MARGIN)
        self.world.at(wait, lambda: self.process.on_time(self._on_alarm))

    def _on_alarm(self) -> None:
        self._alarm = False
        leash = self.launcher.table.leashes.get(self.number, 0.0)
        if leash and self.alive and is_out(self.machine.boot_clock, self.launcher.table.renewed, leash, SLOT_MARGIN):
            self._kill_tree("its slot")
        self._watch_leash()

    def launcher_died(self) -> None:
        self.process.on_time(self._end)

    def _end(self) -> None:
        """As it does when its launcher has died."""
        self._kill_tree("its slot, whose launcher died")
        self.alive = False

    # ── what is done to it ──────────────────────────────────────────────────────────────────────────────────────

    def _kill_tree(self, who: str) -> None:
        if self.tree is not None and self.tree.alive:
            self.world.tell(self.machine.name, f"{self.tree.key} is killed by {who}")
            self.machine.kill(self.tree.key)

    def kill(self, who: str) -> None:
        """SIGKILL, and all that is below it; nothing of a stopped or hanging one is left, too."""
        if not self.alive:
            return
        self.alive = False
        if self.tree is not None and self.tree.alive:
            self.world.tell(self.machine.name, f"{self.tree.key} is killed with its slot by {who}")
            self.machine.truth.orphans.add(AttemptKey.parse(self.tree.key))
            self.machine.ends(self.tree, "signal:SIGKILL")
        elif self._busy is not None:
            self.machine.truth.orphans.add(AttemptKey.parse(self._busy.item.key))
        self.launcher.slot_died(self)


class Watchdog:
    """Beside a launcher."""

    def __init__(self, launcher: "Launcher") -> None:
        self.launcher, self.machine, self.world = launcher, launcher.machine, launcher.world
        self.alive = True
        self.process = Stalling(self.world)

    def watch(self, leash: float) -> None:
        """A slot has got something on this leash."""
        at = cut_at(self.launcher.table.renewed, leash, WATCHDOG_MARGIN)
        wait = max(self.machine.until_boot_clock(at), WATCHDOG_MARGIN)
        self.world.at(wait, lambda: self.process.on_time(lambda: self._look(leash)))

    def _look(self, leash: float) -> None:
        table = self.launcher.table
        if not self.alive or leash not in table.leashes.values():
            return
        for number, each in list(table.leashes.items()):
            out = each and is_out(self.machine.boot_clock, table.renewed, each, WATCHDOG_MARGIN)
            if out and (slot := self.launcher.slots.get(number)):
                slot.kill("the watchdog")
        self.watch(leash)

    def dies(self) -> None:
        self.world.tell(self.machine.name, "the watchdog dies")
        self.alive = False
        self.launcher.watchdog_died()

    def launcher_died(self) -> None:
        def kills() -> None:
            if self.alive:
                for slot in list(self.launcher.slots.values()):
                    slot.kill("the watchdog, whose launcher died")
                self.alive = False

        self.world.at(self.world.between(*WAKING), lambda: self.process.on_time(kills))
