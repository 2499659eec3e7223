"""One simulated cluster with its users and its bad luck, drawn from a seed."""

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job import job_tasks
from cluster.domain.job.dependencies import DependencyKind
from cluster.domain.job.dependency_options import DEPENDENCY_WISHES
from cluster.domain.job.job import Job
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.target import Target
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.views import job_view, worker_view
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.session import spec_memory
from cluster.domain.worker import outbox
from cluster.scheduler import commit_pipeline
from cluster.scheduler.job_reading import jobs_of
from cluster.store.interface import Store
from cluster.store.memory import Disk, MemoryStore
from tests.sim import climates
from tests.sim.bad_luck import BadLuck, Fault
from tests.sim.crowd import draw_crowded, owner_of
from tests.sim.families import Families
from tests.sim.keepers import Keepers
from tests.sim.machine import Machine
from tests.sim.needs import draw_growth, draw_needs, draw_offer
from tests.sim.orders import Orders
from tests.sim.scheduler import SchedulerHost
from tests.sim.timekeeping import draw_times
from tests.sim.truth import Truth
from tests.sim.uploads import draw_upload
from tests.sim.world import World

LEASE = 15.0
TROUBLE = 150.0  # seconds in which faults happen
PATIENCE = 4000.0  # seconds without faults in which everything must have ended
BURST = 12  # jobs of one task that fail and are tried again
# What a worker holds of it is soon in many pieces, of several attempts: so its reports are long.
SHAKY = JobSpec(argv=("work",), name="shaky", array=(ArraySegment(1, 120),), millicpus=200, retries=6)
REOPENED = 0.3  # of the jobs somebody wants tried again, and of these again
AGAIN = 0.3  # of the jobs, that are submitted again when they may have ended: a script was run anew, say
SCHEDULED = 250.0  # seconds without faults in which jobs come again
CLOCKS = 0.8  # of the jobs have times, where any have
WAITING = 0.3  # of the jobs wait for others
SETTLING = 60.0  # seconds without faults in which everybody hears what was wished
QUIET = 100.0  # seconds after the last end, in which nothing may be left over


