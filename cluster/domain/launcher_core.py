"""What the launcher decides: which attempt starts when, when one is stopped or killed, and what its end is
called.

Two rules:

1. Every attempt that is accepted gets exactly one `Ended` report, whatever happens to it.
2. Nothing is forgotten before the agent acknowledged it: reports carry sequence numbers and are repeated to
   every agent that connects until one of them acknowledges the number.

The life of an attempt (`Phase`); each arrow is a handler in `LauncherCore._TABLE`:

    StartRequested          admitted              ProcessStarted           StopRequested, timeout
    ---------------> QUEUED ---------> STARTING ----------------> RUNNING ------------------------> STOPPING
                       | withdrawn        | StartFailed              | leash, quit        grace over   |
                       v                  v                          '------------> KILLING <----------'
                     Ended              Ended                                          |
                                                                                       |
     from RUNNING, STOPPING or KILLING: ProcessEnded, nothing left of its tree -> Ended
                                        ProcessEnded, others still run -> SWEEPING -- TreeGone -> Ended

Admission is first come, first served by millicpus: the head of the backlog waits until it fits and nothing
passes it, so a large request is never starved. An attempt keeps its millicpus until nothing of its process
tree runs.

`now` is always the boot clock in seconds (CLOCK_BOOTTIME: it counts through suspend), so a leash cannot be
stretched by a laptop lid. The `wall_us` values are microseconds since the Unix epoch, for people only.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush
from math import inf

from cluster.domain.launcher_events import (
    AgentAcked,
    AgentConnected,
    AgentLost,
    Effect,
    Ended,
    Event,
    Exit,
    FoundUnfinished,
    Item,
    Kill,
    ProcessEnded,
    ProcessStarted,
    QuitRequested,
    RenewReceived,
    Report,
    Signal,
    Spawn,
    Started,
    StartFailed,
    StartRequested,
    StopRequested,
    Template,
    Tick,
    TreeGone,
    Welcome,
    WithdrawRequested,
)

# Seconds without an agent and without an attempt after which a launcher exits. An agent that is only started again is
# back sooner; one that comes later starts another launcher, which finds in the journal what nobody has acknowledged.
ALONE = 60.0
LOST_TEXT = "the launcher that ran it died, and nobody knows how it ended"


class Phase(Enum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    KILLING = "killing"
    SWEEPING = "sweeping"


class IllegalTransition(RuntimeError):
    """Our bug, not the user's: an event that cannot happen in this phase. Nothing was changed."""

    def __init__(self, key: str, phase: str, event: str) -> None:
        super().__init__(f"attempt {key} is {phase}: {event} cannot happen there")


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt that is held here. `deadline`: boot clock of what comes next by itself (timeout or end of
    grace).
    """

    item: Item
    template: Template
    phase: Phase = Phase.QUEUED
    pid: int = 0
    started: float = 0.0
    wall_us: int = 0
    deadline: float | None = None
    cause: str | None = None
    sent: str | None = None
    ended: ProcessEnded | None = None
    leashed: bool = False


STARTED_PHASES = (Phase.RUNNING, Phase.STOPPING, Phase.KILLING, Phase.SWEEPING)


class LauncherCore:
    """The launcher's decisions. Feed it everything that happens, perform what it answers, in order."""

    def __init__(self, capacity: int, seq: int = 0, unacked: Iterable[Started | Ended] = ()) -> None:
        """`capacity` in millicpus; `seq` and `unacked` are what the journal remembered."""
        self.capacity = capacity
        self.used = 0
        self.seq = seq
        self.unacked: deque[Started | Ended] = deque(unacked)
        self.attempts: dict[str, Attempt] = {}
        self.backlog: deque[Attempt] = deque()  # withdrawn ones stay until they come to the head
        self.renewed = 0.0
        self.quitting = False
        self._alone_since: float | None = None  # no agent is connected
        self._ended_unacked = {r.key for r in self.unacked if isinstance(r, Ended)}
        self._deadlines: list[tuple[float, str]] = []  # heap; entries that no longer hold are skipped
        self._leashes: dict[float, int] = {}  # leash -> how many attempts have it

    # -- the two methods the driver calls

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event; answer what to do, in order. Raises IllegalTransition and changes nothing on a
        bug.
        """
        effects: list[Effect] = []
        match event:
            case ProcessStarted() | StartFailed() | ProcessEnded() | TreeGone():
                self._on_process(event, now, effects)
            case StartRequested():
                self._on_start_requested(event, effects)
            case WithdrawRequested() | StopRequested():
                self._on_stop_requested(event, now, effects)
            case AgentConnected() | AgentAcked():
                self._on_agent(event, effects)
            case AgentLost():
                self._alone_since = now
            case RenewReceived():
                self.renewed = max(self.renewed, min(event.at, now))
            case QuitRequested():
                self._on_quit_requested(event, effects)
            case FoundUnfinished():
                took = max(0, event.found_us - event.begun_us)  # the wall clock may have been set back
                ended = Ended(self._next_seq(), event.key, "lost", None, None, event.begun_us, took, text=LOST_TEXT)
                self._report(ended, effects)
            case Tick():
                pass
        self._do_what_is_due(now, effects)
        self._admit(now, effects)
        if not self.attempts and (self.quitting or self._forgotten_at() <= now):
            effects.append(Exit())
        return effects

    def next_deadline(self) -> float | None:
        """Boot clock at which a Tick is due, or None."""
        soonest = self._deadlines[0][0] if self._deadlines else None
        if self._leashes:
            leash = self.renewed + min(self._leashes)
            soonest = leash if soonest is None else min(soonest, leash)
        if self._alone_since is not None and not self.attempts:
            soonest = self._forgotten_at() if soonest is None else min(soonest, self._forgotten_at())
        return soonest

    def _forgotten_at(self) -> float:
        """When nobody needs us any more, if nothing runs."""
        return inf if self._alone_since is None else self._alone_since + ALONE

    # -- agent

    def _on_agent(self, event: AgentConnected | AgentAcked, effects: list[Effect]) -> None:
        while self.unacked and self.unacked[0].seq <= event.acked:
            report = self.unacked.popleft()
            if isinstance(report, Ended):
                self._ended_unacked.discard(report.key)
        if isinstance(event, AgentConnected):
            self._alone_since = None
            self.capacity = event.capacity
            running = [k for k, a in self.attempts.items() if a.phase in STARTED_PHASES]
            backlog = [k for k, a in self.attempts.items() if a.phase is Phase.QUEUED]
            effects.append(Welcome(running, backlog, list(self.unacked)))

    def _on_start_requested(self, event: StartRequested, effects: list[Effect]) -> None:
        leash = event.template.leash
        for item in event.items:
            if item.key in self.attempts or item.key in self._ended_unacked:
                continue  # said twice: an attempt runs at most once
            attempt = self.attempts[item.key] = Attempt(item, event.template)
            self.backlog.append(attempt)
            if leash is not None:
                attempt.leashed = True
                self._leashes[leash] = self._leashes.get(leash, 0) + 1
            if self.quitting:
                self._withdraw(attempt, effects)

    def _on_stop_requested(self, event: WithdrawRequested | StopRequested, now: float, effects: list[Effect]) -> None:
        for key in event.keys:
            attempt = self.attempts.get(key)
            if attempt is None:
                continue  # it ended: stopping a finished attempt succeeds and does nothing
            if attempt.phase is Phase.QUEUED:
                self._withdraw(attempt, effects)
            elif isinstance(event, StopRequested):
                self._stop(attempt, event, now, effects)

    def _on_quit_requested(self, event: QuitRequested, effects: list[Effect]) -> None:
        self.quitting = True
        for attempt in list(self.attempts.values()):
            if attempt.phase is Phase.QUEUED:
                self._withdraw(attempt, effects)
            elif event.kill:
                self._kill(attempt, None, effects)

    # -- processes

    def _on_process(
        self, event: ProcessStarted | StartFailed | ProcessEnded | TreeGone, now: float, effects: list[Effect]
    ) -> None:
        attempt = self.attempts.get(event.key)
        handler = self._TABLE.get((attempt.phase, type(event))) if attempt else None
        if attempt is None or handler is None:
            phase = attempt.phase.value if attempt else "unknown"
            raise IllegalTransition(event.key, phase, type(event).__name__)
        handler(self, attempt, event, now, effects)

    def _on_process_started(self, attempt: Attempt, event: ProcessStarted, now: float, effects: list[Effect]) -> None:
        attempt.phase = Phase.RUNNING
        attempt.pid, attempt.started, attempt.wall_us = event.pid, now, event.wall_us
        if attempt.template.timeout is not None:
            self._set_deadline(attempt, now + attempt.template.timeout)
        self._report(Started(self._next_seq(), event.key, event.pid, event.wall_us), effects)

    def _on_start_failed(self, attempt: Attempt, event: StartFailed, now: float, effects: list[Effect]) -> None:
        self._forget(attempt)
        ended = Ended(self._next_seq(), event.key, "launch_failed", event.code, text=event.text)
        self._report(ended, effects)

    def _on_process_ended(self, attempt: Attempt, event: ProcessEnded, now: float, effects: list[Effect]) -> None:
        attempt.ended = event
        if event.strays:
            attempt.phase, attempt.deadline = Phase.SWEEPING, None
            effects.append(Kill(event.key))
        else:
            self._end(attempt, now, event.sizes, effects)

    def _on_tree_gone(self, attempt: Attempt, event: TreeGone, now: float, effects: list[Effect]) -> None:
        self._end(attempt, now, event.sizes, effects)

    _TABLE: dict[tuple[Phase, type], Callable[..., None]] = {  # noqa: RUF012 (constant)
        (Phase.STARTING, ProcessStarted): _on_process_started,
        (Phase.STARTING, StartFailed): _on_start_failed,
        (Phase.RUNNING, ProcessEnded): _on_process_ended,
        (Phase.STOPPING, ProcessEnded): _on_process_ended,
        (Phase.KILLING, ProcessEnded): _on_process_ended,
        (Phase.SWEEPING, TreeGone): _on_tree_gone,
    }

    # -- decisions

    def _admit(self, now: float, effects: list[Effect]) -> None:
        backlog = self.backlog
        while backlog:
            attempt = backlog[0]
            if attempt.phase is not Phase.QUEUED:
                backlog.popleft()
                continue
            cpus = attempt.template.cpus
            text = attempt.template.refusal
            if cpus > self.capacity:
                text = text or f"it needs {cpus} millicpus and this worker has {self.capacity}"
            if text:
                backlog.popleft()
                self._forget(attempt)
                ended = Ended(self._next_seq(), attempt.item.key, "launch_failed", text=text)
                self._report(ended, effects)
                continue
            if self.used + cpus > self.capacity:
                return
            backlog.popleft()
            attempt.phase = Phase.STARTING
            self.used += cpus
            effects.append(Spawn(attempt.item, attempt.template))

    def _do_what_is_due(self, now: float, effects: list[Effect]) -> None:
        while self._deadlines:
            due, key = self._deadlines[0]
            attempt = self.attempts.get(key)
            holds = attempt is not None and attempt.deadline == due
            if holds and due > now:
                break
            heappop(self._deadlines)
            if attempt is None or not holds:
                continue
            if attempt.phase is Phase.STOPPING:
                self._kill(attempt, attempt.cause, effects)
            else:
                stop = StopRequested([key], "timeout:run")
                self._stop(attempt, stop, now, effects)
        if self._leashes and now >= self.renewed + min(self._leashes):
            self._cut_leashes(now, effects)

    def _cut_leashes(self, now: float, effects: list[Effect]) -> None:
        """The scheduler is about to give these up: nothing of them may run, or start, from here on."""
        for attempt in list(self.attempts.values()):
            leash = attempt.template.leash
            if leash is None or now < self.renewed + leash or attempt.phase is Phase.STARTING:
                continue
            if attempt.phase is Phase.QUEUED:
                self._withdraw(attempt, effects)
            else:
                self._kill(attempt, "lease", effects)
                self._drop_leash(attempt)

    def _stop(self, attempt: Attempt, stop: StopRequested, now: float, effects: list[Effect]) -> None:
        if attempt.phase not in (Phase.RUNNING, Phase.STOPPING):
            return
        grace = attempt.template.grace if stop.grace is None else stop.grace
        if attempt.phase is Phase.RUNNING:
            attempt.phase, attempt.cause, attempt.deadline = Phase.STOPPING, stop.reason, None
        elif attempt.deadline is not None and now + grace >= attempt.deadline:
            return  # a second stop may only shorten the grace
        if grace <= 0:
            self._kill(attempt, attempt.cause, effects)
            return
        if attempt.sent is None:
            attempt.sent = stop.signal
            effects.append(Signal(attempt.item.key, stop.signal))
        self._set_deadline(attempt, now + grace)

    def _kill(self, attempt: Attempt, cause: str | None, effects: list[Effect]) -> None:
        if attempt.phase in (Phase.RUNNING, Phase.STOPPING):
            attempt.phase, attempt.deadline, attempt.sent = Phase.KILLING, None, "SIGKILL"
            attempt.cause = attempt.cause or cause
            effects.append(Kill(attempt.item.key))

    def _withdraw(self, attempt: Attempt, effects: list[Effect]) -> None:
        self._forget(attempt)
        self._report(Ended(self._next_seq(), attempt.item.key, "withdrawn"), effects)

    def _end(self, attempt: Attempt, now: float, sizes: tuple[int, int], effects: list[Effect]) -> None:
        event = attempt.ended
        assert event is not None
        self._forget(attempt)
        if attempt.cause is not None:
            reason = attempt.cause
        elif event.signal is not None:
            reason = f"signal:{event.signal}"
        else:
            reason = "ok" if event.code == 0 else f"exit:{event.code}"
        ended = Ended(
            self._next_seq(),
            event.key,
            reason,
            event.code,
            event.signal or attempt.sent,
            attempt.wall_us,
            round((now - attempt.started) * 1e6),
            event.cpu_us,
            event.peak_kib,
            *sizes,
        )
        self._report(ended, effects)

    # -- bookkeeping

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _report(self, report: Started | Ended, effects: list[Effect]) -> None:
        self.unacked.append(report)
        if isinstance(report, Ended):
            self._ended_unacked.add(report.key)
        effects.append(Report(report))

    def _forget(self, attempt: Attempt) -> None:
        del self.attempts[attempt.item.key]
        if attempt.phase is not Phase.QUEUED:
            self.used -= attempt.template.cpus
        self._drop_leash(attempt)
        attempt.phase = Phase.SWEEPING  # whatever still refers to it (the backlog) must not take it for queued

    def _drop_leash(self, attempt: Attempt) -> None:
        leash = attempt.template.leash
        if leash is not None and attempt.leashed:
            attempt.leashed = False
            self._leashes[leash] -= 1
            if not self._leashes[leash]:
                del self._leashes[leash]

    def _set_deadline(self, attempt: Attempt, deadline: float) -> None:
        attempt.deadline = deadline
        heappush(self._deadlines, (deadline, attempt.item.key))
        if len(self._deadlines) > 64 + 2 * len(self.attempts):
            held = [(a.deadline, k) for k, a in self.attempts.items() if a.deadline is not None]
            self._deadlines = held
            heapify(held)
