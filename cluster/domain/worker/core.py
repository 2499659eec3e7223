"""What the worker decides: when to connect, whom to obey, what the launcher is told and what the scheduler is told.

Four rules:

1. The launcher's journal is the truth. Whatever the scheduler assigns goes straight into the launcher's backlog, and
   every report is a stretch of its journal: the report's sequence *is* the journal's. The launcher's entries are
   acknowledged only after the scheduler has acknowledged the report. So an agent that was killed loses nothing, and
   rebuilds all that is here from what the launcher tells it.
2. Said twice is done once. A command about an attempt that is not held changes nothing, an assign of one that is held
   neither. What comes from another session than the present one is not even read.
3. A scheduler whose epoch is below the highest that was ever obeyed commands nothing.
4. A lease is as old as the *question* (`cluster.domain.worker.session`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.home import UNKNOWN, Home
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    Downward,
    Freeze,
    HeartbeatAnswered,
    Hello,
    Recall,
    ReportAcknowledged,
    Stop,
    Welcome,
)
from cluster.domain.session.offer import NOTHING, Offer
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.held_commands import effect_of
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import (
    OWN,
    AckJournal,
    CommandsReceived,
    ConfirmLease,
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
    StopAttempts,
    WorkerEffect,
    WorkerEvent,
)
from cluster.domain.worker.outbox import Outbox
from cluster.domain.worker.report_making import build_report, group, with_output
from cluster.domain.worker.room import Room
from cluster.domain.worker.session import SchedulerSession, SessionState
from cluster.domain.worker.starts import Starts

# Seconds for the scheduler to acknowledge the last reports when the agent ends. Its disk may be slow, and what it has
# not heard of stays assigned here until it is given up.
GOODBYE = 10.0


class WorkerCore:
    """The worker's decisions. Feed it what happened, perform what it answers, in order."""

    def __init__(
        self,
        millicpus: int,
        epoch: int = 0,
        connect: bool = True,
        home: Home = UNKNOWN,
        reserve: int | None = None,
        offer: Offer = NOTHING,
        leaves_at: float | None = None,
    ) -> None:
        """`epoch`: the highest ever obeyed. `connect` False: there is no scheduler (a worker that stands alone).
        `reserve`: bytes to be kept free on its disks, None: as usual. `offer`: what it has beside cpus. `leaves_at`: on
        the boot clock, by when all that it is given is to have ended; None: it stays."""
        self.millicpus, self.offer, self.home = millicpus, offer, home
        self.epoch, self._leaves_at = epoch, leaves_at
        self.held, self.outbox = HeldAttempts(), Outbox()
        self._connect = connect
        self._launcher, self._incarnation = False, ""
        self.room = Room(reserve)
        self._disowned: set[AttemptKey] = set()
        self._refused: dict[AttemptKey, None] = {}  # assigned in this session while the agent ended or had no room
        self.session = SchedulerSession()
        self._starts = Starts()
        self._closing: float | None = None  # when the goodbye is over at the latest
        self._farewell: int | None = None  # the heartbeat after the last report that said that this worker drains
        self._stopping = self._finished = False

    # -- the two methods the driver calls

    def turn(self, events: Sequence[WorkerEvent], now: Now) -> list[WorkerEffect]:
        """Take what happened; answer what to do, in order. With no events: do what is due."""
        self.session.woke(self.next_deadline(), now.mono)
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
                    self._on_session_ended(event, now.mono)
                case ShutdownRequested():
                    self._on_shutdown_requested(event, now.mono, effects)
        self._look_for_room(now.mono, effects)
        self._do_what_is_due(now.mono, effects)
        return effects

    def next_deadline(self) -> float | None:
        """Boot clock at which a turn is due, or None."""
        due = [self.session.next_deadline(self._may_connect()), self.room.due()]
        if self.connected and self._has_report():
            due.append(self.outbox.next_report_at(len(self.held.backlog)))
        if self._closing is not None and not self._finished:
            due.append(self.session.silence_ends(self._closing))
        return min([at for at in due if at is not None], default=None)

    @property
    def connected(self) -> bool:
        """Whether a scheduler has welcomed this worker and the session still stands."""
        return self.session.state is SessionState.OPEN

    def has_ended(self, key: AttemptKey) -> bool:
        """Whether it ran here and ended, and the scheduler has not acknowledged that yet. One that was returned never
        ran: it may be assigned again, here or elsewhere, and its output is still to come."""
        end = self.outbox.ended.get(key)
        return end is not None and end.reason != endings.RETURNED

    # -- launcher

    def _on_launcher_connected(self, event: LauncherConnected, now: float, effects: list[WorkerEffect]) -> None:
        self._launcher, self._incarnation = True, event.incarnation
        self.offer = replace(self.offer, limits_memory=event.limits_memory)
        self.held = HeldAttempts(event.running, event.backlog, event.frozen)
        self.outbox = Outbox()
        self.session.dial_at(now)
        self._on_reports(event.reports, now, effects)
        if self._closing is not None:
            self._let_go(effects)  # it has not heard of that, or is another one

    def _on_launcher_lost(self, effects: list[WorkerEffect]) -> None:
        """Nothing can be obeyed now, so nobody is listened to until it is known what the next launcher holds."""
        self._launcher = False
        if self.session.state not in (SessionState.NONE, SessionState.CLOSING):
            self._close_session("the launcher does not answer", effects)

    def _on_reports(self, entries: Iterable[JournalEntry], now: float, effects: list[WorkerEffect]) -> None:
        theirs: list[JournalEntry] = []
        for entry in entries:
            key, report = entry
            self.outbox.saw(report.seq)
            if key.job == OWN:
                theirs.append(entry)
                continue
            if isinstance(report, Started):
                self.held.started(key)
                self.room.started()
            else:
                self.held.ended(key)
                if report.reason == endings.RETURNED and report.text:
                    self.room.start_failed(report.text, now)
            if key in self._disowned:
                if isinstance(report, Ended):
                    self._disowned.discard(key)
                    effects.append(PushOutput((key,)))
                continue
            others = self.held.count_of(key.job) - isinstance(report, Started)
            self.outbox.add(entry, alone=not others)
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
        if event.session != self.session.number or self.session.state is not SessionState.DIALLING:
            return
        self.session.greeted(now)
        hello = Hello(
            incarnation=self._incarnation,
            millicpus=self.millicpus,
            epoch=self.epoch,
            home=self.home,
            uptime=now,
            backlog=group(k for k in self.held.backlog if k not in self._disowned),
            running=group(k for k in self.held.running if k not in self._disowned),
            ended=group(self.outbox.ended),
            frozen=group(self.held.frozen),
            no_room=self.room.shortage,
            offer=self.offer,
            leaves_in=None if self._leaves_at is None else max(0.0, self._leaves_at - now),
        )
        effects.append(SendHello(self.session.number, hello))

    def _on_session_ended(self, event: SessionEnded, now: float) -> None:
        if event.session != self.session.number:
            return
        self._connect = self._connect and not event.for_good
        self.session.ended(now, event.jitter, idle=not self.held)

    def _on_commands(self, event: CommandsReceived, now: float, effects: list[WorkerEffect]) -> None:
        for command in event.commands:
            if event.session != self.session.number or not self.session.hears:
                return
            if isinstance(command, Welcome):
                self._on_welcome(command, now, effects)
            elif self.session.state is SessionState.OPEN:
                self._on_command(command, now, effects)

    def _on_command(self, command: Downward, now: float, effects: list[WorkerEffect]) -> None:
        match command:
            case Assign():
                self._on_assign(command, effects)
            case ReportAcknowledged():
                self._on_report_acknowledged(command.sequence, effects)
            case HeartbeatAnswered():
                self._on_lease_confirmed(command.sequence, now, effects)
            case Stop() | Recall() | Freeze():
                if effect := effect_of(command, self.held):
                    effects.append(effect)
            case Disown():
                self._on_disown(command.attempts, effects)

    def _on_welcome(self, welcome: Welcome, now: float, effects: list[WorkerEffect]) -> None:
        if self.session.state is not SessionState.GREETING:
            return
        if welcome.epoch < self.epoch:
            why = f"the scheduler is of epoch {welcome.epoch}, and epoch {self.epoch} has already been obeyed"
            self._close_session(why, effects)
            return
        if welcome.epoch > self.epoch:
            self.epoch = welcome.epoch
            effects.append(SaveEpoch(welcome.epoch))
        self.session.welcomed(welcome.lease, now)
        self._starts = Starts()
        self._refused = {}  # the hello has said that they are not here; they may have been given to others since
        self.outbox.resend()
        self._farewell = None
        self._on_lease_confirmed(0, now, effects)

    def _on_lease_confirmed(self, heartbeat: int, now: float, effects: list[WorkerEffect]) -> None:
        if (asked := self.session.confirmed(heartbeat, now)) is not None:
            effects.append(ConfirmLease(asked))

    def _close_session(self, why: str, effects: list[WorkerEffect]) -> None:
        """Nothing more is read or sent in it; the driver's SessionEnded makes it final."""
        self.session.closed()
        effects.append(HangUp(self.session.number, why))

    # -- commands

    def _on_assign(self, assign: Assign, effects: list[WorkerEffect]) -> None:
        new = [key for key in assign.attempts if key not in self.held and key not in self.outbox.ended]
        takes = self._closing is None and not self.room.shortage
        starts = self._starts.of(assign, dict.fromkeys(new if takes else ()))
        if starts is None:
            self._close_session(f"the scheduler assigned tasks of job {assign.attempts.job} without its spec", effects)
            return
        effects += starts
        for key in new:
            if takes:
                self._refused.pop(key, None)  # else it would be returned although it may start
                self.held.assigned(key)
            else:
                self._refused[key] = None

    def _on_disown(self, attempts: Attempts, effects: list[WorkerEffect]) -> None:
        if held := self.held.those_of(attempts):
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
        entries = self.outbox.take(now)
        small, large = with_output(entries)
        sequence = entries[-1].what.seq if entries else 0
        draining = self._closing is not None
        report = build_report(entries, sequence, self._refused, draining=draining)
        self._refused = {}
        effects.append(SendReport(self.session.number, report, small, large))
        if draining:
            self._send_heartbeat(now, effects)
            self._farewell = self.session.heartbeat

    def _on_report_acknowledged(self, sequence: int, effects: list[WorkerEffect]) -> None:
        acknowledged = self.outbox.acknowledge(sequence)
        if acknowledged.to_push:
            effects.append(PushOutput(acknowledged.to_push))
        if acknowledged.to_remove:
            effects.append(RemoveOutput(acknowledged.to_remove))
        self._acknowledge_journal(effects)

    # -- room

    def _look_for_room(self, now: float, effects: list[WorkerEffect]) -> None:
        """Room has gone or come: the scheduler hears it before anything is given back, or it would be back at once."""
        if not self.room.look(now):
            return
        if self.session.state is SessionState.OPEN:
            self._send_heartbeat(now, effects)
        if self.room.shortage and self.held.backlog and self._launcher:
            effects.append(RecallAttempts(tuple(self.held.backlog)))

    # -- time

    def _do_what_is_due(self, now: float, effects: list[WorkerEffect]) -> None:
        if self._may_connect() and self.session.may_dial(now):
            self.session.dialled()
            effects.append(OpenSession(self.session.number))
        elif why := self.session.why_silent(now):
            self._close_session(why, effects)
        if self.session.wants_heartbeat(now):
            self._send_heartbeat(now, effects)
        if self.connected and self._has_report() and now >= self.outbox.next_report_at(len(self.held.backlog)):
            self._report(now, effects)
        if self._closing is not None and not self._finished:
            self._finish_if_done(now, effects)

    def _send_heartbeat(self, now: float, effects: list[WorkerEffect]) -> None:
        effects.append(SendHeartbeat(self.session.number, self.session.beat(now), self.room.shortage))

    # -- the end

    def _on_shutdown_requested(self, event: ShutdownRequested, now: float, effects: list[WorkerEffect]) -> None:
        if self._closing is None:
            self._closing = now + GOODBYE
        self._stopping = self._stopping or event.stop_jobs
        if self._launcher:
            self._let_go(effects)

    def _let_go(self, effects: list[WorkerEffect]) -> None:
        """Stops or recalls what the launcher holds, as the shutdown asks."""
        if self._stopping and (held := self.held.all):
            # Of these some may have started meanwhile; a stop recalls those that have not.
            effects.append(StopAttempts(held))
        elif self.held.backlog:
            effects.append(RecallAttempts(tuple(self.held.backlog)))

    def _finish_if_done(self, now: float, effects: list[WorkerEffect]) -> None:
        silent = now >= self.session.silence_ends(self._closing or 0.0)
        unknown = not self._incarnation  # what a launcher holds that an earlier agent has left
        if self._stopping and (self.held or unknown):
            if self._launcher:
                self._closing = now + GOODBYE  # the grace of each bounds this, and its end is to be reported too
                return
            if not silent:
                return  # the launcher has died: only the next one can kill what that left, and say what is lost
        # Once the scheduler has answered the farewell it assigns nothing more, and knows of all that was refused.
        answered = self._farewell is not None and self.session.is_answered(self._farewell)
        settled = answered and self.outbox.is_empty and not (self.held.backlog or self._refused)
        # A scheduler that has our hello is about to answer: it is to hear of what has ended, and take the outputs.
        if not self.session.hears or settled or silent:
            self._finished = True
            effects.append(Finished())
