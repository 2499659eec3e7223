"""The process that is a slot: it takes one attempt after another, starts it, and waits until nothing of it is left.

It is forked from the launcher, and is a child subreaper: all that descends from an attempt stays below it (`tree`), and
`wait` says when nothing is left. A file system that hangs while it changes directory or starts a program holds up this
slot alone. If it ends by itself or is killed, the launcher sees its death.

Two things wake it beside its children: the death of the launcher, and the end of the leash that its attempt runs on,
should the launcher not have cut that (`leashes`). Both kill everything below it, and the first ends it as well.

What the launcher hands out is read one by one, so that what has not been read can be taken back (`slot_protocol`).

An attempt that ends within SHORT is told as a whole when it has ended: that it has started is told only when it goes on
for longer, which spares everybody up to the scheduler a message. While such attempts come one after another, their
output files get their names no sooner either. So whoever hears that an attempt runs finds its files.
"""

import gc
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

from cluster.domain.base.signals import signal_name
from cluster.domain.launcher.slots import User
from cluster.domain.launcher.template import Template
from cluster.domain.session.leashes import SLOT_MARGIN, cut_at, is_out
from cluster.launcher import cgroup, clock, linux, slot_protocol, tree
from cluster.launcher.begun_file import BegunFile
from cluster.launcher.command import CannotStart
from cluster.launcher.command_sequence import command_told
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.memory_groups import LimitedMemory
from cluster.launcher.output_check import Checker, verdict
from cluster.launcher.reaping import Reaper
from cluster.launcher.slot_protocol import HandedAttempt
from cluster.launcher.spawn import Running, Spawner, TooLate

