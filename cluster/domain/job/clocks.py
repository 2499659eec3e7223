"""The clocks of a job that run while nobody reports anything: how long its tasks may be ready without a start, and by
when all of it must have ended. (How long an attempt runs, and how long it is quiet, its worker sees.)"""

from itertools import takewhile
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.schedule import FAR_AHEAD
from cluster.domain.job.spec import JobSpec

AFTER_A_START = 60.0  # seconds that a ready task has at least after a restart: workers come back, clocks are set
STEPS = 64  # into which the time of a queue clock is cut: what becomes ready in one of them ends together


class Counted(NamedTuple):
    """From when a deadline is counted that was given as a duration."""

    seconds: float  # the duration
    wall: float  # what the wall clock showed then, or when it was last found to be wrong, in Unix seconds
    mono: float  # the same moment on the monotonic clock

    def is_by_a_wrong_clock(self, wall: float) -> bool:
        """Whether the clock, which shows `wall` now, was far ahead then."""
        return self.wall > wall + FAR_AHEAD

    def left(self, mono: float) -> float:
        """How many of its seconds are left, however the wall clock was set meanwhile."""
        return max(0.0, self.seconds - (mono - self.mono))


class Clocks:
    """Of one job. Its tasks' sets it is shown."""

    __slots__ = ("_queue", "counted", "overdue", "ready_since")

    def __init__(self, spec: JobSpec) -> None:
        self.overdue = False  # its deadline is over: what has not ended is to end
        self.counted: Counted | None = None  # None: it has no deadline, or was given a time
        # When those became ready that were so before a restart, in Unix seconds; 0: none was, or it is not known.
        self.ready_since = 0.0
        self._queue = _QueueClock(spec.queue_timeout) if spec.queue_timeout else None

    def ready_after_restart(self, wall: float, mono: float) -> float:
        """Since when what was ready before a restart counts as ready, on the monotonic clock. That clock began anew, so
        the wall clock counts what went before; as it may be wrong for a while after a start, nothing ends at once."""
        limit = self._queue.limit if self._queue is not None else 0.0
        waited = max(0.0, wall - self.ready_since) if self.ready_since else 0.0
        return mono - min(waited, max(0.0, limit - AFTER_A_START))

    def count_anew(self, wall: float, mono: float) -> None:
        """The wall clock was far ahead at the restart, and shows `wall` now."""
        if self._queue is not None and self.ready_since:
            self._queue.begin_later(mono - max(0.0, wall - self.ready_since))

    def waited_too_long(self, ready: IntervalSet, assigned: IntervalSet, now: float) -> IntervalSet:
        """Takes note of what is ready, and of what has started since; answers those that have been ready for too long.
        `now` is monotonic."""
        return IntervalSet() if self._queue is None else self._queue.look(ready, assigned, now)

    def due(self, now: float) -> float | None:
        """When to look again, where nothing changes before."""
        return None if self._queue is None else self._queue.due(now)


def clocks_of(spec: JobSpec) -> Clocks | None:
    """None: it has none."""
    return Clocks(spec) if spec.queue_timeout or spec.deadline else None


class _Cohort:
    """Tasks that became ready in one step."""

    __slots__ = ("ends", "since", "tasks")

    def __init__(self, since: float, tasks: IntervalSet) -> None:
        self.since, self.tasks = since, tasks
        self.ends = 0.0  # the time of the last of them is over


class _QueueClock:
    """Since when tasks are ready. One that a worker has taken, and gives back unstarted, was ready all the time."""

    __slots__ = ("_cohorts", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._cohorts: list[_Cohort] = []  # in the order in which they end

    def look(self, ready: IntervalSet, assigned: IntervalSet, now: float) -> IntervalSet:
        unstarted, fresh = ready.copy(), ready.copy()
        unstarted.update(assigned)
        for cohort in self._cohorts:
            cohort.tasks = cohort.tasks.intersection(unstarted)
            fresh.difference_update(cohort.tasks)
        self._cohorts = [cohort for cohort in self._cohorts if cohort.tasks]
        if fresh:
            if not self._cohorts or now > self._cohorts[-1].since + self.limit / STEPS:
                self._cohorts.append(_Cohort(now, IntervalSet()))
            self._cohorts[-1].tasks.update(fresh)
            self._cohorts[-1].ends = now + self.limit
        over = IntervalSet()
        for cohort in takewhile(lambda cohort: cohort.ends <= now, self._cohorts):
            over.update(cohort.tasks.intersection(ready))
        return over

    def begin_later(self, since: float) -> None:
        """What was ready before then is so since then."""
        for cohort in self._cohorts:
            if cohort.since < since:
                cohort.ends += since - cohort.since
                cohort.since = since
        self._cohorts.sort(key=lambda cohort: cohort.ends)

    def due(self, now: float) -> float | None:
        """Of those whose time is over all are with workers: if they come back, the job changes."""
        return next((cohort.ends for cohort in self._cohorts if cohort.ends > now), None)
