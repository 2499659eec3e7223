"""A simulated machine: its processes, its disk, and the agent and launcher on it. (Where a directory was copied on the
machine that it is on, each is one of these, on the same box.)"""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.amounts import MEMORY
from cluster.domain.job.records import SmallOutput
from cluster.domain.launcher.template import Template
from cluster.domain.session.home import Home
from cluster.domain.session.offer import NOTHING, Offer
from cluster.domain.worker.messages import RoomMeasured
from cluster.domain.worker.report_making import SMALL_OUTPUT
from cluster.domain.worker.room import Space
from tests.sim.agent import Agent
from tests.sim.box import Box
from tests.sim.journal import BegunNotes, JournalLine
from tests.sim.launcher import Launcher
from tests.sim.network import Connection, Link
from tests.sim.slots import Process, Slot
from tests.sim.stalling import Stalling
from tests.sim.truth import OUT_OF_MEMORY, Truth
from tests.sim.uploads import Cache
from tests.sim.world import Action, World

if TYPE_CHECKING:
    from tests.sim.scheduler import SchedulerHost

# Seconds that an attempt may run when nobody stops it, by the name of its job.
LENGTHS = {
    "failing": (0.0, 0.002, 0.02),
    "shaky": (0.0, 0.002, 0.02),
    "brief": (0.0, 0.002, 0.02),
    "mixed": (0.0, 0.002, 0.02, 0.2, 1.0, 5.0, 40.0),
    "long": (40.0, 80.0, 160.0),
    "endless": (1e9,),
}


class Disk:
    """It may be frozen, so that whoever touches a file hangs, and full."""

    def __init__(self) -> None:
        self.hangs = self.full = False
        self._waiting: list[Action] = []

    def when_it_goes_on(self, action: Action) -> None:
        self._waiting.append(action)

    def freeze(self) -> None:
        self.hangs = True

    def thaw(self) -> None:
        self.hangs = False
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()


