"""Work in advance that was given by a wrong guess: it waits at a worker although all before it should have ended.

It is asked back, or whatever else is to come next would wait behind it, however important that is. And what was
measured counts no more: from now on such tasks are taken to last as long as that wait.
"""

from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.assigning import ask_back_unstarted
from cluster.domain.scheduler.state import LATE, State
from cluster.domain.scheduler.worker_record import Worker


def due(state: State, worker: Worker) -> None:
    """Looks at what waits there, and again after a while."""
    if worker.session is None or worker.free >= 0:
        return
    state.timers.set(("late", worker.id), state.now.mono + LATE)
    for number in sorted(worker.jobs):
        job = state.jobs[number]
        waited = state.now.mono - job.assigned_at
        if waited >= LATE and job.count(TaskState.ASSIGNED):
            job.takes(waited)
            ask_back_unstarted(state, worker, job)
