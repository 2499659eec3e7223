"""The scheduler's decisions: a plain, synchronous, deterministic object.

    turn(events, now) -> saves and acts        next_deadline() -> time or None

The life of a job: JobSubmitted saves it and makes its tasks ready; placement assigns ranges of them to workers; their
reports end them; the last end ends the job, and once that is on disk it leaves memory (`let_go`). What must not happen
twice is fenced: an assignment is saved before it is sent, a report counts only for what its worker holds in that very
attempt, and only from the worker's present session.

The driver commits all saves of a turn in one transaction before it performs the acts, so whatever anybody was told
is on disk. Time comes in as `now`; ids come in with events.
"""

from collections.abc import Iterator, Sequence

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.base.stalls import overslept
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler import (
    assigning,
    changing,
    children,
    deadlines,
    deleting,
    draining,
    growing,
    job_values,
    late_starts,
    max_fails,
    pausing,
    reopening,
    reordering,
    schedules,
)
from cluster.domain.scheduler.cancelling import cancel
from cluster.domain.scheduler.effects import Decided
from cluster.domain.scheduler.event_log import EventLog
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    HeartbeatReceived,
    JobsChanged,
    JobsDeleted,
    JobsPaused,
    JobsPinned,
    JobsResumed,
    JobsSubmitted,
    JobSubmitted,
    LookedUp,
    OutputsExpire,
    PoolsTold,
    PoolWished,
    QueuePaused,
    QueueResumed,
    ReopenRequested,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    ShareWeighed,
    ValuesSet,
    WorkerDeregistered,
    WorkerRegistered,
    WorkerRemoved,
    WorkersDrained,
    WorkersResumed,
)
from cluster.domain.scheduler.pool_board import PoolWishes
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.registering import Registering
from cluster.domain.scheduler.report_intake import Reports
from cluster.domain.scheduler.sessions import Sessions
from cluster.domain.scheduler.state import LEASE, State
from cluster.domain.scheduler.submitting import Submissions, weight_of_waits
from cluster.domain.scheduler.turn_limits import weight_of_kept
from cluster.domain.scheduler.waiting import Dependencies
from cluster.domain.session.messages import HeartbeatAnswered, ReportAcknowledged

TWO_CLOCKS = 1e-3  # seconds by which one clock may seem to be behind the other, both being floats
CLOCK_STEP = 1.0  # seconds by which the wall clock goes back where it was set, and is not only slowed down


