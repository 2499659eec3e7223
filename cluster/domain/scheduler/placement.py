"""Which tasks go to which workers now, and which come back from where they wait for nothing.

Jobs are served in the order of the queue (`cluster.domain.scheduler.ready_queue`); a job that does not fit now
lets later ones pass (backfill). The tasks of one job are spread evenly over the workers with free cpus, unless it
wants it otherwise (`cluster.domain.scheduler.evaluator`). Beyond its free cpus a worker is given work in advance, AHEAD
seconds of it by the measured run time of the job's tasks, so that a short task's end is followed by the next one's
start with no message between. (The same idea as prefetching in HyperQueue and work stealing in dask.)

Between turns nothing waits that would fit. So only two things are looked at: workers that have more room than before,
for all request classes that they may run; and classes that had no ready task before, for all workers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import NamedTuple

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.evaluator import can_ever_run, preferred_first, rank, tasks_that_fit
from cluster.domain.scheduler.ready_queue import ReadyQueue, ShareOf, Turn
from cluster.domain.scheduler.reserving import Round
from cluster.domain.scheduler.takers import MOST_HELD, Takers, can_take, takes_more
from cluster.domain.scheduler.worker_record import Worker

# Seconds of work a worker gets in advance; of tasks shorter than SHORT more, because their ends are reported in larger
# batches, each of which must find the worker busy.
AHEAD, AHEAD_OF_SHORT = 0.1, 0.5
SHORT = 0.002
MAX_AHEAD = 4096  # tasks in advance, whatever they take: bounds messages, and what is lost with a worker
MAX_GUESSED = 256  # the same where the run time is that of jobs alike, which is a guess
SHORTEST_RUN = 1e-5  # seconds; keeps the division finite for tasks too short to measure

PARTS = 4  # into which the room of each of several users is cut, so that it comes out even

Called = Callable[[str], Iterable[Worker]]  # those that people mean by a name or UUID


class Placement(NamedTuple):
    job: Job
    worker: Worker
    share: int  # how many of the job's first ready tasks


def ahead(job: Job, worker: Worker) -> int:
    """How many of the job's tasks the worker may hold beyond its capacity. None until a run time is measured: of the
    job, or of jobs like it."""
    run, most = job.mean_run, MAX_AHEAD
    if run is None:
        run, most = job.alike.run, min(MAX_GUESSED, job.alike.ended)
    if run is None:
        return 0
    at_once = worker.record.millicpus // job.record.spec.millicpus
    seconds = AHEAD if run >= SHORT else AHEAD_OF_SHORT
    return min(most, int(at_once * seconds / max(run, SHORTEST_RUN)))


def place(
    queue: ReadyQueue,
    takers: Takers,
    called: Called,
    share_of: ShareOf,
    reserving: Round,
    spent: Callable[[], bool] = lambda: False,
) -> Iterator[Placement]:
    """Yields placements one by one; the caller carries each out (which changes `ready` and `allocated`) before the
    next is computed. Who stops before the end leaves `queue` and `takers` so that the next call goes on; else what was
    to be looked at has been, and is forgotten. `spent`: whether there is no room for more; after one class at least the
    others are put off then, and are as fresh."""
    roomier = [worker for worker in takers.roomier.values() if can_take(worker)]
    for count, turn in enumerate(queue.line(roomier, share_of)):
        if count and spent():
            takers.roomier.clear()
            queue.put_off()
            return
        job, fresh = turn.job, turn.kind in queue.fresh
        if not fresh:
            looked_at = more = [worker for worker in roomier if can_ever_run(job.request, worker)]
        elif job.request.worker:
            looked_at = more = [w for w in called(job.request.worker) if can_take(w) and can_ever_run(job.request, w)]
        else:
            looked_at, more = _with_room(job, takers, reserving.restricted), None
        had_open = takers.has_open
        free, kept = reserving.part(job, looked_at)
        if kept:
            turn.is_kept_out = turn.kind.is_kept_out = True
        yield from _give(job, free) if turn.rivals == 1 else _give_a_part(turn, free)
        if turn.goes_on:
            continue
        if turn.is_kept_out:
            yield from _squeezed(job, reserving.beside(job, kept))
        # Work in advance is for the first job in line, and for others only where there was room beside that.
        may_have_more = job.expects_run and job.request.may_wait_there
        if job.startable and may_have_more and (had_open or queue.is_first(job)):
            more = _roomiest(job, takers, reserving.restricted) if more is None else more
            yield from _evenly(job, reserving.open_later(job, more), partial(_room_ahead, job))
        if job.startable:
            reserving.found_no_room(job, looked_at, fresh=fresh)
            if not takers.has_open:
                break
    takers.roomier.clear()
    queue.fresh.clear()


def _squeezed(job: Job, there: Iterable[tuple[Worker, int]]) -> Iterator[Placement]:
    """Where so many may pass what room is kept for."""
    for worker, most in there:
        yield Placement(job, worker, min(most, job.startable, _tasks_for(job, worker)))


def _give_a_part(turn: Turn, workers: Sequence[Worker]) -> Iterator[Placement]:
    """So much that there is room left for its rivals: then it is their turn, and it goes on later."""
    room = sum(tasks_that_fit(turn.job.request, worker) for worker in workers)
    left = max(1, room // (PARTS * turn.rivals))
    for job, worker, share in _give(turn.job, workers):
        part = min(share, left)
        left -= part
        turn.goes_on = not left
        yield Placement(job, worker, part)
        if not left:
            return


def _with_room(job: Job, takers: Takers, restricted: int) -> list[Worker]:
    """Those that can run it and have room now, roomiest first: no more than it has tasks, beside those that are not
    open to all. Where it matters which, all that have cpus for it."""
    request, beside = job.request, job.request.beside
    if beside is None:  # each of them takes one task at least
        return takers.with_room(request.millicpus, job.startable + restricted)
    able = (worker for worker in takers.with_room(request.millicpus) if can_ever_run(request, worker))
    if beside.prefer or beside.spread or beside.pack:
        return list(able)
    return list(islice((worker for worker in able if tasks_that_fit(request, worker)), job.startable + restricted))


def _roomiest(job: Job, takers: Takers, restricted: int) -> list[Worker]:
    """Those that can run it, whatever they have free, roomiest first: as many as of `_with_room`."""
    if job.request.beside is None:
        return takers.roomiest(job.startable + restricted)
    return list(islice((w for w in takers.in_order if can_ever_run(job.request, w)), job.startable + restricted))


def _give(job: Job, workers: Sequence[Worker]) -> Iterator[Placement]:
    """To those of these workers that have room now, as the job wants it."""
    request, beside = job.request, job.request.beside
    if beside is None:
        yield from _evenly(job, workers, _free)
        return
    for group in preferred_first(request, workers):
        if beside.spread:
            yield from _levelled(job, group)
        elif beside.pack:
            yield from _packed(job, group)
        else:
            yield from _evenly(job, group, partial(_room_for_all, request))


def _free(worker: Worker) -> int:
    return worker.free


def _room_for_all(request: Request, worker: Worker) -> int:
    """In millicpus, of what its other resources have room for."""
    return tasks_that_fit(request, worker) * request.millicpus


def _room_ahead(job: Job, worker: Worker) -> int:
    return worker.free + ahead(job, worker) * job.record.spec.millicpus


def _evenly(job: Job, workers: Sequence[Worker], room: Callable[[Worker], int]) -> Iterator[Placement]:
    """Even shares, those with most room (in millicpus) first; what one cannot take goes round again."""
    request = job.record.spec.millicpus
    while startable := job.startable:
        roomy = [w for w in workers if room(w) >= request and takes_more(w)]
        if not roomy:
            return
        roomy.sort(key=room, reverse=True)
        share = -(-startable // len(roomy))
        for worker in roomy:
            count = min(share, job.startable, room(worker) // request, MOST_HELD - worker.held)
            if count > 0:
                yield Placement(job, worker, count)


def _packed(job: Job, workers: Sequence[Worker]) -> Iterator[Placement]:
    """One is filled before the next, first the one with least room."""
    for worker in sorted(workers, key=partial(rank, job)):
        count = min(_tasks_for(job, worker), job.startable)
        if count > 0:
            yield Placement(job, worker, count)


def _levelled(job: Job, workers: Sequence[Worker]) -> Iterator[Placement]:
    """Each task where fewest of the job are by then, and of these where most cpus are free."""
    there = [(*rank(job, worker), place, _tasks_for(job, worker)) for place, worker in enumerate(workers)]
    heap = [(tasks, free, place, left) for _, tasks, free, place, left in there if left > 0]
    heapify(heap)
    shares: Counter[int] = Counter()
    for _ in range(job.startable):
        if not heap:
            break
        tasks, free, place, left = heap[0]
        shares[place] += 1
        if left > 1:
            heapreplace(heap, (tasks + 1, free + job.request.millicpus, place, left - 1))
        else:
            heappop(heap)
    for place, share in shares.items():
        yield Placement(job, workers[place], share)


def _tasks_for(job: Job, worker: Worker) -> int:
    """How many more tasks of the job it can take now."""
    return min(tasks_that_fit(job.request, worker), MOST_HELD - worker.held) if takes_more(worker) else 0


class RecallDecision(NamedTuple):
    job: Job
    worker: Worker
    attempt: int
    ranges: tuple[Range, ...]


def recall(
    jobs: Mapping[int, Job],
    in_advance: dict[Request, dict[str, Worker]],
    takers: Takers,
    called: Called,
    reserving: Round,
) -> Iterator[RecallDecision]:
    """When nothing is ready for idle workers, asks those with work in advance for half of what waits there.
    `in_advance`: the workers that may have some, by request; those that have none any more are dropped.

    Each task is asked back once in a session; the caller notes it in `worker.recalled`."""
    if not takers.has_open:
        return
    for request, workers in list(in_advance.items()):
        for worker in [worker for worker in workers.values() if worker.free >= 0]:
            del workers[worker.id]
        if not workers:
            del in_advance[request]
        there = [worker for worker in workers.values() if worker.session is not None]
        left = sum(_waiting_ahead(request, worker) for worker in there)
        if not left or not (wanted := _wanted(request, left, takers, called, reserving)):
            continue
        wanted -= sum(worker.coming_back for worker in there)
        for worker in there:
            if wanted <= 0:
                break
            for decision in _recall(jobs, request, worker, wanted) if _waiting_ahead(request, worker) else ():
                wanted -= sum(piece.size for piece in decision.ranges)
                yield decision


def _waiting_ahead(request: Request, worker: Worker) -> int:
    """How many such tasks wait there beyond the worker's cpus, and were not asked back yet: no fewer than that."""
    return max(0, -(worker.free // request.millicpus) - worker.coming_back)


def _wanted(request: Request, most: int, takers: Takers, called: Called, reserving: Round) -> int:
    """How many such tasks would find a free cpu now, if there were no more than `most`."""
    if request.worker:
        idle = [worker for worker in called(request.worker) if worker.takes_work]
    elif request.beside is not None:
        idle = [worker for worker in takers.with_room(request.millicpus) if can_ever_run(request, worker)]
    else:
        idle = takers.with_room(request.millicpus, most + reserving.restricted)
    return sum(tasks_that_fit(request, worker) for worker in reserving.not_kept(request, idle))


def _recall(jobs: Mapping[int, Job], request: Request, worker: Worker, wanted: int) -> Iterator[RecallDecision]:
    """Of half of the tasks that wait there those that it would start last, but no more than are wanted."""
    there: list[tuple[Job, int, IntervalSet]] = []
    for number in sorted(worker.jobs, reverse=True):
        job = jobs[number]
        for attempt, held in job.held_by(worker.id) if job.request == request else ():
            waiting = held.intersection(job.sets[TaskState.ASSIGNED])
            waiting.difference_update(worker.recalled.get(number, ()))
            if waiting:
                there.append((job, attempt, waiting))
    left = min(wanted, (sum(len(waiting) for *_, waiting in there) + 1) // 2)
    for job, attempt, waiting in there:
        count = min(left, len(waiting))
        if count > 0:
            left -= count
            yield RecallDecision(job, worker, attempt, tuple(_last(waiting, count)))


def _last(tasks: IntervalSet, count: int) -> list[Range]:
    """The highest `count` members: those that the worker would start last."""
    tasks.take(len(tasks) - count)
    return list(tasks.ranges())
