"""Tasks that end only when the jobs that they have called have ended (--wait-children).

When its attempt has succeeded such a task is *finishing*, while one of these jobs goes on. With the last of them it
ends: well if all have succeeded, else with the reason `children`. One whose attempt fails does not wait: it ends at
once. What an earlier attempt of the task has called counts no more; and what has failed, and is tried again, goes on.
"""

from dataclasses import replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.records import OkEnds, TaskEnd
from cluster.domain.job.states import TaskEvent, TaskState
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker


def succeeded(state: State, worker: Worker, job: Job, ok: OkEnds) -> IntervalSet:
    """These attempts of a job that waits for its children have succeeded. Those that the worker held."""
    moved, ok = IntervalSet(), replace(ok, worker_id=worker.id)
    for end in map(ok.end_of, range(ok.first, ok.stop)):
        end = _judged(state, job, end)
        waits = end.reason == endings.OK and bool(state.family.going_on(_key(end)))
        event = TaskEvent.LEFT if waits else TaskEvent.SUCCEEDED if end.reason == endings.OK else TaskEvent.FAILED
        one = IntervalSet([(end.index, end.index + 1)])
        if not state.release(worker, job, end.attempt, one, event):
            continue
        moved.update(one)
        if waits:
            state.finishing.setdefault(job.number, {})[end.index] = end
        _note(state, job, end)
        state.usage.ended(job, worker.id, end)
    return moved


def _judged(state: State, job: Job, end: TaskEnd) -> TaskEnd:
    """The end of an attempt that has succeeded, or is finishing, as far as the jobs are concerned that it has called:
    while some go on it may be as it is, but not beyond the deadline of its job."""
    if state.family.going_on(_key(end)):
        return _ended_by(end, endings.DEADLINE) if job.overdue else end
    return _ended_by(end, endings.CHILDREN) if state.family.failed(_key(end)) else end


def settle(state: State) -> None:
    """Ends the finishing tasks of which all jobs that they have called have ended; which may end others in turn."""
    while state.family.settled:
        attempt = state.family.settled.pop()
        job, end = state.jobs.get(attempt.job), state.finishing.get(attempt.job, {}).get(attempt.index)
        if job is None or end is None or _key(end) != attempt or state.family.going_on(attempt):
            continue
        end = _judged(state, job, state.finishing[job.number].pop(end.index))
        job.settle(end.index, TaskEvent.SUCCEEDED if end.reason == endings.OK else TaskEvent.FAILED)
        if end.reason != endings.OK:
            _note(state, job, end)
            state.usage.failed_later(job, end.worker_id)
        state.touch(job)


def give_up(state: State, job: Job, tasks: IntervalSet, reason: str) -> None:
    """Those of `tasks` that are finishing are about to end for that reason: they wait no more."""
    ends = state.finishing.get(job.number, {})
    for index in job.sets[TaskState.FINISHING].intersection(tasks):
        end = _ended_by(ends.pop(index), reason)
        state.saves.append(end)
        if end.state is TaskState.FAILED:
            state.usage.failed_later(job, end.worker_id)


def restore(state: State) -> None:
    """After a start: what had to be waited for may have ended."""
    for ends in state.finishing.values():
        attempts = map(_key, ends.values())
        state.family.settled += [attempt for attempt in attempts if not state.family.going_on(attempt)]


def _key(end: TaskEnd) -> AttemptKey:
    return AttemptKey(end.job, end.index, end.attempt)


def _ended_by(end: TaskEnd, reason: str) -> TaskEnd:
    return replace(end, reason=reason, exit_code=endings.exit_code(reason))


def _note(state: State, job: Job, end: TaskEnd) -> None:
    if end.reason != endings.OK:
        job.note_abnormal_end(end.reason, end.exit_code)
    state.saves.append(end)