class Scenario:
    def __init__(
        self,
        seed: int,
        *,
        loud: bool = False,
        open_store: Callable[[], Store] | None = None,
        climate: Sequence[Fault] = (),
        lost_after: float | None = None,
        stubborn: bool | None = None,
        most: int = MOST_AT_ONCE,
        machines: int | None = None,
        shaky: float = 0.1,
        submissions: int | None = None,
        workflows: bool = False,
        families: bool = False,
        orders: bool = False,
        clocks: bool = False,
        needs: bool = False,
        crowded: bool = False,
        uploads: bool = False,
        keepers: bool = False,
    ) -> None:
        """`climate`: all that goes wrong; `lost_after` of every job. `stubborn`: every job takes long, and is tried
        again on any worker. `machines`, and how often a user submits. These are drawn when not named. `shaky`: of these
        submissions, how many bring a job whose reports are long. `most` is what a turn of the scheduler is given.
        `workflows`: jobs that wait for each other come together, too. `families`: jobs call jobs. `orders`: people
        pause jobs and the queue, and set priorities. `clocks`: jobs wait for times, have deadlines, or come again.
        `needs`: workers differ in what they have beside cpus, and jobs ask for that. `crowded`: several users want more
        than there is, of large tasks and small ones. `uploads`: jobs find contents that workers must fetch. `keepers`:
        jobs are deleted and pinned."""
        self.world = World(seed, loud=loud)
        self.truth = Truth()
        disk = Disk()
        self.scheduler = SchedulerHost(self.world, self.truth, open_store or (lambda: MemoryStore(disk)), LEASE)
        self.scheduler.most = most
        world = self.world
        launch_failures = world.random.choice((0.0, 0.0, 0.05))
        self.machines = [
            Machine(
                world, self.truth, self.scheduler, f"m{n}", world.random.choice((1000, 2000, 4000)), launch_failures
            )
            for n in range(machines or world.random.randint(1, 4))
        ]
        self._needs, self._crowded = needs, crowded
        for machine in self.machines if needs else ():
            machine.offers(draw_offer(world.random))
        self._lost_after = lost_after
        self._shaky = shaky
        self._submissions = submissions
        self._workflows = workflows
        self._clocks = clocks
        self._stubborn = world.chance(0.2) if stubborn is None else stubborn
        self._trouble_ends = TROUBLE * world.between(0.3, 1.0)
        self._submitted = 0
        self._given_up: set[str] = set()
        self._again = Random(f"again {seed}")  # apart, so that what else is drawn stays as it is
        self._growing = Random(f"growing {seed}")
        self._uploading = Random(f"uploading {seed}") if uploads else None
        self._cancelled: dict[int, IntervalSet] = {}  # job: tasks of which a user was told that they are cancelled
        climate = climate or climates.draw(world.random)
        whose = (world, self.truth, self.scheduler, self.machines, self._make_id, self._again)
        self._families = Families(*whose) if families else None
        self._orders = Orders(world, self.truth, self.scheduler) if orders else None
        self._keepers = Keepers(world, self.truth, self.scheduler, seed) if keepers else None
        self.luck = BadLuck(world, self.truth, self.scheduler, self.machines, self._trouble_ends, climate)

    def run(self) -> None:
        """Trouble, then peace; AssertionError when anything is not as it must be."""
        self.scheduler.start()
        for machine in self.machines:
            machine.start_agent()
        for _ in range(self._submissions or self.world.random.randint(1, 6)):
            self.world.at(self.world.between(0.0, self._trouble_ends), self._user_submits)
        if self._families:
            self._families.begin(self._trouble_ends)
        if self._orders:
            self._orders.begin(self._trouble_ends)
        if self._keepers:
            self._keepers.begin(self._trouble_ends)
        self.luck.begins()
        self.world.run(self._trouble_ends)
        self.luck.ends()
        if self._orders:
            self.world.run(self.world.now + SETTLING)
            self._orders.check_frozen(self.machines)
        deadline = self.world.now + PATIENCE
        while not self._all_ended():
            assert self.world.now < deadline, f"no end after {PATIENCE} s without faults: {self._unfinished()}"
            if self._orders:
                self._orders.end()
            self.world.run(self.world.now + 20.0)
        self.world.run(self.world.now + QUIET)
        while self.world.now < deadline and not self._is_quiet():
            self.world.run(self.world.now + 20.0)
        while self._keepers and self._keepers.clear():
            self.world.run(self.world.now + 1.0)
        self._check_nothing_is_left()
        if self._keepers:
            self._keepers.check_nothing_is_left()

    def _is_quiet(self) -> bool:
        """All are connected: a copy waits until the first one has been silent for a lease. And nothing is on its way to
        the scheduler's disk: a commit that began when that was frozen may hang for longer than QUIET."""
        connected = all(m.agent and m.agent.core.connected for m in self.machines)
        return connected and self.scheduler.present is not None and not self.scheduler.present.pipeline.committing

    # ── users ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _user_submits(self) -> None:
        if self.world.chance(0.1):
            for _ in range(BURST):
                self._submit_one(JobSpec(argv=("work",), name="failing", retries=2))
        if self.world.chance(self._shaky):
            self._submit_one(replace(SHAKY, lost_after=self._lost_after or 60.0))
        self._submit_one(self._draw_spec())
        if self._workflows:
            self._submit_together()

    def _submit_one(self, spec: JobSpec) -> None:
        self._submitted += 1
        job_id = self._make_id()
        spec = self._orders.draw(spec) if self._orders else spec
        self._submit(job_id, spec)
        for _ in range(self.world.random.choice((0, 0, 0, 1, 2))):
            self.world.at(self.world.between(0.0, 60.0), lambda: self._user_cancels(job_id))
        while self._again.random() < REOPENED:
            self.world.at(self._again.uniform(1.0, 100.0), lambda: self._user_tries_again(job_id))

    def _make_id(self) -> str:
        """Mostly of version 7; the clocks of some who make them are behind or ahead, by up to an hour."""
        bits = self.world.random.getrandbits(128)
        if bits % 8 == 0:
            return str(UUID(int=bits))
        ahead = (0, 0, 0, 0, -3600, 5, 90, 3600)[bits >> 3 & 7]
        millis = int((self.world.wall + ahead) * 1000)
        return str(UUID(int=millis << 80 | 7 << 76 | bits >> 52))

    def _draw_spec(self) -> JobSpec:
        spec = self._draw_any_spec()
        if self._uploading:
            spec = draw_upload(self._uploading, spec)
        if self._crowded:
            largest = max(machine.millicpus for machine in self.machines)
            return draw_crowded(self.world.random, spec, largest)
        if self._families and self.world.chance(0.5):
            spec = replace(spec, wait_children=True)
        if self._needs:
            offer = self.world.random.choice(self.machines).offer
            spec = draw_growth(self._growing, offer, draw_needs(self.world.random, offer, spec))
        if self._stubborn:
            return replace(spec, name="long", retries=3, timeout=0.0, worker="")
        if self._clocks and self.world.chance(CLOCKS):
            return draw_times(self.world, spec)
        return self._draw_dependencies(spec) if self.world.chance(WAITING) else spec

    def _draw_dependencies(self, spec: JobSpec) -> JobSpec:
        random, known = self.world.random, sorted(self.scheduler.acknowledged.values())
        if not known:
            return spec
        fields = {kind.value: (str(random.choice(known)),) for kind in random.sample(list(DependencyKind), 2)}
        if each := fields.get(DependencyKind.EACH.value):
            count = self.truth.specs[int(each[0])].task_count
            spec = replace(spec, lines=b"", array=(ArraySegment(1, count),))
        return replace(spec, on_dependency_fail=random.choice(DEPENDENCY_WISHES), **fields)  # type: ignore[arg-type]

    def _draw_any_spec(self) -> JobSpec:
        random = self.world.random
        count = random.choice((1, 1, 2, 5, 20, 60))
        array: tuple[ArraySegment, ...] = ()
        lines = b""
        match random.randint(0, 3):
            case 0:
                array = (ArraySegment(1, count),)
            case 1:
                array = (ArraySegment(5, 5 + 3 * (count - 1), 3), ArraySegment(1, 2))
            case 2:
                lines = b"\n".join(b"line %d" % n for n in range(count))
        return JobSpec(
            argv=("work",),
            name=random.choice(("brief", "mixed", "mixed", "long", "endless")),
            array=array,
            lines=lines,
            millicpus=random.choice((1000, 1000, 1000, 500, 300, 2000, 64_000)),
            timeout=random.choice((0.0, 0.0, 3.0)),
            grace=random.choice((0.0, 0.1, 10.0)),
            worker=random.choice(("", "", "", "", self.machines[0].id)),
            lost_after=self._lost_after or random.choice((60.0, 60.0, 30.0, 2.0)),
            retries=random.choice((0, 0, 1, 3)),
        )

    def _submit(self, job_id: str, spec: JobSpec) -> None:
        """Again and again with the same id until it is acknowledged, and sometimes once more."""

        def answer(value: Replied) -> None:
            if isinstance(value, HasEnded):
                return  # it is asked again, and the store has that job then
            if (
                isinstance(value, NotFound)
                and job_id not in self.scheduler.acknowledged
                and job_id not in self._given_up
            ):
                self._given_up.add(job_id)  # what it was to wait for was deleted
                self._submitted -= 1
            if job_id in self._given_up or self.scheduler.acknowledged.get(job_id) in self.truth.deleted:
                known = self.scheduler.acknowledged.get(job_id)  # of which the store may have told before
                assert isinstance(value, NotFound | Conflict) or value == known, f"{job_id} was deleted, and is {value}"
                return
            assert isinstance(value, int), value
            known = self.scheduler.acknowledged.setdefault(job_id, value)
            assert known == value, f"job {job_id} was acknowledged as {known}, and now as {value}"

        owner = owner_of(job_id) if self._crowded else "alice"
        submit = partial(self.scheduler.submit, job_id, spec, answer, owner=owner)
        submit()
        if self.world.chance(0.1):
            submit()
        if self.world.chance(AGAIN):
            much_later = submit
            for _ in range(2):
                self.world.at(self.world.between(5.0, self._trouble_ends), much_later)

        def again() -> None:
            if job_id not in self.scheduler.acknowledged and job_id not in self._given_up:
                self._submit(job_id, spec)

        self.world.at(self.world.between(1.0, 5.0), again)

    def _submit_together(self) -> None:
        """Jobs of one call, some of which wait for others of it, and for older ones."""
        random, ids = self.world.random, [self._make_id() for _ in range(self.world.random.randint(2, 8))]
        jobs: list[NewJob] = []
        for place, job_id in enumerate(ids):
            spec = self._draw_spec()
            if place and self.world.chance(0.7):
                kind = random.choice((DependencyKind.SUCCESS, DependencyKind.END, DependencyKind.FAILURE))
                others = tuple(random.sample(ids[:place], min(place, 2)))
                names: dict[str, Any] = {kind.value: (*getattr(spec, kind.value), *others)}
                spec = replace(spec, **names)
            jobs.append(NewJob(job_id, spec))
        random.shuffle(jobs)
        self._submitted += len(jobs)
        self.truth.workflows.append(jobs)
        self._hand_in_together(jobs)
        if self.world.chance(0.5):
            self.world.at(self.world.between(0.0, 60.0), lambda: self._user_cancels(random.choice(ids)))

    def _hand_in_together(self, jobs: list[NewJob]) -> None:
        """As `_submit`."""

        def answer(value: Replied) -> None:
            if not isinstance(value, HasEnded):
                assert isinstance(value, tuple), value
                for (job_id, _), number in zip(jobs, value, strict=True):
                    known = self.scheduler.acknowledged.setdefault(job_id, number)
                    assert known == number, f"job {job_id} was acknowledged as {known}, and now as {number}"

        def again() -> None:
            if jobs[0].id not in self.scheduler.acknowledged:
                self._hand_in_together(jobs)

        self.scheduler.submit_together(jobs, answer)
        if self.world.chance(AGAIN):
            again_later = partial(self.scheduler.submit_together, jobs, answer)
            self.world.at(self.world.between(0.0, self._trouble_ends), again_later)
        self.world.at(self.world.between(1.0, 5.0), again)

    def _user_tries_again(self, job_id: str) -> None:
        number = self.scheduler.acknowledged.get(job_id)
        if number is None or self.scheduler.core is None or self.world.now > self._trouble_ends:
            return
        start = self._again.randrange(self.truth.specs[number].task_count)
        tasks = Range(start * self._again.randint(0, 1), self.truth.specs[number].task_count)
        self.world.tell("user", f"wants {number} {tasks} tried again")
        self.truth.reopens(number, tasks)
        self.scheduler.reopen(number, tasks, lambda _: None)

    def _user_cancels(self, job_id: str) -> None:
        number = self.scheduler.acknowledged.get(job_id)
        if number is None or self.scheduler.core is None:
            return
        count = self.truth.specs[number].task_count
        ranges: tuple[Range, ...] | None = None
        if self.world.chance(0.5):
            start = self.world.random.randrange(count)
            ranges = (Range(start, self.world.random.randint(start, count - 1) + 1),)
        self.world.tell("user", f"cancels {number} {ranges}")
        self._cancel(number, ranges, self.world.random.choice((None, 0.0, 1.0)))

    def _cancel(self, number: int, ranges: tuple[Range, ...] | None = None, grace: float | None = None) -> None:
        tasks = ranges or (Range(0, self.truth.specs[number].task_count),)
        self.truth.cancelled.setdefault(number, IntervalSet()).update(tasks)
        self.scheduler.ask(
            lambda ask: CancelRequested(ask, (Target(number, ranges),), "alice", grace),
            lambda _: self._cancelled.setdefault(number, IntervalSet()).update(tasks),
            of=number,
        )

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _all_ended(self) -> bool:
        core = self.scheduler.core
        assert core is not None
        if len(self.scheduler.acknowledged) < self._submitted or not all(m.agent and m.launcher for m in self.machines):
            return False
        unfinished = list(core.unfinished())
        if any(job.number not in self.truth.specs for job in unfinished):
            return False  # a job has called it, and it is not on disk yet
        for job in unfinished:
            hopeless = job.record.spec.millicpus > self._largest_for(job.record.spec)
            if hopeless:
                assert not job.ready or job_view(core, job).pending_because, f"nothing says why {job.number} waits"
            # Once acknowledged, a cancel works, whatever happens then.
            cancelled = self._cancelled.get(job.number, IntervalSet()).covers(0, job.record.spec.task_count)
            cancelled = cancelled and job.number not in self.truth.reopened
            comes_again = job.record.spec.every and self.world.now > self._trouble_ends + SCHEDULED
            never_ends = job.record.spec.name == "endless" or comes_again
            if (hopeless or never_ends) and not cancelled:
                self._cancel(job.number)
        return not unfinished

    def _largest_for(self, spec: JobSpec) -> int:
        return max(m.millicpus for m in self.machines if not spec.worker or spec.worker == m.id)

    def _unfinished(self) -> str:
        core = self.scheduler.core
        assert core is not None
        return "; ".join(
            f"job {job.number}: { {s.word: list(map(tuple, t.ranges())) for s, t in job.sets.items() if t} }"
            f" held {job.held} cancelling {job.cancelling}"
            for job in core.unfinished()
        )

    def _check_nothing_is_left(self) -> None:
        core = self.scheduler.core
        assert core is not None
        assert not self.truth.running, "processes still run"
        for worker in core.workers.values():
            assert worker.allocated == 0, f"{worker.id} still has {worker.allocated} millicpus allocated"
            assert not worker.jobs
            worker_view(core, worker)
        assert not core.jobs, f"jobs {list(core.jobs)} have ended, and are in memory"
        numbers = {*self.scheduler.acknowledged.values(), *self.truth.times.runs.values()}
        for job in jobs_of(self.scheduler.store, sorted(numbers), whole=True).values():
            if job.course:
                self.truth.times.check_course(job.number, job.course)
            assert not job.live
            view = job_view(core, job)
            assert view.reason, f"job {job.number} is {view.state.word} for no reason"
            assert (view.exit_code == 0) == (view.reason == "ok"), f"job {job.number}: {view.exit_code}, {view.reason}"
            self._check_tasks(job)
        for machine in self.machines:
            self._check_machine(machine)
        deadline = core.next_deadline()
        assert deadline is None or deadline > 0

    def _check_tasks(self, job: Job) -> None:
        """Every task's last word in the store is its state."""
        store, number = self.scheduler.store, job.number
        for state, tasks in job.sets.items():
            for index in tasks:
                ends = store.ends_of_task(number, index)
                if not (ends and ends[-1].state is state):
                    again = not ends or job.tries.forgiven.of(index) >= ends[-1].attempt
                    assert state.word == "cancelled" or again, f"{number}.{index}: {state}, {ends}"
                    expired = state.word == "failed" and (job.record.spec.deadline or job.record.spec.queue_timeout)
                    assert state.word == "cancelled" or expired, f"{number}.{index} is {state.word}, without an end"
                    if expired and not job.record.spec.queue_timeout:
                        self.truth.times.check_deadline(number)
                if state.word == "cancelled":
                    cancelled = index in self.truth.cancelled.get(number, ())
                    cancelled = cancelled or number in self.truth.too_many_failed
                    assert cancelled or self.truth.waited_in_vain(number, index), f"{number}.{index} is cancelled"
        assert sum(map(len, job.sets.values())) == job.record.spec.task_count

    def _check_machine(self, machine: Machine) -> None:
        agent, launcher = machine.agent, machine.launcher
        assert agent is not None
        assert launcher is not None
        assert agent.core.connected, f"{machine.name} is not connected"
        assert not launcher.core.attempts, f"{machine.name}: its launcher holds {list(launcher.core.attempts)}"
        assert launcher.core.allocation.used == 0
        assert not launcher.core.unacked, f"{machine.name}: never acknowledged: {launcher.core.unacked}"
        left = (agent.core.held.backlog, agent.core.held.running, agent.core.outbox.ended)
        assert not any(left), f"{machine.name}: its agent holds {left}"
        assert not agent.fetching.uses, f"{machine.name}: its agent keeps what nobody uses: {agent.fetching.uses}"
        assert machine.epoch == self.scheduler.epoch


