"""What people and the scheduler itself do about what is kept: jobs that have ended are deleted, pinned and unpinned,
and what is left of them is cleared away in pieces."""

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from cluster.domain.scheduler.effects import Replied
from cluster.domain.scheduler.events import JobsDeleted, JobsPinned
from cluster.domain.scheduler.retention import Pin, RemainsDropped, RemainsGone
from tests.sim.truth import Truth
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.scheduler import SchedulerHost

WISHES = 60
CLEARINGS = 60


class Keepers:
    def __init__(self, world: World, truth: Truth, scheduler: "SchedulerHost", seed: int) -> None:
        self.world, self.truth, self.scheduler = world, truth, scheduler
        self._random = Random(f"keepers {seed}")  # apart, so that what else is drawn stays as it is

    def begin(self, until: float) -> None:
        for _ in range(WISHES):
            self.world.at(self._random.uniform(0.0, until), self._somebody_wishes)
        for _ in range(CLEARINGS):
            self.world.at(self._random.uniform(0.0, until), self._clear)

    def _somebody_wishes(self) -> None:
        known = sorted(self.scheduler.acknowledged.values())
        if not known:
            return
        some = self._random.sample(known, min(len(known), 3))
        match self._random.randint(0, 5):
            case 0:
                self._pin(some[0])
            case 1 if self.truth.pinned:
                self._unpin(self._random.choice(sorted(self.truth.pinned)))
            case _:
                self._delete(some)

    def _delete(self, numbers: list[int]) -> None:
        """As cluster.scheduler.expiring: what the store says takes a while, and may be old when it is heard."""
        process = self.scheduler.present
        if process is None:
            return
        ended = tuple(process.store.keeping.ended_among(numbers))
        event = partial(JobsDeleted, jobs=ended, why="as told", refuses=self._random.random() < 0.3)
        self.world.tell("user", f"wants {[job.number for job in ended]} deleted")
        self.world.at(self._random.uniform(0.0, 0.1), lambda: self.scheduler.ask(event, lambda _: None))

    def _pin(self, number: int) -> None:
        def answer(count: Replied) -> None:
            if count == 1:
                self.truth.pinned.add(number)

        self.scheduler.ask(partial(JobsPinned, jobs=(number,), pin=Pin("ann", 1.0)), answer)

    def _unpin(self, number: int) -> None:
        self.truth.pinned.discard(number)
        self.scheduler.ask(partial(JobsPinned, jobs=(number,), pin=None), lambda _: None)

    def _clear(self) -> None:
        self.clear()

    def clear(self) -> bool:
        """A piece, as cluster.scheduler.clearing; whether there was anything."""
        process = self.scheduler.present
        if process is None:
            return True
        remains = process.store.keeping.remains(2)
        if remains.more or remains.deleted:
            process.save(RemainsGone(tuple(remains.deleted), ()), RemainsDropped(2, 3))
        return bool(remains.more or remains.deleted)

    def check_nothing_is_left(self) -> None:
        """Of what was deleted, once that was cleared away."""
        store = self.scheduler.store
        for number in self.truth.deleted:
            assert not store.records([number]), f"job {number} was deleted, and is there"
            left = (store.progress_of([number]), store.small_outputs(number, 0, 1000), store.ends_of_task(number, 0))
            assert not any(left), f"job {number} was deleted, and this is left: {left}"
