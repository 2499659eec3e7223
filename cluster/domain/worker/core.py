"""What the worker decides: when to connect, whom to obey, what the launcher is told and what the scheduler is told.

Four rules:

1. The launcher's journal is the truth. Whatever the scheduler assigns goes straight into the launcher's backlog, and
   every report is a stretch of its journal: the report's sequence *is* the journal's. The launcher's entries are
   acknowledged only after the scheduler has acknowledged the report. So an agent that was killed loses nothing, and
   rebuilds all that is here from what the launcher tells it.
2. Said twice is done once. A command about an attempt that is not held changes nothing, an assign of one that is held
   neither. What comes from another session than the present one is not even read.
3. A scheduler whose epoch is below the highest that was ever obeyed commands nothing.
4. A lease is as old as the *question*: the launcher's leash counts from the time at which the answered heartbeat
   (or hello) was sent. So the attempts die here before the scheduler gives them up there.

The life of a session; `launcher` means that the launcher is connected:

    launcher, backoff over          SessionReady            Welcome
    ----------------------> DIALLING -----------> GREETING ----------> OPEN ---------> CLOSING (by us)
             ^                  |                    |                  |                 |
             '------------------'--------------- SessionEnded ----------'-----------------'
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.base.stalls import LISTENING, overslept
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.leashes import HEARTBEATS
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
)
from cluster.domain.session.spec_memory import SpecMemory
from cluster.domain.worker.messages import (
    OWN,
    AckJournal,
    CommandsReceived,
    ConfirmLease,
    Define,
    Finished,
    HandOver,
    HangUp,
    LauncherConnected,
    LauncherLost,
    LauncherReported,
    OpenSession,
    PushOutput,
    RecallAttempts,
    RemoveOutput,
    RoomMeasured,
    SaveEpoch,
    SendHeartbeat,
    SendHello,
    SendReport,
    SessionEnded,
    SessionReady,
    ShutdownRequested,
    Start,
    StartItem,
    StopAttempts,
    WorkerEffect,
    WorkerEvent,
)
from cluster.domain.worker.outbox import Outbox
from cluster.domain.worker.report_making import JournalEntry, build_report, group, output_is_large, output_is_small
from cluster.domain.worker.room import Room

REPORT_EVERY = 0.03  # seconds; one report costs the scheduler a commit, so under load they carry many ends
# Seconds. As long as anything runs, the next try comes soon, so that an absence of the scheduler costs nothing (see
# domain.leashes). With nothing to lose it may take longer.
BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_IDLE = 0.2, 1.0, 5.0
WELCOME_WITHIN = 10.0  # seconds after the hello; whoever says nothing for so long is tried anew
# Seconds for the scheduler to acknowledge the last reports when the agent ends. Its disk may be slow, and what it has
# not heard of stays assigned here until it is given up.
GOODBYE = 10.0


class SessionState(Enum):
    NONE = "none"
    DIALLING = "dialling"
    GREETING = "greeting"
    OPEN = "open"
    CLOSING = "closing"


class WorkerCore:
    """The worker's decisions. Feed it what happened, perform what it answers, in order."""

    def __init__(
        self,
        millicpus: int,
        epoch: int = 0,
        connect: bool = True,
        home: Home = UNKNOWN,
        reserve: int | None = None,
    ) -> None:
        """`epoch`: the highest ever obeyed. `connect` False: there is no scheduler (a worker that stands alone).
        `reserve`: bytes to be kept free on its disks, None: as usual."""
        self.millicpus = millicpus
        self.home = home
        self.epoch = epoch
        self.confirmed_at: float | None = (
            None  # when the last word was sent that a scheduler has confirmed to this agent
        )
        self.running: dict[AttemptKey, None] = {}
        self.backlog: dict[AttemptKey, None] = {}
        self._connect = connect
        self._launcher = False
        self._incarnation = ""
        self.outbox = Outbox()
        self.room = Room(reserve)
        self._disowned: set[AttemptKey] = set()
        self._refused: dict[AttemptKey, None] = {}  # in this session: assigned while the agent ends or has no room
        self._session = 0
        self._state = SessionState.NONE
        self._failures = 0
        self._connect_at: float | None = 0.0
        self._lease = 0.0
        self._heartbeat = 0
        self._heartbeat_at = 0.0
        self._asked: dict[int, float] = {}  # heartbeat -> when it was sent; 0 is the hello
        self._heard_at = 0.0
        self._listens_until = 0.0  # this agent has stalled: until then nobody is called silent
        self._reported_at = -REPORT_EVERY
        self._specs: SpecMemory[JobSpec] = SpecMemory()
        self._closing: float | None = None  # when the goodbye is over at the latest
        self._farewell: int | None = None  # the heartbeat after the last report that said that this worker drains
        self._stopping = False
        self._finished = False

    # -- the two methods the driver calls

    def turn(self, events: Sequence[WorkerEvent], now: Now) -> list[WorkerEffect]:
        """Take what happened; answer what to do, in order. With no events: do what is due."""
        if overslept(self.next_deadline(), now.mono):
            self._listens_until = now.mono + LISTENING
        effects: list[WorkerEffect] = []
        for event in events:
            match event:
                case LauncherReported():
                    self._on_reports(event.reports, now.mono, effects)
                case CommandsReceived():
                    self._on_commands(event, now.mono, effects)
                case LauncherConnected():
                    self._on_launcher_connected(event, now.mono, effects)
                case LauncherLost():
                    self._on_launcher_lost(effects)
                case RoomMeasured():
                    self.room.measured(event.spaces)
                case SessionReady():
                    self._on_session_ready(event, now.mono, effects)
                case SessionEnded():
                    self._on_session_closed(event, now.mono)
                case ShutdownRequested():
                    self._on_shutdown_requested(event, now.mono, effects)
        self._look_for_room(now.mono, effects)
        self._do_what_is_due(now.mono, effects)
        return effects

    def next_deadline(self) -> float | None:
        """Boot clock at which a turn is due, or None."""
        due = []
        if self._state is SessionState.NONE:
            if self._connect_at is not None and self._may_connect():
                due.append(self._connect_at)
        elif self._state is SessionState.GREETING:
            due.append(self._silence_ends(self._asked[0] + WELCOME_WITHIN))
        elif self._state is SessionState.OPEN:
            due += [self._heartbeat_at, self._silence_ends(self._heard_at + self._lease)]
            if self._has_report():
                due.append(self._reported_at + REPORT_EVERY)
        if self._closing is not None and not self._finished:
            due.append(self._silence_ends(self._closing))
        if (look := self.room.due()) is not None:
            due.append(look)
        return min(due, default=None)

    def _silence_ends(self, at: float) -> float:
        """When somebody is called silent who should have said something by `at`: not before there was time to hear."""
        return max(at, self._listens_until)

    def holds(self, key: AttemptKey) -> bool:
        """Whether the launcher has it, in its backlog or running."""
        return key in self.running or key in self.backlog

    @property
    def connected(self) -> bool:
        """Whether a scheduler has welcomed this worker and the session still stands."""
        return self._state is SessionState.OPEN

    def has_ended(self, key: AttemptKey) -> bool:
        """Whether it ran here and ended, and the scheduler has not acknowledged that yet. One that was returned never
        ran: it may be assigned again, here or elsewhere, and its output is still to come."""
        end = self.outbox.ended.get(key)
        return end is not None and end.reason != "returned"

    # -- launcher

    def _on_launcher_connected(self, event: LauncherConnected, now: float, effects: list[WorkerEffect]) -> None:
        self._launcher = True
        self._incarnation = event.incarnation
        self.running = dict.fromkeys(_cluster_keys(event.running))
        self.backlog = dict.fromkeys(_cluster_keys(event.backlog))
        self.outbox = Outbox()
        self._connect_at = now
        self._on_reports(event.reports, now, effects)
        if self._closing is not None:
            self._let_go(effects)  # it has not heard of that, or is another one

    def _on_launcher_lost(self, effects: list[WorkerEffect]) -> None:
        """Nothing can be obeyed now, so nobody is listened to until it is known what the next launcher holds."""
        self._launcher = False
        if self._state not in (SessionState.NONE, SessionState.CLOSING):
            self._close_session("the launcher does not answer", effects)

    def _on_reports(self, reports: Iterable[Started | Ended], now: float, effects: list[WorkerEffect]) -> None:
        theirs: list[Started | Ended] = []
        for report in reports:
            self.outbox.saw(report.seq)
            key = _cluster_key(report.key)
            if key is None:
                theirs.append(report)
                continue
            self.backlog.pop(key, None)
            if isinstance(report, Started):
                # Told again after a reconnect, it may have ended meanwhile; then that is told next.
                self.running[key] = None
                self.room.started()
            else:
                self.running.pop(key, None)
                if report.reason == "returned" and report.text:
                    self.room.start_failed(report.text, now)
            if key in self._disowned:
                if isinstance(report, Ended):
                    self._disowned.discard(key)
                    effects.append(PushOutput((key,)))
                continue
            self.outbox.add(JournalEntry(key, report))
        if theirs:
            effects.append(HandOver(tuple(theirs)))
        self._acknowledge_journal(effects)

    def _acknowledge_journal(self, effects: list[WorkerEffect]) -> None:
        """The launcher may forget what the scheduler has, or does not care about."""
        if self._launcher and (settled := self.outbox.newly_settled()) is not None:
            effects.append(AckJournal(settled))

    # -- session

    def _may_connect(self) -> bool:
        return self._connect and self._launcher and not self._finished

    def _on_session_ready(self, event: SessionReady, now: float, effects: list[WorkerEffect]) -> None:
        if event.session != self._session or self._state is not SessionState.DIALLING:
            return
        self._state = SessionState.GREETING
        self._asked = {0: now}
        hello = Hello(
            incarnation=self._incarnation,
            millicpus=self.millicpus,
            epoch=self.epoch,
            home=self.home,
            uptime=now,
            backlog=group(k for k in self.backlog if k not in self._disowned),
            running=group(k for k in self.running if k not in self._disowned),
            ended=group(self.outbox.ended),
            no_room=self.room.shortage,
        )
        effects.append(SendHello(self._session, hello))

    def _on_session_closed(self, event: SessionEnded, now: float) -> None:
        if event.session != self._session:
            return
        self._state = SessionState.NONE
        self._connect = self._connect and not event.for_good
        most = BACKOFF_MOST if self.running or self.backlog else BACKOFF_IDLE
        longest = min(most, BACKOFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        # Half fixed, half by chance: a thousand workers that lost one scheduler do not come back at one moment.
        self._connect_at = now + longest * (1 + event.jitter) / 2

    def _on_commands(self, event: CommandsReceived, now: float, effects: list[WorkerEffect]) -> None:
        for command in event.commands:
            if event.session != self._session or self._state not in (SessionState.GREETING, SessionState.OPEN):
                return
            if isinstance(command, Welcome):
                self._on_welcome(command, now, effects)
            elif self._state is SessionState.OPEN:
                self._on_command(command, now, effects)

    def _on_command(self, command: Downward, now: float, effects: list[WorkerEffect]) -> None:
        match command:
            case Assign():
                self._on_assign(command, effects)
            case ReportAcknowledged():
                self._on_report_acknowledged(command.sequence, effects)
            case HeartbeatAnswered():
                self._on_lease_confirmed(command.sequence, now, effects)
            case Stop():
                if keys := self._held(command.attempts):
                    effects.append(StopAttempts(keys, command.grace))
            case Recall():
                if keys := tuple(k for k in self._held(command.attempts) if k in self.backlog):
                    effects.append(RecallAttempts(keys))
            case Disown():
                self._on_disown(command.attempts, effects)

    def _on_welcome(self, welcome: Welcome, now: float, effects: list[WorkerEffect]) -> None:
        if self._state is not SessionState.GREETING:
            return
        if welcome.epoch < self.epoch:
            why = f"the scheduler is of epoch {welcome.epoch}, and epoch {self.epoch} has already been obeyed"
            self._close_session(why, effects)
            return
        if welcome.epoch > self.epoch:
            self.epoch = welcome.epoch
            effects.append(SaveEpoch(welcome.epoch))
        self._state, self._lease, self._failures = SessionState.OPEN, welcome.lease, 0
        self._specs = SpecMemory()
        self._refused = {}  # the hello has said that they are not here; they may have been given to others since
        self.outbox.resend()
        self._reported_at = now - REPORT_EVERY
        self._heartbeat, self._heartbeat_at, self._farewell = 0, now + welcome.lease / HEARTBEATS, None
        self._on_lease_confirmed(0, now, effects)

    def _on_lease_confirmed(self, heartbeat: int, now: float, effects: list[WorkerEffect]) -> None:
        asked = self._asked.get(heartbeat)
        if asked is None:
            return
        self._asked = {number: at for number, at in self._asked.items() if number > heartbeat}
        self._heard_at = now
        self.confirmed_at = asked
        effects.append(ConfirmLease(asked))

    def _close_session(self, why: str, effects: list[WorkerEffect]) -> None:
        """Nothing more is read or sent in it; the driver's SessionEnded makes it final."""
        self._state = SessionState.CLOSING
        effects.append(HangUp(self._session, why))

    # -- commands

    def _on_assign(self, assign: Assign, effects: list[WorkerEffect]) -> None:
        job = assign.attempts.job
        remembered = self._specs.get(job)
        if assign.spec is not None and (remembered is None or remembered.what != assign.spec):
            template = self._specs.remember(job, assign.spec, assign.spec)
            effects.append(Define(template, job, assign.job_id, assign.spec, assign.leash))
            spec = assign.spec
        elif remembered is not None:
            template, spec = remembered.number, remembered.what
        else:
            self._close_session(f"the scheduler assigned tasks of job {job} without its spec", effects)
            return
        items = []
        for position, key in enumerate(assign.attempts):
            if self.holds(key) or key in self.outbox.ended:
                continue
            self._refused.pop(key, None)  # else it were given back although it has started
            if self._closing is not None or self.room.shortage:
                self._refused[key] = None
                continue
            line = assign.lines[position] if assign.lines else None
            number = key.index + 1 if assign.lines else spec.number_of(key.index) if spec.array else None
            items.append(StartItem(key, number, line))
            self.backlog[key] = None
        if items:
            effects.append(Start(template, tuple(items)))

    def _held(self, attempts: Attempts) -> tuple[AttemptKey, ...]:
        """Which of these the launcher has."""
        if attempts.count > len(self.backlog) + len(self.running):
            return tuple(key for key in (*self.running, *self.backlog) if key in attempts)
        return tuple(key for key in attempts if self.holds(key))

    def _on_disown(self, attempts: Attempts, effects: list[WorkerEffect]) -> None:
        if held := self._held(attempts):
            self._disowned.update(held)
            effects.append(StopAttempts(held))
        if ended := self.outbox.drop(attempts):
            effects.append(PushOutput(ended))  # what was lost to the scheduler is shown all the same
        self._acknowledge_journal(effects)

    # -- reports

    def _has_report(self) -> bool:
        drains_unsaid = self._closing is not None and self._farewell is None
        return drains_unsaid or bool(self._refused) or self.outbox.may_report

    def _report(self, now: float, effects: list[WorkerEffect]) -> None:
        """Everything that happened since the last report, as far as it fits into one."""
        entries = self.outbox.take()
        ends = [(entry.key, entry.what) for entry in entries if isinstance(entry.what, Ended)]
        small = tuple(key for key, end in ends if output_is_small(end))
        large = tuple(key for key, end in ends if output_is_large(end))
        sequence = entries[-1].what.seq if entries else 0
        report = build_report(entries, sequence, self._refused)
        self._refused = {}
        self._reported_at = now
        draining = self._closing is not None
        effects.append(SendReport(self._session, replace(report, draining=draining), small, large))
        if draining:
            self._send_heartbeat(now, effects)
            self._farewell = self._heartbeat

    def _on_report_acknowledged(self, sequence: int, effects: list[WorkerEffect]) -> None:
        ends = self.outbox.acknowledge(sequence)
        # Of a lost attempt nobody knows what it wrote, so whatever there is goes the same way.
        # And what rode along with an end that was not taken has not been either.
        if large := tuple(key for key, end, taken in ends if output_is_large(end) or end.reason == "lost" or not taken):
            effects.append(PushOutput(large))
        if small := tuple(key for key, end, taken in ends if output_is_small(end) and taken):
            effects.append(RemoveOutput(small))
        self._acknowledge_journal(effects)

    # -- room

    def _look_for_room(self, now: float, effects: list[WorkerEffect]) -> None:
        """Room has gone or come: the scheduler hears it before anything is given back, or it would be back at once."""
        if not self.room.look(now):
            return
        if self._state is SessionState.OPEN:
            self._send_heartbeat(now, effects)
        if self.room.shortage and self.backlog and self._launcher:
            effects.append(RecallAttempts(tuple(self.backlog)))

    # -- time

    def _do_what_is_due(self, now: float, effects: list[WorkerEffect]) -> None:
        if self._state is SessionState.NONE and self._may_connect():
            if self._connect_at is not None and now >= self._connect_at:
                self._session += 1
                self._state = SessionState.DIALLING
                effects.append(OpenSession(self._session))
        elif self._state is SessionState.GREETING and now >= self._silence_ends(self._asked[0] + WELCOME_WITHIN):
            self._close_session(f"the scheduler has not answered for {WELCOME_WITHIN:g} s", effects)
        elif self._state is SessionState.OPEN:
            if now >= self._silence_ends(self._heard_at + self._lease):
                why = f"the scheduler has not answered a heartbeat for {self._lease:g} s"
                self._close_session(why, effects)
                return
            if now >= self._heartbeat_at:
                self._send_heartbeat(now, effects)
            if self._has_report() and now >= self._reported_at + REPORT_EVERY:
                self._report(now, effects)
        if self._closing is not None:
            self._finish_if_done(now, effects)

    def _send_heartbeat(self, now: float, effects: list[WorkerEffect]) -> None:
        self._heartbeat += 1
        self._heartbeat_at = now + self._lease / HEARTBEATS
        self._asked[self._heartbeat] = now
        effects.append(SendHeartbeat(self._session, self._heartbeat, self.room.shortage))

    # -- the end

    def _on_shutdown_requested(self, event: ShutdownRequested, now: float, effects: list[WorkerEffect]) -> None:
        if self._closing is None:
            self._closing = now + GOODBYE
        self._stopping = self._stopping or event.stop_jobs
        if self._launcher:
            self._let_go(effects)

    def _let_go(self, effects: list[WorkerEffect]) -> None:
        """Of what the launcher holds."""
        if self._stopping and (held := (*self.running, *self.backlog)):
            # Of these some may have started meanwhile; a stop recalls those that have not.
            effects.append(StopAttempts(held))
        elif self.backlog:
            effects.append(RecallAttempts(tuple(self.backlog)))

    def _finish_if_done(self, now: float, effects: list[WorkerEffect]) -> None:
        if self._finished:
            return
        silent = now >= self._silence_ends(self._closing or 0.0)
        unknown = not self._incarnation  # what a launcher holds that an earlier agent has left
        if self._stopping and (self.running or self.backlog or unknown):
            if self._launcher:
                self._closing = now + GOODBYE  # the grace of each bounds this, and its end is to be reported too
                return
            if not silent:
                return  # the launcher has died: only the next one can kill what that left, and say what is lost
        # Once the scheduler has answered the farewell it assigns nothing more, and knows of all that was refused.
        answered = self._farewell is not None and self._farewell not in self._asked
        settled = answered and self.outbox.is_empty and not (self.backlog or self._refused)
        if self._state is not SessionState.OPEN or settled or silent:
            self._finished = True
            effects.append(Finished())


def _cluster_key(text: str) -> AttemptKey | None:
    """None for a job of the worker's own API."""
    key = AttemptKey.parse(text)
    return None if key.job == OWN else key


def _cluster_keys(keys: Iterable[str]) -> list[AttemptKey]:
    return [key for key in map(_cluster_key, keys) if key is not None]