class SchedulerCore(State):
    def __init__(self, epoch: int, lease: float = LEASE) -> None:
        super().__init__(epoch, lease)
        self._retries: dict[int, list[int]] = {}  # due in this turn: job, indexes
        self._reports = Reports(self)
        self._sessions = Sessions(self, self._reports)
        self._registering = Registering(self, self._sessions)
        self._dependencies = Dependencies(self)
        self._submissions = Submissions(self, self._dependencies)
        self._event_log = EventLog(self)

    def restore(self, loaded: Recovered, now: Now) -> Iterator[None]:
        """Takes up what the store holds, once, before the first turn. Every lease starts anew, so that a restart
        loses nobody; tasks between two attempts are due. Each step takes no longer than a turn; the first turn comes
        after the last step."""
        self.now, self.room = now, self.most
        self.next_number, self.ended_ids = loaded.next_job_number, loaded.ended_ids
        self.queue_pause, self.bonds.pins = loaded.queue_pause, dict(loaded.pins)
        self.value_sizes = {job: dict(sizes) for job, sizes in loaded.value_sizes.items()}
        self.pools.restore(loaded.pool_wishes)
        self._event_log.restore(loaded)
        for share in loaded.shares:
            self.shares.restore(share, now.mono, now.wall)
        self.finishing = {job: dict(ends) for job, ends in loaded.finishing.items()}
        self.family.restore(loaded.failed_children)
        for worker_record in loaded.workers:
            draining.watch(self, self.add_worker(worker_record))
            if worker_record.removed:
                self.leaving.add(worker_record.id)
        for record, progress in loaded.jobs:
            self._take_up(Job.restored(record, progress))
            yield from self._pay(weight_of_kept(progress))
        for job in [job for job in self.unfinished() if job.count(TaskState.WAITING)]:
            if job.record.spec.every:
                schedules.expect(self, job)
            else:
                self._dependencies.enter(job, self._dependencies.courses(job.record.spec, loaded.ended))
            self.timers.set(("tell",), now.mono)  # what follows from a crash's last words is saved in the first turn
            yield from self._pay(1 + weight_of_waits(job.record.spec))
        children.restore(self)
        if self.family.settled:
            self.timers.set(("tell",), now.mono)
        for worker in self.workers.values():
            self._sessions.expect_back(worker)

    def _take_up(self, job: Job) -> None:
        self.adopt(job)
        job.due(IntervalSet([(0, job.size)]))
        if job.grows:
            job.level = job.next_level
            job.request = job.request_at(job.level)
        self.ready.note(job)
        for (worker_id, _), tasks in job.held.items():
            self.claim(self.workers[worker_id], job, tasks)
            self.promise(self.workers[worker_id], job, tasks.ranges())
        deadlines.watch(self, job)

    def _pay(self, weight: int) -> Iterator[None]:
        """One step ends where there is no room for more in it."""
        self.room -= weight
        if self.room <= 0:
            yield
            self.room = self.most

    def turn(self, events: Sequence[Event], now: Now) -> Decided:
        """Handles the events in order and whatever is due, then places once. Of what is due and of placing no more than
        `most`: the rest is due at once then."""
        if overslept(self.timers.next(), now.mono):
            self._sessions.forgive(now.mono - self.now.mono, now.mono)
        set_back = now.wall - self.now.wall < now.mono - self.now.mono - CLOCK_STEP
        self.now, self.room = now, self.most
        if set_back:
            schedules.clock_was_set_back(self)
            deadlines.clock_was_set_back(self)
            self._dependencies.clock_was_set_back()
        self._submissions.go_on()
        for event in events:
            self._handle(event)
        schedules.go_on(self)
        self._do_what_is_due()
        max_fails.cancel_rest(self)
        children.settle(self)
        self._dependencies.tell()
        if self.family.settled:
            children.settle(self)  # what those have called that have just given up
            self.timers.set(("tell",), now.mono)
        growing.settle(self)
        assigning.place(self)
        growing.settle(self)
        draining.note_drained(self)
        reordering.look_at(self)
        self._registering.forget_who_left()
        for job in self.changed.values():
            self.saves += job.saves()
            self.notify(job.number)
        self.saves += self._event_log.of_turn()
        self.saves += self.usage.of_turn(now)
        self.changed = {}
        decided = Decided(self.saves, self.acts, self._submissions.goes_on)
        self.saves, self.acts = [], []
        return decided

    def _wish_of_pool(self, event: PoolWished) -> None:
        wanted = self.pools.wished(event.wish)
        if isinstance(wanted, PoolWishes):
            self.saves.append(wanted)
        self.reply(event.ask, event.wish.pool if isinstance(wanted, PoolWishes) else wanted)

    def next_deadline(self) -> float | None:
        """When a turn is due even if nothing happens, on the monotonic clock."""
        due, on_wall = self.timers.next(), self.wall_timers.next()
        if on_wall is None:
            return due
        left = on_wall - self.now.wall
        at = self.now.mono + (left + TWO_CLOCKS if left > 0 else 0)
        return at if due is None else min(due, at)

    def _handle(self, event: Event) -> None:
        match event:
            case ReportReceived():
                if worker := self._sessions.heard_from(event.session):
                    self._reports.received(worker, event.report)
                    if event.report.sequence:
                        self.send(worker, ReportAcknowledged(event.report.sequence))
            case HeartbeatReceived():
                if worker := self._sessions.heard_from(event.session):
                    if event.no_room != worker.no_room:
                        worker.no_room = event.no_room
                        self.takers.note(worker)
                    worker.fetching = {fetching.job: fetching for fetching in event.fetching}
                    self.send(worker, HeartbeatAnswered(event.sequence))
            case JobSubmitted() | JobsSubmitted():
                self._submissions.submitted(event)
            case ValuesSet():
                job_values.set_values(self, event)
            case LookedUp():
                self._submissions.looked_up(event)
            case CancelRequested():
                cancel(self, event)
            case ReopenRequested():
                reopening.reopen(self, self._dependencies, event)
            case JobsPaused() | JobsResumed() | QueuePaused() | QueueResumed():
                pausing.handle(self, event)
            case JobsChanged():
                changing.change_jobs(self, self._dependencies, event)
            case JobsDeleted() | JobsPinned() | OutputsExpire():
                deleting.handle(self, event, busy=self._submissions.goes_on)
            case ShareWeighed():
                reordering.weigh_share(self, event)
            case PoolsTold():
                self.reply(event.ask, self.pools.told(event.pools, self.now.wall))
            case PoolWished():
                self._wish_of_pool(event)
            case WorkerRegistered():
                self._registering.registered(event)
            case WorkerDeregistered():
                self._registering.deregistered(event)
            case WorkerRemoved():
                self._registering.removed(event)
            case WorkersDrained():
                draining.drained(self, event)
            case WorkersResumed():
                draining.resumed(self, event)
            case SessionOpened():
                self._sessions.opened(event)
            case SessionClosed():
                self._sessions.closed(event.session)

    def _do_what_is_due(self) -> None:
        for key in self.timers.due(self.now.mono):
            self._due(key)
            if self.room <= 0:
                break
        for key in self.wall_timers.due(self.now.wall) if self.room > 0 else ():
            self._due(key)
            if self.room <= 0:
                break
        retries, self._retries = self._retries, {}
        for number, indexes in retries.items():
            job = self.jobs.get(number)
            if job and job.due(IntervalSet((index, index + 1) for index in indexes)):  # else they were cancelled
                self.touch(job)

    def _due(self, key: object) -> None:
        match key:
            case ("pulse",):
                self._sessions.pulse()
            case ("lease", str(worker_id)):
                self._sessions.lease_due(self.workers[worker_id])
            case ("drain", str(worker_id)) if worker_id in self.workers:
                draining.due(self, self.workers[worker_id])
            case ("silent", str(worker_id)) if worker_id in self.workers:
                self._sessions.silence_due(self.workers[worker_id])
            case ("late", str(worker_id)) if worker_id in self.workers:
                late_starts.due(self, self.workers[worker_id])
            case ("kept", str(worker_id)) if worker_id in self.workers:
                self.takers.note(self.workers[worker_id])
                self.room -= 1
            case ("pause", str(worker_id)) if worker_id in self.workers:
                pausing.due(self, self.workers[worker_id])
            case ("shares",):
                reordering.save_shares(self)
            case ("lost", str(worker_id), int(number)) if worker_id in self.workers and number in self.jobs:
                self._sessions.lost_due(self.workers[worker_id], self.jobs[number])
            case ("deadline", int(number)) if number in self.jobs:
                deadlines.due(self, self.jobs[number])
            case ("count", int(number)) if number in self.jobs:
                deadlines.count_anew(self, self.jobs[number])
            case ("queue", int(number)) if number in self.jobs:
                self.touch(self.jobs[number])
                self.room -= 1
            case ("every", int(number)):
                schedules.due(self, number, self._submissions.enter_run)
                self.room -= 1
            case ("start", int(number)):
                self._dependencies.may_start(number)
                self.room -= 1
            case ("retry", int(number), int(index)):
                self._retries.setdefault(number, []).append(index)
                self.room -= 1
