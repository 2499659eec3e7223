"""What the launcher decides: which attempt starts when, when one is stopped or killed, and what its end is
called.

Two rules:

1. Every attempt that is accepted gets exactly one `Ended` report, whatever happens to it.
2. Nothing is forgotten before the agent acknowledged it: reports carry sequence numbers and are repeated to
   every agent that connects until one of them acknowledges the number.

The life of an attempt (`Phase`); each arrow is a handler in `LauncherCore._TABLE`:

    StartRequested          handed to a slot          ProcessStarted           StopRequested, timeout
    ---------------> QUEUED ----------------> STARTING -------------> RUNNING ------------------------> STOPPING
                       | ^     taken back      | |                       | leash, quit        grace over   |
                       | '---------------------' | StartFailed           '------------> KILLING <----------'
             returned v                         v                                         |
                     Ended                     Ended      from RUNNING, STOPPING or KILLING: ProcessEnded -> Ended

Admission is first come, first served by millicpus and what else is needed (`cluster.domain.launcher.allocation`): the
head of the backlog waits until it fits and nothing passes it, so a large request is never starved. An attempt keeps
what it holds until its slot says that nothing of its tree runs.
Slots are handed short attempts some milliseconds in advance (`cluster.domain.launcher.slots`); what they have not begun
is taken back when it is to be stopped, or when what is before it takes longer than expected.

All that waits in the sockets is told in one turn, and the clock is looked at after that: so a launcher that was stopped
for a while learns first that the lease was confirmed meanwhile, and that an attempt has ended.

What has not begun when its leash ends never does, also where the lease is confirmed again before anybody has looked:
the scheduler gave it up. So what an agent asks for says what was confirmed then, and what a slot is handed says when it
is too late to begin that.

`now` is always the boot clock in seconds (CLOCK_BOOTTIME: it counts through suspend), so a leash cannot be
stretched by a laptop lid. The `wall_us` values are microseconds since the Unix epoch, for people only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import ceil, inf

from cluster.domain.job import endings
from cluster.domain.launcher.allocation import Needs
from cluster.domain.launcher.freezing import Freezing
from cluster.domain.launcher.messages import (
    AgentAcked,
    AgentConnected,
    AgentLost,
    Effect,
    Ended,
    Event,
    Exit,
    FoundUnfinished,
    FreezeRequested,
    Greet,
    LeaseConfirmed,
    OfferMade,
    ProcessEnded,
    ProcessStarted,
    QuitRequested,
    RecallRequested,
    SlotLost,
    SlotReturned,
    Started,
    StartFailed,
    StartRequested,
    StopRequested,
    Tick,
    Unreached,
)
from cluster.domain.launcher.slots import (
    IF_UNBEGUN,
    KILLED,
    STALE,
    STARTED_PHASES,
    Attempt,
    IllegalEvent,
    Phase,
    user_of,
)
from cluster.domain.launcher.stopping import MOST_AT_ONCE, RECALL, cause_of
from cluster.domain.session.leashes import cut_at, is_out

# Seconds without an agent and without an attempt after which a launcher exits. An agent that is only started again is
# back sooner; one that comes later starts another launcher, which finds in the journal what nobody has acknowledged.
ALONE = 60.0
CLOCKS = 0.001  # seconds; how exactly the time is known that an attempt took
LOST_TEXT = "the launcher that ran it died, and nobody knows how it ended"
MOST_NEW = 4  # slots that are made in one turn: each is a fork, of a millisecond or more
MOST_STILLBORN = 3  # slots that die before they begin an attempt, until that is given back
STILLBORN_TEXT = "the worker's slots end before they can start anything; its launcher.log says why"
SLOT_LOST_TEXT = "the process that ran it was killed, and nobody knows how it ended"


class LauncherCore(Freezing):
    """The launcher's decisions. Feed it everything that happens, perform what it answers, in order."""

    # -- the methods the driver calls

    def turn(self, events: Sequence[Event], now: float) -> list[Effect]:
        """Take what happened; answer what to do, in order. Raises IllegalEvent on a bug: that event and those
        after it have changed nothing.
        """
        effects: list[Effect] = []
        for event in events:
            if isinstance(event, LeaseConfirmed):  # what else has happened is judged by it
                self._on_lease_confirmed(min(event.at, now))
        # Of an attempt that is over already nobody wants to hear that it began.
        over = {event.key for event in events if isinstance(event, ProcessEnded)}
        for event in events:
            if isinstance(event, ProcessStarted) and event.key in over:
                self._on_process_started(self._attempt_of(event), event)
            else:
                self._on_event(event, now, effects)
        self._room = MOST_AT_ONCE
        self._do_what_is_asked(now, effects)
        self._do_what_is_due(now, effects)
        self._admit(now, effects)
        if self._asked:
            self._more_since = now
        if not self.attempts and (self.quitting or self._forgotten_at() <= now):
            effects.append(Exit())
        return effects

    def next_deadline(self) -> float | None:
        """Boot clock at which a Tick is due, or None."""
        due = [slot.since + STALE for slot in self._ahead.values() if not slot.clearing]
        if self._more_since is not None:
            due.append(self._more_since)
        if self._deadlines:
            due.append(self._deadlines[0][0])
        if self._leashes:
            due.append(cut_at(self.confirmed_at, min(self._leashes)))
        if self._alone_since is not None and not self.attempts:
            due.append(self._forgotten_at())
        return min(due, default=None)

    def _forgotten_at(self) -> float:
        """When nobody needs us any more, if nothing runs."""
        return inf if self._alone_since is None else self._alone_since + ALONE

    def _on_event(self, event: Event, now: float, effects: list[Effect]) -> None:
        match event:
            case ProcessStarted() | StartFailed() | ProcessEnded():
                self._on_process(event, now, effects)
            case StartRequested():
                self._on_start_requested(event, effects)
            case RecallRequested() | StopRequested():
                self._ask((self.attempts[key] for key in event.keys if key in self.attempts), event)
            case FreezeRequested():
                self._on_freeze_requested(event, now, effects)
            case Unreached():
                if (attempt := self.attempts.get(event.key)) is not None:
                    attempt.asked = False
            case SlotReturned():
                self._on_taken_back(event.slot, event.keys, now, effects)
            case SlotLost():
                self._on_slot_lost(event, now, effects)
            case AgentConnected() | AgentAcked():
                self._on_agent(event, effects)
            case OfferMade():
                self.allocation.offer = event.offer
            case AgentLost():
                self._alone_since = now
            case QuitRequested():
                self.quitting = True
                self._ask(self.attempts.values(), KILLED if event.kill else RECALL)
            case FoundUnfinished():
                took = max(0, event.found_us - event.begun_us)  # the wall clock may have been set back
                ended = Ended(
                    self._next_seq(), event.key, endings.LOST, None, None, event.begun_us, took, text=LOST_TEXT
                )
                self._report(ended, effects)
            case Tick() | LeaseConfirmed():
                pass

    # -- agent

    def _on_agent(self, event: AgentConnected | AgentAcked, effects: list[Effect]) -> None:
        if isinstance(event, AgentAcked):
            while self.unacked and self.unacked[0].seq <= event.acked:
                report = self.unacked.popleft()
                if isinstance(report, Ended):
                    self._ended_unacked.pop(report.key, None)
        else:
            self._alone_since = None
            self.allocation.capacity = event.capacity
            running = [k for k, a in self.attempts.items() if a.phase in STARTED_PHASES]
            backlog = [k for k, a in self.attempts.items() if a.phase in (Phase.BACKLOG, Phase.STARTING)]
            limits = ((key, self.attempts[key].template.quiet_timeout) for key in running)
            quiet = {key: limit for key, limit in limits if limit is not None}
            frozen = [key for key, attempt in self.attempts.items() if attempt.frozen]
            effects.append(Greet(running, backlog, list(self.unacked), quiet, frozen))

    def _on_start_requested(self, event: StartRequested, effects: list[Effect]) -> None:
        leash = event.template.leash
        self._forget_returns({item.key for item in event.items})
        for item in event.items:
            if item.key in self.attempts or item.key in self._ended_unacked:
                continue  # said twice: an attempt runs at most once
            attempt = self.attempts[item.key] = Attempt(item, event.template)
            self.backlog.append(attempt)
            if leash is not None:
                attempt.leashed = True
                self._leashes[leash] = self._leashes.get(leash, 0) + 1
            lapsed = (
                leash is not None
                and event.confirmed_at is not None
                and is_out(self.confirmed_at, event.confirmed_at, leash)
            )
            if self.quitting or lapsed:
                self._return(attempt, effects)

    def _forget_returns(self, keys: set[str]) -> None:
        """Who starts again what was given back has heard of that, though it could not acknowledge it: what came before
        is not settled. Told once more, it would seem to concern the new start."""
        again = {key for key in keys if self._ended_unacked.get(key) == endings.RETURNED}
        if again:
            self.unacked = deque(r for r in self.unacked if not (isinstance(r, Ended) and r.key in again))
            for key in again:
                del self._ended_unacked[key]

    # -- slots

    def _on_taken_back(self, number: int, keys: Iterable[str], now: float, effects: list[Effect]) -> None:
        if not self.slots.holds(number):
            return
        slot = self.slots[number]
        returned = set(keys)
        if not slot.clearing:
            slot.most = max(1, len(slot.queue) - len(returned))  # its queue in the kernel is full
        slot.clearing, slot.since = False, now
        back = [attempt for attempt in slot.queue if attempt.key in returned]
        for attempt in back:
            slot.queue.remove(attempt)
        self._requeue(back, effects)
        for attempt in slot.queue:
            if attempt.wanted == IF_UNBEGUN:
                attempt.wanted = None  # it has begun: it goes on
        if back and not slot.queue:
            self._rest(slot, effects)
        self._note_ahead(slot)

    def _on_slot_lost(self, event: SlotLost, now: float, effects: list[Effect]) -> None:
        """A slot that was closed, or told to retire, is not ours any more."""
        if not self.slots.holds(event.slot):
            return
        slot = self.slots[event.slot]
        if slot.queue:
            self.allocation.give_back(slot.number)
        self._ahead.pop(slot.number, None)
        self.slots.remove(slot)
        unbegun = set(event.unbegun)
        back = [attempt for attempt in slot.queue if attempt.key in unbegun]
        if event.stillborn and back:
            back[0].stillborn += 1
            if back[0].stillborn == MOST_STILLBORN:
                self._give_back(back.pop(0), STILLBORN_TEXT, effects)
        self._requeue(back, effects)
        for attempt in slot.queue:
            if attempt.key not in unbegun:
                took = round(max(0.0, now - slot.since) * 1e6)
                reason = attempt.cause or cause_of(attempt.wanted) or endings.LOST
                said = (reason, None, attempt.sent, attempt.wall_us, took)
                self._forget(attempt)
                self._report(Ended(self._next_seq(), attempt.key, *said, text=SLOT_LOST_TEXT), effects)

    # -- processes

    def _attempt_of(self, event: ProcessStarted | StartFailed | ProcessEnded) -> Attempt:
        """Raises IllegalEvent when that cannot happen to it now."""
        attempt = self.attempts.get(event.key)
        if attempt is None or (attempt.phase, type(event)) not in self._TABLE:
            phase = attempt.phase.value if attempt else "unknown"
            raise IllegalEvent(event.key, phase, type(event).__name__)
        return attempt

    def _on_process(
        self, event: ProcessStarted | StartFailed | ProcessEnded, now: float, effects: list[Effect]
    ) -> None:
        attempt = self._attempt_of(event)
        self._TABLE[attempt.phase, type(event)](self, attempt, event, now, effects)

    def _on_process_started(self, attempt: Attempt, event: ProcessStarted) -> None:
        attempt.phase, attempt.deadline = Phase.RUNNING, None
        attempt.pid, attempt.wall_us = event.pid, event.wall_us

    def _on_process_runs(self, attempt: Attempt, event: ProcessStarted, now: float, effects: list[Effect]) -> None:
        self._on_process_started(attempt, event)
        if attempt.template.timeout is not None:
            self._set_deadline(attempt, event.at + attempt.template.timeout)
        self._report(Started(self._next_seq(), event.key, event.pid, event.wall_us), effects)
        wanted, attempt.wanted = attempt.wanted, None
        if wanted is not None and wanted != IF_UNBEGUN:
            self._fulfil(attempt, wanted, now, effects)
        if attempt.frozen and attempt.phase is Phase.RUNNING:
            self._obey_freeze(attempt, now, effects)

    def _on_start_failed(self, attempt: Attempt, event: StartFailed, now: float, effects: list[Effect]) -> None:
        if event.returned:
            self._give_back(attempt, event.text, effects)
        else:
            self._forget(attempt)
            self._report(
                Ended(self._next_seq(), event.key, endings.LAUNCH_FAILED, event.code, text=event.text), effects
            )
        self._leave(attempt, effects)

    def _on_process_ended(self, attempt: Attempt, event: ProcessEnded, now: float, effects: list[Effect]) -> None:
        """What we did to it gives its end the name, unless it had ended by itself before that.

        Who exits with a code was not killed. It may have answered a signal that asked it to end, if that found its
        leader alive. (Then nobody can tell who ends by itself in the same instant from who obeys: it counts as asked.)
        The check of its output is a part of the attempt: what was stopped in it did not end by itself.
        """
        self._forget(attempt)
        cause, timeout = attempt.cause, attempt.template.timeout
        by_itself = event.code is not None and not attempt.asked and not event.wrong
        if cause == endings.TIMEOUT and timeout is not None and event.took_us < (timeout - CLOCKS) * 1e6:
            cause = None  # it had ended before: the word of that waited in its slot, which stalled
        if by_itself:
            cause = None
        if cause is not None or (event.cut and not by_itself):
            reason = cause or endings.LEASE
        elif event.oom and (event.code or event.signal or event.wrong):
            reason = endings.OOM
        elif event.unmade:
            reason = endings.LAUNCH_FAILED
        else:
            reason = endings.FORMAT_ERROR if event.wrong else endings.reason_of(event.code, event.signal)
        ended = Ended(
            self._next_seq(),
            event.key,
            reason,
            event.code,
            event.signal or (attempt.sent if cause else None),
            event.wall_us or attempt.wall_us,
            event.took_us,
            event.cpu_us,
            event.peak_kib,
            *event.sizes,
            text=event.wrong or event.unmade or event.text,
        )
        self._report(ended, effects)
        assert attempt.slot is not None
        attempt.slot.took(event.took_us / 1e6, now)
        self._leave(attempt, effects, event.closed)

    _TABLE: dict[tuple[Phase, type], Callable[..., None]] = {  # noqa: RUF012 (constant)
        (Phase.STARTING, ProcessStarted): _on_process_runs,
        (Phase.STARTING, StartFailed): _on_start_failed,
        (Phase.STARTING, ProcessEnded): _on_process_ended,
        (Phase.RUNNING, ProcessEnded): _on_process_ended,
        (Phase.STOPPING, ProcessEnded): _on_process_ended,
        (Phase.KILLING, ProcessEnded): _on_process_ended,
    }

    # -- decisions

    def _admit(self, now: float, effects: list[Effect]) -> None:
        backlog, new = self.backlog, 0
        self._more_since = None
        while backlog:
            if new >= MOST_NEW:
                self._more_since = now  # between, whoever wants something else is heard
                return
            attempt = backlog[0]
            if not attempt.waits:
                backlog.popleft()
                continue
            needs = Needs(attempt.template.cpus, attempt.template.amounts, attempt.template.exclusive)
            if text := attempt.template.refusal or self.allocation.why_never(needs):
                backlog.popleft()
                self._forget(attempt)
                ended = Ended(self._next_seq(), attempt.key, endings.LAUNCH_FAILED, text=text)
                self._report(ended, effects)
                continue
            fits = self.allocation.fits(needs)
            slot = self.slots.idle(user_of(attempt.template)) if fits else None
            if slot is None:
                break
            backlog.popleft()
            self.allocation.take(slot.number, needs)
            new += slot.template is None
            self._hand(slot, attempt, now, effects)
        if backlog:
            self._work_ahead(now, effects)

    def _work_ahead(self, now: float, effects: list[Effect]) -> None:
        """Hand short attempts to slots that are busy with their like, in the backlog's order: to each what it has room
        for, or its share where there is not so much. So neighbours mostly end in one slot, one after another, and what
        is reported of them is one range; to each slot one in turn would leave gaps everywhere."""
        template = self.backlog[0].template
        takers = [slot for slot in self.slots if slot.template is template and slot.room > 0 and slot.goes_on]
        for waiting, slot in zip(range(len(takers), 0, -1), takers, strict=True):
            for _ in range(min(slot.room, ceil(len(self.backlog) / waiting))):
                while self.backlog and not self.backlog[0].waits:
                    self.backlog.popleft()
                if not self.backlog or self.backlog[0].template is not template:
                    return
                self._hand(slot, self.backlog.popleft(), now, effects)
