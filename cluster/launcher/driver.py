"""The launcher's loop: wait for the agent, the slots, a signal or the clock; tell the core; do what it says.

One thread, one epoll, no polling. What waits everywhere is told in one turn, and the clock is looked at after that. In
each turn the slots come first, because a free slot is the scarce thing, then the agent, then one write to the journal
and one to the agent (`cluster.launcher.journal_pipeline`).
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from functools import partial

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import LauncherCore
from cluster.launcher import agent_link, cgroup, clock, journal, linux, orphans, wire
from cluster.launcher.begun_file import BegunFile
from cluster.launcher.journal_pipeline import JournalPipeline, LauncherStep
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.signals import catch_signals
from cluster.launcher.slots import SlotProcesses
from cluster.launcher.watchdog import Watchdog

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
        notes = BegunFile(directory, self._boot)
        self._slots = SlotProcesses(self._identity, jobs_files, leashes, notes, self._group, watchdog.tell)
        self._pipeline = JournalPipeline(self._core, self, self._journal, self._slots, notes)
        self._link: agent_link.Link | None = None  # the agent's; who has not said hello yet is in `_watch` alone
        self._exiting = False
        self._watchdog_at: float | None = None  # boot clock: when it is tried again to start one; None: there is one
        self._watchdog_pause = FIRST_PAUSE
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
        killed = orphans.kill(self._directory, self._group, self._identity, memory)
        self._group.enter()
        linux.become_subreaper()
        _run(self._pipeline.take_over(memory))
        if (unfinished := len(self._core.unacked) - len(memory.unacked)) or killed:
            log(f"an earlier launcher died: {unfinished} attempts are lost, what they left was killed")

    def run(self) -> None:
        """The loop. Returns when the core says exit."""
        self._pipeline.events.append(ev.AgentLost())
        _run(self._pipeline.turn())
        while not self._exiting:
            self._hear_slots(not self._core.works_ahead)
            for fd, _ in self._epoll.poll(self._pipeline.until_flush()):
                handler = self._watch.get(fd)
                if handler is not None:  # else it was closed in this turn
                    handler()
            _run(self._pipeline.round())
            for deadline in (self._core.next_deadline(), self._watchdog_at):
                self._timer.wake_at(deadline)
        _run(self._pipeline.leave())
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

    # -- what happens

    def _on_signal(self) -> None:
        numbers = set(os.read(self._signals, 4096))
        if signal.SIGCHLD in numbers:
            self._reap()
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._pipeline.events.append(ev.QuitRequested(kill=True))

    def _on_timer(self) -> None:
        self._timer.fired()
        self._pipeline.events.append(ev.Tick())
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
        takes = sender.greeted and sender is not self._link
        _run(self._pipeline.said(events, partial(self._take, sender) if takes else None))

    def _take(self, caller: agent_link.Link) -> None:
        """The last one that said hello is the agent, not the last one that connected."""
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
            orphaned = True  # a child of a slot that was killed, or one that had only just become ours
            if (lost := self._pipeline.reaped(pid)) is not None:
                log(f"slot {lost.slot} was killed; what it ran is lost, if it ran anything")
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

    # -- what the pipeline asks for (`cluster.launcher.journal_pipeline.LauncherHost`)

    def now(self) -> float:
        return clock.now()

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def confirmed_at(self) -> float:
        return self._leashes.confirmed_at

    def log(self, text: str) -> None:
        log(text)

    def exit(self) -> None:
        self._exiting = True

    @property
    def has_agent(self) -> bool:
        return self._link is not None

    @property
    def has_news(self) -> bool:
        return self._link is not None and self._link.has_news

    def send(self, line: bytes) -> None:
        if self._link is not None:
            self._link.send(line)

    def greet(self, welcome: ev.Greet) -> None:
        if self._link is None:
            return
        hello = {
            "version": wire.VERSION,
            "incarnation": self.incarnation,
            "boot": self._boot,
            "pid": os.getpid(),
            "leashes": self._leashes.fd,
            "limits_memory": self._group.memory.can_limit,
            "seq": self._core.seq,
            "unacked": len(welcome.unacked),
            "running": welcome.running,
            "backlog": welcome.backlog,
            "quiet": welcome.quiet,
            "frozen": welcome.frozen,
        }
        self._link.send(wire.encode(("hello", hello)))
        for report in welcome.unacked:
            self._link.send(wire.encode_report(report))

    def flush(self) -> None:
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
            self._pipeline.events.append(ev.AgentLost())


def _run(steps: Iterator[LauncherStep]) -> None:
    """Here nobody waits between them: what dies dies, and what hangs hangs."""
    for _ in steps:
        pass
