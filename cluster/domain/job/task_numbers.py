"""A number for each task: how often something has happened to it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from cluster.domain.base.intervals import IntervalSet


class TaskNumbers:
    """Tasks with the same number are one set, and those with 0 are in none: they cost nothing."""

    __slots__ = ("_tasks",)

    def __init__(self, flats: Iterable[tuple[int, Iterable[int]]] = ()) -> None:
        """`flats`: as `flats` answers it."""
        self._tasks = {number: IntervalSet.from_flat(flat) for number, flat in flats}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def sets(self) -> Mapping[int, IntervalSet]:
        """By number, in no order; none is empty."""
        return self._tasks

    def flats(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """The form in which it is stored: by number, ascending, sets as IntervalSet.flat."""
        if not self._tasks:
            return ()
        return tuple((number, tuple(tasks.flat())) for number, tasks in sorted(self._tasks.items()))

    def of(self, index: int) -> int:
        return next((number for number, tasks in self._tasks.items() if index in tasks), 0)

    def first_within(self, start: int, stop: int) -> int:
        """The first of tasks start … stop-1 with another number than 0; `stop` where there is none."""
        return min(
            (first for tasks in self._tasks.values() for first, _ in islice(tasks.within(start, stop), 1)), default=stop
        )

    def among(self, tasks: IntervalSet, number: int) -> IntervalSet:
        """Those of these tasks that have that number."""
        if number:
            there = self._tasks.get(number)
            return there.intersection(tasks) if there else IntervalSet()
        rest = tasks.copy()
        for there in self._tasks.values():
            rest.difference_update(there)
        return rest

    def parts(self, tasks: IntervalSet) -> Iterator[tuple[int, IntervalSet]]:
        """These tasks by their numbers; those with 0 come last."""
        rest = tasks
        for number, there in self._tasks.items():
            if some := there.intersection(tasks):
                rest = rest.copy()
                rest.difference_update(some)
                yield number, some
        if rest:
            yield 0, rest

    def put(self, tasks: IntervalSet, number: int) -> None:
        """From now on these have that number."""
        self.forget(tasks)
        if number and tasks:
            self._tasks.setdefault(number, IntervalSet()).update(tasks)

    def raise_by_one(self, tasks: IntervalSet) -> None:
        for number, some in list(self.parts(tasks)):
            self.put(some, number + 1)

    def forget(self, tasks: IntervalSet) -> None:
        """These have 0 again."""
        for number, there in list(self._tasks.items()):
            there.difference_update(tasks)
            if not there:
                del self._tasks[number]
