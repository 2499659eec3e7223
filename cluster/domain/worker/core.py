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
from cluster.domain.session.elsewhere import OWNER
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
from cluster.domain.worker.closing import Closing
from cluster.domain.worker.engine_orders import OWNER_LENGTH
from cluster.domain.worker.fetching import Fetches
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.held_commands import effect_of
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import (
    OWN,
    AckJournal,
    CommandsReceived,
    ConfirmLease,
    ContentsFetched,
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
from cluster.domain.worker.report_making import build_report, group, in_groups, with_output
from cluster.domain.worker.room import Room
from cluster.domain.worker.session import SchedulerSession, SessionState
from cluster.domain.worker.starts import Starts


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
        self._fetches = Fetches()  # of what attempts that are held use
        self._starts = Starts(self._fetches)
        self._closing = Closing()

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
                case ContentsFetched():
                    self._on_contents_fetched(event, now.mono, effects)
                case SessionReady():
                    self._on_session_ready(event, now.mono, effects)
                case SessionEnded():
                    self._on_session_ended(event, now.mono)
                case ShutdownRequested():
                    self._on_shutdown_requested(event, now.mono, effects)
        self._look_for_room(now.mono, effects)
        if self._fetches:
            self._take_back(self._fetches.take_out(effects))
            effects += self._fetches.released()
        self._do_what_is_due(now.mono, effects)
        return effects

    def next_deadline(self) -> float | None:
        """Boot clock at which a turn is due, or None."""
        due = [self.session.next_deadline(self._may_connect()), self.room.due(), self._closing.due(self.session)]
        if self.connected and self._has_report():
            due.append(self.outbox.next_report_at(len(self.held.backlog)))
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
        elsewhere = self.offer.elsewhere
        reference = elsewhere.reference.replace(OWNER, event.incarnation[:OWNER_LENGTH])
        elsewhere = replace(elsewhere, reference=reference)
        self.offer = replace(self.offer, limits_memory=event.limits_memory, elsewhere=elsewhere)
        self.held = HeldAttempts(event.running, event.backlog, event.frozen)
        self.outbox = Outbox()
        self._fetches.keep(self.held.__contains__)
        self.session.dial_at(now)
        self._on_reports(event.reports, now, effects)
        if self._closing.has_begun:
            effects += self._closing.lets_go(self.held)  # it has not heard of that, or is another one

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
                self._fetches.ended(key)
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
        return self._connect and self._launcher and not self._closing.finished

    def _on_session_ready(self, event: SessionReady, now: float, effects: list[WorkerEffect]) -> None:
        if event.session != self.session.number or self.session.state is not SessionState.DIALLING:
            return
        self.session.greeted(now)
        hello = Hello(
            self._incarnation,
            self.millicpus,
            self.epoch,
            **in_groups(self.held, self._disowned),
            ended=group(self.outbox.ended),
            no_room=self.room.shortage,
            home=self.home,
            uptime=now,
            offer=self.offer,
            leaves_in=None if self._leaves_at is None else max(0.0, self._leaves_at - now),
        )
        effects.append(SendHello(self.session.number, hello))

    def _on_session_ended(self, event: SessionEnded, now: float) -> None:
        if event.session != self.session.number:
            return
        self._connect = self._connect and not event.for_good
        self._take_back(self._fetches.abandon(), refused=False)
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
        self._starts = Starts(self._fetches)
        self._refused = {}  # the hello has said that they are not here; they may have been given to others since
        self.outbox.resend()
        self._closing.farewell = None
        self._on_lease_confirmed(0, now, effects)

    def _on_lease_confirmed(self, heartbeat: int, now: float, effects: list[WorkerEffect]) -> None:
        if (asked := self.session.confirmed(heartbeat, now)) is not None:
            effects.append(ConfirmLease(asked))

    def _close_session(self, why: str, effects: list[WorkerEffect]) -> None:
        """Nothing more is read or sent in it; the driver's SessionEnded makes it final."""
        self.session.closed()
        self._take_back(self._fetches.abandon(), refused=False)
        effects.append(HangUp(self.session.number, why))

    # -- commands

    def _on_assign(self, assign: Assign, effects: list[WorkerEffect]) -> None:
        new = [key for key in assign.attempts if key not in self.held and key not in self.outbox.ended]
        takes = not self._closing.has_begun and not self.room.shortage
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

    # -- contents

    def _on_contents_fetched(self, event: ContentsFetched, now: float, effects: list[WorkerEffect]) -> None:
        if event.shortage:
            self.room.start_failed(event.shortage, now)
            self._take_back(self._fetches.give_back(event.number))
        effects += self._fetches.fetched(event, self.held.frozen)

    def _take_back(self, keys: Iterable[AttemptKey], *, refused: bool = True) -> None:
        """What has waited for contents does not any more."""
        for key in keys:
            self.held.ended(key)
            if refused and key not in self._disowned:
                self._refused[key] = None
            self._disowned.discard(key)

    # -- reports

    def _has_report(self) -> bool:
        return self._closing.is_unsaid or bool(self._refused) or self.outbox.may_report

    def _report(self, now: float, effects: list[WorkerEffect]) -> None:
        """Everything that happened since the last report, as far as it fits into one."""
        entries = self.outbox.take(now)
        small, large = with_output(entries)
        sequence = entries[-1].what.seq if entries else 0
        draining = self._closing.has_begun
        report = build_report(entries, sequence, self._refused, draining=draining)
        self._refused = {}
        effects.append(SendReport(self.session.number, report, small, large))
        if draining:
            self._send_heartbeat(now, effects)
            self._closing.farewell = self.session.heartbeat

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
        if self._closing.has_begun and not self._closing.finished:
            self._finish_if_done(now, effects)

    def _send_heartbeat(self, now: float, effects: list[WorkerEffect]) -> None:
        effects.append(SendHeartbeat(self.session.number, self.session.beat(now), self.room.shortage))

    # -- the end

    def _on_shutdown_requested(self, event: ShutdownRequested, now: float, effects: list[WorkerEffect]) -> None:
        self._closing.ask(now, event.stop_jobs)
        if self._launcher:
            effects += self._closing.lets_go(self.held)

    def _finish_if_done(self, now: float, effects: list[WorkerEffect]) -> None:
        is_settled = self.outbox.is_empty and not (self.held.backlog or self._refused)
        has_jobs = bool(self.held) or not self._incarnation  # or what a launcher holds that an earlier agent has left
        if self._closing.is_over(now, self.session, is_settled, has_jobs, self._launcher):
            effects.append(Finished())
