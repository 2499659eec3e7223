"""Which tasks go to which workers now, and which come back from where they wait for nothing.

Jobs are served in the order of their numbers; a job that does not fit now lets later ones pass (backfill). The tasks
of one job are spread evenly over the workers with free cpus. Beyond its free cpus a worker is given work in advance,
AHEAD seconds of it by the measured run time of the job's tasks, so that a short task's end is followed by the next
one's start with no message between. (The same idea as prefetching in HyperQueue and work stealing in dask.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.worker_record import Worker

AHEAD = 0.1  # seconds of work a worker gets in advance
# Tasks that one worker may hold, however little each asks for: bounds its hello, and what is lost with it at once.
MOST_HELD = 8192
MAX_AHEAD = 4096  # tasks in advance, whatever they take: bounds messages, and what is lost with a worker
SHORTEST_RUN = 1e-5  # seconds; keeps the division finite for tasks too short to measure


class Placement(NamedTuple):
    job: Job
    worker: Worker
    share: int  # how many of the job's first ready tasks


def ahead(job: Job, worker: Worker) -> int:
    """How many of the job's tasks the worker may hold beyond its capacity. None until a run time is measured."""
    if job.mean_run is None:
        return 0
    at_once = worker.record.millicpus // job.record.spec.millicpus
    return min(MAX_AHEAD, int(at_once * AHEAD / max(job.mean_run, SHORTEST_RUN)))


def place(jobs: Iterable[Job], workers: Iterable[Worker]) -> Iterator[Placement]:
    """Yields placements one by one; the caller carries each out (which changes `ready` and `allocated`) before the
    next is computed. `jobs` is the ready queue; `workers` those with a session."""
    online = list(workers)
    open_workers = [w for w in online if w.free > 0]
    for job in jobs:
        yield from _spread(job, [w for w in open_workers if may_run(job, w)], _free)
        if job.ready:
            yield from _spread(job, [w for w in online if may_run(job, w)], partial(_room_ahead, job))
        if job.ready:
            open_workers = [w for w in open_workers if w.free > 0]
            if not open_workers:
                return  # work in advance is for the first job in line only


def _free(worker: Worker) -> int:
    return worker.free


def _room_ahead(job: Job, worker: Worker) -> int:
    return worker.free + ahead(job, worker) * job.record.spec.millicpus


def may_run(job: Job, worker: Worker) -> bool:
    """Whether the worker is one that the job accepts and that can ever take one of its tasks."""
    wanted = job.record.spec.worker
    return worker.fits(job.record.spec.millicpus) and (not wanted or worker.is_called(wanted))


def _spread(job: Job, workers: list[Worker], room: Callable[[Worker], int]) -> Iterator[Placement]:
    """Even shares, those with most room first; what one cannot take goes round again."""
    request = job.record.spec.millicpus
    while job.ready:
        roomy = [w for w in workers if room(w) >= request and w.held < MOST_HELD]
        if not roomy:
            return
        roomy.sort(key=room, reverse=True)
        share = -(-len(job.ready) // len(roomy))
        for worker in roomy:
            count = min(share, len(job.ready), room(worker) // request, MOST_HELD - worker.held)
            if count > 0:
                yield Placement(job, worker, count)


class RecallDecision(NamedTuple):
    job: Job
    worker: Worker
    attempt: int
    ranges: tuple[Range, ...]


def recall(jobs: Mapping[int, Job], workers: Mapping[str, Worker]) -> Iterator[RecallDecision]:
    """When nothing is ready for idle workers, asks those with work in advance for half of what waits there.

    Each task is asked back once in a session; the caller notes it in `worker.recalled`."""
    idle = [w for w in workers.values() if w.takes_work and w.free > 0]
    if not idle:
        return
    for number in sorted({n for w in workers.values() if w.session is not None and w.free < 0 for n in w.jobs}):
        job = jobs[number]
        if job.ready or not job.count(TaskState.ASSIGNED):
            continue
        wanted = sum(w.free // job.record.spec.millicpus for w in idle if may_run(job, w))
        there: list[tuple[Worker, int, IntervalSet]] = []  # what waits in advance and was not asked back yet
        for (worker_id, attempt), held in job.held.items() if wanted > 0 else ():
            worker = workers[worker_id]
            if worker.session is None or worker.free >= 0:
                continue
            waiting = held.intersection(job.sets[TaskState.ASSIGNED])
            count = len(waiting)
            waiting.difference_update(worker.recalled.get(job.number, IntervalSet()))
            wanted -= count - len(waiting)  # on its way back
            there.append((worker, attempt, waiting))
        for worker, attempt, waiting in there:
            count = min(wanted, (len(waiting) + 1) // 2)
            if count > 0:
                wanted -= count
                yield RecallDecision(job, worker, attempt, tuple(_last(waiting, count)))


def _last(tasks: IntervalSet, count: int) -> list[Range]:
    """The highest `count` members: those that the worker would start last."""
    tasks.take(len(tasks) - count)
    return list(tasks.ranges())
