"""What people are told of workers that are reserved, or that leave: whoever waits for one, and whoever is kept out."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import NamedTuple

from cluster.domain.base.wall_time import iso
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.evaluator import can_ever_run, tasks_that_fit
from cluster.domain.scheduler.reserving import foreseen, is_over_by
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.takers import can_take
from cluster.domain.scheduler.worker_record import Worker

WORTH_SAYING = 2.0  # seconds: of less time nobody is told that what takes no longer may start
TYPED_SHORTER = 16 / 17  # a time request counts for up to a sixteenth more

Said = tuple[str, str]  # what keeps the job out of there, and what would mend that; empty: nothing that is as simple


class Reserved(NamedTuple):
    """The worker that is kept for a job."""

    worker: str  # its name
    start: float = 0.0  # Unix seconds, about; 0: nobody knows

    def said(self) -> str:
        when = f"from about {_minute(self.start)}" if self.start else "as soon as enough has ended there"
        return f"reserved on {self.worker} {when}"


def reserved(state: State, job: Job) -> Reserved | None:
    """None: nothing is kept for it."""
    kept = state.reservations.of(job.request)
    if kept is None or kept.job.number != job.number:
        return None
    at = foreseen(kept, state.jobs, state.now.mono).at
    return Reserved(kept.worker.record.name, _wall(state, at) if at < inf else 0.0)


def passing(state: State, job: Job) -> Callable[[Worker], int]:
    """How many tasks of the job may go to a worker that has room; see `Reservations.most`."""
    foresee = partial(foreseen, jobs=state.jobs, now=state.now.mono)
    return lambda worker: state.reservations.most(job, worker, state.now.mono, foresee)


def kept_out(state: State, job: Job, worker: Worker) -> Said | None:
    """Why the job gets nothing there although there is room, or will be. None: that it may have."""
    if said := leaves(state, job.request, worker):
        return said
    if passing(state, job)(worker) or not tasks_that_fit(job.request, worker):
        return None
    kept = state.reservations.of_worker[worker.id]
    at = foreseen(kept, state.jobs, state.now.mono).at
    first = f"kept for job {kept.job.number}, which comes first"
    if at == inf:
        return f"{first} (nobody says how long what runs there takes: --time-request)", ""
    return f"{first}, from about {_minute(_wall(state, at))}", _shorter(state, at, "may pass")


def first_kept_out(state: State, job: Job) -> str:
    """The same of the first worker that has room for it, as a line; empty: there is none."""
    for worker in state.workers.values() if state.reservations else ():
        able = can_take(worker) and can_ever_run(job.request, worker) and tasks_that_fit(job.request, worker)
        if able and (said := kept_out(state, job, worker)):
            reason, fix = said
            return f"{worker.record.name}: {reason}" + (f"; {fix}" if fix else "")
    return ""


def leaves(state: State, request: Request, worker: Worker) -> Said | None:
    """Why nothing that asks for that starts there any more. None: it may, if there is room."""
    at = worker.leaves_at
    if is_over_by(at, request.limit, state.now.mono):
        return None
    why = "a task may take longer" if request.limit else "nobody says how long a task takes"
    return f"leaves at {_minute(_wall(state, at))}, and {why}", _shorter(state, at, "may start")


def leaves_at(state: State, worker: Worker) -> float:
    """Unix seconds; 0: it stays."""
    return _wall(state, worker.leaves_at) if worker.leaves_at < inf and worker.session is not None else 0.0


def _shorter(state: State, at: float, may: str) -> str:
    """With what time request it would have ended by then."""
    most = (at - state.now.mono) * TYPED_SHORTER
    whole = int(most) if most < 120 else int(most) // 60 * 60
    return f"with --time-request {_typed(whole)} or less it {may}" if most >= WORTH_SAYING else ""


def _typed(seconds: int) -> str:
    """As one would type it."""
    if seconds >= 3600 and seconds % 3600:
        return f"{seconds // 3600}h{seconds % 3600 // 60}m"
    return f"{seconds // 3600}h" if seconds >= 3600 else f"{seconds // 60}m" if seconds >= 120 else f"{seconds}s"


def _wall(state: State, mono: float) -> float:
    return state.now.wall + mono - state.now.mono


def _minute(wall: float) -> str:
    """The whole one before."""
    return iso(wall // 60 * 60).replace(":00Z", "Z")
