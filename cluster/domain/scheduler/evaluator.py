"""Which workers can run what a request class asks for, how much of it they have room for now.

Cpus are looked at first: where a class asks for nothing beside them, that is all.
"""

from cluster.domain.job.amounts import Amounts
from cluster.domain.job.request import Request
from cluster.domain.scheduler.worker_record import Worker


def can_ever_run(request: Request, worker: Worker) -> bool:
    """Whether the worker is one that the class accepts, and has at all what one of its tasks needs."""
    if not worker.fits(request.millicpus) or (request.worker and not worker.is_called(request.worker)):
        return False
    beside = request.beside
    return beside is None or _has(worker, beside.amounts)


def _has(worker: Worker, amounts: Amounts) -> bool:
    offered = worker.record.offer.amounts
    return all(offered.get(name, 0) >= amount for name, amount in amounts)


def tasks_that_fit(request: Request, worker: Worker) -> int:
    """How many tasks of the class, which the worker can run, it has room for now, of cpus and all else."""
    most = worker.free // request.millicpus
    if request.beside is not None:
        for name, amount in request.beside.amounts:
            most = min(most, worker.left_of(name) // amount)
    return max(0, most)
