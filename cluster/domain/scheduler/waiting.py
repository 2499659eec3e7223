"""Jobs that wait for others (`cluster.domain.job.dependencies`), or for a time (`cluster.domain.job.times`): what
others do lets their tasks go on, or ends them.

Of each job that waits, three things are known: the time before which it does not start, the dependencies on whole jobs
that are still open, and for each job that it waits for task by task, which of its tasks that one still bars. A task
goes on when that time has come, nothing is open and nothing bars it. So when a job moves, only its followers are looked
at; those that wait for its end, only when it ends. All of this follows from specs and from the jobs' sets, so none of
it is saved: it is made anew at a start.

A job may have as many followers as there are jobs. Each turn tells as many of them as it has room for, in the order in
which they came; the rest is due at once.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.dependencies import Course, Dependency, DependencyKind, course_of, dependencies_of, ended_in
from cluster.domain.job.job import Job
from cluster.domain.job.schedule import FAR_AHEAD
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.times import start_in_force
from cluster.domain.scheduler.followers import Wait
from cluster.domain.scheduler.state import State

Courses = Mapping[Dependency, Course]
PIECES_A_UNIT = 16  # of what a follower hears, in the time of one unit of a turn's room
_NOTHING = Course(None, IntervalSet(), IntervalSet())


class HasEnded(Conflict):
    """A job that was to be waited for has ended, and left memory after somebody looked."""

    def __init__(self, job: int) -> None:
        super().__init__(f"job {job} has just ended: try again")
        self.number = job


class Dependencies:
    def __init__(self, state: State) -> None:
        self._state = state
        self._telling: deque[Iterator[None]] = deque()  # each step tells one follower

    def courses(self, spec: JobSpec, ended: Mapping[int, Course]) -> Courses:
        """What the jobs that this one will wait for have done until now. `ended`: of those that have left memory.
        HasEnded where one of these is missing, NotFound for one that was deleted since."""
        found: dict[Dependency, Course] = {}
        for dependency in dependencies_of(spec):
            other = self._state.jobs.get(dependency.job)
            if dependency.job in self._state.bonds.deleted:
                raise NotFound(f"job {dependency.job}, which is to be waited for, was deleted")
            if other is None and dependency.job not in ended:
                raise HasEnded(dependency.job)
            if other is None:
                found[dependency] = ended[dependency.job]
            else:  # its end it will tell
                found[dependency] = course_of(other) if dependency.kind is DependencyKind.EACH else _NOTHING
        return found

    def enter(self, job: Job, courses: Courses) -> None:
        """The job waits from now on."""
        followers, wait = self._state.followers, Wait(job)
        followers.waits[job.number] = wait
        now = self._state.now
        wait.since = now.mono - max(0.0, now.wall - job.record.submitted_at)
        wait.until, wait.count = start_in_force(job.record, now.wall), len(courses)
        for dependency in courses:
            if dependency.kind is DependencyKind.EACH:
                wait.barred[dependency.job] = IntervalSet([(0, job.size)])
            else:
                wait.open.setdefault(dependency.job, []).append(dependency)
        for (number, kind), course in courses.items():
            if other := self._state.jobs.get(number):
                followers.add(other, job.number, kind)
            if course is not _NOTHING:
                self._hear(wait, number, course)
        self.start_at(job.number, wait.until)

    def start_at(self, number: int, at: float) -> None:
        """The job of that number, which waits, starts no sooner than then, in Unix seconds; 0: it may at once."""
        if wait := self._state.followers.waits.get(number):
            wait.until = at
            if at > self._state.now.wall:
                self._state.wall_timers.set(("start", number), at)
            else:
                self._state.wall_timers.cancel(("start", number))
                self.may_start(number)

    def clock_was_set_back(self) -> None:
        """Where a delay was counted by a clock that was wrong, what is left of it is counted by the right one."""
        state = self._state
        for number, wait in state.followers.waits.items():
            if wait.job.course is None and wait.until > state.now.wall + FAR_AHEAD:
                wait.until = start_in_force(wait.job.record, state.now.wall, state.now.mono - wait.since)
                state.wall_timers.set(("start", number), wait.until)

    def may_start(self, number: int) -> None:
        """The time before which the job of that number was not to start has come."""
        if wait := self._state.followers.waits.get(number):
            wait.until = 0.0
            if not wait.open and wait.job.go_on(wait.free()):
                self._state.touch(wait.job)

    def tell(self) -> None:
        """Tells followers what those that they wait for have done, as many as the turn has room for. What is left of it
        is for forgetting those that wait no more."""
        state = self._state
        while state.room > 0 and (state.followers.stirred or self._telling):
            if stirred := state.followers.stirred:
                state.followers.stirred = {}
                self._telling += [self._tell(job) for job in stirred.values()]
            if next(self._telling[0], self) is self:
                self._telling.popleft()
        while state.room > 0 and state.followers.over:
            state.room -= state.followers.forget()
        if state.followers.stirred or self._telling or state.followers.over:
            state.timers.set(("tell",), state.now.mono)

    def _tell(self, job: Job) -> Iterator[None]:
        """One step for each follower, for which the turn pays by the pieces of what is new, and by those of the
        follower where that hears the last of it."""
        course, ended = _lately(job), None
        pieces = course.succeeded.range_count() + course.failed.range_count()
        for number in self._state.followers.of(job):
            if wait := self._state.followers.waits.get(number):
                last = 0 if course.outcome is None else wait.job.sets[TaskState.WAITING].range_count()
                self._state.room -= 1 + (pieces + last) // PIECES_A_UNIT
                if ended is None and wait.runs_anyway:
                    ended = ended_in(course)  # once for all of them
                self._hear(wait, job.number, course, ended)
                yield None

    def _hear(self, wait: Wait, number: int, course: Course, ended: IntervalSet | None = None) -> None:
        """The job waits for that one, of which this is new. `ended`: as of `ended_in`, where that is known."""
        job, lifted = wait.job, course.succeeded
        if barred := wait.barred.get(number):
            if wait.runs_anyway:
                lifted = ended_in(course) if ended is None else ended
            else:
                self._give_up(job, course.failed, Dependency(number, DependencyKind.EACH))
            barred.difference_update(lifted)
        if course.outcome is not None:
            wait.barred.pop(number, None)
            for dependency in wait.open.pop(number, ()):
                if not (wait.runs_anyway or dependency.kind.is_met_by(course.outcome)):
                    self._give_up(job, IntervalSet([(0, job.size)]), dependency)
        if wait.open or wait.until:
            return
        free = wait.free(lifted if course.outcome is None else None)
        if free and job.go_on(free):
            self._state.touch(job)

    def _give_up(self, job: Job, tasks: IntervalSet, dependency: Dependency) -> None:
        """What these of its tasks wait for can't happen any more."""
        if tasks and job.give_up(tasks):
            job.note_abnormal_end(endings.DEPENDENCY, endings.exit_code(endings.DEPENDENCY))
            job.cancel_reason = job.cancel_reason or dependency.kind.said(dependency.job, "had to")
            self._state.touch(job)


def _lately(job: Job) -> Course:
    """What the job has done since this was asked last; and its outcome, if it has ended."""
    outcome = job.outcome if job.ended_at else None
    if job.ended_lately is None:
        return Course(outcome, IntervalSet(), IntervalSet())
    ended, job.ended_lately = job.ended_lately, IntervalSet()
    succeeded = ended.intersection(job.succeeded)
    ended.difference_update(succeeded)
    return Course(outcome, succeeded, ended)
