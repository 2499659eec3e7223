"""The order of a launcher's steps, without I/O and without waiting: the driver runs it, and so does the simulation.

    what slots tell → core.turn → journal → slots;   reports: journal → agent

A `begin` is in the journal before its attempt is handed to a slot, a report is there before it is sent: so whatever
moment the launcher dies at, its successor knows.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import LauncherCore
from cluster.launcher.journal import Begun, Memory

# Seconds. Each batch wakes the agent, which costs about as much as starting a process: so while the backlog keeps
# the machine busy anyway, reports wait this long for company. The last one never waits. (20 ms instead of 10, and a
# report to the scheduler every 30 ms: a third less CPU of agent and scheduler a task. Work in advance is for 100 ms.)
COALESCE = 0.020
JOURNAL_PAUSE = 1.0  # seconds until it is tried again to write what could not be

Line = Any  # what the journal makes of a report, and the agent is sent


class LauncherStep(Enum):
    """What is done next. A launcher may die before it, and a journal's disk hang."""

    JOURNAL = "journal"
    SLOTS = "slots"  # they are handed what is in the journal
    AGENT = "agent"  # it hears what is in the journal


class LauncherJournal(Protocol):
    """`cluster.launcher.journal.Journal`, or one like it."""

    @property
    def is_ours(self) -> bool: ...
    @property
    def has_news(self) -> bool: ...
    def begin(self, begun: Begun) -> None: ...
    def back(self, key: str) -> None: ...
    def report(self, report: ev.Started | ev.Ended) -> Line: ...
    def unwrite_begins(self) -> None: ...
    def write(self) -> None: ...
    def due(self) -> bool: ...
    def rewrite(self, seq: int, begun: Iterable[Begun], unacked: Iterable[ev.Started | ev.Ended]) -> None: ...


class BegunNotes(Protocol):
    """`cluster.launcher.begun_file.BegunFile`, or one like it."""

    def has_begun(self, slot: int, number: int) -> bool: ...
    def clear(self) -> None: ...


class LauncherSlots(Protocol):
    """`cluster.launcher.slots.SlotProcesses`, or ones like them."""

    def next_number(self) -> int: ...
    def hand(self, spawn: ev.Spawn, number: int) -> bool: ...
    def read(self) -> list[ev.Event]: ...
    def recall(self, slot_number: int) -> list[str]: ...
    def signal(self, slot_number: int, key: str, number: int, leader: int) -> bool: ...
    def kill(self, slot_number: int, key: str) -> None: ...
    def freeze(self, slot_number: int, key: str, thaw: bool) -> None: ...
    def kill_slot(self, slot_number: int, key: str) -> None: ...
    def retire(self, slot_number: int) -> None: ...
    def lost(self, pid: int) -> ev.SlotLost | None: ...


class LauncherHost(Protocol):
    """Who runs the steps: its clocks, the lease, and its end of the agent's connection, if there is one."""

    def now(self) -> float:
        """The boot clock, in seconds."""

    def wall_us(self) -> int:
        """The wall clock, in microseconds since the Unix epoch."""

    def confirmed_at(self) -> float:
        """When the last lease was asked for that was confirmed (boot clock)."""

    @property
    def has_agent(self) -> bool:
        """Whether one is connected that has said hello."""

    @property
    def has_news(self) -> bool:
        """Is anything queued that the agent could be sent?"""

    def send(self, line: Line) -> None:
        """Queue a report for the agent."""

    def greet(self, welcome: ev.Greet) -> None: ...
    def flush(self) -> None:
        """Send the agent what is queued."""

    def exit(self) -> None:
        """Nobody needs us any more."""

    def log(self, text: str) -> None: ...


