"""Jobs come, one or several: each gets its number, and its tasks are ready, or wait. The same UUIDs again are the same
jobs, for the same owner.

A job that has ended is in the store alone. Whether a UUID that is not known here is that of such a job, the store is
asked (LookUp), unless its order says that it is new (`cluster.domain.scheduler.ended_ids`). While the store is asked
about a UUID, all submissions of it wait for the one answer. So no job of it comes into being meanwhile, and what the
store says still holds when it is heard.

Of several jobs that come together all are taken, or none. They may be more than one turn has room for: then several
turns look at them and take them, which are committed together (`Decided.goes_on`), and who submits meanwhile waits in
line: so what was seen of one UUID still holds when the last one is looked at.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound
from cluster.domain.job.dependencies import (
    Course,
    course_of,
    references_of,
    with_references,
)
from cluster.domain.job.job import Job
from cluster.domain.job.keys import refuse_another
from cluster.domain.job.records import CallingAttempt, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.times import refuse_times
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler import deadlines, schedules
from cluster.domain.scheduler.effects import LookUp
from cluster.domain.scheduler.events import JobsSubmitted, JobSubmitted, LookedUp
from cluster.domain.scheduler.family import callers_of_child
from cluster.domain.scheduler.followers import DEPENDENCIES_A_UNIT
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.waiting import Courses, Dependencies, HasEnded
from cluster.domain.trust.identity import Vouched

Submission = JobSubmitted | JobsSubmitted
Callers = tuple[CallingAttempt, ...]
Known = Mapping[str, JobRecord | None]  # what the store has of these UUIDs
_NOTHING: Known = {}
EACH_WEIGHS = 2  # one of several jobs that come together, in a turn's room, when it is taken
LOOKED_AT = 20  # so many of them are looked at for that


class _Asked:
    """The store is asked about UUIDs that `first` has; each of `rest` has one of them, too."""

    def __init__(self, first: Submission) -> None:
        self.first = first
        self.rest: list[Submission] = []


class Submissions:
    def __init__(self, state: State, dependencies: Dependencies) -> None:
        self._state, self._dependencies = state, dependencies
        self._asked: dict[str, _Asked] = {}  # by each UUID about which the store is asked
        # Of several jobs that come together: each step looks at LOOKED_AT of them, or takes one.
        self._taking: Iterator[None] | None = None
        self._line: deque[Submission] = deque()  # have come since

    @property
    def goes_on(self) -> bool:
        """Whether the next turn takes more of what has come."""
        return self._taking is not None or bool(self._line)

    def submitted(self, event: Submission) -> None:
        if self.goes_on:
            self._line.append(event)
        else:
            self._take(event)

    def looked_up(self, event: LookedUp) -> None:
        asked = self._asked[event.job_ids[0]]
        for job_id in event.job_ids:
            del self._asked[job_id]
        for each in (asked.first, *asked.rest):
            if isinstance(event.found, ClusterError):
                self._state.reply(each.ask, event.found)
            elif self.goes_on:
                self._line.append(each)  # what was heard now need not hold then
            else:
                self._take(each, {job_id: event.found.get(job_id) for job_id in event.job_ids})

    def go_on(self) -> None:
        """Takes what has come, as much as the turn has room for."""
        while self.goes_on and self._state.room > 0:
            if self._taking is None:
                self._take(self._line.popleft())
            elif next(self._taking, self) is self:
                self._taking = None
            self._state.room -= EACH_WEIGHS
        if self.goes_on:
            self._state.timers.set(("submissions",), self._state.now.mono)

    def _take(self, event: Submission, known: Known = _NOTHING) -> None:
        if isinstance(event, JobsSubmitted):
            self._taking = self._take_all(event, known)
            self.go_on()
            return
        found: dict[str, JobRecord] = {}
        unsure: list[str] = []
        self._look_for(event.jobs, known, found, unsure)
        if not self._is_known(event, known, unsure):
            return
        if found:
            self._state.reply(event.ask, _refusal(event, event.jobs, found) or found[event.jobs[0].id].number)
        else:
            self._accept(event)

    def _look_for(self, jobs: Iterable[NewJob], known: Known, found: dict[str, JobRecord], unsure: list[str]) -> None:
        """Adds to `found` those that there are already, and to `unsure` those that may have ended."""
        for job_id, _ in jobs:
            if job := self._state.job_of_id(job_id):
                found[job_id] = job.as_submitted
            elif self._state.ended_ids.may_have(job_id):
                unsure.append(job_id)
                if record := known.get(job_id):
                    found[job_id] = record

    def _is_known(self, event: Submission, known: Known, unsure: Sequence[str]) -> bool:
        """Whether all has been heard that the store is to say of it. Else it is asked."""
        if known.keys() >= set(unsure):
            return True
        self._ask(event, unsure)
        return False

    def _take_all(self, event: JobsSubmitted, known: Known) -> Iterator[None]:
        found: dict[str, JobRecord] = {}
        unsure: list[str] = []
        for some in _some_at_a_time(event.jobs):
            self._look_for(some, known, found, unsure)
            yield
        if not self._is_known(event, known, unsure):
            return
        if found:
            yield from self._answer(event, found)
            return
        others: dict[int, Job] = {}
        try:
            for some in _some_at_a_time(event.jobs):
                for job_id, spec in some:
                    self._refuse_times(spec, f"job {spec.name or job_id}: ")
                    if spec.waits:
                        self._find_others(spec, event.ended, others)
                    self._state.room -= weight_of_waits(spec)
                yield
            callers = self._callers(event.vouched)
        except ClusterError as error:
            self._state.reply(event.ask, error)
            return
        yield from self._enter_all(event, callers, others)

    def _answer(self, event: JobsSubmitted, found: Mapping[str, JobRecord]) -> Iterator[None]:
        """What there is already is submitted again."""
        for some in _some_at_a_time(event.jobs):
            if refusal := _refusal(event, some, found):
                self._state.reply(event.ask, refusal)
                return
            yield
        self._state.reply(event.ask, tuple(found[job_id].number for job_id, _ in event.jobs))

    def _ask(self, event: Submission, unsure: Sequence[str]) -> None:
        """About all at once, so that one answer is enough; or who has asked already is waited for first."""
        for job_id in unsure:
            if asked := self._asked.get(job_id):
                asked.rest.append(event)
                return
        self._asked.update(dict.fromkeys(unsure, _Asked(event)))
        self._state.acts.append(LookUp(tuple(unsure)))

    def _accept(self, event: JobSubmitted) -> None:
        new = event.jobs[0]
        try:
            self._refuse_times(new.spec)
            callers = self._callers(event.vouched)
            self._state.reply(event.ask, self._enter(new, event.owner, callers, event.ended, event.rerun_of))
        except ClusterError as error:
            self._state.reply(event.ask, error)

    def _callers(self, vouched: Vouched | None) -> Callers:
        return callers_of_child(self._state.jobs.get(vouched.attempt.job), vouched) if vouched else ()

    def _refuse_times(self, spec: JobSpec, who: str = "") -> None:
        try:
            refuse_times(spec, self._state.now.wall)
        except InvalidInput as error:
            raise InvalidInput(f"{who}{error}") from None

    def _find_others(self, spec: JobSpec, ended: Mapping[int, Course], found: dict[int, Job]) -> None:
        """Adds the jobs in memory that it is to wait for. HasEnded where one is not there, nor in `ended`."""
        for text in references_of(spec):
            if text.isdecimal() and int(text) in self._state.bonds.deleted:
                raise NotFound(f"job {text}, which is to be waited for, was deleted")
            if text.isdecimal() and (number := int(text)) not in ended and number not in found:
                job = self._state.jobs.get(number)
                if job is None:
                    raise HasEnded(number)
                found[number] = job

    def _enter_all(self, event: JobsSubmitted, callers: Callers, others: Mapping[int, Job]) -> Iterator[None]:
        """Several turns may take this: of `others` some may have left memory by then."""
        numbers: dict[str, int] = {}
        ended = dict(event.ended)
        for job_id, spec in event.jobs:
            if spec.waits:
                spec = with_references(spec, lambda text: str(numbers.get(text, text)))
                for number in map(int, references_of(spec)):
                    if number not in self._state.jobs and number not in ended:
                        ended[number] = course_of(others[number])
            numbers[job_id] = self._enter(NewJob(job_id, spec), event.owner, callers, ended)
            self._state.room -= weight_of_waits(spec)
            yield
        self._state.reply(event.ask, tuple(numbers.values()))

    def _enter(self, new: NewJob, owner: str, callers: Callers, ended: Mapping[int, Course], rerun_of: int = 0) -> int:
        """Its number. HasEnded where a job that it is to wait for is neither in memory nor in `ended`."""
        state, (job_id, spec) = self._state, new
        courses = self._dependencies.courses(spec, ended)
        record = JobRecord(state.next_number, job_id, owner, spec, state.now.wall, callers, rerun_of=rerun_of)
        self._take_in(record, courses)
        return record.number

    def enter_run(self, record: JobRecord) -> None:
        """Takes in a run of a schedule. It waits for no job but one that is in memory."""
        self._take_in(record, self._dependencies.courses(record.spec, {}))

    def _take_in(self, record: JobRecord, courses: Courses) -> None:
        """The next job."""
        state, job = self._state, Job(record)
        state.next_number = record.number + 1
        state.adopt(job)
        state.saves.append(record)
        deadlines.watch(state, job)
        state.touch(job)
        if record.spec.every:
            schedules.enter(state, job)
        elif record.spec.begins_waiting:
            self._dependencies.enter(job, courses)


def weight_of_waits(spec: JobSpec) -> int:
    """What the jobs or times that it waits for cost of a turn's room."""
    if spec.every:
        return schedules.NEXT_TIME
    return len(references_of(spec)) // DEPENDENCIES_A_UNIT if spec.waits else 0


def _some_at_a_time(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    for start in range(0, len(jobs), LOOKED_AT):
        yield jobs[start : start + LOOKED_AT]


def _refusal(event: Submission, jobs: Iterable[NewJob], found: Mapping[str, JobRecord]) -> Conflict | None:
    """Why these of its jobs are not the ones that were found, if they are not."""
    for job_id, spec in jobs:
        record = found.get(job_id)
        if record is None:
            there = next(iter(found.values()))
            return Conflict(f"job {there.number} is there already, and others of the call are not: make new UUIDs")
        if record.owner != event.owner or (event.vouched and record.parent != event.vouched.attempt.job):
            return Conflict(f"job id {job_id} is taken: make a new UUID, or give another key, for each job")
        try:
            refuse_another(record.number, record.spec, spec)
        except Conflict as error:
            return error
    return None
