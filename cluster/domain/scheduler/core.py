"""The scheduler's decisions: a plain, synchronous, deterministic object.

    turn(events, now) -> effects        next_deadline() -> time or None

The life of a job: JobSubmitted saves it and makes its tasks ready; placement assigns ranges of them to workers; their
reports end them; the last end ends the job. What must not happen twice is fenced: an assignment is saved before it is
sent, a report counts only for what its worker holds in that very attempt, and only from the worker's present session.

The driver commits all saves of a turn in one transaction before it performs the rest, so whatever anybody was told
is on disk. Time comes in as `now`; ids come in with events.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import count

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.base.stalls import overslept
from cluster.domain.base.timers import Timers
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord
from cluster.domain.job.states import TaskEvent
from cluster.domain.job.target import Target
from cluster.domain.scheduler import placement
from cluster.domain.scheduler.catalogue import Catalogue
from cluster.domain.scheduler.clone_detection import Greeting, is_overtaken, refusal
from cluster.domain.scheduler.effects import Amended, CloseSession, Effect, Notify, Reply, Send, WorkerForgotten
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    HeartbeatReceived,
    JobSubmitted,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    WorkerDeregistered,
    WorkerRegistered,
    WorkerRemoved,
)
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.report_intake import CANCELLED_EXIT, Reports
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.session.leashes import HEARTBEATS, leash_of, lost_after_in_force
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    Downward,
    HeartbeatAnswered,
    Hello,
    Recall,
    ReportAcknowledged,
    Stop,
    Welcome,
    by_attempt,
)
from cluster.domain.session.spec_memory import SpecMemory

LEASE = 15.0  # seconds without a word after which a worker is unreachable


class SchedulerCore:
    def __init__(self, epoch: int, lease: float = LEASE) -> None:
        self.epoch = epoch
        self.lease = lease
        self.jobs: dict[int, Job] = {}
        self.workers: dict[str, Worker] = {}
        self.sessions: dict[int, Worker] = {}
        self._numbers: dict[str, int] = {}  # job UUID: number
        self._next_number = 1
        self._unfinished: dict[int, Job] = {}  # ascending by number, as submitted
        self._unfinished_numbers: list[int] = []  # the same, to count those before one at once
        self.catalogue = Catalogue()
        self.ready = ReadyQueue()
        self._leaving: set[str] = set()  # workers to be forgotten once they hold nothing
        self._timers = Timers()
        self._reports = Reports(self)
        self._dirty: dict[int, Job] = {}  # changed in this turn
        self._retries: dict[int, list[int]] = {}  # due in this turn: job, indexes
        self._room = 0  # how much of what is due this turn has time for (cluster.domain.scheduler.turn_limits)
        self._effects: list[Effect] = []
        self.now = Now(0.0, 0.0)

    def restore(self, loaded: Recovered, now: Now) -> None:
        """Takes up what the store holds, once, before the first turn. Every lease starts anew, so that a restart
        loses nobody; tasks between two attempts are due."""
        self.now = now
        self._next_number = loaded.next_job_number
        for worker_record in loaded.workers:
            self.workers[worker_record.id] = Worker(worker_record, now.mono)
            if worker_record.removed:
                self._leaving.add(worker_record.id)
        for record, progress in loaded.jobs:
            job = Job.restored(record, progress)
            self._adopt(job)
            job.due(IntervalSet([(0, record.spec.task_count)]))
            if job.ready:
                self.ready.add(job)
            for (worker_id, _), tasks in job.held.items():
                self._allocate(self.workers[worker_id], job, len(tasks))
        for worker in self.workers.values():
            self._expect_back(worker)

    def turn(self, events: Sequence[Event], now: Now) -> list[Effect]:
        """Handles the events in order and whatever is due, then places once. Of what is due and of placing no more than
        MOST_AT_ONCE: the rest is due at once then. Saves come before the rest by kind only: the caller commits them all
        first."""
        if overslept(self._timers.next(), now.mono):
            self._forgive(now.mono - self.now.mono, now.mono)
        self.now = now
        for event in events:
            self._handle(event)
        self._room = MOST_AT_ONCE
        self._do_what_is_due()
        self._place()
        self._forget_who_left()
        for job in self._dirty.values():
            self._effects += job.saves()
            self._effects.append(Notify(job.number))
        self._dirty = {}
        effects, self._effects = self._effects, []
        return effects

    def next_deadline(self) -> float | None:
        """When a turn is due even if nothing happens, on the monotonic clock."""
        return self._timers.next()

    def number_of(self, job_id: str) -> int | None:
        """The job with that UUID."""
        return self._numbers.get(job_id)

    def seen_with(self, jobs: Mapping[int, Job | None]) -> "SchedulerCore":
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
        seen.catalogue = self.catalogue.without({number for number, job in jobs.items() if job is None})
        return seen

    def unfinished(self) -> Iterable[Job]:
        """In the order of their numbers."""
        return self._unfinished.values()

    def unfinished_before(self, number: int) -> int:
        """How many of the unfinished jobs come before that one."""
        return bisect_left(self._unfinished_numbers, number)

    # ── events ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, event: Event) -> None:
        match event:
            case ReportReceived():
                if worker := self._heard_from(event.session):
                    self._reports.received(worker, event.report)
                    if event.report.sequence:
                        self.send(worker, ReportAcknowledged(event.report.sequence))
            case HeartbeatReceived():
                if worker := self._heard_from(event.session):
                    worker.no_room = event.no_room
                    self._effects.append(Send(event.session, HeartbeatAnswered(event.sequence)))
            case JobSubmitted():
                self._job_submitted(event)
            case CancelRequested():
                cancelled = sum(self._cancel(target, event) for target in event.targets)
                self._effects.append(Reply(event.ask, cancelled))
            case WorkerRegistered():
                self._worker_registered(event)
            case WorkerDeregistered():
                self._worker_deregistered(event)
            case WorkerRemoved():
                self._worker_removed(event)
            case SessionOpened():
                self._session_opened(event)
            case SessionClosed():
                if worker := self.sessions.get(event.session):
                    self._close(worker)

    def _heard_from(self, session: int) -> Worker | None:
        worker = self.sessions.get(session)
        if worker:
            worker.hear(self.now.mono)
        return worker

    def _job_submitted(self, event: JobSubmitted) -> None:
        if event.id in self._numbers:
            job = self.jobs[self._numbers[event.id]]
            same = job.record.owner == event.owner
            error = Conflict(f"job id {event.id} is taken: make a new UUID for each job")
            self._effects.append(Reply(event.ask, job.number if same else error))
            return
        record = JobRecord(self._next_number, event.id, event.owner, event.spec, self.now.wall)
        self._next_number += 1
        job = Job(record)
        self._adopt(job)
        self._effects += [record, Reply(event.ask, record.number)]
        self.touch(job)

    def _adopt(self, job: Job) -> None:
        self.jobs[job.number] = job
        self._numbers[job.record.id] = job.number
        self.catalogue.add(job.record)
        if not job.ended_at:
            self._unfinished[job.number] = job
            self._unfinished_numbers.append(job.number)

    # ── cancel ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _cancel(self, target: Target, event: CancelRequested) -> int:
        """Returns how many tasks this call ends or asks to stop."""
        job = self.jobs[target.job]
        if not job.live:
            return 0
        everything = [(0, job.record.spec.task_count)]
        wanted = IntervalSet(everything if target.ranges is None else target.ranges)
        ended = job.cancel_unassigned(wanted)
        asked = job.held_among(wanted)
        job.ask_to_stop(asked)
        if ended or asked:
            job.cancelled_by, job.cancel_reason = event.by, event.reason
            job.cancel_grace = job.record.spec.grace if event.grace is None else event.grace
            if ended:
                job.note_abnormal_end("cancelled", CANCELLED_EXIT)
            self._send_stops(job, asked, [self.workers[w] for w in sorted({holder for holder, _ in job.held})])
            self.touch(job)
        return ended + len(asked)

    def _send_stops(self, job: Job, tasks: IntervalSet, workers: Iterable[Worker]) -> None:
        for worker in workers:
            for attempt, held in job.held_by(worker.id) if worker.session is not None else ():
                if stopped := held.intersection(tasks):
                    attempts = Attempts(job.number, attempt, tuple(stopped.ranges()))
                    self.send(worker, Stop(attempts, job.cancel_grace))

    # ── workers and their sessions ─────────────────────────────────────────────────────────────────────────────

    def _worker_registered(self, event: WorkerRegistered) -> None:
        known = self.workers.get(event.worker_id)
        if known is None:
            self._give_up_name(event.name)
        elif error := refusal(known, event.home, event.uptime, self.now.mono):
            self._effects.append(Reply(event.ask, error))
            return
        self._leaving.discard(event.worker_id)
        others = {w.record.name for w in self.workers.values() if w is not known}
        name = next(n for n in _names_like(event.name) if n not in others)
        record = WorkerRecord(
            id=event.worker_id,
            name=name,
            millicpus=event.millicpus,
            address=event.address,
            version=event.version,
            registered_at=self.now.wall,
            incarnation=known.record.incarnation if known else "",
            home=known.record.home if known else event.home,
        )
        if known is None:
            self.workers[record.id] = worker = Worker(record, self.now.mono)
            worker.hear(self.now.mono)
            self._effects += [record, Reply(event.ask, name)]
            return
        # Who keeps its name is told what it was told before: that can be done even while nothing can be written.
        keeps_name = (record.name, record.removed) == (known.record.name, known.record.removed)
        if record != replace(known.record, registered_at=record.registered_at):
            known.record = record
            self._effects.append(Amended(record) if keeps_name else record)
        self._effects.append(Reply(event.ask, name, sure=keeps_name))

    def _worker_deregistered(self, event: WorkerDeregistered) -> None:
        worker = self.workers.get(event.worker_id)
        if worker:
            self._amend(worker, offline=True)
            if worker.session is not None:
                self._effects.append(CloseSession(worker.session, event.reason or "the worker goes offline"))
                self._close(worker)
        self._effects.append(Reply(event.ask, event.worker_id))

    def _worker_removed(self, event: WorkerRemoved) -> None:
        worker = self.workers.get(event.worker_id)
        if worker is None:
            error: NotFound | Conflict = NotFound(f"there is no worker {event.worker_id}; see `cluster worker list`")
            self._effects.append(Reply(event.ask, error))
            return
        if worker.session is not None:
            if not event.expelled:
                error = Conflict(f"worker {worker.record.name} is connected: stop it first, or expel it with --revoke")
                self._effects.append(Reply(event.ask, error))
                return
            self._effects.append(CloseSession(worker.session, "the worker was expelled"))
            self._close(worker)
        self._remove(worker, worker.record.name)
        held = sum(len(tasks) for number in worker.jobs for _, tasks in self.jobs[number].held_by(worker.id))
        self._effects.append(Reply(event.ask, held))

    def _give_up_name(self, name: str) -> None:
        """A machine that was installed anew joins as a new worker, by its old name. Who was called so and is gone gives
        it up and leaves the list; what that one holds is lost no sooner than it would have been."""
        names = {worker.record.name for worker in self.workers.values()}
        for worker in self.workers.values():
            silent = self.now.mono >= worker.last_heard + self.lease
            if worker.record.name == name and worker.session is None and (worker.record.offline or silent):
                self._remove(worker, next(n for n in _names_like(f"{name}-old") if n not in names))
                return

    def _remove(self, worker: Worker, name: str) -> None:
        """Forgets it as soon as it holds nothing, which may be now. Until then it is called `name`."""
        worker.record = replace(worker.record, name=name, removed=True)
        self._leaving.add(worker.id)
        self._effects.append(worker.record)

    def _forget_who_left(self) -> None:
        for worker_id in sorted(w for w in self._leaving if not self.workers[w].jobs):
            self._leaving.remove(worker_id)
            del self.workers[worker_id]
            self._effects.append(WorkerForgotten(worker_id))

    def _amend(self, worker: Worker, *, offline: bool = False, hello: Hello | None = None) -> None:
        """Saves the worker's record if it changes."""
        record = replace(worker.record, offline=offline)
        if hello:
            record = replace(record, incarnation=hello.incarnation, home=hello.home, millicpus=hello.millicpus)
        if record != worker.record:
            worker.record = record
            self._effects.append(Amended(record))

    def _session_opened(self, event: SessionOpened) -> None:
        worker, hello = self.workers.get(event.worker_id), event.hello
        if worker is None or worker.record.removed:  # perhaps since it registered
            self._effects.append(CloseSession(event.session, "not registered: call Register first"))
            return
        if hello.epoch > self.epoch:
            why = f"this scheduler is of epoch {self.epoch}, the worker has obeyed {hello.epoch}: a newer one runs"
            self._effects.append(CloseSession(event.session, why))
            return
        if error := refusal(worker, hello.home, hello.uptime, self.now.mono):
            self._effects.append(CloseSession(event.session, str(error)))
            return
        greeting = Greeting(hello.home.boot, hello.uptime)
        if is_overtaken(worker, greeting, self.now.mono, self.lease):
            self._effects.append(CloseSession(event.session, "the same worker has said hello again since"))
            return
        worker.greets(greeting, hello.home)
        if worker.session is not None:
            self._effects.append(CloseSession(worker.session, "replaced by a newer session of the same worker"))
            self._close(worker)
        worker.session, worker.no_room = event.session, hello.no_room
        worker.hear(self.now.mono)
        self.sessions[event.session] = worker
        self.send(worker, Welcome(self.epoch, self.lease))
        self._compare(worker, hello)
        self._amend(worker, hello=hello)
        self._timers.set(("lease", worker.id), worker.last_heard + self.lease)
        self._pulse()

    def _compare(self, worker: Worker, hello: Hello) -> None:
        """Both sides say what they hold. What only we believe in never started, if the launcher can't have forgotten;
        else nobody knows. What only the worker holds is not its own any more."""
        listed = by_attempt((*hello.backlog, *hello.running, *hello.ended))
        remembers = hello.incarnation == worker.record.incarnation
        for number in sorted(worker.jobs):
            job = self.jobs[number]
            for attempt, held in list(job.held_by(worker.id)):
                missing = held.copy()
                missing.difference_update(listed.get((number, attempt), IntervalSet()))
                if missing and remembers:
                    self._reports.unstarted(worker, job, attempt, missing)
                # What is held even now had been started, or may have been.
                self._reports.lost(worker, job, attempt, missing, "its worker cannot say how it ended")
        for (number, attempt), tasks in by_attempt(hello.running).items():
            self._reports.started(worker, number, attempt, tasks)
        # Of what has ended, too: its report will not be taken, so that its output must come another way.
        for (number, attempt), tasks in by_attempt((*hello.backlog, *hello.running, *hello.ended)).items():
            self._disown_strangers(worker, number, attempt, tasks)
        for number in sorted(worker.jobs):
            job = self.jobs[number]
            if job.cancelling:
                self._send_stops(job, job.cancelling, [worker])

    def _disown_strangers(self, worker: Worker, number: int, attempt: int, strange: IntervalSet) -> None:
        """Of these the worker may keep what it holds. `strange` is changed."""
        job = self.jobs.get(number)
        held = job.held.get((worker.id, attempt)) if job else None
        strange.difference_update(held or ())
        if strange:
            self.send(worker, Disown(Attempts(number, attempt, tuple(strange.ranges()))))

    def _close(self, worker: Worker) -> None:
        """The session is over, whoever ended it. What the worker holds is lost a while after it was last heard."""
        if worker.session is not None:
            del self.sessions[worker.session]
        worker.session = None
        worker.specs = SpecMemory()
        worker.recalled = {}
        worker.rival = None
        worker.draining = worker.reporting = False
        worker.no_room = ""
        self._timers.cancel(("lease", worker.id))
        self._expect_back(worker)
        self._effects += map(Notify, sorted(worker.jobs))  # who shows them says where they run

    def _expect_back(self, worker: Worker) -> None:
        self._pulse()
        for number in worker.jobs:
            self._timers.set(("lost", worker.id, number), worker.last_heard + self._lost_after(self.jobs[number]))

    def _lost_after(self, job: Job) -> float:
        return lost_after_in_force(job.record.spec.lost_after, self.lease)

    # ── deadlines ──────────────────────────────────────────────────────────────────────────────────────────────

    def _do_what_is_due(self) -> None:
        for key in self._timers.due(self.now.mono):
            self._due(key)
            if self._room <= 0:
                break
        retries, self._retries = self._retries, {}
        for number, indexes in retries.items():
            job = self.jobs[number]
            if job.due(IntervalSet((index, index + 1) for index in indexes)):  # else all were cancelled meanwhile
                self.touch(job)

    def _due(self, key: object) -> None:
        match key:
            case ("pulse",):
                self._pulse()
            case ("lease", str(worker_id)):
                self._lease_due(self.workers[worker_id])
            case ("lost", str(worker_id), int(number)) if worker_id in self.workers:
                self._lost_due(self.workers[worker_id], self.jobs[number])
            case ("retry", int(number), int(index)):
                self._retries.setdefault(number, []).append(index)
                self._room -= 1

    def _pulse(self) -> None:
        """Looks after a while again whether this scheduler stalls, as long as anybody's silence is counted."""
        if any(worker.session is not None or worker.jobs for worker in self.workers.values()):
            self._timers.set(("pulse",), self.now.mono + self.lease / HEARTBEATS)

    def _forgive(self, seconds: float, now: float) -> None:
        """This scheduler was not there for so long: nobody's silence counts in that time, and in the time of a
        heartbeat after it, so that what waits is heard. To give up late is safe."""
        for worker in self.workers.values():
            worker.last_heard = min(now, worker.last_heard + seconds + self.lease / HEARTBEATS)

    def _lease_due(self, worker: Worker) -> None:
        """The timer is not moved by every word of the worker: it looks, when due, when that last was."""
        if worker.session is None:
            return
        expiry = worker.last_heard + self.lease
        if expiry > self.now.mono:
            self._timers.set(("lease", worker.id), expiry)
            return
        self._effects.append(CloseSession(worker.session, f"nothing heard for {self.lease:g} s"))
        self._close(worker)

    def _lost_due(self, worker: Worker, job: Job) -> None:
        if worker.session is not None:
            return  # it came back in time
        expiry = worker.last_heard + self._lost_after(job)
        if expiry > self.now.mono:  # it was forgiven meanwhile
            self._timers.set(("lost", worker.id, job.number), expiry)
            return
        why = f"worker {worker.record.name} was unreachable for {self._lost_after(job):g} s"
        for attempt, held in list(job.held_by(worker.id)):
            some = IntervalSet(held.copy().take(self._room))
            self._room -= len(some)
            self._reports.lost(worker, job, attempt, some, why)
        if job.is_held_by(worker.id):
            self._timers.set(("lost", worker.id, job.number), self.now.mono)

    # ── placement ──────────────────────────────────────────────────────────────────────────────────────────────

    def _place(self) -> None:
        given: dict[tuple[str, int, int], IntervalSet] = {}  # (worker id, job, attempt): what it gets in this turn
        takers = [worker for worker in self.sessions.values() if worker.takes_work]
        for job, worker, share in placement.place(self.ready, takers):
            for attempt, ranges in job.assign(worker.id, share):
                given.setdefault((worker.id, job.number, attempt), IntervalSet()).update(ranges)
                self._room -= len(ranges)
            self._allocate(worker, job, share)
            self.touch(job)
            if self._room <= 0:
                break
        for (worker_id, number, attempt), tasks in given.items():
            self._send_assign(self.workers[worker_id], self.jobs[number], attempt, tasks)
        if self._room <= 0:
            self._timers.set(("place",), self.now.mono)
            return
        for job, worker, attempt, ranges in placement.recall(self.jobs, self.workers):
            worker.recalled.setdefault(job.number, IntervalSet()).update(ranges)
            self.send(worker, Recall(Attempts(job.number, attempt, ranges)))

    def _send_assign(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet) -> None:
        spec, ranges = job.record.spec, tuple(tasks.ranges())
        first = worker.specs.get(job.number) is None
        attempts = Attempts(job.number, attempt, ranges)
        sent_spec = spec.without_lines() if first else None
        if sent_spec is not None:
            worker.specs.remember(job.number, sent_spec, None)
        job_id = job.record.id if first else ""
        self.send(worker, Assign(attempts, sent_spec, leash_of(self._lost_after(job)), job.lines_of(ranges), job_id))

    def _allocate(self, worker: Worker, job: Job, tasks: int) -> None:
        """The worker holds so many more tasks of the job (fewer, if negative)."""
        worker.allocated += tasks * job.record.spec.millicpus
        worker.held += tasks
        worker.jobs.add(job.number)

    # ── for events, reports and placement ───────────────────────────────────────────────────────────────────────────

    def release(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet, event: TaskEvent) -> IntervalSet:
        """Takes from the worker what it holds of `tasks`; see Job.release. Frees its cpus, and ends the job with its
        last task."""
        moved = job.release(worker.id, attempt, tasks, event)
        if moved:
            self._allocate(worker, job, -len(moved))
            if asked := worker.recalled.get(job.number):
                asked.difference_update(moved)
            if not job.is_held_by(worker.id):
                worker.forget(job.number)
            self.touch(job)
        return moved

    def retry_at(self, job: Job, index: int, delay: float) -> None:
        self._timers.set(("retry", job.number, index), self.now.mono + delay)

    def touch(self, job: Job) -> None:
        """The job has changed: saved once at the end of the turn, and its watchers are told."""
        self._dirty[job.number] = job
        if job.ready:
            self.ready.add(job)
        if not job.live and not job.ended_at:
            job.ended_at = self.now.wall
            if self._unfinished.pop(job.number, None):
                del self._unfinished_numbers[self.unfinished_before(job.number)]

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def send(self, worker: Worker, message: Downward) -> None:
        """To the worker's present session."""
        assert worker.session is not None
        self._effects.append(Send(worker.session, message))


def _names_like(name: str) -> Iterator[str]:
    """name, name-2, name-3, …"""
    yield name
    yield from (f"{name}-{n}" for n in count(2))