class JournalPipeline:
    """`events`: what has happened since the last turn. `begun`: what slots have in hand, by key."""

    def __init__(
        self, core: LauncherCore, host: LauncherHost, journal: LauncherJournal, slots: LauncherSlots, notes: BegunNotes
    ) -> None:
        self.core, self.host, self.journal, self.slots, self.notes = core, host, journal, slots, notes
        self.events: list[ev.Event] = []
        self.begun: dict[str, Begun] = {}
        self._flushed = 0.0
        self._journal_at = 0.0  # boot clock: not before this is it tried again to write what could not be

    # -- what happens

    def take_over(self, memory: Memory) -> Iterator[LauncherStep]:
        """Settles what a predecessor left, of which nothing runs any more: how it ended cannot be known. What it had
        handed out and no slot had begun is forgotten, as if it had never come. Where the journal cannot be written, the
        predecessor's stays as it is, and tells a successor what it told us."""
        has_begun = self.notes.has_begun
        unfinished = [b for b in memory.begun.values() if b.slot < 0 or b.pid or has_begun(b.slot, b.number)]
        unfinished = [b._replace(slot=-1, number=0) for b in unfinished]
        yield LauncherStep.JOURNAL
        with suppress(OSError):  # `_write_journal` tries again
            self._begin_journal(memory.seq, unfinished, memory.unacked)
        found_us = self.host.wall_us()
        self.events += [ev.FoundUnfinished(b.key, b.wall_us, found_us) for b in unfinished]
        yield from self.turn()
        yield from self._flush_journal()

    def round(self) -> Iterator[LauncherStep]:
        """What others than slots have told is in `events`: hears these, and does all that follows."""
        self.hear()
        yield from self.turn()
        if self.until_flush() == 0:
            yield from self.flush()

    def said(self, events: Iterable[ev.Event], take: Callable[[], None] | None = None) -> Iterator[LauncherStep]:
        """An agent says this. `take` connects it, in the place of the one before, which gets its answers first: or
        agents that come at once would drop each other before either was greeted, and again with each new try. Where
        there was none no turn comes before: a launcher that was alone for long while it was stopped would leave."""
        if take is not None:
            if self.host.has_agent:
                yield from self.turn()
                yield from self.flush()
            take()
        self.hear()  # what ended before that came: it can no more be stopped
        self.events += events

    def reaped(self, pid: int) -> ev.SlotLost | None:
        """A child was. None if it was no slot of ours."""
        self.hear()  # what it told before its end
        lost = self.slots.lost(pid)
        if lost is not None:
            self._came_back(lost.unbegun)
            self.events.append(lost)
        return lost

    def hear(self) -> None:
        """Reads what slots have told."""
        for event in self.slots.read():
            if isinstance(event, ev.SlotReturned):
                self._came_back(event.keys)
            self.events.append(event)

    # -- what is done about it

    def turn(self) -> Iterator[LauncherStep]:
        """Tells the core what has happened, and performs all that follows from it."""
        first = True
        while self.events or first:
            first = False
            now = self.host.now()  # before the lease: what is confirmed while we are stopped in between counts
            events, self.events = [*self.events, ev.LeaseConfirmed(self.host.confirmed_at())], []
            yield from self._perform(self.core.turn(events, now))
        if self.journal.due():
            yield from self._shorten_journal()

    def until_flush(self) -> float | None:
        """Seconds until reports are written and sent: at once, but COALESCE apart while slots go on by themselves; None
        when there is nothing to send, and nothing to wait for."""
        ahead, has_news = self.core.works_ahead, self.host.has_news
        if not (ahead or has_news or self.journal.has_news):
            return None
        if ahead:
            return max(0.0, self._flushed + COALESCE - self.host.now())
        return 0 if has_news else max(0.0, self._journal_at - self.host.now())

    def flush(self) -> Iterator[LauncherStep]:
        """Writes all reports to the journal, then sends them."""
        yield from self._flush_journal()
        yield LauncherStep.AGENT
        self.host.flush()
        self._flushed = self.host.now()

    def leave(self) -> Iterator[LauncherStep]:
        """The last that is done. The next launcher is not to repeat what was acknowledged long ago."""
        yield from self.flush()
        yield from self._shorten_journal()

    def _perform(self, effects: list[ev.Effect]) -> Iterator[LauncherStep]:
        """Does what the core asks, in order; but all that is to start gets into the journal in one write, and then
        out."""
        spawns: list[ev.Spawn] = []
        for effect in effects:
            match effect:
                case ev.JournalReport(report):
                    self._report(report)
                case ev.Spawn():
                    spawns.append(effect)
                case ev.RecallFromSlot(slot):
                    self._recall(slot)
                case ev.Signal(slot, key, name, leader):
                    self.hear()
                    if not self.slots.signal(slot, key, signal.Signals[name], leader):
                        self.events.insert(0, ev.Unreached(key))
                case ev.Kill(slot, key):
                    self.hear()
                    self.slots.kill(slot, key)
                case ev.FreezeTree(slot, key, thaw):
                    self.hear()
                    self.slots.freeze(slot, key, thaw)
                case ev.KillSlot(slot, key):
                    self.hear()
                    self.slots.kill_slot(slot, key)
                case ev.Retire(slot):
                    self.slots.retire(slot)
                case ev.Greet():
                    self.host.greet(effect)
                case ev.Exit():
                    self.host.exit()
        if spawns:
            yield from self._spawn(spawns)

    def _recall(self, slot: int) -> None:
        """What the slot has told before it was asked counts: it may have ended what held up the others."""
        keys = self.slots.recall(slot)
        self._came_back(keys)
        self.events.append(ev.SlotReturned(slot, keys))
        self.hear()

    def _came_back(self, keys: list[str]) -> None:
        """Their slot has not begun these, and will not."""
        for key in keys:
            self.begun.pop(key, None)
            self.journal.back(key)

    def _report(self, report: ev.Started | ev.Ended) -> None:
        self.host.send(self.journal.report(report))
        if isinstance(report, ev.Ended):
            self.begun.pop(report.key, None)
        elif (begun := self.begun.get(report.key)) is not None:
            self.begun[report.key] = begun._replace(pid=report.pid)

    def _spawn(self, spawns: list[ev.Spawn]) -> Iterator[LauncherStep]:
        at, wall_us = self.host.now(), self.host.wall_us()
        numbers = []
        for s in spawns:
            number = self.slots.next_number()
            begun = Begun(s.item.key, at, wall_us, 0, s.slot, number)
            self.begun[s.item.key] = begun
            self.journal.begin(begun)
            numbers.append(number)
        yield LauncherStep.JOURNAL
        try:
            self._write_journal()
        except OSError as e:
            self.journal.unwrite_begins()
            text = f"the launcher cannot write its journal: {e.strerror}"
            self.events.extend(ev.StartFailed(s.item.key, text, None, returned=True) for s in spawns)
            return
        yield LauncherStep.SLOTS
        for s, number in zip(spawns, numbers, strict=True):
            self._hand(s, number)

    def _hand(self, spawn: ev.Spawn, number: int) -> None:
        key = spawn.item.key
        try:
            if not self.slots.hand(spawn, number):
                self._came_back([key])
                self.events.append(ev.SlotReturned(spawn.slot, [key]))
        except OSError as e:
            text = f"the launcher cannot start a process for it: {e.strerror}"
            self.events.append(ev.StartFailed(key, text, None, returned=True))

    # -- the journal

    def _write_journal(self) -> None:
        """Raises OSError; then nothing of what was added is in it."""
        if self.journal.is_ours:
            self.journal.write()
        else:
            self._begin_journal(self.core.seq, self.begun.values(), self.core.unacked)

    def _begin_journal(self, seq: int, begun: Iterable[Begun], unacked: Iterable[ev.Started | ev.Ended]) -> None:
        """Begins a journal over the predecessor's. Raises OSError: then that one stays as it was, and so does what its
        slots noted, since only both together say what had begun."""
        self.journal.rewrite(seq, begun, unacked)
        self.notes.clear()

    def _flush_journal(self) -> Iterator[LauncherStep]:
        yield LauncherStep.JOURNAL
        try:
            self._write_journal()
        except OSError as e:
            # The reports stay in memory and go out; only if this launcher dies before they are acknowledged
            # are their attempts lost.
            self.host.log(f"cannot write the journal, an end reported now would be forgotten by a crash: {e}")
            self._journal_at = self.host.now() + JOURNAL_PAUSE

    def _shorten_journal(self) -> Iterator[LauncherStep]:
        yield LauncherStep.JOURNAL
        try:
            self.journal.rewrite(self.core.seq, self.begun.values(), self.core.unacked)
        except OSError as e:
            self.host.log(f"cannot shorten the journal, it goes on growing: {e}")
