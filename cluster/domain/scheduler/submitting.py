"""A job comes: it gets its number, and its tasks are ready. The same UUID again is the same job, for the same owner.

A job that has ended is in the store alone. Whether a UUID that is not known here is that of such a job, the store is
asked (LookUp), unless its order says that it is new (`cluster.domain.scheduler.ended_ids`). While the store is asked
about a UUID, all submissions of it wait for the one answer. So no job of it comes into being meanwhile, and what the
store says still holds when it is heard.
"""

from cluster.domain.base.errors import ClusterError, Conflict
from cluster.domain.job.job import Job
from cluster.domain.job.records import CallingAttempt, JobRecord
from cluster.domain.job.times import refuse_past
from cluster.domain.scheduler import deadlines
from cluster.domain.scheduler.effects import LookUp
from cluster.domain.scheduler.events import JobSubmitted, LookedUp
from cluster.domain.scheduler.family import callers_of_child
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.waiting import Dependencies
from cluster.domain.trust.identity import Vouched


class Submissions:
    def __init__(self, state: State, dependencies: Dependencies) -> None:
        self._state, self._dependencies = state, dependencies
        self._waiting: dict[str, list[JobSubmitted]] = {}  # by the UUID about which the store is asked

    def submitted(self, event: JobSubmitted) -> None:
        if job := self._state.job_of_id(event.id):
            self._answer(event, job.record)
        elif not self._state.ended_ids.may_have(event.id):
            self._accept(event)
        elif waiting := self._waiting.get(event.id):
            waiting.append(event)
        else:
            self._waiting[event.id] = [event]
            self._state.acts.append(LookUp(event.id))

    def looked_up(self, event: LookedUp) -> None:
        first, *rest = self._waiting.pop(event.job_id)
        if event.found is None:
            self._accept(first)
        else:
            self._answer(first, event.found)
        for each in rest:
            if event.found is None:
                self.submitted(each)
            else:
                self._answer(each, event.found)

    def _accept(self, event: JobSubmitted) -> None:
        state = self._state
        try:
            refuse_past(event.spec, state.now.wall)
            callers = self._callers(event.vouched)
            courses = self._dependencies.courses(event.spec, event.ended)
        except ClusterError as error:
            state.reply(event.ask, error)
            return
        record = JobRecord(state.next_number, event.id, event.owner, event.spec, state.now.wall, callers)
        state.next_number += 1
        job = Job(record)
        state.adopt(job)
        state.saves.append(record)
        state.reply(event.ask, record.number)
        deadlines.watch(state, job)
        state.touch(job)
        if event.spec.begins_waiting:
            self._dependencies.enter(job, courses)

    def _callers(self, vouched: Vouched | None) -> tuple[CallingAttempt, ...]:
        return callers_of_child(self._state.jobs.get(vouched.attempt.job), vouched) if vouched else ()

    def _answer(self, event: JobSubmitted, found: JobRecord | ClusterError) -> None:
        if isinstance(found, ClusterError):
            answer: int | ClusterError = found
        elif found.owner == event.owner and (not event.vouched or found.parent == event.vouched.attempt.job):
            answer = found.number
        else:
            answer = Conflict(f"job id {event.id} is taken: make a new UUID for each job")
        self._state.reply(event.ask, answer)
