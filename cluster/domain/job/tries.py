"""How often the tasks of a job were tried, and what of that counts (`cluster.domain.job.retry_policy`)."""

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.chunks import parted
from cluster.domain.job.records import TaskSets
from cluster.domain.job.task_numbers import TaskNumbers

_NOTHING = TaskSets()
KEPT = ("attempts", "losses", "forgiven", "grown")  # of TaskSets


class Tries:
    """attempts: the number of the last one that has ended, of tasks that have not succeeded. losses: how many of these
    their program is not at fault for. forgiven: how many count for nothing. grown: how many took more memory than they
    had asked for, of a job whose memory grows by that."""

    __slots__ = KEPT

    def __init__(self, sets: TaskSets | None = None) -> None:
        """As kept; None: nothing was tried."""
        sets = sets or _NOTHING
        self.attempts = TaskNumbers(sets.attempts)
        self.losses = TaskNumbers(sets.losses)
        self.forgiven = TaskNumbers(sets.forgiven)
        self.grown = TaskNumbers(sets.grown)

    def tally(self, index: int, attempt: int) -> tuple[int, int]:
        """How often the task has failed if that attempt of it did, and how often it was lost if that was."""
        losses = self.losses.of(index)
        return attempt - self.forgiven.of(index) - losses, losses + 1

    def ended(self, tasks: IntervalSet, attempt: int) -> None:
        """That attempt of these has ended without success."""
        self.attempts.put(tasks, attempt)

    def succeeded(self, tasks: IntervalSet) -> None:
        """Nobody asks any more how often these were tried."""
        if self.attempts:
            for kept in KEPT:
                getattr(self, kept).forget(tasks)

    def forgive(self, tasks: IntervalSet) -> None:
        """From now on no attempt that these had counts."""
        for attempt, some in list(self.attempts.parts(tasks)):
            self.forgiven.put(some, attempt)
            self.losses.forget(some)

    def sets(self) -> Mapping[str, Any]:
        """Those of TaskSets, of all tasks."""
        if not self.attempts:  # nothing is lost or forgiven of what was not tried
            return {}
        return {kept: getattr(self, kept).flats() for kept in KEPT}

    def sets_of_chunks(self, chunks: Iterable[int]) -> Mapping[int, Mapping[str, Any]]:
        """The same by chunk."""
        numbers = set(chunks)
        found = {kept: parted(getattr(self, kept).sets, numbers) for kept in KEPT}
        return {number: {kept: tuple(sorted(found[kept][number].items())) for kept in KEPT} for number in numbers}
