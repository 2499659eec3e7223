"""What the scheduler's core knows: jobs, workers, sessions and deadlines; and what the present turn has decided so far.

What happens is elsewhere, each kind of it in a file of its own. Here is what all of them do to this memory.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Self

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.now import Now
from cluster.domain.base.timers import Timers
from cluster.domain.job.alike import JobsAlike
from cluster.domain.job.job import Job
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobEnded, JobReopened, TaskEnd
from cluster.domain.job.request import Request
from cluster.domain.job.states import TaskEvent, TaskState
from cluster.domain.scheduler.effects import (
    Act,
    Amended,
    CloseSession,
    Notify,
    Replied,
    Reply,
    Save,
    Send,
    WorkerForgotten,
)
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.family import Family
from cluster.domain.scheduler.followers import Followers
from cluster.domain.scheduler.judge import Judge
from cluster.domain.scheduler.pool_board import PoolBoard
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.reserving import Reservations
from cluster.domain.scheduler.retention import Bonds
from cluster.domain.scheduler.sharing import Shares
from cluster.domain.scheduler.takers import Takers
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.usage_log import UsageLog
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.session.leashes import lost_after_in_force
from cluster.domain.session.messages import Downward

LEASE = 15.0  # seconds without a word after which a worker is unreachable
LATE = 1.0  # seconds that work in advance may wait at a worker, which is given half a second of it at most


class State:
    def __init__(self, epoch: int, lease: float = LEASE) -> None:
        self.epoch = epoch
        self.lease = lease
        self.now = Now(0.0, 0.0)
        self.jobs: dict[int, Job] = {}  # but for those that have ended, once the store answers for them
        self.workers: dict[str, Worker] = {}
        self.sessions: dict[int, Worker] = {}
        self.ready = ReadyQueue()
        self.shares = Shares()
        self.usage = UsageLog()
        self.shares_due = False  # they are to be saved soon
        self.queue_pause: Pause | None = None  # somebody's wish that nothing more starts
        self.pools = PoolBoard()
        self.takers = Takers()
        self.judge = Judge()
        self.reservations = Reservations()
        self.followers = Followers()
        self.schedules_in_line: deque[int] = deque()  # schedules of which the next time is to be found
        self.family = Family()
        self.finishing: dict[int, dict[int, TaskEnd]] = {}  # the ends of tasks that wait for the jobs they have called
        self.value_sizes: dict[int, dict[str, int]] = {}  # bytes of what jobs keep, by job and key; see job_values
        # By what tasks ask for: the workers that may hold some of these in advance, beyond their cpus.
        self.in_advance: dict[Request, dict[str, Worker]] = {}
        self.jobs_alike = JobsAlike()
        self.timers = Timers()
        self.wall_timers = Timers()  # on the wall clock: of jobs that wait for a time
        self.leaving: set[str] = set()  # workers to be forgotten once they hold nothing
        self.next_number = 1
        self.bonds = Bonds()
        self.openings = 0  # how often a job was reopened
        self.ended_ids = EndedIds()  # of jobs that have left memory
        self.most = MOST_AT_ONCE  # of what is due and of ranges that are placed, in one turn
        self.room = 0  # how much of that this turn has left
        self.placing_goes_on = False  # in the next turn, whatever has changed by then: what waits in advance is due yet
        self.saves: list[Save | Amended] = []  # decided in this turn, as are the acts
        self.acts: list[Act] = []
        self.changed: dict[int, Job] = {}  # in this turn, by number
        self.cancels: list[tuple[int, CancelRequested, int]] = []  # in this turn: job, wish, tasks that it concerns
        self.instead_of: Mapping[int, Job] = {}  # by number: as they are, jobs that are seen otherwise here
        self.draining: dict[str, Worker] = {}  # workers that somebody drains, and that may hold something yet
        self._numbers: dict[str, int] = {}  # job UUID: number
        self._unfinished: dict[int, Job] = {}
        self._line: list[int] | None = None  # their numbers, to count those before one at once; None: to be made
        self._names: dict[str, Worker] = {}

    # ── to be read ────────────────────────────────────────────────────────────────────────────────────────────────

    def job_of_id(self, job_id: str) -> Job | None:
        """The job with that UUID, if it is in memory."""
        number = self._numbers.get(job_id)
        return None if number is None else self.jobs[number]

    def unfinished(self) -> Iterable[Job]:
        """The jobs that have not ended: by number, but for those that were reopened."""
        return self._unfinished.values()

    def is_unfinished(self, job: Job) -> bool:
        """Whether it is among these."""
        return self._unfinished.get(job.number) is job

    def unfinished_before(self, number: int) -> int:
        """How many of the unfinished jobs come before that one."""
        if self._line is None:
            self._line = sorted(self._unfinished)
        return bisect_left(self._line, number)

    def named(self, name: str) -> Worker | None:
        """The worker that has that name."""
        return self._names.get(name)

    def called(self, name: str) -> Collection[Worker]:
        """Those that people mean by a name or a UUID."""
        found = (self.workers.get(name), self._names.get(name))
        return {worker.id: worker for worker in found if worker}.values()

    def seen_with(self, jobs: Mapping[int, Job | None]) -> Self:
        """The state as it would be if these jobs were as given, or (None) not there yet. Read it; do not change it."""
        seen = copy(self)
        seen.instead_of = {number: job for number in jobs if (job := self.jobs.get(number))}
        seen.jobs = {**self.jobs, **jobs}  # type: ignore[dict-item]
        seen._unfinished = {**self._unfinished, **jobs}  # type: ignore[dict-item]
        for number, job in jobs.items():
            if job is None:
                del seen.jobs[number]
            if job is None or job.ended_at:
                seen._unfinished.pop(number, None)
        seen._line = None
        return seen

    def lost_after(self, job: Job) -> float:
        """Seconds without a word from their worker after which attempts of the job are given up."""
        return lost_after_in_force(job.record.spec.lost_after, self.lease)

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, job: Job) -> None:
        """Takes in a job."""
        self.jobs[job.number] = job
        self._numbers[job.record.id] = job.number
        self._unfinished[job.number] = job
        self.family.adopt(job, self.jobs.get(job.record.parent))
        self.bonds.goes_on(job.record)
        job.alike, job.assigned_at = self.jobs_alike.of(job.record, job.request), self.now.mono
        self._line = None

    def let_go(self, ends: Iterable[JobEnded]) -> None:
        """The ends of these jobs are on disk: from now on the store answers for them. Not for what was reopened since,
        even if that has ended once more."""
        for end in ends:
            job = self.jobs[end.number]
            if job.ended_at and job.opening == end.opening:
                del self.jobs[job.number], self._numbers[job.record.id]
                self.ended_ids.add(job.record.id, job.record.submitted_at)
                self.value_sizes.pop(end.number, None)
                self.finishing.pop(end.number, None)

    def reopen(self, job: Job) -> None:
        """The job, which had ended, goes on."""
        self.openings += 1
        job.opening, job.ended_at = self.openings, 0.0
        self.adopt(job)
        self.saves.append(JobReopened(job.number))

    def touch(self, job: Job) -> None:
        """The job has changed: saved once at the end of the turn, and its watchers are told."""
        self.changed[job.number] = job
        if job.clocks is not None and (due := job.obey_clocks(self.now.mono)) is not None:
            self.timers.set(("queue", job.number), due)
        self.ready.note(job)
        if not job.live and not job.ended_at:
            job.ended_at = self.now.wall
            self._unfinished.pop(job.number, None)
            self.family.ended(job)
            self.bonds.has_ended(job.record)
            self._line = None
            if job.record.spec.begins_waiting:
                self.wall_timers.cancel(("start", job.number))
                self.wall_timers.cancel(("every", job.number))
            if job.clocks is not None:
                self.wall_timers.cancel(("deadline", job.number))
                self.timers.cancel(("queue", job.number))
        self.followers.note(job)

    def claim(self, worker: Worker, job: Job, tasks: IntervalSet) -> None:
        """The worker holds these of the job."""
        for request, some in job.asked_by(tasks):
            self.allocate(worker, job, len(some), request)

    def allocate(self, worker: Worker, job: Job, tasks: int, request: Request) -> None:
        """The worker holds so many more tasks of the job that asked for that (fewer, if negative)."""
        had_room = worker.free >= 0
        worker.allocated += tasks * request.millicpus
        if request.beside is not None:
            worker.take(request.beside, tasks)
        self.shares.hold(job.record.owner, tasks * request.millicpus, self.now.mono)
        worker.held += tasks
        worker.unstarted += max(0, tasks)
        worker.jobs[job.number] = worker.jobs.get(job.number, 0) + tasks
        self.takers.note(worker)
        if tasks > 0 and worker.free < 0:
            # What it begins first need not be what it got first: any of what it has not begun may be what waits there.
            for one in [self.jobs[number].request for number in worker.jobs] if had_room else [request]:
                self.note_in_advance(worker, one)

    def note_in_advance(self, worker: Worker, request: Request) -> None:
        """It may hold tasks that ask for that beyond its cpus."""
        self.in_advance.setdefault(request, {})[worker.id] = worker
        if ("late", worker.id) not in self.timers:
            self.timers.set(("late", worker.id), self.now.mono + LATE)

    def promise(self, worker: Worker, job: Job, tasks: Iterable[Range]) -> None:
        """These of the job, which the worker has got, end in time, if their owner has said how long they take."""
        if job.request.limit:
            worker.promises.add(job.number, tasks, self.now.mono + job.request.limit)

    def release(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet, event: TaskEvent) -> IntervalSet:
        """Takes from the worker what it holds of `tasks`; see Job.release. Frees its cpus, and ends the job with its
        last task."""
        claims = list(job.asked_by(tasks)) if job.grows else []  # as long as that is known
        unstarted = job.count(TaskState.ASSIGNED)
        moved = job.release(worker.id, attempt, tasks, event)
        if moved:
            worker.unstarted -= unstarted - job.count(TaskState.ASSIGNED)
            for request, claimed in claims or ((job.request, moved),):
                self.allocate(worker, job, -len(claimed.intersection(moved)), request)
            for asked in (worker.recalled, worker.stopped):
                if some := asked.get(job.number):
                    some.difference_update(moved)
            worker.promises.drop(job.number, moved)
            if not worker.jobs[job.number]:
                worker.forget(job.number)
            self.touch(job)
        return moved

    def retry_at(self, job: Job, index: int, delay: float) -> None:
        """The task's next attempt is due in so many seconds."""
        self.timers.set(("retry", job.number, index), self.now.mono + delay)

    # ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_worker(self, record: WorkerRecord) -> Worker:
        self.workers[record.id] = worker = Worker(record, self.now.mono, self.judge)
        self._names[record.name] = worker
        return worker

    def take_record(self, worker: Worker, record: WorkerRecord) -> None:
        """What is known about it is from now on this, perhaps under another name."""
        if self._names.get(worker.record.name) is worker:
            del self._names[worker.record.name]
        worker.renew(record)
        self._names[record.name] = worker
        self.takers.note(worker)

    def amend(self, worker: Worker, record: WorkerRecord) -> None:
        """Saves the worker's record if it changes. It keeps its name."""
        if record != worker.record:
            self.take_record(worker, record)
            self.saves.append(Amended(record))

    def remove(self, worker: Worker, name: str) -> None:
        """Forgets it as soon as it holds nothing, which may be now. Until then it is called `name`."""
        gone = replace(worker.record, name=name, removed=True, drain=None, is_silent=False, is_drained=False)
        self.take_record(worker, gone)
        self.leaving.add(worker.id)
        self.saves.append(worker.record)

    def forget(self, worker: Worker) -> None:
        """It holds nothing, and leaves the list."""
        self.leaving.discard(worker.id)
        del self.workers[worker.id]
        if self._names.get(worker.record.name) is worker:
            del self._names[worker.record.name]
        self.saves.append(WorkerForgotten(worker.id))

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, worker: Worker, message: Downward) -> None:
        """To the worker's present session."""
        assert worker.session is not None
        self.acts.append(Send(worker.session, message))

    def cut(self, session: int, why: str) -> None:
        """Ends the session, or refuses it."""
        self.acts.append(CloseSession(session, why))

    def reply(self, ask: int, value: Replied, *, sure: bool = False) -> None:
        self.acts.append(Reply(ask, value, sure))

    def notify(self, job: int) -> None:
        self.acts.append(Notify(job))
