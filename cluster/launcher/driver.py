"""The launcher's loop: wait for the agent, the slots, a signal or the clock; tell the core; do what it says.

One thread, one epoll, no polling. What waits everywhere is told in one turn, and the clock is looked at after that. In
each turn the slots come first, because a free slot is the scarce thing, then the agent, then one write to the journal
and one to the agent. `begin` lines are written before their attempts are handed to slots, reports before they are sent:
so whatever moment the launcher dies at, its successor knows.
"""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import LauncherCore
from cluster.launcher import agent_link, cgroup, clock, journal, linux, orphans, wire
from cluster.launcher.begun_file import BegunFile
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.signals import catch_signals
from cluster.launcher.slots import SlotProcesses
from cluster.launcher.watchdog import Watchdog

# Seconds. Each batch wakes the agent, which costs about as much as starting a process: so while the backlog keeps
# the machine busy anyway, reports wait this long for company. The last one never waits. (20 ms instead of 10, and a
# report to the scheduler every 30 ms: a third less CPU of agent and scheduler a task. Work in advance is for 100 ms.)
COALESCE = 0.020
# Seconds until a watchdog that could not be started is tried again; each pause is twice the one before. What kills one
# (no memory is left) often leaves no room for the next.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class LauncherDriver:
    """Runs attempts in `directory` (its own, locked by the caller, and the current one) until it is told to quit, or is
    not needed any more."""

    def __init__(self, directory: str, capacity: int, jobs_files: int, watchdog: Watchdog, leashes: Leashes) -> None:
        """Takes over from whoever was here before. `jobs_files`: how many files a job may open, unless it asks for
        more. Raises OSError when the directory cannot be used."""
        self._directory = directory
        self._identity = orphans.identity(directory)
        self._watchdog = watchdog
        self._leashes = leashes
        memory = journal.load(directory)
        self.incarnation = memory.incarnation
        self._boot = journal.boot_id()
        self._core = LauncherCore(capacity, memory.seq, memory.unacked)
        self._journal = journal.Journal(directory, self.incarnation, self._boot)
        self._group = cgroup.Group(directory, self._identity)
        self._begun_file = BegunFile(directory, self._boot)
        self._slots = SlotProcesses(self._identity, jobs_files, leashes, self._begun_file, self._group, watchdog.tell)
        self._begun: dict[str, journal.Begun] = {}
        self._events: list[ev.Event] = []
        self._link: agent_link.Link | None = None  # the agent's; who has not said hello yet is in `_watch` alone
        self._exiting = False
        self._flushed = 0.0
        self._watchdog_at: float | None = None  # boot clock: when it is tried again to start one; None: there is one
        self._watchdog_pause = FIRST_PAUSE
        self._journal_at = 0.0  # monotonic clock: not before this is it tried again to write what could not be
        self._listener = agent_link.listen()  # first of all: an agent may connect while we take over, and wait
        self._take_over(memory)
        self._epoll = select.epoll()
        self._timer = clock.BootTimer()
        self._signals = catch_signals()
        self._watch = {
            self._signals: self._on_signal,
            self._timer.fd: self._on_timer,
            self._listener.fileno(): self._on_connect,
        }
        for fd in self._watch:
            self._epoll.register(fd, select.EPOLLIN)
        self._hears_slots = False  # whether epoll watches them

    def _take_over(self, memory: journal.Memory) -> None:
        """Settle what a predecessor left: nothing of it may run on, and how it ended cannot be known. What it had
        handed out and no slot had begun is forgotten, as if it had never come. Where the journal cannot be written, the
        predecessor's stays as it is, and tells a successor what it told us."""
        killed = orphans.kill(self._directory, self._group, self._identity, memory)
        self._group.enter()
        linux.become_subreaper()
        has_begun = self._begun_file.has_begun
        unfinished = [b for b in memory.begun.values() if b.slot < 0 or b.pid or has_begun(b.slot, b.number)]
        unfinished = [b._replace(slot=-1, number=0) for b in unfinished]
        with suppress(OSError):  # `_write_journal` tries again
            self._begin_journal(memory.seq, unfinished, memory.unacked)
        found_us = time.time_ns() // 1000
        self._events += [ev.FoundUnfinished(b.key, b.wall_us, found_us) for b in unfinished]
        self._turn()
        self._flush_journal()
        if unfinished or killed:
            log(f"an earlier launcher died: {len(unfinished)} attempts are lost, what they left was killed")

    def run(self) -> None:
        """The loop. Returns when the core says exit."""
        self._events.append(ev.AgentLost())
        self._turn()
        while not self._exiting:
            self._hear_slots(not self._core.works_ahead)
            for fd, _ in self._epoll.poll(self._until_flush()):
                handler = self._watch.get(fd)
                if handler is not None:  # else it was closed in this turn
                    handler()
            self._hear()
            self._turn()
            if self._until_flush() == 0:
                self._flush()
            for deadline in (self._core.next_deadline(), self._watchdog_at):
                self._timer.wake_at(deadline)
        self._flush()
        self._shorten_journal()  # or the next launcher would repeat what was acknowledged long ago
        self._slots.close()
        self._group.leave()
        agent_link.unlisten(self._journal.directory)
        self._watchdog.dismiss()

    def _hear_slots(self, at_once: bool) -> None:
        """Be woken by what they tell; or look at it each COALESCE, while they go on by themselves."""
        if at_once != self._hears_slots:
            self._hears_slots = at_once
            if at_once:
                self._epoll.register(self._slots.results, select.EPOLLIN)
            else:
                self._epoll.unregister(self._slots.results)

    def _until_flush(self) -> float | None:
        """Seconds until reports are written and sent: at once, but COALESCE apart while slots go on by themselves; None
        when there is nothing to send, and nothing to wait for."""
        ahead = self._core.works_ahead
        if not (ahead or self._journal.has_news or (self._link is not None and self._link.has_news)):
            return None
        if ahead:
            return max(0.0, self._flushed + COALESCE - time.monotonic())
        return 0 if self._link is not None and self._link.has_news else max(0.0, self._journal_at - time.monotonic())

    def _flush(self) -> None:
        self._flush_journal()
        self._flush_link()
        self._flushed = time.monotonic()

    # -- what happens

    def _on_signal(self) -> None:
        numbers = set(os.read(self._signals, 4096))
        if signal.SIGCHLD in numbers:
            self._reap()
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._events.append(ev.QuitRequested(kill=True))

    def _on_timer(self) -> None:
        self._timer.fired()
        self._events.append(ev.Tick())
        if self._watchdog_at is not None and clock.now() >= self._watchdog_at:
            self._restart_watchdog()

    def _on_connect(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it hung up already
            return
        if agent_link.peer_uid(connection) not in (os.geteuid(), 0):
            connection.close()
            return
        caller = agent_link.Link(connection)
        self._watch[caller.fd] = partial(self._on_message, caller)
        self._epoll.register(caller.fd, caller.mask)

    def _on_message(self, sender: agent_link.Link) -> None:
        try:
            events = sender.read()
        except ConnectionError:
            self._drop(sender)
            return
        except wire.WireError as e:
            log(f"the agent was disconnected, it sent something wrong: {e}")
            sender.refuse(str(e))
            self._drop(sender)
            return
        if sender.greeted and sender is not self._link:
            self._take(sender)
        self._hear()  # what ended before that came: it can no more be stopped
        self._events += events

    def _take(self, caller: agent_link.Link) -> None:
        """The last one that said hello is the agent.

        Not the last one that connected, and the one before gets its answers first: or agents that come at once would
        drop each other before either was greeted, and again with each new try.
        """
        self._turn()
        self._flush()
        if self._link is not None:
            self._drop(self._link)
        self._link = caller

    def _reap(self) -> None:
        orphaned = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                self._slots.go_on(pid)
                continue
            if pid == self._watchdog.pid:
                self._restart_watchdog()
                continue
            self._hear()  # what it told before its end
            lost = self._slots.lost(pid)
            orphaned = True  # a child of a slot that was killed, or one that had only just become ours
            if lost is not None:
                log(f"slot {lost.slot} was killed; what it ran is lost, if it ran anything")
                self._came_back(lost.unbegun)
                self._events.append(lost)
        if orphaned:
            self._slots.kill_orphans([self._watchdog.pid])

    def _restart_watchdog(self) -> None:
        try:
            self._watchdog.start()
        except OSError as e:
            pause, self._watchdog_pause = self._watchdog_pause, min(LONGEST_PAUSE, 2 * self._watchdog_pause)
            self._watchdog_at = clock.now() + pause
            log(f"the watchdog was killed, and there is no other: {e.strerror}; trying again in {pause:g} s")
            return
        self._watchdog_at, self._watchdog_pause = None, FIRST_PAUSE
        log("the watchdog was killed; it has been started again")

    # -- what is done about it

    def _turn(self) -> None:
        """Tell the core what has happened, and perform all that follows from it."""
        first = True
        while self._events or first:
            first = False
            now = clock.now()  # before the lease: what is confirmed while we are stopped in between counts
            events, self._events = [*self._events, ev.LeaseConfirmed(self._leashes.confirmed_at)], []
            self._perform(self._core.turn(events, now))
        if self._journal.due():
            self._shorten_journal()

    def _perform(self, effects: list[ev.Effect]) -> None:
        """Do what the core asks, in order; but all that is to start gets into the journal in one write, and then
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
                    self._hear()
                    if not self._slots.signal(slot, key, signal.Signals[name], leader):
                        self._events.insert(0, ev.Unreached(key))
                case ev.Kill(slot, key):
                    self._hear()
                    self._slots.kill(slot, key)
                case ev.KillSlot(slot, key):
                    self._hear()
                    self._slots.kill_slot(slot, key)
                case ev.Retire(slot):
                    self._slots.retire(slot)
                case ev.Greet():
                    self._welcome(effect)
                case ev.Exit():
                    self._exiting = True
        if spawns:
            self._spawn(spawns)

    def _recall(self, slot: int) -> None:
        """What the slot has told before it was asked counts: it may have ended what held up the others."""
        keys = self._slots.recall(slot)
        self._came_back(keys)
        self._events.append(ev.SlotReturned(slot, keys))
        self._hear()

    def _came_back(self, keys: list[str]) -> None:
        """Their slot has not begun these, and will not."""
        for key in keys:
            self._begun.pop(key, None)
            self._journal.back(key)

    def _hear(self) -> None:
        for event in self._slots.read():
            if isinstance(event, ev.SlotReturned):
                self._came_back(event.keys)
            self._events.append(event)

    def _report(self, report: ev.Started | ev.Ended) -> None:
        line = self._journal.report(report)
        if self._link is not None:
            self._link.send(line)
        if isinstance(report, ev.Ended):
            self._begun.pop(report.key, None)
        elif (begun := self._begun.get(report.key)) is not None:
            self._begun[report.key] = begun._replace(pid=report.pid)

    def _welcome(self, welcome: ev.Greet) -> None:
        if self._link is None:
            return
        hello = {
            "version": wire.VERSION,
            "incarnation": self.incarnation,
            "boot": self._boot,
            "pid": os.getpid(),
            "leashes": self._leashes.fd,
            "seq": self._core.seq,
            "unacked": len(welcome.unacked),
            "running": welcome.running,
            "backlog": welcome.backlog,
        }
        self._link.send(wire.encode(("hello", hello)))
        for report in welcome.unacked:
            self._link.send(wire.encode_report(report))

    def _spawn(self, spawns: list[ev.Spawn]) -> None:
        at, wall_us = clock.now(), time.time_ns() // 1000
        numbers = []
        for s in spawns:
            number = self._slots.next_number()
            begun = journal.Begun(s.item.key, at, wall_us, 0, s.slot, number)
            self._begun[s.item.key] = begun
            self._journal.begin(begun)
            numbers.append(number)
        try:
            self._write_journal()
        except OSError as e:
            self._journal.unwrite_begins()
            text = f"the launcher cannot write its journal: {e.strerror}"
            self._events.extend(ev.StartFailed(s.item.key, text, None, returned=True) for s in spawns)
            return
        for s, number in zip(spawns, numbers, strict=True):
            try:
                if not self._slots.hand(s.slot, number, s.item, s.template, s.by, s.gpus):
                    self._came_back([s.item.key])
                    self._events.append(ev.SlotReturned(s.slot, [s.item.key]))
            except OSError as e:
                text = f"the launcher cannot start a process for it: {e.strerror}"
                self._events.append(ev.StartFailed(s.item.key, text, None, returned=True))

    # -- journal and link

    def _write_journal(self) -> None:
        """Raises OSError; then nothing of what was added is in it."""
        if self._journal.is_ours:
            self._journal.write()
        else:
            self._begin_journal(self._core.seq, self._begun.values(), self._core.unacked)

    def _begin_journal(
        self, seq: int, begun: Iterable[journal.Begun], unacked: Iterable[ev.Started | ev.Ended]
    ) -> None:
        """Begins a journal over the predecessor's. Raises OSError: then that one stays as it was, and so does what its
        slots noted, since only both together say what had begun."""
        self._journal.rewrite(seq, begun, unacked)
        self._begun_file.clear()

    def _flush_journal(self) -> None:
        try:
            self._write_journal()
        except OSError as e:
            # The reports stay in memory and go out; only if this launcher dies before they are acknowledged
            # are their attempts lost.
            log(f"cannot write the journal, an end reported now would be forgotten by a crash: {e}")
            self._journal_at = time.monotonic() + FIRST_PAUSE

    def _shorten_journal(self) -> None:
        try:
            self._journal.rewrite(self._core.seq, self._begun.values(), self._core.unacked)
        except OSError as e:
            log(f"cannot shorten the journal, it goes on growing: {e}")

    def _flush_link(self) -> None:
        if self._link is None:
            return
        try:
            self._link.flush()
        except ConnectionError:
            self._drop(self._link)
            return
        mask = select.EPOLLIN | (select.EPOLLOUT if self._link.stuck else 0)
        if mask != self._link.mask:
            self._link.mask = mask
            self._epoll.modify(self._link.fd, mask)

    def _drop(self, sender: agent_link.Link) -> None:
        self._epoll.unregister(sender.fd)
        del self._watch[sender.fd]
        sender.close()
        if sender is self._link:
            self._link = None
            self._events.append(ev.AgentLost())
