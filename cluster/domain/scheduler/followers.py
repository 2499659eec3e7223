"""Which jobs wait for which others, and for what. What follows from that is decided in `waiting`."""

from collections import deque
from itertools import chain

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.dependencies import Dependency, DependencyKind, dependencies_of
from cluster.domain.job.dependency_options import RUN_ANYWAY
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState

DEPENDENCIES_A_UNIT = 10  # that are entered, or dropped, in the time of one unit of a turn's room


class Wait:
    """What one job still waits for."""

    __slots__ = ("barred", "count", "job", "open", "since", "until")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.open: dict[int, list[Dependency]] = {}  # on whole jobs, by their numbers, and not met yet
        self.count = 0  # of jobs that it waits for, or did
        self.until = (
            0.0  # Unix seconds, before which none of its tasks starts; 0: that is over, or there is no such time
        )
        self.since = 0.0  # when it was handed in, on the monotonic clock
        self.barred: dict[int, IntervalSet] = {}  # by the job that is waited for task by task: tasks it still bars

    @property
    def runs_anyway(self) -> bool:
        return self.job.record.spec.on_dependency_fail == RUN_ANYWAY

    def free(self, among: IntervalSet | None = None) -> IntervalSet:
        """Those of its waiting tasks (None: of all of them) that nothing holds back."""
        if self.open or self.until:
            return IntervalSet()
        waiting = self.job.sets[TaskState.WAITING]
        free = waiting.copy() if among is None else waiting.intersection(among)
        for barred in self.barred.values():
            free.difference_update(free.intersection(barred))  # few may be among many
        return free

    def remaining(self) -> list[Dependency]:
        """What is still waited for, in the order of the jobs' numbers."""
        each = (Dependency(number, DependencyKind.EACH) for number in self.barred)
        return sorted((*chain.from_iterable(self.open.values()), *each), key=lambda dependency: dependency.job)


class Followers:
    __slots__ = ("_each", "_whole", "over", "stirred", "waits")

    def __init__(self) -> None:
        self.waits: dict[int, Wait] = {}  # by the number of the job that waits
        self._whole: dict[int, dict[int, None]] = {}  # by the job that is waited for: jobs that wait for its end
        self._each: dict[int, dict[int, None]] = {}  # the same of those that wait task by task
        self.stirred: dict[int, Job] = {}  # jobs that have done something their followers were not told
        self.over: deque[Job] = deque()  # jobs that wait no more, and are still among the followers of others

    def add(self, other: Job, follower: int, kind: DependencyKind) -> None:
        """That job waits for the other one, which is in memory."""
        each = kind is DependencyKind.EACH
        (self._each if each else self._whole).setdefault(other.number, {})[follower] = None
        if each and other.ended_lately is None:
            other.ended_lately = IntervalSet()
        self.note(other)

    def note(self, job: Job) -> None:
        """The job has changed."""
        if job.number in self._each or (job.ended_at and job.number in self._whole):
            self.stirred[job.number] = job
        if job.number in self.waits and not job.count(TaskState.WAITING) and self.waits.pop(job.number).count:
            self.over.append(job)

    def of(self, job: Job) -> list[int]:
        """The jobs that are to be told what it has done. Once it has ended they are known here no more."""
        each = self._each.get(job.number, {})
        if not job.ended_at:
            return list(each)
        return list(self._each.pop(job.number, {}) | self._whole.pop(job.number, {}))

    def forget(self) -> int:
        """One of those that wait no more is from now on among the followers of nobody. What that costs, in units of a
        turn's room."""
        job, count = self.over.popleft(), 0
        for number, kind in () if job.number in self.waits else dependencies_of(job.record.spec):
            count += 1
            followers = self._each if kind is DependencyKind.EACH else self._whole
            if there := followers.get(number):
                there.pop(job.number, None)
                if not there:
                    del followers[number]
        return 1 + count // DEPENDENCIES_A_UNIT
