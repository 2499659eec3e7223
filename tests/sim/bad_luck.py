"""What goes wrong in a simulated cluster: processes die and stall, links break, disks freeze and fill, copies start."""

from collections.abc import Callable, Iterable, Sequence

from cluster.domain.base.errors import ClusterError
from cluster.domain.job.spec import DEFAULT_LOST_AFTER
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import WorkerRegistered, WorkerRemoved, WorkersDrained, WorkersResumed
from cluster.domain.session.leashes import survived_absence
from cluster.domain.worker.messages import ShutdownRequested
from cluster.launcher.journal_pipeline import LauncherStep
from tests.sim.machine import Machine
from tests.sim.network import LATENCY
from tests.sim.scheduler import SchedulerHost
from tests.sim.stalling import Stalling
from tests.sim.truth import Truth
from tests.sim.world import Action, World

MOST_AHEAD = 2500.0  # seconds that a wall clock is wrong at most
MOST_COPIES = 2
MOST_JOINED = 3
GUARDS = ("the launcher", "the watchdog")
APART = 15.0  # seconds between two absences that are outlived: in the time between everybody is heard again

Fault = Callable[["BadLuck", Machine], None]


class BadLuck:
    def __init__(
        self,
        world: World,
        truth: Truth,
        scheduler: SchedulerHost,
        machines: list[Machine],
        until: float,
        climate: "Sequence[Fault]",
    ) -> None:
        """`climate`: what may go wrong."""
        self.world, self.truth, self.scheduler, self.machines = world, truth, scheduler, machines
        self._until = until
        self.climate = climate
        self._pause = world.random.choice((3.0, 10.0, 30.0))  # mean seconds between two faults
        self._mends: list[Action] = []  # of what is broken, some of it mended already
        self._copies = self._newcomers = self._joined = 0
        self._was_drained: dict[str, None] = {}  # workers
        self._freed: dict[str, int] = {}  # worker: how often it was asked that nobody drains it any more
        self._back_at = 0.0  # when the scheduler is back from its last absence

    def begins(self) -> None:
        wait = self.world.random.expovariate(1 / self._pause)
        if self.world.now + wait < self._until:
            self.world.at(wait, self._fault)

    def _fault(self) -> None:
        self.begins()
        self.world.random.choice(self.climate)(self, self.world.random.choice(self.machines))

    def ends(self) -> None:
        """From here on nothing goes wrong any more. Of copies one is left, whichever it is."""
        self.world.tell("world", "no more faults")
        mends, self._mends = self._mends, []
        for mend in mends:
            mend()
        self.scheduler.slow, self.scheduler.hangs = (0.0, 0.01), 0.0
        self.scheduler.wall_ahead = 0.0
        for process in self.scheduler.older:
            process.dies()
        self.scheduler.start()
        for machine in self.machines:
            machine.hurries = True
            machine.link.latency = LATENCY
            machine.fills(False)
            if machine.launcher:
                machine.launcher.dies_before = None
                machine.launcher.dies_unwritten = False
        for worker in self._was_drained:
            self._resume(worker)
        for worker in {machine.id: None for machine in self.machines}:
            same = [machine for machine in self.machines if machine.id == worker]
            same.remove(self.world.random.choice(same))
            for machine in same:
                machine.destroy()
                self.machines.remove(machine)

    def _long(self) -> float:
        """Seconds: a blink, shorter than a lease, longer than a lease, longer than any `lost_after`."""
        return self.world.random.choice((0.05, 1.0, 5.0, 20.0, 50.0, 90.0)) * self.world.between(0.5, 1.5)

    def _mend_later(self, mend: Action, after: float | None = None) -> None:
        """After so many seconds (None: a while), or at the end; not twice."""
        done = False

        def once() -> None:
            nonlocal done
            if not done:
                done = True
                mend()

        self._mends.append(once)
        self.world.at(self._long() if after is None else after, once)

    def _stop(self, who: str, what: str, process: Stalling, after: float | None = None) -> None:
        self.world.tell(who, f"{what} is stopped")
        process.stop()

        def go_on() -> None:
            self.world.tell(who, f"{what} goes on")
            process.go_on()

        self._mend_later(go_on, after)

    # ── the scheduler ───────────────────────────────────────────────────────────────────────────────────────────

    def scheduler_dies(self, _: Machine) -> None:
        self.scheduler.crash(power=self.world.chance(0.3))
        self.world.at(self._long(), self.scheduler.start)

    def clock_is_set(self, _: Machine) -> None:
        """The scheduler's wall clock, forward or back by seconds or minutes; in the end it is right again."""
        ahead = self.world.random.choice((-1, 1)) * self.world.random.choice((2.0, 30.0, 200.0, 2000.0))
        ahead = self.scheduler.wall_ahead + ahead * self.world.between(0.5, 1.0)
        self.scheduler.wall_ahead = max(-MOST_AHEAD, min(MOST_AHEAD, ahead))
        self.world.tell("scheduler", f"its clock is {self.scheduler.wall_ahead:.3f} s ahead")

    def clock_is_far_ahead(self, _: Machine) -> None:
        """For a while, by half a day or by a year, as where somebody has mistyped a date."""
        before, ahead = self.scheduler.wall_ahead, self.world.random.choice((43_200.0, 31_536_000.0))
        self.scheduler.wall_ahead = ahead
        self.world.tell("scheduler", f"its clock is {ahead:.0f} s ahead")

        def right_again() -> None:
            self.scheduler.wall_ahead = before if abs(before) <= MOST_AHEAD else 0.0
            self.world.tell("scheduler", f"its clock is {self.scheduler.wall_ahead:.3f} s ahead, no more")

        self._mend_later(right_again)

    def scheduler_is_away(self, _: Machine) -> None:
        """For just as long as is promised to cost nothing."""
        if self.world.now > self._back_at + APART and self.scheduler.core is not None:
            longest = survived_absence(DEFAULT_LOST_AFTER, self.scheduler.lease)
            absence = longest * self.world.random.choice((1.0, 0.98, self.world.between(0.0, 1.0)))
            self._back_at = self.world.now + absence
            self.scheduler.crash(power=self.world.chance(0.3))
            self.world.at(absence, self.scheduler.start)

    def scheduler_stops(self, _: Machine) -> None:
        present = self.scheduler.present
        if present is None or present.process.stopped:
            return
        process = present.process
        self.world.tell("scheduler", "is stopped")
        began = self.world.now
        process.stop()

        def goes_on() -> None:
            if self.scheduler.present is present:
                self.world.tell("scheduler", "goes on")
                self.truth.sleeps.append((began, self.world.now))
            process.go_on()

        self._mend_later(goes_on)

    def scheduler_is_started_twice(self, _: Machine) -> None:
        """The old one goes on, as if it had slept. It is not ahead of its disk: there only the lock on its directory
        keeps another one from being started."""
        present = self.scheduler.present
        well = not (self.scheduler.store_fails or self.scheduler.hangs)
        if present is None or present.process.stopped or present.pipeline.committing or not well:
            return
        self.world.tell("scheduler", "another one is started")
        if self.world.chance(0.5):
            self._stop("scheduler", "the old one", present.process)
        self.scheduler.start_another()

    def store_is_slow(self, _: Machine) -> None:
        self.scheduler.slow = self.world.random.choice(((0.0, 0.001), (0.0, 0.01), (0.1, 0.5), (1.0, 3.0)))

    def store_fails(self, _: Machine) -> None:
        """Its disk is full, or another process holds it."""
        self.world.tell("scheduler", "nothing can be written")
        self.scheduler.store_fails = True

        def is_well() -> None:
            self.world.tell("scheduler", "its disk is well again")
            self.scheduler.store_fails = False

        self._mend_later(is_well)

    def store_hangs(self, _: Machine) -> None:
        self.world.tell("scheduler", "its disk hangs")
        self.scheduler.hangs = self._long()

    # ── who belongs to it ───────────────────────────────────────────────────────────────────────────────────────

    def worker_is_removed(self, machine: Machine) -> None:
        """From the list; by force if it is connected. It may come back, as one may that was only taken for gone."""
        force = self.world.chance(0.5)
        self.world.tell("admin", f"removes {machine.id}{', by force' * force}")
        self._may_be_free(machine.id)
        self.scheduler.ask(lambda ask: WorkerRemoved(ask, machine.id, expelled=force), lambda _: None)

    def worker_is_drained(self, machine: Machine) -> None:
        """For a while, and perhaps once more meanwhile; perhaps with a deadline."""
        within = self.world.random.choice((None, None, 0.5, 5.0, 30.0))
        self.world.tell("admin", f"drains {machine.id}" + (f", within {within} s" if within else ""))
        if within:
            self.truth.deadlines.add(machine.id)
        self._was_drained[machine.id] = None
        wishes = self._freed.get(machine.id, 0)

        def told(value: Replied) -> None:
            if not isinstance(value, ClusterError) and wishes == self._freed.get(machine.id, 0):
                self.world.tell("admin", f"hears that {machine.id} is drained")
                self.truth.drained.add(machine.id)

        self.scheduler.ask(lambda ask: WorkersDrained(ask, (machine.id,), "admin", within=within), told)
        self._mend_later(lambda: self._resume(machine.id))

    def _resume(self, worker: str) -> None:
        self.world.tell("admin", f"resumes {worker}")
        self._may_be_free(worker)
        self.scheduler.ask(lambda ask: WorkersResumed(ask, (worker,)), lambda _: None)

    def _may_be_free(self, worker: str) -> None:
        """It is asked that nobody drains it any more. From now on it may get something: the answer may be lost."""
        self._freed[worker] = self._freed.get(worker, 0) + 1
        self.truth.drained.discard(worker)

    def name_is_wanted(self, machine: Machine) -> None:
        """By another machine, which joins by the name of one that seems to be gone, and never works."""
        self._newcomers += 1
        name = f"new{self._newcomers}"
        self.world.tell(name, f"would like to be called {machine.id}")
        self._may_be_free(machine.id)
        self.scheduler.ask(lambda ask: WorkerRegistered(ask, name, machine.called, 1000), lambda _: None)

    def worker_joins(self, machine: Machine) -> None:
        """Another machine, as large as one that there is."""
        if self._joined < MOST_JOINED:
            self._joined += 1
            self.world.tell("admin", "another worker joins")
            late = Machine(
                self.world,
                self.truth,
                self.scheduler,
                f"late{self._joined}",
                machine.millicpus,
                machine.launch_failures,
            )
            late.offers(machine.offer)
            self.machines.append(late)
            late.start_agent()

    # ── the network ─────────────────────────────────────────────────────────────────────────────────────────────

    def connection_breaks(self, machine: Machine) -> None:
        for connection in self.scheduler.connections():
            if connection.machine_name == machine.name:
                self.world.tell(machine.name, f"its connection {connection.number} breaks")
                connection.break_off()

    def link_is_blocked(self, machine: Machine) -> None:
        self._link_is_blocked(machine)

    def _link_is_blocked(self, machine: Machine, after: float | None = None) -> None:
        self.world.tell(machine.name, "its link is blocked")
        both = self.world.chance(0.5)
        machine.link.blocked_up = both or self.world.chance(0.5)
        machine.link.blocked_down = both or not machine.link.blocked_up
        self._mend_later(lambda: self._link_is_free(machine), after)

    def _link_is_free(self, machine: Machine) -> None:
        if machine.link.blocked:
            self.world.tell(machine.name, "its link is free again")
            machine.link.blocked_up = machine.link.blocked_down = False
            machine.resume_connections()

    def link_is_slow(self, machine: Machine) -> None:
        machine.link.latency = self.world.random.choice(((0.0005, 0.04), (0.0, 0.001), (0.5, 3.0)))

    # ── machines ────────────────────────────────────────────────────────────────────────────────────────────────

    def agent_dies(self, machine: Machine) -> None:
        machine.when_up(lambda m: m.crash_agent(self._long()))

    def agent_dies_at_hello(self, machine: Machine) -> None:
        """It is back at once; what it had said is lost on its way, sent again, and arrives much later."""
        machine.dies_at_hello = True
        self.connection_breaks(machine)

    def agent_is_asked_to_end(self, machine: Machine) -> None:
        def ask(m: Machine) -> None:
            with_jobs = self.world.chance(0.5)
            self.world.tell(m.name, f"the agent is asked to end{', with its jobs' * with_jobs}")
            if with_jobs:
                self.truth.stopping.add(m.name)
            assert m.agent
            m.agent.feed(ShutdownRequested(stop_jobs=with_jobs))

        machine.when_up(ask)

    def one_stops(self, machine: Machine) -> None:
        """Agent, launcher, watchdog or a slot."""
        self._some_stop(machine, 1)

    def two_stop(self, machine: Machine) -> None:
        self._some_stop(machine, 2)

    def _some_stop(self, machine: Machine, count: int) -> None:
        there = machine.processes_of_ours()
        self._these_stop(machine, self.world.random.sample(there, min(count, len(there))))

    def guards_stop(self, machine: Machine) -> None:
        """Launcher and watchdog: slots alone cut leashes, and what has not begun waits."""
        self._these_stop(machine, _guards(machine))

    def slots_are_alone(self, machine: Machine) -> None:
        """Nobody looks after them for longer than a leash or two, and what they are to start hangs, too."""
        lasts = self.world.between(20.0, 100.0)
        if self.world.chance(0.7):
            self._mount_freezes(machine, lasts)
        stalls_after = self.world.between(0.5, 10.0)

        def all_stall() -> None:
            self._link_is_blocked(machine, lasts - stalls_after + self.world.between(-10.0, 5.0))
            self._these_stop(machine, _guards(machine), lasts - stalls_after + self.world.between(0.0, 5.0))

        self.world.at(stalls_after, all_stall)

    def _these_stop(self, machine: Machine, those: Iterable[tuple[str, Stalling]], after: float | None = None) -> None:
        for what, process in those:
            process.stop()
            guarded = machine.is_guarded()
            process.go_on()
            if guarded:
                self._stop(machine.name, what, process, after)

    def slot_dies(self, machine: Machine) -> None:
        if machine.launcher and (slots := list(machine.launcher.slots.values())):
            self.world.random.choice(slots).kill("somebody")

    def watchdog_dies(self, machine: Machine) -> None:
        if machine.launcher and machine.is_guarded(without_watchdog=True):
            machine.launcher.watchdog.dies()

    def launcher_dies(self, machine: Machine) -> None:
        """Its agent is there to start another: children that nobody watches for long are not what is promised."""

        def die(m: Machine) -> None:
            assert m.launcher
            if not m.is_guarded(without_launcher=True):
                return
            m.launcher.dies_before = self.world.random.choice((None, *LauncherStep))
            if m.launcher.dies_before is None:
                m.launcher.die()

        machine.when_up(die)

    def launcher_dies_unwritten(self, machine: Machine) -> None:
        """Its disk is full when it dies, and does not hold what it has told last."""
        if machine.launcher:
            machine.launcher.dies_unwritten = True
            self.disk_fills(machine)

    def launcher_and_agent_die(self, machine: Machine) -> None:
        """Nobody is there to start another launcher: what is left is killed by the watchdog and the slots alone."""

        def die(m: Machine) -> None:
            agent, m.agent = m.agent, None
            guarded = m.is_guarded(without_launcher=True)
            m.agent = agent
            if guarded and m.launcher:
                m.crash_agent(self._long())
                m.launcher.die()

        machine.when_up(die)

    def machine_reboots(self, machine: Machine) -> None:
        if machine.agent:
            back_after = self._long()
            self.world.tell(machine.name, f"power off, for {back_after:.3f} s")
            machine.box.reboot(back_after)

    def disk_freezes(self, machine: Machine) -> None:
        self.world.tell(machine.name, "its disk is frozen")
        machine.disk.freeze()
        disk = machine.disk
        if machine.is_guarded():
            self._mend_later(disk.thaw)
        else:
            disk.thaw()

    def mount_freezes(self, machine: Machine) -> None:
        """What only jobs use, as a network's file system may."""
        self._mount_freezes(machine)

    def _mount_freezes(self, machine: Machine, after: float | None = None) -> None:
        self.world.tell(machine.name, "the file system of its jobs is frozen")
        mount = machine.mount
        mount.freeze()
        self._mend_later(mount.thaw, after)

    def disk_fills(self, machine: Machine) -> None:
        self.world.tell(machine.name, "its disk is full")
        machine.fills(True)
        self._mend_later(lambda: machine.fills(False))

    def disk_is_full_for_a_moment(self, machine: Machine) -> None:
        """What waits on it is given back, all at once, and when that is heard there may be room again."""
        self.world.tell(machine.name, "its disk is full for a moment")
        machine.fills(True)
        self._mend_later(lambda: machine.fills(False), self.world.between(0.01, 1.0))

    def directory_is_copied(self, machine: Machine) -> None:
        """And started as a worker, beside the one that it was copied from or on another machine."""
        if self._copies < MOST_COPIES:
            self._copies += 1
            same = self.world.chance(0.5)
            self.world.tell(machine.name, f"its directory is copied, to {'the same' if same else 'another'} machine")
            self.machines.append(machine.is_copied(f"{machine.id}-copy{self._copies}", same_machine=same))


def _guards(machine: Machine) -> list[tuple[str, Stalling]]:
    return [(what, process) for what, process in machine.processes_of_ours() if what in GUARDS]
