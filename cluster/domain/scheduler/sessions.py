"""Workers connect, say what they hold, fall silent, and are given up."""

from dataclasses import replace
from math import inf

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.scheduler import deadlines, draining, pausing
from cluster.domain.scheduler.cancelling import send_stops
from cluster.domain.scheduler.clone_detection import is_overtaken, refusal
from cluster.domain.scheduler.events import SessionOpened
from cluster.domain.scheduler.report_intake import Reports
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Greeting, Worker, WorkerRecord
from cluster.domain.session.leashes import HEARTBEATS
from cluster.domain.session.messages import Attempts, Disown, Hello, Welcome, by_attempt
from cluster.domain.session.spec_memory import SpecMemory


class Sessions:
    def __init__(self, state: State, reports: Reports) -> None:
        self._state = state
        self._reports = reports

    # ── they open and close ───────────────────────────────────────────────────────────────────────────────────────

    def opened(self, event: SessionOpened) -> None:
        state, hello = self._state, event.hello
        worker = state.workers.get(event.worker_id)
        if worker is None or worker.record.removed:  # perhaps since it registered
            state.cut(event.session, "not registered: call Register first")
            return
        if hello.epoch > state.epoch:
            why = f"this scheduler is of epoch {state.epoch}, the worker has obeyed {hello.epoch}: a newer one runs"
            state.cut(event.session, why)
            return
        if error := refusal(worker, hello.home, hello.uptime, state.now.mono):
            state.cut(event.session, str(error))
            return
        greeting = Greeting(hello.home.boot, hello.uptime)
        if is_overtaken(worker, greeting, state.now.mono, state.lease):
            state.cut(event.session, "the same worker has come again since")
            return
        worker.greets(greeting)
        if worker.session is not None:
            state.cut(worker.session, "replaced by a newer session of the same worker")
            self.close(worker)
        worker.session, worker.no_room, worker.told_trouble = event.session, hello.no_room, ""
        worker.leaves_at = inf if hello.leaves_in is None else state.now.mono + hello.leaves_in
        worker.hear(state.now.mono)
        state.sessions[event.session] = worker
        state.reservations.note_leaving(worker)
        state.takers.note(worker)
        state.send(worker, Welcome(state.epoch, state.lease))
        self._compare(worker, hello)
        pausing.note_frozen(state, worker, hello)
        state.amend(worker, _as_greeted(worker, hello))
        draining.look_at(state, worker)
        pausing.look_at(state, worker)
        for number in worker.jobs if worker.free < 0 else ():  # it may have fewer cpus than before
            state.note_in_advance(worker, state.jobs[number].request)
        if worker.free < 0:
            state.timers.set(("late", worker.id), state.now.mono)
        state.timers.set(("lease", worker.id), worker.last_heard + state.lease)
        self.pulse()

    def _compare(self, worker: Worker, hello: Hello) -> None:
        """Both sides say what they hold. What only we believe in never started, if the launcher can't have forgotten;
        else nobody knows. What only the worker holds is not its own any more."""
        listed = by_attempt((*hello.backlog, *hello.running, *hello.ended))
        remembers = hello.incarnation == worker.record.incarnation
        for number in sorted(worker.jobs):
            job = self._state.jobs[number]
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
            job = self._state.jobs[number]
            if job.cancelling:
                send_stops(self._state, job, job.cancelling, [worker], job.cancel_grace)
            if job.overdue:
                deadlines.stop(self._state, job, [worker])

    def _disown_strangers(self, worker: Worker, number: int, attempt: int, strange: IntervalSet) -> None:
        """Takes what the worker rightly holds out of `strange`, and tells it to stop the rest."""
        job = self._state.jobs.get(number)
        held = job.held.get((worker.id, attempt)) if job else None
        strange.difference_update(held or ())
        if strange:
            self._state.send(worker, Disown(Attempts(number, attempt, tuple(strange.ranges()))))

    def closed(self, session: int) -> None:
        """Its connection is gone."""
        if worker := self._state.sessions.get(session):
            self.close(worker)

    def close(self, worker: Worker) -> None:
        """The session is over, whoever ended it. What the worker holds is lost a while after it was last heard."""
        if worker.session is not None:
            del self._state.sessions[worker.session]
        worker.session = None
        worker.specs = SpecMemory()
        worker.recalled, worker.frozen = {}, {}
        worker.rival = None
        worker.ending = worker.reporting = False
        worker.no_room, worker.fetching = "", {}
        self._state.reservations.note_leaving(worker)
        self._state.takers.note(worker)
        self._state.timers.cancel(("lease", worker.id))
        self.expect_back(worker)
        for number in sorted(worker.jobs):  # who shows them says where they run
            self._state.notify(number)

    # ── they fall silent ──────────────────────────────────────────────────────────────────────────────────────────

    def heard_from(self, session: int) -> Worker | None:
        """The worker whose present session that is, if it is one; it has said something."""
        worker = self._state.sessions.get(session)
        if worker:
            worker.hear(self._state.now.mono)
        return worker

    def expect_back(self, worker: Worker) -> None:
        """Counts from when it was last heard until what it holds is lost."""
        if self._state.sessions or worker.jobs:
            self._look_whether_it_stalls()
        self.expect_word(worker.id, max(self._state.now.mono, worker.last_heard + self._state.lease))
        for number in worker.jobs:
            due = worker.last_heard + self._state.lost_after(self._state.jobs[number])
            self._state.timers.set(("lost", worker.id, number), due)

    def expect_word(self, worker_id: str, until: float) -> None:
        """Looks then (monotonic clock) whether the worker, which has no session, has come."""
        self._state.timers.set(("silent", worker_id), until)

    def silence_due(self, worker: Worker) -> None:
        """Notes that it is unreachable, if it has not come, and has not said goodbye."""
        state, record = self._state, worker.record
        if worker.session is not None or record.offline or record.removed:
            return
        expiry = worker.last_heard + state.lease
        if expiry > state.now.mono:  # it was forgiven meanwhile
            self.expect_word(worker.id, expiry)
            return
        state.amend(worker, replace(record, is_silent=True))

    def pulse(self) -> None:
        """Looks after a while again whether this scheduler stalls, as long as anybody's silence is counted."""
        state = self._state
        if state.sessions or any(worker.jobs for worker in state.workers.values()):
            self._look_whether_it_stalls()

    def _look_whether_it_stalls(self) -> None:
        self._state.timers.set(("pulse",), self._state.now.mono + self._state.lease / HEARTBEATS)

    def forgive(self, seconds: float, now: float) -> None:
        """This scheduler was not there for so long: nobody's silence counts in that time, and in the time of a
        heartbeat after it, so that what waits is heard. To give up late is safe."""
        for worker in self._state.workers.values():
            worker.last_heard = min(now, worker.last_heard + seconds + self._state.lease / HEARTBEATS)

    def lease_due(self, worker: Worker) -> None:
        """The timer is not moved by every word of the worker: it looks, when due, when that last was."""
        state = self._state
        if worker.session is None:
            return
        expiry = worker.last_heard + state.lease
        if expiry > state.now.mono:
            state.timers.set(("lease", worker.id), expiry)
            return
        state.cut(worker.session, f"nothing heard for {state.lease:g} s")
        self.close(worker)

    def lost_due(self, worker: Worker, job: Job) -> None:
        """Gives up what the worker holds of the job, so much of it as this turn has room for."""
        state = self._state
        if worker.session is not None:
            return  # it came back in time
        expiry = worker.last_heard + state.lost_after(job)
        if expiry > state.now.mono:  # it was forgiven meanwhile
            state.timers.set(("lost", worker.id, job.number), expiry)
            return
        why = f"worker {worker.record.name} was unreachable for {state.lost_after(job):g} s"
        for attempt, held in list(job.held_by(worker.id)):
            some = IntervalSet(held.copy().take(state.room))
            state.room -= len(some)
            self._reports.lost(worker, job, attempt, some, why)
        if job.is_held_by(worker.id):
            state.timers.set(("lost", worker.id, job.number), state.now.mono)


def _as_greeted(worker: Worker, hello: Hello) -> WorkerRecord:
    return replace(
        worker.record,
        offline=False,
        is_silent=False,
        incarnation=hello.incarnation,
        home=hello.home,
        millicpus=hello.millicpus,
        offer=hello.offer,
    )