def simulate(seed: int, **options: Any) -> Scenario:
    """Runs one seed. AssertionError names the seed, and tells the last events. `options` as of Scenario.

    Nobody looks for garbage meanwhile, of which a life makes little: to walk over the rest takes up to a twentieth of
    the time."""
    scenario, collects = Scenario(seed, **options), gc.isenabled()
    entries, specs, waiting = outbox.REPORT_ENTRIES, spec_memory.MOST_SPECS, commit_pipeline.MOST_WAITING
    holders = job_tasks.MANY_HOLDERS
    gc.disable()
    try:
        outbox.REPORT_ENTRIES = scenario.world.random.choice((1, 3, entries))
        spec_memory.MOST_SPECS = scenario.world.random.choice((2, 5, specs))
        job_tasks.MANY_HOLDERS = (0, 1, holders)[seed % 3]
        commit_pipeline.MOST_WAITING = scenario.world.random.choice((0, 20, waiting))
        scenario.run()
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise AssertionError(
            f"seed {seed}, {scenario.world.now:.4f} s: {what}\n{scenario.world.story()}\n"
            f"replay with CLUSTER_SIM_SEED={seed} (pytest -s tests/sim)"
        ) from error
    finally:
        outbox.REPORT_ENTRIES, spec_memory.MOST_SPECS, commit_pipeline.MOST_WAITING = entries, specs, waiting
        job_tasks.MANY_HOLDERS = holders
        if collects:
            gc.enable()
    return scenario


def seeds(default: int) -> range:
    """Which seeds to run: CLUSTER_SIM_SEEDS=N for 0 … N-1, CLUSTER_SIM_SEED=K for that one alone."""
    one = os.environ.get("CLUSTER_SIM_SEED")
    if one is not None:
        return range(int(one), int(one) + 1)
    return range(int(os.environ.get("CLUSTER_SIM_SEEDS", default)))
