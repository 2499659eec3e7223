"""What the scheduler's core knows: jobs, workers, sessions and deadlines; and what the present turn has decided so far.

What happens is elsewhere, each kind of it in a file of its own. Here is what all of them do to this memory.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Self

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.base.timers import Timers
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskEvent
from cluster.domain.scheduler.effects import Act, Amended, CloseSession, Notify, Reply, Save, Send
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.session.leashes import lost_after_in_force
from cluster.domain.session.messages import Downward

LEASE = 15.0  # seconds without a word after which a worker is unreachable


class State:
    def __init__(self, epoch: int, lease: float = LEASE) -> None:
        self.epoch = epoch
        self.lease = lease
        self.now = Now(0.0, 0.0)
        self.jobs: dict[int, Job] = {}  # but for those that have ended, once the store answers for them
        self.workers: dict[str, Worker] = {}
        self.sessions: dict[int, Worker] = {}
        self.ready = ReadyQueue()
        self.timers = Timers()
        self.leaving: set[str] = set()  # workers to be forgotten once they hold nothing
        self.next_number = 1
        self.highest_id = ""  # the highest UUID of any job that has left memory
        self.room = 0  # how much of what is due this turn has time for (cluster.domain.scheduler.turn_limits)
        self.saves: list[Save | Amended] = []  # decided in this turn, as are the acts
        self.acts: list[Act] = []
        self.changed: dict[int, Job] = {}  # in this turn, by number
        self._numbers: dict[str, int] = {}  # job UUID: number
        self._unfinished: dict[int, Job] = {}  # ascending by number, as submitted
        self._unfinished_numbers: list[int] = []  # the same, to count those before one at once

    # ── to be read ────────────────────────────────────────────────────────────────────────────────────────────────

    def job_of_id(self, job_id: str) -> Job | None:
        """The job with that UUID, if it is in memory."""
        number = self._numbers.get(job_id)
        return None if number is None else self.jobs[number]

    def unfinished(self) -> Iterable[Job]:
        """In the order of their numbers."""
        return self._unfinished.values()

    def unfinished_before(self, number: int) -> int:
        """How many of the unfinished jobs come before that one."""
        return bisect_left(self._unfinished_numbers, number)

    def seen_with(self, jobs: Mapping[int, Job | None]) -> Self:
        """To be read, not to be changed: as it would be if these jobs were as given, or (None) not there yet."""
        seen = copy(self)
        seen.jobs = {**self.jobs, **jobs}  # type: ignore[dict-item]
        seen._unfinished = {**self._unfinished, **jobs}  # type: ignore[dict-item]
        for number, job in jobs.items():
            if job is None:
                del seen.jobs[number]
            if job is None or job.ended_at:
                seen._unfinished.pop(number, None)
        seen._unfinished_numbers = sorted(seen._unfinished)
        return seen

    def lost_after(self, job: Job) -> float:
        """Seconds without a word from their worker after which attempts of the job are given up."""
        return lost_after_in_force(job.record.spec.lost_after, self.lease)

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, job: Job) -> None:
        """Takes in a job with a higher number than any before."""
        self.jobs[job.number] = job
        self._numbers[job.record.id] = job.number
        self._unfinished[job.number] = job
        self._unfinished_numbers.append(job.number)

    def let_go(self, numbers: Iterable[int]) -> None:
        """These jobs have ended, and their ends are on disk: from now on the store answers for them."""
        for number in numbers:
            job = self.jobs.pop(number)
            del self._numbers[job.record.id]
            self.ready.discard(job)
            self.highest_id = max(self.highest_id, job.record.id)

    def touch(self, job: Job) -> None:
        """The job has changed: saved once at the end of the turn, and its watchers are told."""
        self.changed[job.number] = job
        if job.ready:
            self.ready.add(job)
        if not job.live and not job.ended_at:
            job.ended_at = self.now.wall
            if self._unfinished.pop(job.number, None):
                del self._unfinished_numbers[self.unfinished_before(job.number)]

    def allocate(self, worker: Worker, job: Job, tasks: int) -> None:
        """The worker holds so many more tasks of the job (fewer, if negative)."""
        worker.allocated += tasks * job.record.spec.millicpus
        worker.held += tasks
        worker.jobs.add(job.number)

    def release(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet, event: TaskEvent) -> IntervalSet:
        """Takes from the worker what it holds of `tasks`; see Job.release. Frees its cpus, and ends the job with its
        last task."""
        moved = job.release(worker.id, attempt, tasks, event)
        if moved:
            self.allocate(worker, job, -len(moved))
            if asked := worker.recalled.get(job.number):
                asked.difference_update(moved)
            if not job.is_held_by(worker.id):
                worker.forget(job.number)
            self.touch(job)
        return moved

    def retry_at(self, job: Job, index: int, delay: float) -> None:
        """The task's next attempt is due in so many seconds."""
        self.timers.set(("retry", job.number, index), self.now.mono + delay)

    # ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def amend(self, worker: Worker, record: WorkerRecord) -> None:
        """Saves the worker's record if it changes. It keeps its name."""
        if record != worker.record:
            worker.record = record
            self.saves.append(Amended(record))

    def remove(self, worker: Worker, name: str) -> None:
        """Forgets it as soon as it holds nothing, which may be now. Until then it is called `name`."""
        worker.record = replace(worker.record, name=name, removed=True)
        self.leaving.add(worker.id)
        self.saves.append(worker.record)

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, worker: Worker, message: Downward) -> None:
        """To the worker's present session."""
        assert worker.session is not None
        self.acts.append(Send(worker.session, message))

    def cut(self, session: int, why: str) -> None:
        """Ends the session, or refuses it."""
        self.acts.append(CloseSession(session, why))

    def reply(self, ask: int, value: int | str | ClusterError, *, sure: bool = False) -> None:
        self.acts.append(Reply(ask, value, sure))

    def notify(self, job: int) -> None:
        self.acts.append(Notify(job))