class Machine:
    def __init__(
        self,
        world: World,
        truth: Truth,
        scheduler: "SchedulerHost",
        name: str,
        millicpus: int,
        launch_failures: float,
        box: Box | None = None,
    ) -> None:
        self.world, self.truth, self.scheduler = world, truth, scheduler
        self.called = f"the worker at {name}"  # what its worker would like to be called; of copies all the same
        self.id = self.name = name  # the worker's id, and the machine's name: they differ where it is a copy
        self.box = box or Box(world, name)
        self.box.above.append(self)
        self.disk = Disk()
        self.mount = Disk()  # that only jobs use: who starts one there hangs alone
        self.millicpus = millicpus
        self.offer = NOTHING  # what it has beside cpus
        self.launch_failures = launch_failures
        self.compacts = world.random.choice((0.0, 0.1, 1.0))  # how often an acknowledgement makes the journal short
        self.dies_at_hello = False  # its agent, next time
        self.hurries = False  # what starts from now on takes a hundredth of its time
        self.link = Link()
        self.dialled: list[Connection] = []
        # On its disk. The journal's tail is lost in a reboot.
        self.epoch = 0
        self.journal: list[JournalLine] = []
        self.journal_base = 0
        self.journal_readable = False
        self.notes = BegunNotes()
        self.incarnation = ""
        self.rebooted = False
        self.cache = Cache()
        self.outputs: dict[AttemptKey, tuple[bytes, bytes]] = {}
        self.processes: dict[str, Process] = {}
        self._pids = count(1)
        self.launcher: Launcher | None = None
        self.agent: Agent | None = None
        truth.capacity[name] = millicpus

    def offers(self, offer: Offer) -> None:
        """It has that beside cpus, before it starts."""
        self.offer = self.truth.offers[self.name] = offer

    @property
    def home(self) -> Home:
        """Its first directory is not a copy."""
        first = self.name == self.box.name
        return Home(f"machine-{self.box.name}", self.box.boot, "1-1" if first else f"copy-{self.name}")

    # ── disk ────────────────────────────────────────────────────────────────────────────────────────────────────

    def fills(self, full: bool) -> None:
        """Or is freed. Its agent finds out a little later."""
        self.disk.full = full
        self.world.at(self.world.between(0.0, 1.0), self.measure)

    def measure(self) -> None:
        if self.agent:
            self.agent.feed(RoomMeasured((Space("/", 100, 0 if self.disk.full else 100),)))

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────────

    def starts(self, key: AttemptKey, slot: Slot, gpus: tuple[str, ...], template: Template) -> Process:
        """A process below a slot; its life is drawn by lot."""
        world, name = self.world, str(key)
        memory = dict(template.amounts).get(MEMORY, 0)
        run = self.truth.starts(key, self.name, self.id, world.now, gpus, memory)
        world.tell(self.name, f"{key} runs")
        length = world.random.choice(LENGTHS[self.truth.specs[key.job].name]) * world.between(0.5, 1.5)
        if self.hurries and length < 1e6:
            length /= 100
        how = world.random.choices(("exit:0", "exit:1", "exit:7", "signal:SIGSEGV"), (16, 2, 1, 1))[0]
        if self.truth.specs[key.job].name == "failing":
            how = "exit:1"
        if self.truth.specs[key.job].name == "shaky":
            how = world.random.choice(("exit:0", "exit:1"))
        if self.truth.specs[key.job].grow and memory < self.truth.need_of(key):
            how = OUT_OF_MEMORY
        strays = world.between(0.0, 20.0) if world.chance(0.05) else 0.0
        process = self.processes[name] = Process(name, run, world.chance(0.8), strays, slot)
        sizes = world.random.choices(((0, 0), (9, 0), (9, 4), (5000, 1)), (3, 3, 1, 1))[0]
        self.outputs[key] = (b"o" * sizes[0], b"e" * sizes[1])
        if 0 < max(sizes) <= SMALL_OUTPUT:
            self.truth.small_outputs[key] = SmallOutput(*key, *self.outputs[key])
        process.due = world.now + length
        world.at(length, lambda: self._ends_by_itself(process, how))
        return process

    def _ends_by_itself(self, process: Process, how: str) -> None:
        """Unless it stands still, or has stood still for a while and needs as much longer."""
        if process.frozen_at is not None:
            self.world.at(1.0, lambda: self._ends_by_itself(process, how))
        elif process.due > self.world.now:
            self.world.at(process.due - self.world.now, lambda: self._ends_by_itself(process, how))
        else:
            self._leader_ends(process, how)

    def freeze(self, key: str) -> None:
        process = self.processes.get(key)
        if process and process.frozen_at is None:
            self.world.tell(self.name, f"{key} is frozen")
            process.frozen_at = self.world.now

    def thaw(self, key: str) -> None:
        process = self.processes.get(key)
        if process and process.frozen_at is not None:
            self.world.tell(self.name, f"{key} is thawed")
            stood = self.world.now - process.frozen_at
            process.due, process.run.stood, process.frozen_at = process.due + stood, process.run.stood + stood, None

    def check_timeout(self, key: str, limit: float) -> None:
        """It is stopped now because it has run for that long; while it stood still it did not run."""
        if (process := self.processes.get(key)) and process.leader:
            ran = self.world.now - process.run.started - process.run.stood
            ran -= 0.0 if process.frozen_at is None else self.world.now - process.frozen_at
            assert self.box.counts(ran) >= limit - 0.01, f"{key} is stopped after {ran:.3f} s, its --timeout is {limit}"

    def _leader_ends(self, process: Process, how: str) -> None:
        if not (process.alive and process.leader):
            return
        process.leader = False
        process.run.how = how
        if not process.strays:
            self.ends(process, how)
        self.world.tell(self.name, f"{process.key} ends: {how}{', others of its tree go on' * bool(process.strays)}")
        word, _, value = how.partition(":")
        code, name = (int(value), None) if word == "exit" else (None, value or "SIGKILL")
        took = self.box.counts(self.world.now - process.run.started)
        process.slot.leader_ended(code, name, took, self.sizes(process.key), oom=how == OUT_OF_MEMORY)
        if process.strays and process.alive:
            self.world.at(process.strays, lambda: self._strays_end(process))

    def _strays_end(self, process: Process) -> None:
        if process.alive:
            self.ends(process, process.run.how)

    def ends(self, process: Process, how: str) -> None:
        """Nothing of it runs any more, whether anybody sees that or not."""
        process.alive = False
        del self.processes[process.key]
        self.truth.ends(process.run, how, self.world.now)

    def signal(self, key: str, name: str) -> bool:
        """False when the leader of that tree had ended before."""
        self.thaw(key)
        process = self.processes.get(key)
        if process and process.leader and process.obeys:
            how = "exit:0" if self.world.chance(0.2) else f"signal:{name}"
            self.world.at(self.world.between(0.0, 0.5), lambda: self._leader_ends(process, how))
        return bool(process and process.leader)

    def kill(self, key: str) -> None:
        process = self.processes.get(key)
        if process is None:
            return
        if process.leader:
            process.strays = 0.0
            self.world.at(self.world.between(0.0, 0.01), lambda: self._leader_ends(process, "signal:SIGKILL"))
        else:
            self.world.at(self.world.between(0.0, 0.01), lambda: self._strays_end(process))

    def sizes(self, key: str) -> tuple[int, int]:
        out, err = self.outputs.get(AttemptKey.parse(key), (b"", b""))
        return len(out), len(err)

    def small_output(self, key: AttemptKey) -> SmallOutput | None:
        """None when it was removed, which is right only when the scheduler has it. (Both may happen when the agent
        dies before its launcher has read the acknowledgement: the new agent reports the end again.)"""
        if key in self.outputs:
            return SmallOutput(*key, *self.outputs[key])
        assert self.scheduler.has_end_of(key), f"{self.name}: the output of {key} was removed too early"
        return None

    def output_is_left_out(self, key: AttemptKey) -> None:
        """The disk did not answer for so long that its end is reported without."""
        self.truth.small_outputs.pop(key, None)

    # ── agent and launcher ──────────────────────────────────────────────────────────────────────────────────────

    def living_launcher(self) -> Launcher:
        if self.launcher is None or not self.launcher.alive:
            self.launcher = Launcher(self)
        return self.launcher

    def next_pid(self) -> int:
        return next(self._pids)

    def new_incarnation(self) -> None:
        self.incarnation = str(UUID(int=self.world.random.getrandbits(128)))

    def launcher_died(self, launcher: Launcher) -> None:
        if self.agent and self.launcher is launcher:
            self.agent.launcher_died()

    def dial(self, agent: Agent, session: int) -> None:
        self.world.at(self.world.between(*self.link.latency), lambda: self.scheduler.dialled(self, agent, session))

    def crash_agent(self, back_after: float) -> None:
        if self.agent:
            self.world.tell(self.name, f"the agent dies, for {back_after:.3f} s")
            self.agent.crash()
            self.agent = None
            self.world.at(back_after, self.start_agent)

    def agent_gives_up(self, agent: Agent) -> None:
        """Somebody else lives with its identity. Whoever watches over it may start it again."""
        if self.agent is agent:
            self.crash_agent(self.world.between(1.0, 5.0 if self.hurries else 60.0))

    def agent_finished(self, agent: Agent) -> None:
        """A clean end: it said goodbye."""
        if self.agent is agent:
            if agent.core.connected:
                self.scheduler.deregister(self)
            self.crash_agent(self.world.between(0.1, 30.0))

    def start_agent(self) -> None:
        if self.agent is None and self.box.on and self in self.box.above:
            self.agent = Agent(self)
            self.measure()

    def destroy(self) -> None:
        """It is gone for good."""
        self.world.tell(self.name, "is gone for good")
        self.loses_power()
        self.box.above.remove(self)

    def loses_power(self) -> None:
        """Nobody is told, and what was not synced is gone."""
        world = self.world
        self.disk, self.mount = Disk(), Disk()
        if self.agent:
            self.agent.alive = False
            if self.agent.connection:
                self.agent.connection.up.cut = self.agent.connection.down.cut = True
            self.agent = None
        if self.launcher:
            self.launcher.loses_power()
            self.launcher = None
        for process in list(self.processes.values()):
            self.ends(process, "reboot")
        self.notes = BegunNotes(unknown=True)
        del self.journal[len(self.journal) - world.random.randint(0, len(self.journal)) :]
        self.truth.reboots[self.name] = world.now

    def boots(self) -> None:
        self.rebooted = True
        self.start_agent()

    def is_copied(self, name: str, *, same_machine: bool) -> "Machine":
        """Another machine, or another directory on this one, with a copy of what is on the disk at this moment."""
        # The agent beside sees that it is a copy, and leaves alone what the launcher of the other one has written.
        box = self.box if same_machine else None
        copy = Machine(self.world, self.truth, self.scheduler, name, self.millicpus, self.launch_failures, box)
        copy.offers(self.offer)
        copy.id, copy.called, copy.epoch, copy.outputs = self.id, self.called, self.epoch, dict(self.outputs)
        copy.rebooted = self.rebooted
        if not same_machine:
            copy.journal, copy.journal_base, copy.rebooted = list(self.journal), self.journal_base, True
            copy.journal_readable, copy.incarnation = self.journal_readable, self.incarnation
            copy.notes.unknown = True
        copy.start_agent()
        return copy

    def resume_connections(self) -> None:
        """The link is free again: what waited arrives."""
        for connection in self.dialled:
            connection.up.resume()
            connection.down.resume()
        self.dialled = [c for c in self.dialled if c.worker_open or c.scheduler_open]

    def processes_of_ours(self) -> list[tuple[str, Stalling]]:
        """All that can be stopped, and what each is called."""
        there = [("the agent", self.agent.process)] if self.agent else []
        if self.launcher and self.launcher.alive:
            there += [("the launcher", self.launcher.process), ("the watchdog", self.launcher.watchdog.process)]
            there += [(f"slot {number}", slot.process) for number, slot in self.launcher.slots.items()]
        return there

    def is_guarded(self, *, without_launcher: bool = False, without_watchdog: bool = False) -> bool:
        """Whether of launcher, slot and watchdog one is awake to cut each leash. (All three stalled at once is more
        than is promised.) For a launcher that is dead its agent starts another."""
        launcher = self.launcher
        if launcher is None:
            return True
        starter = launcher if launcher.alive and not without_launcher else self.agent
        watchdog = launcher.watchdog
        return (
            (starter is not None and not starter.process.stopped and not self.disk.hangs)
            or (watchdog.alive and not without_watchdog and not watchdog.process.stopped)
            or not any(slot.process.stopped for slot in launcher.slots.values() if slot.tree)
        )

    def when_up(self, action: Callable[["Machine"], None]) -> None:
        """Faults of the agent or launcher make sense only when both are there."""
        if self.agent and not self.agent.process.stopped and self.launcher and self.launcher.alive:
            action(self)
