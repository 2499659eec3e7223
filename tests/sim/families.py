"""What attempts do that call jobs: they submit some, at any moment of their lives and after these, and users cancel
whole families."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput, NotPermitted
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.family import to_be_cancelled_with
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.trust.identity import Vouched
from tests.sim.truth import Run, Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.scheduler import SchedulerHost

CALLS = 60  # that are tried
CANCELS = 6  # of whole families
RETRIES = 25  # of what has been called
LATE = 0.2  # of the calls come from an attempt that may have ended long ago
ELSEWHERE = 0.1  # come by a worker that does not hold the attempt


class Families:
    def __init__(
        self,
        world: World,
        truth: Truth,
        scheduler: "SchedulerHost",
        machines: "Sequence[Machine]",
        make_id: Callable[[], str],
        again: Random,
    ) -> None:
        """`again`: what users want tried again is drawn from it."""
        self.world, self.truth, self.scheduler = world, truth, scheduler
        self._machines = machines
        self._make_id = make_id
        self._again = again

    def begin(self, until: float) -> None:
        for _ in range(CALLS):
            self.world.at(self.world.between(0.0, until), self._something_calls)
        for _ in range(CANCELS):
            self.world.at(self.world.between(0.0, until), self._user_cancels_a_family)
        for _ in range(RETRIES):
            self.world.at(self._again.uniform(0.0, until), self._user_tries_a_call_again)

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _something_calls(self) -> None:
        runs = list(self.truth.runs.values())
        if not self.world.chance(LATE):
            runs = [run for run in runs if run.ended is None] or runs
        if not runs:
            return
        run = self.world.random.choice(runs)
        random = self.world.random
        spec = JobSpec(
            argv=("work",),
            name=random.choice(("brief", "mixed", "long")),
            millicpus=random.choice((300, 1000)),
            retries=random.choice((0, 1)),
            wait_children=random.random() < 0.5,
        )
        self._hand_in(self._make_id(), spec, self._vouched(run))

    def _vouched(self, run: Run) -> Vouched:
        at = next(machine for machine in self._machines if machine.name == run.machine)
        if self.world.chance(ELSEWHERE):
            at = self.world.random.choice(list(self._machines))
        return Vouched(run.key, at.id, "alice", 0)

    def _hand_in(self, job_id: str, spec: JobSpec, vouched: Vouched) -> None:
        """Again and again with the same id until it is acknowledged or refused, and sometimes once more."""
        refused = False

        def answer(value: Replied) -> None:
            nonlocal refused
            if isinstance(value, NotPermitted | InvalidInput):
                refused = True
                known = self.scheduler.acknowledged.get(job_id)
                assert known is None, f"job {known} was acknowledged, and now: {value}"
            elif not isinstance(value, HasEnded):
                assert isinstance(value, int), value
                known = self.scheduler.acknowledged.setdefault(job_id, value)
                assert known == value, f"job {job_id} was acknowledged as {known}, and now as {value}"

        def submit() -> None:
            self.scheduler.submit(job_id, spec, answer, vouched)

        def again() -> None:
            if not refused and job_id not in self.scheduler.acknowledged:
                submit()
                self.world.at(self.world.between(1.0, 5.0), again)

        submit()
        if self.world.chance(0.2):
            self.world.at(self.world.between(0.0, 30.0), submit)
        self.world.at(self.world.between(1.0, 5.0), again)

    def _user_tries_a_call_again(self) -> None:
        ended = (number for number in sorted(self.truth.calls) if number in self.scheduler.over)
        failed = [number for number in ended if TaskState.SUCCEEDED not in self.truth.outcomes.get(number, ())]
        if failed and self.scheduler.core is not None:
            number = self._again.choice(failed)
            tasks = Range(0, self.truth.specs[number].task_count)
            self.world.tell("user", f"wants {number}, which was called, tried again")
            self.truth.reopens(number, tasks)
            self.scheduler.reopen(number, tasks, lambda _: None)

    # ── cancels ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _user_cancels_a_family(self) -> None:
        if callers := sorted({call.job for calls in self.truth.calls.values() for call in calls}):
            number = self.world.random.choice(callers)
            self.world.tell("user", f"cancels {number} and all that it has called")
            self._cancel([Target(number)], number, set())

    def _cancel(self, targets: list[Target], family: int, done: set[int]) -> None:
        """As `cluster.scheduler.cancelling`, once: a user whose call breaks off may leave it at that."""
        for number, _ in targets:
            everything = Range(0, self.truth.specs[number].task_count)
            self.truth.cancelled.setdefault(number, IntervalSet()).update([everything])
        done.update(target.job for target in targets)
        self.scheduler.ask(
            lambda ask: CancelRequested(ask, tuple(targets), "alice"), lambda _: self._go_on(family, done)
        )

    def _go_on(self, family: int, done: set[int]) -> None:
        core = self.scheduler.core
        if core is None:
            return
        some = to_be_cancelled_with(core.family, core.jobs, {family: None}, done)
        if some is not None:
            done.difference_update(number for number in some if number not in self.truth.specs)  # not on disk yet
            self._cancel([Target(number) for number in some if number in self.truth.specs], family, done)
        else:
            self.truth.families_cancelled.add(family)
