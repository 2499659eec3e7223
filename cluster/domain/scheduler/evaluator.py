"""Which workers can run what a request class asks for, how much of it they have room for, and which come first.

Feasible: the worker has what a task needs at all, and what is needed of it is true. Then it may have room for some
tasks now. Of those that have room each gets a rank, the lower the better; those that are preferred come before all
others. Cpus are looked at first: where a class asks for nothing beside them, that is all.
"""

from collections.abc import Sequence

from cluster.domain.job.amounts import Amounts
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import WorkerState


def can_ever_run(request: Request, worker: Worker) -> bool:
    """Whether the worker is one that the class accepts, and has at all what one of its tasks needs."""
    if not worker.fits(request.millicpus) or (request.worker and not worker.is_called(request.worker)):
        return False
    beside = request.beside
    return beside is None or (has(worker, beside.amounts) and (not beside.need or worker.meets(beside.need)))


def takes(request: Request, worker: Worker, *, now: bool) -> bool:
    """Whether the worker takes tasks of the class: it is online and can run them; `now`: it has room for one, too."""
    if worker.state is not WorkerState.ONLINE or not can_ever_run(request, worker):
        return False
    return not now or (worker.takes_work and tasks_that_fit(request, worker) > 0)


def has(worker: Worker, amounts: Amounts) -> bool:
    """Whether it has so much at all, busy or not."""
    offered = worker.record.offer.amounts
    return all(offered.get(name, 0) >= amount for name, amount in amounts)


def tasks_that_fit(request: Request, worker: Worker) -> int:
    """How many tasks of the class, which the worker can run, it has room for now, of cpus and all else."""
    most = worker.free // request.millicpus
    if request.beside is not None:
        for name, amount in request.beside.amounts:
            most = min(most, worker.left_of(name) // amount)
        if request.beside.exclusive:
            most = 0 if worker.held else min(most, 1)
    return max(0, most)


def preferred_first(request: Request, workers: Sequence[Worker]) -> list[list[Worker]]:
    """The workers in groups: one gets something when those before are full."""
    if request.beside is None or not request.beside.prefer:
        return [list(workers)]
    groups: tuple[list[Worker], list[Worker]] = [], []
    for worker in workers:
        groups[not worker.meets(request.beside.prefer)].append(worker)
    return [group for group in groups if group]


Rank = tuple[int, int, int]  # not preferred, as the policy has it, minus the free millicpus


def rank(job: Job, worker: Worker) -> Rank:
    """Its place among those that can take a task of the job now: the lowest gets the next one."""
    beside = job.request.beside
    if beside is None:
        return 0, 0, -worker.free
    by_policy = tasks_there(job, worker) if beside.spread else worker.free if beside.pack else 0
    return int(bool(beside.prefer) and not worker.meets(beside.prefer)), by_policy, -worker.free


def tasks_there(job: Job, worker: Worker) -> int:
    """How many tasks of the job it holds."""
    return sum(len(tasks) for _, tasks in job.held_by(worker.id)) if job.is_held_by(worker.id) else 0
