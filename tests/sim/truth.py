"""What really happened in the simulated world, whatever anybody in it believes; and what must therefore never be shown.

Machines write here when a process starts and ends. What the scheduler commits is held against it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.stalls import STALL
from cluster.domain.job.amounts import MEMORY
from cluster.domain.job.dependencies import Dependency, DependencyKind, dependencies_of, references_of
from cluster.domain.job.dependency_options import RUN_ANYWAY
from cluster.domain.job.expressions import parse
from cluster.domain.job.growth import memory_after
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.records import CallingAttempt, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.request import amounts_of
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.workflow import NewJob
from cluster.domain.launcher.core import SLOT_LOST_TEXT
from cluster.domain.scheduler.state import LEASE
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.leashes import HEARTBEATS, lost_after_in_force
from cluster.domain.session.offer import Offer
from tests.sim.timekeeping import Times

NOTICED = STALL + LEASE / HEARTBEATS + 1.0  # seconds for which a scheduler must have been stopped to notice it

MEETS = {  # how a whole job must have ended
    DependencyKind.SUCCESS: (TaskState.SUCCEEDED,),
    DependencyKind.FAILURE: (TaskState.FAILED, TaskState.CANCELLED),
    DependencyKind.END: (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED),
}


@dataclass(slots=True)
class Run:
    """The process tree of one attempt. `how`: exit:N or signal:NAME of its leader, `reboot`."""

    key: AttemptKey
    machine: str
    millicpus: int
    gpus: tuple[str, ...]
    started: float
    memory: int  # that it may take
    how: str = ""
    stood: float = 0.0  # seconds for which it was frozen
    ended: float | None = None


class Bound:
    """How many tasks of a job may run at once, as somebody has said."""

    def __init__(self, most: int) -> None:
        self.most = most


OUT_OF_MEMORY = "oom"  # as of Run.how

QUEUE = 0  # instead of a job's number


@dataclass(slots=True)
class Truth:
    capacity: dict[str, int] = field(default_factory=dict)  # machine: millicpus
    offers: dict[str, Offer] = field(default_factory=dict)  # machine: what it has beside these
    specs: dict[int, JobSpec] = field(default_factory=dict)  # job number: as it was submitted
    calls: dict[int, tuple[CallingAttempt, ...]] = field(default_factory=dict)  # job: by which it was called
    paused: set[int] = field(default_factory=set)  # jobs of which a user was told so; QUEUE: all
    pinned: set[int] = field(default_factory=set)  # the same
    deleted: set[int] = field(default_factory=set)  # jobs that are gone, on disk
    bounds: dict[int, list[Bound]] = field(default_factory=dict)  # job: the last that is in force, and those asked for
    widest: dict[int, int] = field(default_factory=dict)  # job: the highest of its bounds that ever were
    frozen: set[int] = field(default_factory=set)  # jobs of which a user was told that what runs is frozen
    too_many_failed: set[int] = field(default_factory=set)  # jobs of which more failed than may, as is or was on disk
    families_cancelled: set[int] = field(default_factory=set)  # jobs of which a user was told so
    outcomes: dict[int, set[TaskState]] = field(default_factory=dict)  # how jobs have ended, as is or was on disk
    reopened: dict[int, IntervalSet] = field(default_factory=dict)  # job: tasks that somebody wanted tried again
    more_tries: dict[tuple[int, int], int] = field(default_factory=dict)  # task: what it may fail more often by that
    succeeded: dict[int, IntervalSet] = field(default_factory=dict)  # job number: tasks that have, as is on disk
    runs: dict[AttemptKey, Run] = field(default_factory=dict)
    small_outputs: dict[AttemptKey, SmallOutput] = field(default_factory=dict)  # that must be kept with the end
    launch_failures: set[AttemptKey] = field(default_factory=set)
    unfetchable: set[int] = field(default_factory=set)  # jobs of which some worker was told that it never gets that
    orphans: set[AttemptKey] = field(default_factory=set)  # their launcher died before it could see their end
    reboots: dict[str, float] = field(default_factory=dict)  # machine: when it last forgot
    cancelled: dict[int, IntervalSet] = field(default_factory=dict)  # job: tasks that somebody wanted cancelled
    stopping: set[str] = field(default_factory=set)  # machines whose agent was told to end its jobs with itself
    greeted: dict[str, float] = field(default_factory=dict)  # machine: when it sent the last hello that arrived
    assigned: dict[AttemptKey, tuple[str, float]] = field(default_factory=dict)  # machine, and its `greeted` then
    drained: set[str] = field(default_factory=set)  # workers of which somebody was told so
    deadlines: set[str] = field(default_factory=set)  # workers that were ever drained until a deadline
    failures: dict[tuple[int, int], int] = field(default_factory=dict)  # task: how often it has failed, as is on disk
    too_little: dict[tuple[int, int], int] = field(default_factory=dict)  # how often it had too little memory
    losses: dict[tuple[int, int], int] = field(default_factory=dict)  # how often it was lost, or stopped by no drain
    times: Times = field(default_factory=Times)
    leashed: int = 0  # attempts that died of their leash
    lost: int = 0  # ends of which nobody knows
    given_up: set[AttemptKey] = field(default_factory=set)  # and whose they are
    sleeps: list[tuple[float, float]] = field(default_factory=list)  # when the scheduler was stopped, from and until
    workflows: list[list[NewJob]] = field(default_factory=list)  # that are not on disk yet
    _silent: dict[AttemptKey, float] = field(default_factory=dict)  # how long its machine was, when it was given up
    _active: dict[tuple[int, int], Run] = field(default_factory=dict)
    _used: dict[str, int] = field(default_factory=dict)

    # ── what the scheduler says ─────────────────────────────────────────────────────────────────────────────────

    def assigns(self, key: AttemptKey, worker: str, machine: str) -> None:
        """The attempt goes to a worker, which is at that machine."""
        assert worker not in self.drained, f"{key} is assigned to {worker}, which is drained"
        assert not self.paused & {key.job, QUEUE}, f"{key} is assigned, and somebody was told that it is paused"
        if key.job in self.bounds:
            running, most = self._running_of(key.job), max(bound.most for bound in self.bounds[key.job])
            assert running < most, f"{key} is assigned, {running} of its job run, and somebody was told: {most}"
        self.assigned[key] = (machine, self.greeted[worker])

    def bounds_now(self, job: int, most: int) -> Bound:
        """Somebody wants that no more run at once, and may be heard from now on."""
        bounds = self.bounds.setdefault(job, [Bound(self.specs[job].max_running)])
        bounds.append(Bound(most))
        self.widest[job] = max(self.widest.get(job, 0), *(bound.most for bound in bounds))
        return bounds[-1]

    def is_bound(self, job: int, bound: Bound) -> None:
        """Somebody was told so: what was said before is over."""
        if bound in self.bounds[job]:
            del self.bounds[job][: self.bounds[job].index(bound)]

    def _running_of(self, job: int) -> int:
        return sum(number == job for number, _ in self._active)

    def check_all_or_none(self, number_of_id: Callable[[str], int | None]) -> None:
        """Of jobs that come together all are on disk, or none; and each waits for those of them that it named."""
        for jobs in list(self.workflows):
            numbers = {job.id: number for job in jobs if (number := number_of_id(job.id)) is not None}
            assert len(numbers) in (0, len(jobs)), f"of {len(jobs)} jobs that come together {len(numbers)} are on disk"
            for job_id, spec in jobs if numbers else ():
                wanted = {str(numbers.get(text, text)) for text in references_of(spec)}
                known = set(references_of(self.specs[numbers[job_id]]))
                assert known == wanted, f"job {numbers[job_id]} waits for {known}, and was to wait for {wanted}"
            if numbers:
                self.workflows.remove(jobs)

    # ── what machines say ───────────────────────────────────────────────────────────────────────────────────────

    def starts(
        self, key: AttemptKey, machine: str, worker: str, now: float, gpus: tuple[str, ...] = (), memory: int = 0
    ) -> Run:
        """A process of this attempt begins to run."""
        earlier = self.runs.get(key)
        assert earlier is None, f"{key} was started on {earlier and earlier.machine}, and now again on {machine}"
        assert key not in self.launch_failures, f"{key} could not be started, and is now started on {machine}"
        assert key not in self.given_up, f"{key} was given up as lost, and is now started on {machine}"
        other = self._active.get(key[:2])
        assert other is None, f"{key} starts on {machine} while {other and other.key} runs on {other and other.machine}"
        spec = self.specs[key.job]
        for kind, counted in (("failed", self.failures), ("was lost", self.losses)):
            times, allowed = counted.get(key[:2], 0), spec.retries + self.more_tries.get(key[:2], 0)
            assert times <= allowed, f"{key} starts, its task {kind} {times} times, of {allowed} that may be"
        self.times.check_start(key.job)
        assert not spec.worker or spec.worker == worker, f"{key} starts on {machine}, it is for {spec.worker}"
        for dependency in self._unmet(key.job, key.index):
            assert spec.on_dependency_fail == RUN_ANYWAY, f"{key} starts, and waits for {dependency}"
            assert dependency.job in self.outcomes or dependency.kind is DependencyKind.EACH, (
                f"{key} starts, and job {dependency.job} goes on"
            )
        self._check_bound(key)
        asked = memory_after(spec.memory, spec.grow, self.too_little.get(key[:2], 0))
        assert memory == asked, f"{key} may take {memory}, and is to ask for {asked} by now"
        run = self.runs[key] = self._active[key[:2]] = Run(key, machine, spec.millicpus, gpus, now, memory)
        self._used[machine] = self._used.get(machine, 0) + run.millicpus
        assert self._used[machine] <= self.capacity[machine], f"{machine} runs {self._used[machine]} millicpus"
        if machine in self.offers:
            self._keeps_its_promises(run, self.offers[machine])
        return run

    def _check_bound(self, key: AttemptKey) -> None:
        """It starts beside no more of its job than may have run at once since it was assigned."""
        most = self.widest.get(key.job, self.specs[key.job].max_running)
        beside = self._running_of(key.job) if most < NO_LIMIT else 0
        assert beside < most, f"{key} starts beside {beside} others of its job, of {most}"

    def _keeps_its_promises(self, run: Run, offer: Offer) -> None:
        """What runs on its machine now has no more than there is, no unit is two's, and who is to be alone is."""
        spec, together = self.specs[run.key.job], [r for r in self._active.values() if r.machine == run.machine]
        facts: dict[str, str | float] = {
            **offer.amounts,
            **dict(offer.labels),
            "cpus": self.capacity[run.machine] / 1000,
        }
        assert not spec.need or parse(spec.need).holds(facts), f"{run.key} needs {spec.need}, and is on {facts}"
        taken: Counter[str] = Counter()
        for other in together:
            taken.update({**dict(amounts_of(self.specs[other.key.job])), MEMORY: other.memory})
        for name, amount in taken.items():
            assert amount <= offer.amounts.get(name, 0), f"{run.machine} has {offer.amounts}, and runs {amount} {name}"
        units = [unit for other in together for unit in other.gpus]
        assert len(set(units)) == len(units), f"{run.key} gets {run.gpus}, of which another has some: {units}"
        assert set(units) <= set(offer.gpus), f"{run.key} gets {run.gpus} of {offer.gpus}"
        assert len(run.gpus) == spec.gpus, f"{run.key} asks for {spec.gpus} gpus, and gets {run.gpus}"
        alone = any(self.specs[other.key.job].exclusive for other in together)
        assert not alone or len(together) == 1, (
            f"{run.key} is beside others on {run.machine}, of which one is to be alone"
        )

    def check_promises(self, workers: Iterable[Worker]) -> None:
        """No worker is promised more than it has. (Offers do not change here.)"""
        for worker in workers:
            for name, taken in worker.taken.items():
                has = worker.record.offer.amounts.get(name, 0)
                assert taken <= has, f"worker {worker.id}: {taken} of {name} are promised, it has {has}"

    def _unmet(self, job: int, index: int) -> Iterator[Dependency]:
        for dependency in dependencies_of(self.specs[job]):
            if dependency.kind is DependencyKind.EACH:
                is_met = index in self.succeeded.get(dependency.job, ())
            else:
                is_met = not self.outcomes.get(dependency.job, set()).isdisjoint(MEETS[dependency.kind])
            if not is_met:
                yield dependency

    def waited_in_vain(self, job: int, index: int) -> bool:
        """Whether the task was cancelled because what it waited for cannot happen, or could not before somebody wanted
        that tried again."""
        spec = self.specs[job]
        again = any(dependency.job in self.reopened for dependency in dependencies_of(spec))
        return spec.on_dependency_fail != RUN_ANYWAY and (again or any(self._unmet(job, index)))

    def check_deleted(self, number: int, over: Collection[int]) -> None:
        """The job is gone by this commit. `over`: those whose ends are on disk."""
        assert number in over, f"job {number} is deleted, and has not ended"
        assert number not in self.pinned, f"job {number} is deleted, and somebody was told that it is pinned"
        self.deleted.add(number)
        for other, spec in self.specs.items():
            if other not in over and spec.waits:
                others = {dependency.job for dependency in dependencies_of(spec)}
                assert number not in others, f"job {number} is deleted, and job {other} waits for it"

    def reopens(self, job: int, tasks: Range) -> None:
        """Somebody wants these tried again."""
        self.reopened.setdefault(job, IntervalSet()).add(*tasks)
        for index in range(*tasks):
            self.more_tries[job, index] = self.more_tries.get((job, index), 0) + self.specs[job].retries + 1

    def ends(self, run: Run, how: str, now: float) -> None:
        """Nothing of that attempt runs any more."""
        run.how, run.ended = how, now
        del self._active[run.key[:2]]
        self._used[run.machine] -= run.millicpus

    @property
    def running(self) -> int:
        return len(self._active)

    # ── what the scheduler commits ──────────────────────────────────────────────────────────────────────────────

    def check_call(self, record: JobRecord, ends: Collection[AttemptKey]) -> None:
        """Of a job that attempts have called for. `ends`: those that were on disk before it."""
        job, index, attempt, _ = record.callers[-1]
        key = AttemptKey(job, index, attempt)
        assert key in self.runs, f"job {record.number} was submitted by {key}, which never ran"
        assert key not in ends, f"job {record.number} was submitted by {key}, which had ended"
        assert record.callers[:-1] == self.calls.get(job, ()), f"job {record.number} does not know all its callers"
        again = any(caller.job in self.reopened for caller in record.callers)
        for caller in record.callers:
            assert again or caller.job not in self.families_cancelled, (
                f"job {record.number} comes after {caller.job}, which was cancelled with all that it calls"
            )
        self.calls[record.number] = record.callers

    def check_waited(self, job: int) -> None:
        """Of a job that has succeeded, when that is on disk: so has all that the last attempts of its tasks called."""
        if not self.specs[job].wait_children:
            return
        last: dict[int, int] = {}
        for key in self.runs:
            if key.job == job:
                last[key.index] = max(key.attempt, last.get(key.index, 0))
        for number in self._called_by({AttemptKey(job, *each) for each in last.items()}):
            outcomes = self.outcomes.get(number, ())
            assert TaskState.SUCCEEDED in outcomes, f"job {job} has succeeded, and {number}, its child, has not"

    def _called_by(self, attempts: Collection[AttemptKey]) -> list[int]:
        return [number for number, callers in self.calls.items() if AttemptKey(*callers[-1][:3]) in attempts]

    def check_children(self, key: AttemptKey) -> None:
        """Of an attempt that has failed for what it has called, when that is on disk."""
        outcomes = [self.outcomes.get(number, set()) for number in self._called_by([key])]
        in_vain = any(outcome - {TaskState.SUCCEEDED} for outcome in outcomes)
        assert in_vain, f"{key} has failed for what it has called, which has succeeded"

    def check_outputs(self, ends: Iterable[AttemptKey], outputs: Collection[SmallOutput]) -> None:
        """Of ends, and what is committed with them."""
        for key in ends:
            output = self.small_outputs.get(key)
            assert output is None or output in outputs, f"{key} ended, and its output is not kept"

    def check_success(self, ok: OkEnds) -> None:
        for index in range(ok.first, ok.stop):
            key = AttemptKey(ok.job, index, ok.attempt)
            run = self.runs.get(key)
            assert run is not None, f"{key} is shown as succeeded, it never ran"
            assert run.ended is not None, f"{key} is shown as succeeded, it still runs"
            assert run.how == "exit:0", f"{key} is shown as succeeded, it ended with {run.how}"

    def note_lost(self, effects: Iterable[object], now: float, heard_at: Mapping[str, float]) -> None:
        """What the scheduler gives up at this moment, and may commit much later. `heard_at`: when it has heard each."""
        for end in effects:
            if isinstance(end, TaskEnd) and end.reason == "lost":
                heard = heard_at.get(end.worker_id, 0.0)
                # Nobody is heard by a scheduler that is stopped. (A shorter time it may not have noticed itself.)
                slept = sum(until - since for since, until in self.sleeps if since >= heard and until - since > NOTICED)
                key = AttemptKey(end.job, end.index, end.attempt)
                self._silent[key] = now - heard - slept
                run = self.runs.get(key)
                assert run is None or run.ended is not None, f"{key} is given up as lost, and runs on {run.machine}"

    def check_end(self, end: TaskEnd) -> None:
        key = AttemptKey(end.job, end.index, end.attempt)
        self._count(key, end)
        if end.reason == "lost":
            self._check_lost(key, end)
            return
        run = self.runs.get(key)
        if end.reason == "launch_failed":
            tried = key in self.launch_failures or key.job in self.unfetchable
            assert tried, f"{key} is shown as launch_failed, nobody tried"
            return
        if run is None and key in self.orphans and end.reason in ("cancelled", "stopped", "max_fails"):
            return  # it hung before it ran, and is called what its launcher wanted of it
        assert run is not None, f"{key} is shown as {end.reason}, it never ran"
        assert run.ended is not None, f"{key} is shown as {end.reason}, it still runs"
        if SLOT_LOST_TEXT in end.detail:
            assert key in self.orphans, f"{key}: {end.detail}, and nobody killed its slot"
            return  # it is called what its launcher wanted of it
        if end.reason == "max_fails":
            assert end.job in self.too_many_failed, f"{key} is shown as {end.reason}, and no more failed than may"
        elif end.reason == "cancelled":
            wished = end.index in self.cancelled.get(end.job, ()) or end.job in self.too_many_failed
            assert wished, f"{key} is shown as cancelled, nobody wished that"
            assert end.state is TaskState.CANCELLED
        elif end.reason in ("ok", "children"):
            assert self.specs[end.job].wait_children, f"{key} is shown as {end.reason}, and waits for no children"
            assert run.how == "exit:0", f"{key} is shown as {end.reason}, it ended with {run.how}"
        elif end.reason == "stopped":
            # A cancel stops what runs before it is on disk, and a crash may forget the wish.
            wished = run.machine in self.stopping or end.index in self.cancelled.get(end.job, ())
            # A scheduler that dies after it has told so forgets why, if the worker is resumed before it tells the end.
            wished = wished or end.worker_id in self.deadlines
            if "deadline" in end.detail:
                assert end.worker_id in self.deadlines, f"{key}: {end.detail}, nobody wanted that"
            assert wished, f"{key}: {end.detail}, nobody did that on {run.machine}"
        elif end.reason == "timeout:deadline":
            self.times.check_deadline(end.job)
        elif end.reason == "timeout:run":
            allowed = self.specs[end.job].timeout
            took = run.ended - run.started
            assert 0 < allowed * 0.98 <= took, f"{key} is shown as {end.reason}, it ran {took:.2f} s"
        else:
            assert end.reason == run.how, f"{key} is shown as {end.reason}, it ended with {run.how}"

    def need_of(self, key: AttemptKey) -> int:
        """The memory that its program takes: more, as often as not, than its task asks for at first."""
        memory = self.specs[key.job].memory
        return memory << Random(f"memory {key.job}.{key.index}").randint(0, 2)

    def _count(self, key: AttemptKey, end: TaskEnd) -> None:
        """What its task may be tried less often from now on; but for what a drain stopped."""
        if end.reason == OUT_OF_MEMORY:
            self.too_little[key[:2]] = self.too_little.get(key[:2], 0) + 1
        if (end.reason == "stopped" and "drained" in end.detail) or end.reason in ("ok", "children"):
            return
        kind = self.losses if end.reason in ("lost", "stopped") else self.failures
        kind[key[:2]] = kind.get(key[:2], 0) + 1
        retries = self.specs[key.job].retries
        if end.is_exhausted:
            assert kind[key[:2]] > retries > 0, f"{key} is shown as tried too often, after {kind[key[:2]]} of {retries}"

    def _check_lost(self, key: AttemptKey, end: TaskEnd) -> None:
        """Only what could not be known, or what died of its leash, may be called so."""
        run, machine = self.runs.get(key), end.worker_id
        self.lost += 1
        self.given_up.add(key)
        silent = self._silent[key]
        lost_after = lost_after_in_force(self.specs[key.job].lost_after, LEASE)
        unreachable = silent >= lost_after * 0.98  # clocks run apart
        holder, since = self.assigned.get(key, (machine, 0.0))
        forgotten = self.reboots.get(holder, -1.0) >= since
        orphaned = key in self.orphans
        self.leashed += "lease" in end.detail
        leashed = run is not None and run.ended is not None and "lease" in end.detail
        assert unreachable or forgotten or orphaned or leashed, (
            f"{key} is shown as lost: {end.detail}; {machine} was heard {silent:.2f} s ago, {run}"
        )
