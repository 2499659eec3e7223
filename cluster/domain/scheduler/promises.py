"""When the tasks that a worker holds will have ended, as their owners have said."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from math import ceil, inf

from cluster.domain.base.intervals import IntervalSet, Range


class Promises:
    """Of one worker. Times are on the monotonic clock, in whole seconds, rounded up."""

    __slots__ = ("_in_order", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[int, dict[float, IntervalSet]] = {}  # by job and time
        self._in_order: list[tuple[float, int]] = []  # each time and job of these, the soonest first

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def add(self, job: int, tasks: Iterable[Range], until: float) -> None:
        """These of the job have ended by then."""
        at = ceil(until)
        times = self._tasks.setdefault(job, {})
        if at not in times:
            times[at] = IntervalSet()
            insort(self._in_order, (at, job))
        times[at].update(tasks)

    def drop(self, job: int, tasks: IntervalSet) -> None:
        """These of the job are held no longer."""
        for at, some in list(self._tasks.get(job, {}).items()):
            some.difference_update(tasks)
            if not some:
                self._forget(job, at)

    def forget(self, job: int) -> None:
        """Nothing of the job is held any more."""
        for at in list(self._tasks.get(job, {})):
            self._forget(job, at)

    def after(self, now: float) -> Iterator[tuple[float, int, int]]:
        """(time, job, tasks) of what is still to end, the soonest first."""
        for place in range(bisect_right(self._in_order, (now, inf)), len(self._in_order)):
            at, job = self._in_order[place]
            yield at, job, len(self._tasks[job][at])

    def count(self, job: int, after: float) -> int:
        """How many tasks of the job are to end later than that."""
        return sum(len(tasks) for at, tasks in self._tasks.get(job, {}).items() if at > after)

    def until(self, job: int, at: float) -> IntervalSet:
        """Those tasks of the job that have ended by then."""
        return IntervalSet(r for time, tasks in self._tasks.get(job, {}).items() if time <= at for r in tasks.bounds())

    def first(self) -> float:
        """The soonest time, which may be over; inf: there is none."""
        return self._in_order[0][0] if self._in_order else inf

    def _forget(self, job: int, at: float) -> None:
        del self._in_order[bisect_left(self._in_order, (at, job))]
        del self._tasks[job][at]
        if not self._tasks[job]:
            del self._tasks[job]
