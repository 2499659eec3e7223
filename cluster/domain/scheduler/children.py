"""Tasks that end only when the jobs that they have called have ended (--wait-children).

When its attempt has succeeded such a task is *finishing*, while one of these jobs goes on. With the last of them it
ends: well if all have succeeded, else with the reason `children`. One whose attempt fails does not wait: it ends at
once.
"""

from dataclasses import replace

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
        waits = (job.number, end.index) in state.family.open
        fails = not waits and end.index in state.family.failed.get(job.number, ())
        event = TaskEvent.LEFT if waits else TaskEvent.FAILED if fails else TaskEvent.SUCCEEDED
        one = IntervalSet([(end.index, end.index + 1)])
        if not state.release(worker, job, end.attempt, one, event):
            continue
        moved.update(one)
        if waits:
            state.finishing.setdefault(job.number, {})[end.index] = end
        _note(state, job, end, failed=fails)
    return moved


def settle(state: State) -> None:
    """Ends the finishing tasks of which all jobs that they have called have ended; which may end others in turn."""
    while state.family.settled:
        number, index = state.family.settled.pop()
        job = state.jobs.get(number)
        if job is None:
            state.family.failed.pop(number, None)
            continue
        if index not in job.sets[TaskState.FINISHING]:
            continue
        failed = index in state.family.failed.get(number, ())
        job.settle(index, TaskEvent.FAILED if failed else TaskEvent.SUCCEEDED)
        end = state.finishing.get(number, {}).pop(index, None)
        if failed:
            _note(state, job, end or TaskEnd(number, index, 1, endings.OK), failed=True)
        state.touch(job)


def cancel(state: State, job: Job, tasks: IntervalSet) -> None:
    """Those of `tasks` that are finishing are about to be cancelled."""
    for index in job.sets[TaskState.FINISHING].intersection(tasks):
        if end := state.finishing.get(job.number, {}).pop(index, None):
            state.saves.append(replace(end, reason=endings.CANCELLED, exit_code=endings.CANCELLED_EXIT))


def restore(state: State) -> None:
    """After a start: what had to be waited for may have ended."""
    for job in state.unfinished():
        tasks = job.sets[TaskState.FINISHING]
        state.family.settled += [(job.number, i) for i in tasks if (job.number, i) not in state.family.open]


def _note(state: State, job: Job, end: TaskEnd, *, failed: bool) -> None:
    """Its attempt has succeeded; `failed`: and a job that it has called has not."""
    if failed:
        end = replace(end, reason=endings.CHILDREN, exit_code=endings.exit_code(endings.CHILDREN))
        job.note_abnormal_end(end.reason, end.exit_code)
    state.saves.append(end)
