"""Slots and watchdog of a simulated launcher, and the memory that they share with it and the agent.

A slot is a process of its own: it may be stopped, hang while it starts something, or be killed. It cuts its own leash
when the launcher has not, and the watchdog cuts it when the slot has not. What they do in the same order is in
`cluster.launcher.slot_process` and `cluster.launcher.watchdog`.
"""

import signal
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.leashes import SLOT_MARGIN, WATCHDOG_MARGIN, cut_at, is_out
from tests.sim.stalling import Stalling
from tests.sim.truth import Run

if TYPE_CHECKING:
    from tests.sim.launcher import Launcher

SHORT = 0.050  # seconds; as in `cluster.launcher.slot_process`
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
    due: float = 0.0  # when its leader ends by itself, if nobody freezes it
    frozen_at: float | None = None


@dataclass(slots=True)
class Table:
    """Shared memory: when the lease was last confirmed, and of each slot the leash of what it has (0: none)."""

    confirmed_at: float = 0.0
    leashes: dict[int, float] = field(default_factory=dict)

    def confirm(self, at: float) -> None:
        self.confirmed_at = max(self.confirmed_at, at)


@dataclass(slots=True)
class Handed:
    """`number`: the number-th attempt that this launcher has handed to any slot. `by`: as in Spawn."""

    number: int
    item: Item
    template: Template
    by: float | None
    gpus: tuple[str, ...] = ()


class Slot:
    def __init__(self, launcher: "Launcher", number: int) -> None:
        self.launcher, self.machine, self.world = launcher, launcher.machine, launcher.world
        self.number = number
        self.pid = launcher.machine.next_pid()
        self.alive = True
        self.process = Stalling(self.world)
        self.queue: deque[Handed] = deque()  # that it has not read
        self.handed: deque[Handed] = deque()  # what the launcher knows it to have, in order
        self.tree: Process | None = None
        self._busy: Handed | None = None
        self._short = False  # the attempt before was, and this one comes right behind it
        self._untold: ev.ProcessStarted | None = None  # what runs, and has not been told
        self._wall_us = 0  # when it started what it runs
        self._cut = False  # it has killed the present attempt, whose leash was out
        self._alarm_at = inf  # boot clock, for which it is set

    # ── what it does ────────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        self.world.at(self.world.between(*WAKING), lambda: self.process.on_time(self._next))

    def _next(self) -> None:
        if not self.alive or self._busy:
            return
        if not self.queue:
            self._short = False
            return
        if not self.launcher.alive:
            self._end()
            return
        self._busy, self._cut = self.queue.popleft(), False
        self.machine.notes.begun[self.number] = self._busy.number
        self._watch_leash()
        self._reach_disks()

    def _reach_disks(self) -> None:
        """Starts it, once each disk that it touches for that has answered."""
        for disk in (self.machine.disk, self.machine.mount):
            if disk.hangs:
                self.process.hang_until(disk.when_it_goes_on, self._reach_disks)
                return
        self._start()

    def _start(self) -> None:
        if not self.alive or self._busy is None:
            return
        machine, item = self.machine, self._busy.item
        key = AttemptKey.parse(item.key)
        if self._is_late(self._busy):
            self._ended(ev.SlotReturned(self.number, [item.key]))  # it hung, or was stopped, before it could start this
            return
        if machine.disk.full:
            self._ended(ev.StartFailed(item.key, "no space", None, returned=True))
            return
        if not machine.cache.check_start(key, item.line, self._busy.template):
            self._ended(ev.StartFailed(item.key, "its upload is not here", None, returned=True))
            return
        if self.world.chance(machine.launch_failures):
            machine.truth.launch_failures.add(key)
            self._ended(ev.StartFailed(item.key, "no such file", 127))
            return
        self.tree = machine.starts(key, self, self._busy.gpus, self._busy.template)
        started = ev.ProcessStarted(item.key, 4711, round(self.world.wall * 1e6), machine.box.clock)
        self._untold, self._wall_us = started, started.wall_us
        if self._short:
            self.world.at(SHORT, lambda: self.process.on_time(lambda: self._tell_start(started)))
        else:
            self._tell_start(started)

    def _tell_start(self, started: ev.ProcessStarted) -> None:
        if self.alive and self._untold is started:
            self._untold = None
            self._tell(started)

    def _is_late(self, handed: Handed) -> bool:
        """Whether it hung or was stopped for so long that this may not be started any more."""
        return handed.by is not None and self.machine.box.clock >= handed.by

    def leader_ended(
        self, code: int | None, signal: str | None, took: float, sizes: tuple[int, int], *, oom: bool = False
    ) -> None:
        """It kills what the leader has left, and says that nothing is left of the tree."""

        def reaps() -> None:
            tree = self.tree
            if not self.alive or tree is None:
                return
            if tree.alive:
                self.machine.ends(tree, tree.run.how)
            said = (tree.key, code, signal, round(took * 1e6), 10, 20, sizes)
            self._untold, self._short = None, took < SHORT
            self._ended(ev.ProcessEnded(*said, cut=self._cut, wall_us=self._wall_us, oom=oom))

        self.process.on_time(reaps)

    def _ended(self, event: ev.Event) -> None:
        self.tree = self._busy = None
        self._tell(event)
        self.wake()

    def _tell(self, event: ev.Event) -> None:
        self.launcher.slots.tell(self, event)

    def _watch_leash(self) -> None:
        leash = self.launcher.table.leashes.get(self.number, 0.0)
        if leash:
            self._set_alarm(cut_at(self.launcher.table.confirmed_at, leash, SLOT_MARGIN))

    def _set_alarm(self, at: float) -> None:
        """Unless it is set for sooner: then it is set again when it comes."""
        if at < self._alarm_at:
            self._alarm_at = at = max(at, self.machine.box.clock + SLOT_MARGIN)
            self.world.at(self.machine.box.until(at), lambda: self.process.on_time(lambda: self._on_alarm(at)))

    def _on_alarm(self, at: float) -> None:
        if at != self._alarm_at or not self.alive:
            return  # it was set for sooner since
        self._alarm_at = inf
        leash = self.launcher.table.leashes.get(self.number, 0.0)
        if leash and is_out(self.machine.box.clock, self.launcher.table.confirmed_at, leash, SLOT_MARGIN):
            self._cut = True
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


