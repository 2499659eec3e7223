"""The launcher's loop: wait for the agent, a signal or the clock; tell the core; do what it says.

One thread, one epoll, no polling. In each turn reaping comes first, because a free slot is the scarce
thing, then the agent, then one write to the journal and one to the agent. `begin` lines are written before
their attempts are spawned, reports before they are sent: so whatever moment the launcher dies at, its
successor knows.
"""

import os
import resource  # noqa: F401 (else loaded by the first os.wait4, when there may be no descriptor left to do so)
import select
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from cluster.domain import launcher_events as ev
from cluster.domain.ids import AttemptKey
from cluster.domain.launcher_core import LauncherCore
from cluster.domain.signals import signal_name
from cluster.launcher import cgroup, clock, journal, link, remains, spawn, tree, wire
from cluster.launcher.log import log
from cluster.launcher.watchdog import Watchdog

# Seconds. Each batch wakes the agent, which costs about as much as starting a process: so while the backlog keeps
# the machine busy anyway, reports wait this long for company. The last one never waits. (20 ms instead of 10, and a
# report to the scheduler every 30 ms: a third less CPU of agent and scheduler a task. Work in advance is for 100 ms.)
COALESCE = 0.020
# Seconds until a watchdog that could not be started is tried again; each pause is twice the one before. What kills one
# (no memory is left) often leaves no room for the next.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Launcher:
    """Runs attempts in `directory` (its own, locked by the caller, and the current one) until it is told to quit, or is
    not needed any more."""

    def __init__(self, directory: str, capacity: int, watchdog: Watchdog) -> None:
        """Takes over from whoever was here before. Raises OSError when the directory cannot be used."""
        self._identity = remains.identity(directory)
        self._watchdog = watchdog
        memory = journal.recall(directory)
        self.incarnation = memory.incarnation
        self._boot = journal.boot_id()
        self._core = LauncherCore(capacity, memory.seq, memory.unacked)
        self._journal = journal.Journal(directory, self.incarnation, self._boot)
        self._spawner = spawn.Spawner(self._identity)
        self._trees = tree.Trees(lambda: watchdog.pid)
        self._group = cgroup.Group(directory, self._identity)
        self._begun: dict[str, journal.Begun] = {}
        self._outputs: dict[str, str] = {}  # key -> stem of its output files
        self._own_peak = 0  # KiB, as last read
        self._sweeping: set[str] = set()
        self._events: deque[ev.Event] = deque()
        self._link: link.Link | None = None  # the agent's; who has not said hello yet is in `_watch` alone
        self._exiting = False
        self._flushed = 0.0
        self._watchdog_at: float | None = None  # boot clock: when it is tried again to start one; None: there is one
        self._watchdog_pause = FIRST_PAUSE
        self._listener = link.listen()  # first of all: an agent may connect while we take over, and wait
        self._take_over(memory)
        self._epoll = select.epoll()
        self._timer = clock.BootTimer()
        self._signals = _catch_signals()
        self._watch = {
            self._signals: self._on_signal,
            self._timer.fd: self._on_timer,
            self._listener.fileno(): self._on_connect,
        }
        for fd in self._watch:
            self._epoll.register(fd, select.EPOLLIN)

    def _take_over(self, memory: journal.Memory) -> None:
        """Settle what a predecessor left: nothing of it may run on, and how it ended cannot be known."""
        killed = remains.kill(self._group, self._identity, memory)
        self._group.enter()
        tree.become_subreaper()
        self._journal.rewrite(memory.seq, memory.begun.values(), memory.unacked)
        found_us = time.time_ns() // 1000
        for begun in memory.begun.values():
            self._feed(ev.FoundUnfinished(begun.key, begun.wall_us, found_us))
        self._flush_journal()
        if memory.begun or killed:
            log(f"an earlier launcher died: {len(memory.begun)} attempts are lost, what they left was killed")

    def run(self) -> None:
        """The loop. Returns when the core says exit."""
        self._feed(ev.AgentLost())
        while not self._exiting:
            for fd, _ in self._epoll.poll(self._until_flush()):
                handler = self._watch.get(fd)
                if handler is not None:  # else it was closed in this turn
                    handler()
            if self._until_flush() == 0:
                self._flush()
            for deadline in (self._core.next_deadline(), self._watchdog_at):
                self._timer.wake_at(deadline)
        self._flush()
        self._shorten_journal()  # or the next launcher would repeat what was acknowledged long ago
        self._group.leave()
        os.unlink(wire.SOCKET_NAME, dir_fd=self._journal.directory)
        self._watchdog.dismiss()

    def _until_flush(self) -> float | None:
        """Seconds until reports are written and sent: at once, but COALESCE apart while there is more to start;
        None when there is nothing to send."""
        if not (self._journal.has_news or (self._link is not None and self._link.has_news)):
            return None
        if not self._core.backlog:
            return 0
        return max(0.0, self._flushed + COALESCE - time.monotonic())

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
            self._feed(ev.QuitRequested(kill=True))

    def _on_timer(self) -> None:
        self._timer.fired()
        self._feed(ev.Tick())
        if self._watchdog_at is not None and clock.now() >= self._watchdog_at:
            self._restart_watchdog()

    def _on_connect(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it hung up already
            return
        if link.peer_uid(connection) not in (os.geteuid(), 0):
            connection.close()
            return
        caller = link.Link(connection, self.incarnation)
        self._watch[caller.fd] = partial(self._on_message, caller)
        self._epoll.register(caller.fd, caller.mask)

    def _on_message(self, sender: link.Link) -> None:
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
        for event in events:
            self._feed(event)
        if self._journal.due():
            self._shorten_journal()

    def _take(self, caller: link.Link) -> None:
        """The last one that said hello is the agent.

        Not the last one that connected, and the one before gets its answers first: or agents that come at once would
        drop each other before either was greeted, and again with each new try.
        """
        self._flush()
        if self._link is not None:
            self._drop(self._link)
        self._link = caller

    def _reap(self) -> None:
        ended = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._watchdog.pid:
                self._restart_watchdog()
                continue
            key = self._trees.reaped(pid)
            if key is not None:
                ended.append((key, status, usage))
        for key, status, usage in ended:
            strays = bool(self._trees.strays(key))
            if strays:
                self._sweeping.add(key)
            self._feed(self._process_ended(key, status, usage, strays))
        for key in list(self._sweeping):
            self._sweep(key)

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

    def _process_ended(self, key: str, status: int, usage: Any, strays: bool) -> ev.ProcessEnded:
        code, name = None, None
        if os.WIFSIGNALED(status):
            name = signal_name(os.WTERMSIG(status))
        else:
            code = os.WEXITSTATUS(status)
        cpu_us = round((usage.ru_utime + usage.ru_stime) * 1e6)
        return ev.ProcessEnded(key, code, name, cpu_us, self._peak(usage.ru_maxrss), self._sizes(key), strays)

    def _peak(self, maxrss: int) -> int:
        """The peak of a job that ended, in KiB; 0 when it is not known.

        After a vfork Linux counts the launcher's own memory as the child's until the exec, so what is not above the
        launcher's own peak says nothing. That peak only grows: it is read again only when it may matter.
        """
        if maxrss > self._own_peak:
            self._own_peak = _own_peak()
        return maxrss if maxrss > self._own_peak else 0

    def _sweep(self, key: str) -> None:
        strays = self._trees.strays(key)
        if not strays:
            self._sweeping.discard(key)
            self._feed(ev.TreeGone(key, self._sizes(key)))
        elif not self._trees.are_dying(strays):
            self._kill([key])

    def _sizes(self, key: str) -> tuple[int, int]:
        stem = self._outputs[key]
        return _size(stem + ".out"), _size(stem + ".err")

    # -- what is done about it

    def _feed(self, event: ev.Event) -> None:
        """Tell the core, and perform all that follows from it."""
        self._events.append(event)
        while self._events:
            event = self._events.popleft()
            self._perform(self._core.handle(event, clock.now()))

    def _perform(self, effects: list[ev.Effect]) -> None:
        """Do what the core asks. Signals go out together, because each look at the process table costs milliseconds."""
        spawns: list[ev.Spawn] = []
        kills: list[str] = []
        signals: dict[str, list[str]] = {}
        for effect in effects:
            match effect:
                case ev.Report(report):
                    self._report(report)
                case ev.Spawn():
                    spawns.append(effect)
                case ev.Signal(key, name):
                    signals.setdefault(name, []).append(key)
                case ev.Kill(key):
                    kills.append(key)
                case ev.Welcome():
                    self._welcome(effect)
                case ev.Exit():
                    self._exiting = True
        for name, keys in signals.items():
            self._trees.signal(keys, signal.Signals[name])
        if kills:
            self._kill(kills)
        if spawns:
            self._spawn(spawns)

    def _kill(self, keys: list[str]) -> None:
        refused = self._trees.kill(keys)
        if refused:
            log(f"{refused} processes of {', '.join(keys)} run on: they belong to another user, we may not kill them")

    def _report(self, report: ev.Started | ev.Ended) -> None:
        line = self._journal.report(report)
        if self._link is not None:
            self._link.send(line)
        if isinstance(report, ev.Ended) and self._begun.pop(report.key, None) is not None:
            _remove_empty(self._outputs.pop(report.key), (report.out, report.err))
            self._trees.forget(report.key)

    def _welcome(self, welcome: ev.Welcome) -> None:
        if self._link is None:
            return
        hello = {
            "version": wire.VERSION,
            "incarnation": self.incarnation,
            "boot": self._boot,
            "pid": os.getpid(),
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
        for s in spawns:
            self._journal.begin(s.item.key, at, wall_us)
        try:
            self._journal.write()
        except OSError as e:
            self._journal.unwrite_begins()
            text = f"the launcher cannot write its journal: {e.strerror}"
            self._events.extend(ev.StartFailed(s.item.key, text, None) for s in spawns)
            return
        for s in spawns:
            self._events.append(self._spawn_one(s, at, wall_us))

    def _spawn_one(self, s: ev.Spawn, at: float, wall_us: int) -> ev.Event:
        key = s.item.key
        parsed = AttemptKey.parse(key)
        stem = spawn.output_stem(parsed, s.template)
        try:
            pid = self._spawner.spawn(s.item, s.template)
        except spawn.CannotStart as e:
            _remove_empty(stem, (_size(stem + ".out"), _size(stem + ".err")))
            return ev.StartFailed(key, str(e), e.code)
        self._trees.add(key, pid, spawn.mark(parsed, s.item.number))
        self._begun[key] = journal.Begun(key, at, wall_us, pid)
        self._outputs[key] = stem
        return ev.ProcessStarted(key, pid, wall_us)

    # -- journal and link

    def _flush_journal(self) -> None:
        try:
            self._journal.write()
        except OSError as e:
            # The reports stay in memory and go out; only if this launcher dies before they are acknowledged
            # are their attempts lost.
            log(f"cannot write the journal, an end reported now would be forgotten by a crash: {e}")

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

    def _drop(self, sender: link.Link) -> None:
        self._epoll.unregister(sender.fd)
        del self._watch[sender.fd]
        sender.close()
        if sender is self._link:
            self._link = None
            self._feed(ev.AgentLost())


def _remove_empty(stem: str, sizes: tuple[int, int]) -> None:
    """Most attempts write to stdout alone, or nothing: their empty files would cost the agent more than us."""
    for suffix, size in zip((".out", ".err"), sizes, strict=True):
        if not size:
            with suppress(OSError):
                os.unlink(stem + suffix)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # the command removed its own output


def _own_peak() -> int:
    """In KiB. Not ru_maxrss, which holds the peak of whoever started this process, too."""
    with open("/proc/self/status") as file:
        status = file.read()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])


def _catch_signals() -> int:
    """A descriptor from which the numbers of caught signals can be read."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader.detach()
