"""What people do about the order of jobs: they pause some, or the whole queue, let them go on, change priorities, and
hand in jobs that are held, or of which only so many tasks may run at once, or may fail."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.pause import Pause
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import JobsChanged, JobsPaused, JobsResumed, QueuePaused, QueueResumed
from tests.sim.truth import QUEUE, Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.scheduler import SchedulerHost

WISHES = 40
FREEZING = 0.5  # of the pauses, that are to freeze what runs
TIMEOUT = 30.0  # seconds that jobs may run which somebody may freeze meanwhile
PATIENCE = 5.0  # seconds after which somebody who was not answered asks again


class Orders:
    def __init__(self, world: World, truth: Truth, scheduler: "SchedulerHost") -> None:
        self.world, self.truth, self.scheduler = world, truth, scheduler
        drawn = world.random.random()
        self._freezing = Random(f"freezing {drawn}")  # apart, so that what else is drawn stays as it is
        self._bounding = Random(f"bounding {drawn}")
        self._resumed: dict[int, int] = {}  # how often somebody has said so

    def begin(self, until: float) -> None:
        for _ in range(WISHES):
            self.world.at(self.world.between(0.0, until), self._somebody_wishes)

    def draw(self, spec: JobSpec) -> JobSpec:
        """The same with some of what is about order."""
        random = self.world.random
        return replace(
            spec,
            hold=self.world.chance(0.1),
            priority=random.choice((0, 0, 10, -10)),
            max_running=random.choice((NO_LIMIT, 1, 3)),
            max_fails=random.choice((NO_LIMIT, NO_LIMIT, 0, 2)),
            timeout=TIMEOUT if self._freezing.random() < FREEZING else spec.timeout,
        )

    def check_frozen(self, machines: Sequence["Machine"]) -> None:
        """After a while in which all went well: what is to stand still does, and nothing else."""
        core = self.scheduler.core
        for machine in machines if core else ():
            if not (machine.agent and machine.agent.core.connected and core and machine.id in core.workers):
                continue
            for key, process in machine.processes.items():
                job = core.jobs.get(AttemptKey.parse(key).job)
                if job is None or not job.is_held_by(machine.id) or not process.leader or job.cancelling:
                    continue
                wanted, stands = job.number in self.truth.frozen, process.frozen_at is not None
                assert stands or not wanted, f"{key} runs on, and somebody was told that it is frozen"
                assert wanted or not stands or job.pause, f"{key} is frozen, and its job is not paused"

    def end(self) -> None:
        """All that is there goes on from now on, however often that must be said."""
        for number in (QUEUE, *sorted(set(self.scheduler.acknowledged.values()))):
            self._resume(number)

    def _somebody_wishes(self) -> None:
        random, known = self.world.random, sorted(self.scheduler.acknowledged.values())
        number = random.choice(known) if known else QUEUE
        match random.randint(0, 5):
            case 0:
                self._resume(QUEUE)
            case 1 if self.world.chance(0.3):
                self._pause(QUEUE)
            case 2 | 3 if number:
                self._pause(number)
            case 4 if number:
                self._resume(number)
            case 5 if number:
                self._change(number, random.choice((-5, 0, 5)))

    def _change(self, number: int, priority: int) -> None:
        """Its priority, and how many of its tasks may run at once: more, or fewer."""
        bound = self.truth.bounds_now(number, self._bounding.choice((1, 2, 4, NO_LIMIT)))

        def answer(count: Replied) -> None:
            if isinstance(count, int):
                self.truth.is_bound(number, bound)

        changes = {"priority": priority, "max_running": bound.most}
        self.scheduler.ask(partial(JobsChanged, jobs=(number,), changes=changes, by_admin=True), answer)

    def _pause(self, number: int) -> None:
        """Whoever wants it resumed while this is not answered yet has the last word."""
        freezes = bool(number) and self._freezing.random() < FREEZING
        wish, resumed = Pause("ann", self.world.wall, stop_running=freezes), self._resumed.get(number, 0)

        def answer(count: Replied) -> None:
            if (count or number == QUEUE) and self._resumed.get(number, 0) == resumed:  # else it had ended
                self.truth.paused.add(number)
                if freezes:
                    self.truth.frozen.add(number)

        event = partial(JobsPaused, jobs=(number,), pause=wish) if number else partial(QueuePaused, pause=wish)
        self.scheduler.ask(event, answer)

    def _resume(self, number: int) -> None:
        """Again and again until it is acknowledged."""
        answered = False

        def answer(_: Replied) -> None:
            nonlocal answered
            answered = True

        def ask() -> None:
            if not answered:
                self._resumed[number] = self._resumed.get(number, 0) + 1
                self.truth.paused.discard(number)
                self.truth.frozen.discard(number)
                event = partial(JobsResumed, jobs=(number,), by_admin=True) if number else QueueResumed
                self.scheduler.ask(event, answer)
                self.world.at(PATIENCE, ask)

        ask()