NAME = "cluster-slot"  # as `ps` and `top` show it; the kernel keeps 15 characters
SHORT = 0.050  # seconds
_LONGEST_TEXT = 2000  # bytes
_NONE = Template((), (), "")  # before the first
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR2, signal.SIGIO)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a slot gets from the launcher that forks it. `requests` and `results` are descriptors."""

    number: int
    user: User
    identity: str
    files: int  # that a job may open
    launcher: int  # its pid
    requests: socket.socket
    results: int
    leashes: Leashes
    begun: BegunFile
    group: cgroup.Group


def run(setup: Setup) -> NoReturn:
    """All that the forked process does."""
    code = 1
    try:
        _detach(setup)
        _SlotProcess(setup).run()
        code = 0
    except BaseException as e:
        log(f"slot {setup.number} ends: {e!r}")
        tree.kill_for_good(lambda: tree.below(os.getpid()))
    finally:
        os._exit(code)


def _detach(setup: Setup) -> None:
    """Keep nothing of the launcher's but launcher.log, the two descriptors and what is mapped."""
    gc.disable()  # nothing here makes cycles, and a collection would write to pages that are the launcher's too
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    os.chdir("/")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    keep = sorted((setup.requests.fileno(), setup.results))
    for low, high in zip([2, *keep], [*keep, os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    with open("/proc/self/comm", "w") as file:
        file.write(NAME)
    resource.setrlimit(resource.RLIMIT_NOFILE, (setup.files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    linux.become_subreaper()
    # Who is woken by its job's start does not push that aside. Jobs are scheduled as any other process.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    setup.group.enter_slot(setup.number)
    linux.join_new_keyring()
    uid, gid = setup.user
    if uid is not None or gid is not None:
        os.setgroups([])
        if gid is not None:
            os.setresgid(gid, gid, gid)


class _SlotProcess:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._number, self._requests, self._results = setup.number, setup.requests, setup.results
        self._template_id, self._template = 0, _NONE
        self._limit = 0  # bytes of memory that each of its attempts may take, where that can be limited; 0: no limit
        self._checked = False  # whether their output is judged
        self._spawner = Spawner(setup.identity, setup.user, self._watch_launcher)
        self._own_peak = 0  # KiB, as last read
        self._reaper = Reaper()
        self._late_at = inf  # boot clock: the present attempt is not started any more
        self._short = False  # the attempt before was, and this one comes right behind it
        self._untold: tuple[int, Running, int, float] | None = None  # what runs: number, ‥, wall clock (µs), boot clock
        self._memory: LimitedMemory | None = None  # of the present attempt, where that is limited
        self._next_memory: LimitedMemory | None = None  # of the next one: we are in it, and it has no limit yet
        self._cut = False  # we have killed the present attempt, whose leash was out
        self._watched = False  # the second alarm is set, which says that an attempt is not short
        self._alarm = linux.BootAlarm()
        self._alarm_at = inf  # boot clock, for which it is set
        signal.signal(signal.SIGUSR1, self._on_launchers_death)
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the launcher has blocked all of them over the fork
        self._watch_launcher()

    def run(self) -> None:
        """Serves until the launcher closes the socket."""
        while (message := self._next()) is not None:
            if message[0] == "template":
                self._take(message[1], Template(**message[2]))
            else:
                _, number, template_id, attempt, by = message
                assert template_id == self._template_id, "what it is started by was sent before it"
                self._run_one(number, HandedAttempt(*attempt), by)
        self._spawner.tidy()
        self._leave_next_memory()

    def _next(self) -> tuple[Any, ...] | None:
        try:
            return slot_protocol.receive(self._requests, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._spawner.tidy()
            self._short = False
            if self._limit:
                with suppress(OSError):  # else it is tried again when it is needed
                    self._next_memory = self._next_memory or self._new_memory()
            return slot_protocol.receive(self._requests)

    def _take(self, template_id: int, template: Template) -> None:
        """By that all are started until another one is sent."""
        self._template_id, self._template = template_id, template
        self._limit = template.memory if self._setup.group.memory.can_limit else 0
        self._checked = bool(template.check_output or template.check_with)

    def _is_late(self) -> bool:
        return clock.now() >= self._late_at

    def _run_one(self, number: int, attempt: HandedAttempt, by: float | None) -> None:
        if os.getppid() != self._setup.launcher:
            self._on_launchers_death()
        self._late_at = inf if by is None else by
        if self._is_late():
            self._tell(("unbegun", self._number, number))
            return
        self._setup.begun.begin(self._number, number)
        linux.renew_keyring()
        self._cut = False
        leash = self._template.leash
        if leash is not None:
            self._set_alarm(cut_at(self._setup.leashes.confirmed_at, leash, SLOT_MARGIN))
        try:
            limited = self._limit or self._next_memory
            running = self._start_limited(attempt) if limited else self._start(attempt)
        except TooLate:
            self._tell(("unbegun", self._number, number))
            return
        except CannotStart as e:
            text = str(e).encode(errors="surrogateescape")[:_LONGEST_TEXT].decode(errors="replace")
            self._tell(("failed", self._number, number, text, e.code, e.returned))
            return
        self._see_to_its_end(number, running, Checker(self._template, attempt.number) if self._checked else None)

    def _start(self, attempt: HandedAttempt) -> Running:
        """Raises as Spawner.start does."""
        nameless = self._short and not self._checked
        return self._spawner.start(attempt, self._template, self._is_late, nameless=nameless)

    def _start_limited(self, attempt: HandedAttempt) -> Running:
        """In a group that limits its memory: or not at all, where we have waited in it for one that it would. Raises as
        Spawner.start does."""
        running = None
        try:
            self._enter_memory()
            running = self._start(attempt)
        finally:
            if self._memory is not None:
                self._memory.leave()
                if running is None:
                    self._end_memory()
        return running

    def _enter_memory(self) -> None:
        try:
            self._memory, self._next_memory = self._next_memory or self._new_memory(), None
            if self._limit:
                self._memory.limit(self._limit)
        except OSError as e:
            raise CannotStart(f"its memory cannot be limited: {e.strerror}", returned=True) from None

    def _new_memory(self) -> LimitedMemory:
        """A group that we are in from now on. OSError."""
        return self._setup.group.memory.enter(self._setup.launcher, self._number)

    def _leave_next_memory(self) -> None:
        """No attempt comes that needs it."""
        if self._next_memory is not None:
            memory, self._next_memory = self._next_memory, None
            memory.leave()
            memory.end()

    def _end_memory(self) -> tuple[bool, int]:
        """Of an attempt that is over: whether the kernel has ended any of it for want of memory, and the most that it
        took in KiB; 0: not known."""
        memory, self._memory = self._memory, None
        assert memory is not None
        killed, peak = memory.end()
        return killed and self._limit > 0, peak

    def _see_to_its_end(self, number: int, running: Running, checker: Checker | None) -> None:
        at, wall_us = clock.now(), time.time_ns() // 1000
        self._untold = number, running, wall_us, at
        if not self._watched:
            self._look_after(SHORT)
        status, cpu_us, peak = self._reaper.wait_for(running.pid)
        took = clock.now() - at
        closed, wrong = not self._sweep(), ""
        if checker and not (status or closed):
            wrong, took = self._check(checker, running), clock.now() - at
        cpu_us += self._reaper.take_left()  # of what outlived the leader, too: such as all that is in a sandbox
        self._untold = None
        oom, limited_peak = self._end_memory() if self._memory else (False, 0)
        code, name = _ending(status) if status else (0, None)
        peak = limited_peak or (self._peak(peak) if peak > self._own_peak else 0)
        out, err = self._spawner.ended(running)
        text = _told(running, status) if running.commands else ""
        unmade = self._spawner.why_unmade(running, code)
        how = (code, name, round(took * 1e6), cpu_us, peak, out, err, self._cut, closed, text, wrong, oom, unmade)
        slot_protocol.tell(self._results, ("ended", self._number, number, wall_us, *how))
        if closed:
            self._outlive()
        self._short = took < SHORT

    def _check(self, checker: Checker, running: Running) -> str:
        """What is wrong with its output; empty: nothing."""
        limit_memory = self._memory.join if self._memory is not None else lambda: None
        for pid, words, command in checker.begin(running.outputs + ".out", limit_memory):
            status, _, _ = self._reaper.wait_for(pid)
            self._sweep()
            if wrong := verdict(status, words, command):
                return wrong
        return ""

    def _tell_start(self, number: int, running: Running, wall_us: int, at: float) -> None:
        self._spawner.name(running)
        self._tell(("started", self._number, number, running.pid, wall_us, at))

    def _sweep(self) -> bool:
        """Kill what the leader has left, and reap it. False when something runs on that we may not kill."""
        while (pid := self._reaper.look()) is not None:
            if pid:
                continue
            refused = self._kill_tree()
            if refused:
                log(f"slot {self._number}: {len(refused)} processes run on: of another user, we may not kill them")
                return False
            self._reaper.wait()
        return True

    def _outlive(self) -> NoReturn:
        """This slot is used no more; it stays the parent of what it may not kill."""
        self._requests.close()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            os._exit(0)

    def _peak(self, maxrss: int) -> int:
        """The peak of a job that ended, in KiB, that is above our own as we know it; 0 when it is not known.

        After a vfork Linux counts the slot's own memory as the child's until the exec, so what is not above the slot's
        own peak says nothing. That peak only grows: it is read again only when it may matter.
        """
        self._own_peak = _own_peak()
        return maxrss if maxrss > self._own_peak else 0

    def _tell(self, message: tuple[Any, ...]) -> None:
        slot_protocol.tell(self._results, message)

    # -- who else may end an attempt

    def _watch_launcher(self) -> None:
        linux.on_parents_death(signal.SIGUSR1)
        if os.getppid() != self._setup.launcher:  # it died before we asked
            self._on_launchers_death()

    def _on_launchers_death(self, *_: object) -> None:
        if os.getppid() == self._setup.launcher:
            return  # somebody else sent that
        self._kill_tree()
        os._exit(0)

    def _kill_tree(self) -> set[tree.ProcessStat]:
        """Answers what we may not kill."""
        _, refused = tree.kill_for_good(lambda: tree.below(os.getpid()))
        return refused

    def _on_alarm(self, *_: object) -> None:
        """One of our two alarms: a leash may be out, or an attempt goes on."""
        self._alarm_at = inf
        leashes = self._setup.leashes
        leash = leashes.leash(self._number)
        if leash:  # else the next attempt that has one sets the alarm
            if is_out(clock.now(), leashes.confirmed_at, leash, SLOT_MARGIN):
                self._cut = True
                self._kill_tree()
            self._set_alarm(cut_at(leashes.confirmed_at, leash, SLOT_MARGIN))
        self._watched = False
        if self._untold is not None:
            left = self._untold[3] + SHORT - clock.now()
            if left > 0:
                self._look_after(left)
            else:
                untold, self._untold = self._untold, None
                self._tell_start(*untold)

    def _look_after(self, seconds: float) -> None:
        """Not where that is to be anyway: an alarm that comes for an attempt that has ended is set again for the
        next."""
        self._watched = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _set_alarm(self, at: float) -> None:
        """Unless it is set for sooner: then it is set again when it comes."""
        if at < self._alarm_at:
            self._alarm_at = max(at, clock.now() + SLOT_MARGIN)
            self._alarm.set(self._alarm_at)


def _ending(status: int) -> tuple[int | None, str | None]:
    """The exit code, or the name of the signal."""
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, signal_name(-code))


def _told(running: Running, status: int) -> str:
    """Of an attempt with several commands that did not succeed: which one that was."""
    text = command_told(running.told, running.commands)
    return text.encode(errors="replace")[:_LONGEST_TEXT].decode(errors="replace") if status else ""


def _own_peak() -> int:
    """This process's peak memory in KiB. (ru_maxrss also holds the peak of whoever started it.)"""
    with open("/proc/self/status") as file:
        status = file.read()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])
