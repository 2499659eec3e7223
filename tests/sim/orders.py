"""What people do about the order of jobs: they pause some, or the whole queue, let them go on, change priorities, and
hand in jobs that are held, or of which only so many tasks may run at once."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.pause import Pause
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import JobsPaused, JobsReordered, JobsResumed, QueuePaused, QueueResumed
from tests.sim.truth import QUEUE, Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.scheduler import SchedulerHost

WISHES = 40
PATIENCE = 5.0  # seconds after which somebody who was not answered asks again


class Orders:
    def __init__(self, world: World, truth: Truth, scheduler: "SchedulerHost") -> None:
        self.world, self.truth, self.scheduler = world, truth, scheduler
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
        )

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
                priority = random.choice((-5, 0, 5))
                self.scheduler.ask(partial(JobsReordered, jobs=(number,), priority=priority, by_admin=True), _nothing)

    def _pause(self, number: int) -> None:
        """Whoever wants it resumed while this is not answered yet has the last word."""
        wish, resumed = Pause("ann", self.world.wall), self._resumed.get(number, 0)

        def answer(count: Replied) -> None:
            if (count or number == QUEUE) and self._resumed.get(number, 0) == resumed:  # else it had ended
                self.truth.paused.add(number)

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
                event = partial(JobsResumed, jobs=(number,), by_admin=True) if number else QueueResumed
                self.scheduler.ask(event, answer)
                self.world.at(PATIENCE, ask)

        ask()


def _nothing(_: Replied) -> None:
    pass