class Slots(dict[int, Slot]):
    """All of one launcher by their numbers, as it sees them: what `cluster.launcher.slots.SlotProcesses` is of real
    ones."""

    def __init__(self, launcher: "Launcher") -> None:
        self._launcher, self._machine, self._world = launcher, launcher.machine, launcher.world
        self._count = 0  # of what was ever handed out
        self._told: list[tuple[Slot, ev.Event]] = []  # through the pipe, and was not read

    def next_number(self) -> int:
        self._count += 1
        return self._count

    def hand(self, spawn: ev.Spawn, number: int) -> bool:
        self._check_item(AttemptKey.parse(spawn.item.key), spawn.item)
        slot, leash = self.get(spawn.slot), spawn.template.leash
        if slot is None:
            slot = self[spawn.slot] = Slot(self._launcher, spawn.slot)
        if not slot.handed:
            self._launcher.table.leashes[spawn.slot] = leash or 0.0
            if leash is not None:
                self._launcher.watchdog.watch(leash)
        handed = Handed(number, spawn.item, spawn.template, spawn.by, spawn.gpus)
        slot.queue.append(handed)
        slot.handed.append(handed)
        slot.wake()
        return True

    def _check_item(self, key: AttemptKey, item: Item) -> None:
        spec = self._machine.truth.specs[key.job]
        wanted = spec.number_of(key.index) if spec.is_array else None
        assert item.number in (wanted, wanted or 0), f"{key} should be number {wanted}, is {item.number}"
        line = spec.lines.split(b"\n")[key.index].decode() if spec.lines else None
        assert item.line == line, f"{key} should get line {line!r}, gets {item.line!r}"

    def tell(self, slot: Slot, event: ev.Event) -> None:
        """Through the pipe, which the launcher reads."""
        self._told.append((slot, event))
        self._launcher.woken()

    def read(self) -> list[ev.Event]:
        told, self._told = self._told, []
        events = []
        for slot, event in told:
            if self.get(slot.number) is not slot or not slot.handed:
                continue
            if not isinstance(event, ev.ProcessStarted):
                slot.handed.popleft()
                self._note_idle(slot)
            events.append(event)
        return events

    def recall(self, slot_number: int) -> list[str]:
        slot = self.get(slot_number)
        if slot is None:
            return []
        keys = [handed.item.key for handed in slot.queue]
        slot.handed = deque(handed for handed in slot.handed if handed.item.key not in keys)
        slot.queue.clear()
        self._note_idle(slot)
        return keys

    def _note_idle(self, slot: Slot) -> None:
        if not slot.handed:
            self._launcher.table.leashes[slot.number] = 0.0

    def signal(self, slot_number: int, key: str, number: int, leader: int) -> bool:
        if not self._runs_alone(slot_number, key):
            return False
        attempt = self._launcher.core.attempts.get(key)
        if attempt is not None and attempt.cause == endings.TIMEOUT:
            self._machine.check_timeout(key, attempt.template.timeout or 0.0)
        return self._machine.signal(key, signal.Signals(number).name)

    def kill(self, slot_number: int, key: str) -> None:
        attempt = self._launcher.core.attempts.get(key)
        if attempt is not None and attempt.cause == "lease":
            out = is_out(self._machine.box.clock, self._launcher.table.confirmed_at, attempt.template.leash or 0.0)
            assert out, f"{key} is killed although its lease holds"
        if self._runs_alone(slot_number, key):
            self._machine.kill(key)

    def freeze(self, slot_number: int, key: str, thaw: bool) -> None:
        if self._runs_alone(slot_number, key):
            (self._machine.thaw if thaw else self._machine.freeze)(key)

    def kill_slot(self, slot_number: int, key: str) -> None:
        if self._runs_alone(slot_number, key):
            self[slot_number].kill("the launcher")

    def _runs_alone(self, slot_number: int, key: str) -> bool:
        slot = self.get(slot_number)
        return slot is not None and [handed.item.key for handed in slot.handed] == [key]

    def retire(self, slot_number: int) -> None:
        if slot_number in self:
            self._let_go(slot_number).alive = False

    def lost(self, pid: int) -> ev.SlotLost | None:
        slot = next((slot for slot in self.values() if slot.pid == pid), None)
        if slot is None:
            return None
        unbegun = [h.item.key for h in slot.handed if not self._machine.notes.has_begun(slot.number, h.number)]
        self._let_go(slot.number)
        return ev.SlotLost(slot.number, unbegun)

    def _let_go(self, slot_number: int) -> Slot:
        self._launcher.table.leashes[slot_number] = 0.0
        return self.pop(slot_number)


class Watchdog:
    """Beside a launcher."""

    def __init__(self, launcher: "Launcher") -> None:
        self.launcher, self.machine, self.world = launcher, launcher.machine, launcher.world
        self.alive = True
        self.process = Stalling(self.world)

    def watch(self, leash: float) -> None:
        """A slot has got something on this leash."""
        at = cut_at(self.launcher.table.confirmed_at, leash, WATCHDOG_MARGIN)
        wait = max(self.machine.box.until(at), WATCHDOG_MARGIN)
        self.world.at(wait, lambda: self.process.on_time(lambda: self._look(leash)))

    def _look(self, leash: float) -> None:
        table = self.launcher.table
        if not self.alive or leash not in table.leashes.values():
            return
        for number, each in list(table.leashes.items()):
            out = each and is_out(self.machine.box.clock, table.confirmed_at, each, WATCHDOG_MARGIN)
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
