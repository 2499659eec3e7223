"""Room is kept for a job that finds none, so that smaller ones that come after it do not have it wait for ever.

The first job in line of each request class that finds no room, while others could find some, has one worker reserved:
that on which there will be room soonest, as far as owners have said how long what runs there takes. Jobs that come
after it pass it there only where they end before that, or take what is left over beside it: backfill, as Slurm has it.
Where nobody has said how long, what gets free there is kept from now on. Jobs of a higher priority, and earlier ones of
the same owner, do not wait for it.

A worker that leaves at a time is like one that is reserved from then on: nothing starts there that ends later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from math import inf
from typing import NamedTuple

from cluster.domain.job.amounts import CPUS
from cluster.domain.job.job import Job
from cluster.domain.job.request import Request
from cluster.domain.scheduler.evaluator import can_ever_run, tasks_that_fit
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.takers import MOST_HELD, Takers, takes_more
from cluster.domain.scheduler.worker_record import Worker

LOOKED_AT = 8  # workers that could be reserved for a job, of which the soonest is
SCANNED = 64  # workers, the roomiest first, among which these are looked for, where some of them is known
MOST_MADE = 16  # reservations in one turn
ALL = MOST_HELD  # tasks: as many as there is room for
SURELY = 1e-3  # seconds after a time, when it is over whatever way it is counted
AT_A_DISTANCE = 2  # what starts when another task has ended ends after so many times its limit

Jobs = Mapping[int, Job]


class Foreseen(NamedTuple):
    """When there is room for one more task of a request on a worker, and how much of each resource that it needs is
    left over then."""

    at: float  # on the monotonic clock; inf: nobody knows
    ends: int  # of tasks there, before there is room
    left: dict[str, int]
    alone: bool  # it is to be alone: nothing is left over

    def leaves_more_than(self, other: "Foreseen") -> bool:
        """Whether something may pass by this that may not by the other."""
        later = other.at < self.at < inf  # where nobody knows when, nothing passes for ending before that
        return later or any(amount > other.left[name] for name, amount in self.left.items())


class Reservation:
    __slots__ = ("at", "job", "keeps_out", "place", "seen", "worker")

    def __init__(self, job: Job, worker: Worker) -> None:
        self.job, self.worker = job, worker
        self.place = job.subqueue  # its priority may change
        self.at = inf  # when there would be room, as was foreseen last
        self.seen: Foreseen | None = None  # by which others were kept out last
        self.keeps_out = False  # anybody, so far


class Reservations:
    """One at most for each class, and for each worker."""

    __slots__ = ("_of_class", "leaving", "of_worker")

    def __init__(self) -> None:
        self.of_worker: dict[str, Reservation] = {}  # by id
        self._of_class: dict[Request, Reservation] = {}
        self.leaving: dict[str, Worker] = {}  # those that have said until when they take work

    def __iter__(self) -> Iterator[Reservation]:
        return iter(list(self.of_worker.values()))

    def __bool__(self) -> bool:
        """Whether any worker is reserved, or leaves at a time."""
        return bool(self.of_worker or self.leaving)

    def of(self, request: Request) -> Reservation | None:
        return self._of_class.get(request)

    def add(self, kept: Reservation) -> None:
        self.of_worker[kept.worker.id] = self._of_class[kept.job.request] = kept

    def drop(self, kept: Reservation) -> None:
        del self.of_worker[kept.worker.id], self._of_class[kept.job.request]

    def note_leaving(self, worker: Worker) -> None:
        """It has said until when it takes work, or is gone."""
        if worker.leaves_at < inf and worker.session is not None:
            self.leaving[worker.id] = worker
        else:
            self.leaving.pop(worker.id, None)

    def not_kept(self, request: Request, workers: Sequence[Worker]) -> list[Worker]:
        """Those that neither leave nor are reserved for what asks for something else."""
        if not self:
            return list(workers)
        mine, kept = self.of(request), self.of_worker.keys() | self.leaving.keys()
        return [worker for worker in workers if worker.id not in kept or (mine and mine.worker is worker)]

    def most(
        self, job: Job, worker: Worker, now: float, foresee: Callable[[Reservation], Foreseen], *, later: bool = False
    ) -> int:
        """How many tasks of the job may go there in view of what it is reserved for; ALL where that hinders none.
        `later`: they start there when others have ended."""
        limit = job.request.limit * (AT_A_DISTANCE if later else 1)
        if not is_over_by(worker.leaves_at, limit, now):
            return 0
        kept = self.of_worker.get(worker.id)
        if kept is None or kept.job.request == job.request or comes_before(job, kept.job):
            return ALL
        there = foresee(kept)
        if there.at < inf and is_over_by(there.at, limit, now):
            return ALL
        return 0 if later else min(tasks_that_fit(job.request, worker), _left_for(job.request, there))


def is_over_by(at: float, limit: float, now: float) -> bool:
    """Whether what starts now, and takes no longer than that, has ended by then. `limit` 0: nobody knows."""
    return at == inf or (limit > 0 and now + limit <= at)


def comes_before(job: Job, other: Job) -> bool:
    """Whether it goes first for certain: at one priority, who of two users does changes as they go."""
    if job.subqueue == other.subqueue:
        return job.number < other.number
    return job.subqueue[0] < other.subqueue[0]


def foreseen(kept: Reservation, jobs: Jobs, now: float) -> Foreseen:
    """By what runs on the worker, if that takes as long as was said."""
    request, worker = kept.job.request, kept.worker
    needs = _amounts(request)
    alone = bool(request.beside and request.beside.exclusive)
    left = {name: (worker.free if name == CPUS else worker.left_of(name)) - need for name, need in needs.items()}
    lacks = [name for name, amount in left.items() if amount < 0]
    at, ends = now, 0
    for until, some, job in _ends(worker, jobs, now) if lacks or alone else ():
        each = _amounts(job.request)
        count = min(some, max((-(left[name] // each[name]) for name in lacks if name in each), default=0))
        if count or alone:
            at, ends = until, ends + max(count, 1)
            for name in left:
                left[name] += count * each.get(name, 0)
            lacks = [name for name, amount in left.items() if amount < 0]
        if not (lacks or alone):
            break
    return Foreseen(at, ends, left, alone)


def _ends(worker: Worker, jobs: Jobs, now: float) -> Iterator[tuple[float, int, Job]]:
    """When how many tasks of which job there have ended, the soonest first; inf: nobody knows, also of what should have
    by now. One that is not among `jobs` is not seen yet."""
    for until, number, count in worker.promises.after(now):
        if number in jobs:
            yield until, count, jobs[number]
    for number, count in worker.jobs.items():
        rest = count - worker.promises.count(number, now)
        if rest and number in jobs:
            yield inf, rest, jobs[number]


@lru_cache
def _amounts(request: Request) -> Mapping[str, int]:
    """What one task takes of each resource, millicpus among them."""
    return {CPUS: request.millicpus, **dict(request.beside.amounts if request.beside else ())}


def _left_for(request: Request, foreseen: Foreseen) -> int:
    """How many tasks of that request what is left over has room for, however long they take."""
    if foreseen.alone or (request.beside and request.beside.exclusive):
        return 0
    each = _amounts(request)
    return max(0, min((left // each[name] for name, left in foreseen.left.items() if name in each), default=ALL))


def _may_be_sooner(worker: Worker, known: Reservation) -> bool:
    """Whether it is worth a look, as there may be room there sooner than where nobody knows when."""
    return bool(worker.promises) or worker.free > known.worker.free


class Round:
    """What one turn's placement asks about reservations, and tells of them."""

    def __init__(self, reservations: Reservations, queue: ReadyQueue, takers: Takers, jobs: Jobs, now: float) -> None:
        self._book, self._queue, self._takers, self._jobs, self._now = reservations, queue, takers, jobs, now
        self._foreseen: dict[str, Foreseen] = {}  # by worker
        self._made = 0
        self._put_off: list[Job] = []  # there is to be a reservation for these as well
        self._released: list[Worker] = []  # where others may start something again
        self._crowded: list[Reservation] = []  # others are kept out of their workers, which got more

    def begin(self) -> None:
        """What was reserved for somebody who waits no more, or where that cannot run any more, is so no longer."""
        for kept in self._book:
            stays = kept.job in self._queue and kept.place == kept.job.subqueue
            if not (stays and self._may_be_for(kept.job, kept.worker)):
                self._book.drop(kept)
                self._takers.note(kept.worker)
                self._queue.look_again(kept.job)

    def end(self) -> bool:
        """Whether there is something for a further turn, which is due at once then.

        Where a kept worker gets more, more must end there before there is room, and more may be left over then."""
        for kept in self._crowded:
            if self._book.of_worker.get(kept.worker.id) is kept:
                self._foresee(kept)
        for worker in self._released:
            self._takers.note(worker)
        for job in self._put_off:
            self._queue.look_again(job)
        return bool(self._released or self._put_off)

    def looks(self) -> Iterator[tuple[Worker, float]]:
        """Workers that others were kept out of in this round, and until when that holds if nothing changes there, on
        the monotonic clock: what was to have ended by then has not, or who they are reserved for is too late."""
        for worker_id in self._foreseen:
            kept = self._book.of_worker.get(worker_id)
            if kept is not None and kept.keeps_out:
                promised = next((at for at, *_ in kept.worker.promises.after(self._now)), inf)
                too_late = kept.worker.leaves_at - kept.job.request.limit + SURELY
                if (at := min(promised if promised <= kept.at else inf, too_late)) < inf:
                    yield kept.worker, at

    def part(self, job: Job, workers: Sequence[Worker]) -> tuple[Sequence[Worker], list[Worker]]:
        """Those where no reservation hinders the job, and those where one does; neither where it has no room anyhow."""
        if not self._book:
            return workers, []
        open_to, kept = list[Worker](), list[Worker]()
        for worker in workers:
            if tasks_that_fit(job.request, worker):
                (open_to if self._most(job, worker) >= ALL else kept).append(worker)
        return open_to, kept

    def open_later(self, job: Job, workers: Sequence[Worker]) -> Sequence[Worker]:
        """Those where no reservation hinders what of the job starts there when other tasks have ended."""
        if not self._book:
            return workers
        return [worker for worker in workers if self._most(job, worker, later=True) >= ALL]

    def not_kept(self, request: Request, workers: Sequence[Worker]) -> list[Worker]:
        """See `Reservations.not_kept`."""
        return self._book.not_kept(request, workers)

    def beside(self, job: Job, workers: Iterable[Worker]) -> Iterator[tuple[Worker, int]]:
        """Of these, where it is hindered, those where some tasks of it may pass what they are reserved for, and how
        many; as often as more may after these, which may end before."""
        for worker in workers:
            while (most := self._most(job, worker)) < ALL:
                if kept := self._book.of_worker.get(worker.id):
                    kept.keeps_out = True
                if not (most and job.startable and takes_more(worker)):
                    break
                yield worker, most

    @property
    def restricted(self) -> int:
        """How many workers are not open to all."""
        return len(self._book.of_worker) + len(self._book.leaving)

    def found_no_room(self, job: Job, looked_at: Sequence[Worker], *, fresh: bool) -> None:
        """Its turn was, and some of it waits, although it could run on `looked_at`. `fresh`: these are not all that
        could run it, as far as is known."""
        known = self._book.of(job.request)
        if known is not None:
            if comes_before(job, known.job):
                known.job, known.place = job, job.subqueue
            sooner = [worker for worker in looked_at if known.at == inf and _may_be_sooner(worker, known)]
            if sooner and self._made < MOST_MADE:
                self._made += 1
                self._reserve(job, self._candidates(job, sooner, 0), known)
        elif (looked_at or fresh) and self._takers.has_open and not self._queue.is_of_one_class:
            if self._made < MOST_MADE:
                self._made += 1
                self._reserve(job, self._candidates(job, looked_at, len(self._jobs) if fresh else SCANNED), None)
            else:
                self._put_off.append(job)

    def given(self, job: Job, worker: Worker) -> None:
        """It has got something there."""
        self._foreseen.pop(worker.id, None)
        there = self._book.of_worker.get(worker.id) if self._book else None
        if there is not None and there.keeps_out:
            self._crowded.append(there)
        kept = self._book.of(job.request) if self._book else None
        if kept is not None and kept.job is job and (kept.worker is worker or not job.startable):
            self._release(kept)

    def _release(self, kept: Reservation) -> None:
        self._book.drop(kept)
        if kept.keeps_out:
            self._released.append(kept.worker)

    def _most(self, job: Job, worker: Worker, *, later: bool = False) -> int:
        if worker.leaves_at == inf and worker.id not in self._book.of_worker:
            return ALL
        return self._book.most(job, worker, self._now, self._foresee, later=later)

    def _foresee(self, kept: Reservation) -> Foreseen:
        """Where that lets more pass than whoever was kept out before has seen, all are to look again."""
        known = self._foreseen.get(kept.worker.id)
        if known is None:
            known = self._foreseen[kept.worker.id] = foreseen(kept, self._jobs, self._now)
            if kept.keeps_out and kept.seen is not None and known.leaves_more_than(kept.seen):
                self._released.append(kept.worker)
            kept.at, kept.seen = known.at, known
        return known

    def _may_be_for(self, job: Job, worker: Worker) -> bool:
        """Whether the worker may be reserved for the job."""
        takes_work = worker.session is not None and not (worker.drains or worker.no_room)
        in_time = is_over_by(worker.leaves_at, job.request.limit, self._now)
        return takes_work and in_time and can_ever_run(job.request, worker)

    def _candidates(self, job: Job, looked_at: Sequence[Worker], scanned: int) -> Iterator[Worker]:
        """Workers that may be reserved for it: of these, and of so many of all, the roomiest first."""
        for worker in chain(looked_at[:LOOKED_AT], (worker for *_, worker in self._takers.entries[:scanned])):
            kept = self._book.of_worker.get(worker.id)
            if self._may_be_for(job, worker) and (kept is None or comes_before(job, kept.job)):
                yield worker

    def _reserve(self, job: Job, candidates: Iterable[Worker], known: Reservation | None) -> None:
        """The worker on which there will be room first, if that is sooner than it was known. Who has it and comes later
        has to find another."""
        some = [Reservation(job, worker) for worker in islice(candidates, LOOKED_AT)]
        if not some:
            return
        kept = min(some, key=self._soonness)
        if known is not None and self._soonness(kept) >= self._soonness(known):
            return
        if tasks_that_fit(job.request, kept.worker):
            return  # it has been released in this round: it is looked at again
        if before := self._book.of_worker.get(kept.worker.id):
            self._release(before)
            self._put_off.append(before.job)
        if known is not None:
            self._release(known)
        self._foreseen.pop(kept.worker.id, None)
        self._book.add(kept)

    def _soonness(self, kept: Reservation) -> tuple[float, int]:
        """The least is the soonest: where nobody knows when, that for which fewest tasks must end."""
        there = foreseen(kept, self._jobs, self._now)
        kept.at = there.at
        return there.at, there.ends
