"""The process that is a slot: it takes one attempt after another, starts it, and waits until nothing of it is left.

It is forked from the launcher, and is a child subreaper: all that descends from an attempt stays below it (`tree`), and
`wait` says when nothing is left. A file system that hangs while it changes directory or starts a program holds up this
slot alone. If it ends by itself or is killed, the launcher sees its death.

Two things wake it beside its children: the death of the launcher, and the end of the leash that its attempt runs on,
should the launcher not have cut that (`leashes`). Both kill everything below it, and the first ends it as well.

What the launcher hands out is read one by one, so that what has not been read can be taken back (`slot_protocol`).

While attempts are as short as `/bin/true`, one after another, each is told as a whole when it has ended: that it has
started is told, and its output files get their names, only when it goes on for SHORT. So whoever hears that an attempt
runs finds its files.
"""

import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

from cluster.domain.base.signals import signal_name
from cluster.domain.launcher.messages import Item, Template
from cluster.domain.launcher.slots import User
from cluster.domain.session.leashes import SLOT_MARGIN, cut_at, is_out
from cluster.launcher import cgroup, clock, linux, slot_protocol, tree
from cluster.launcher.begun_file import BegunFile
from cluster.launcher.command import CannotStart
from cluster.launcher.command_sequence import command_told
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.memory_groups import LimitedMemory
from cluster.launcher.output_check import Checker, verdict
from cluster.launcher.spawn import Running, Spawner, TooLate

NAME = "cluster-slot"  # as `ps` and `top` show it; the kernel keeps 15 characters
SHORT = 0.050  # seconds
_LONGEST_TEXT = 2000  # bytes
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
        self._templates: dict[int, Template] = {}
        self._spawner = Spawner(setup.identity, setup.user, self._watch_launcher)
        self._own_peak = 0  # KiB, as last read
        self._leader = 0
        self._short = False  # the attempt before was, and this one comes right behind it
        self._untold: tuple[int, Running, int, float] | None = None  # what runs: number, ‥, wall clock (µs), boot clock
        self._memory: LimitedMemory | None = None  # of the present attempt, where that is limited
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
                self._templates = {message[1]: Template(**message[2])}
            else:
                self._run_one(message[1], self._templates[message[2]], Item(*message[3]), message[4])
        self._spawner.tidy()

    def _next(self) -> tuple[Any, ...] | None:
        try:
            return slot_protocol.receive(self._requests, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._spawner.tidy()
            self._short = False
            return slot_protocol.receive(self._requests)

    def _run_one(self, number: int, template: Template, item: Item, by: float | None) -> None:
        if os.getppid() != self._setup.launcher:
            self._on_launchers_death()

        def late() -> bool:
            return by is not None and clock.now() >= by

        if late():
            self._tell(("unbegun", self._number, number))
            return
        self._setup.begun.begin(self._number, number)
        linux.renew_keyring()
        self._cut = False
        if template.leash is not None:
            self._set_alarm(cut_at(self._setup.leashes.confirmed_at, template.leash, SLOT_MARGIN))
        try:
            checked = bool(template.check_output or template.check_with)
            running = self._start(item, template, late, nameless=self._short and not checked)
        except TooLate:
            self._tell(("unbegun", self._number, number))
            return
        except CannotStart as e:
            text = str(e).encode(errors="surrogateescape")[:_LONGEST_TEXT].decode(errors="replace")
            self._tell(("failed", self._number, number, text, e.code, e.returned))
            return
        self._see_to_its_end(number, running, Checker(template, item) if checked else None)

    def _start(self, item: Item, template: Template, late: Callable[[], bool], nameless: bool) -> Running:
        """In a group that limits its memory, if it asks for some and that can be. Raises as Spawner.start does."""
        limit, groups = template.memory, self._setup.group.memory
        if not (limit and groups.can_limit):
            return self._spawner.start(item, template, late, nameless=nameless)
        try:
            self._memory = groups.enter(self._setup.launcher, self._number, limit)
        except OSError as e:
            raise CannotStart(f"its memory cannot be limited: {e.strerror}", returned=True) from None
        running = None
        try:
            running = self._spawner.start(item, template, late, nameless=nameless)
        finally:
            self._memory.leave()
            if running is None:
                self._end_memory()
        return running

    def _end_memory(self) -> tuple[bool, int]:
        """Of an attempt that is over: whether the kernel has ended any of it for want of memory, and the most that it
        took in KiB; 0: not known."""
        memory, self._memory = self._memory, None
        return memory.end() if memory is not None else (False, 0)

    def _see_to_its_end(self, number: int, running: Running, checker: Checker | None) -> None:
        at, wall_us = clock.now(), time.time_ns() // 1000
        self._leader = running.pid
        if self._short:
            self._untold = number, running, wall_us, at
            self._look_after(SHORT)
        else:
            self._tell_start(number, running, wall_us, at)
        status, usage = self._wait_for_leader()
        took = clock.now() - at
        self._leader = 0
        closed, wrong = not self._sweep(), ""
        if checker and not (status or closed):
            wrong, took = self._check(checker, running), clock.now() - at
        self._untold = None
        oom, peak = self._end_memory()
        outcome = self._outcome(running, status, usage, round(took * 1e6), peak)
        text = _told(running, status) if running.commands else ""
        self._tell(("ended", self._number, number, wall_us, *outcome, self._cut, closed, text, wrong, oom))
        if closed:
            self._outlive()
        self._short = took < SHORT

    def _check(self, checker: Checker, running: Running) -> str:
        """What is wrong with its output; empty: nothing."""
        limit_memory = self._memory.join if self._memory is not None else lambda: None
        for pid, words, command in checker.begin(running.outputs + ".out", limit_memory):
            self._leader = pid
            status, _ = self._wait_for_leader()
            self._leader = 0
            self._sweep()
            if wrong := verdict(status, words, command):
                return wrong
        return ""

    def _tell_start(self, number: int, running: Running, wall_us: int, at: float) -> None:
        self._spawner.name(running)
        self._tell(("started", self._number, number, running.pid, wall_us, at))

    def _wait_for_leader(self) -> tuple[int, Any]:
        while True:
            pid, status, usage = os.wait4(-1, 0)
            if pid == self._leader:
                return status, usage

    def _sweep(self) -> bool:
        """Kill what the leader has left, and reap it. False when something runs on that we may not kill."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid:
                continue
            refused = self._kill_tree()
            if refused:
                log(f"slot {self._number}: {len(refused)} processes run on: of another user, we may not kill them")
                return False
            os.waitpid(-1, 0)

    def _outlive(self) -> NoReturn:
        """This slot is used no more; it stays the parent of what it may not kill."""
        self._requests.close()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            os._exit(0)

    def _outcome(self, running: Running, status: int, usage: Any, took_us: int, peak: int) -> tuple[Any, ...]:
        code, name = None, None
        if os.WIFSIGNALED(status):
            name = signal_name(os.WTERMSIG(status))
        else:
            code = os.WEXITSTATUS(status)
        cpu_us = round((usage.ru_utime + usage.ru_stime) * 1e6)
        return code, name, took_us, cpu_us, peak or self._peak(usage.ru_maxrss), *self._spawner.ended(running)

    def _peak(self, maxrss: int) -> int:
        """The peak of a job that ended, in KiB; 0 when it is not known.

        After a vfork Linux counts the slot's own memory as the child's until the exec, so what is not above the slot's
        own peak says nothing. That peak only grows: it is read again only when it may matter.
        """
        if maxrss > self._own_peak:
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
        """Unless that is to be anyway: an alarm that comes for an attempt that has ended is set again for the next."""
        if not self._watched:
            self._watched = True
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def _set_alarm(self, at: float) -> None:
        """Unless it is set for sooner: then it is set again when it comes."""
        if at < self._alarm_at:
            self._alarm_at = max(at, clock.now() + SLOT_MARGIN)
            self._alarm.set(self._alarm_at)


def _told(running: Running, status: int) -> str:
    """Of an attempt with several commands that did not succeed: which one that was."""
    text = command_told(running.told, running.commands)
    return text.encode(errors="replace")[:_LONGEST_TEXT].decode(errors="replace") if status else ""


def _own_peak() -> int:
    """This process's peak memory in KiB. (ru_maxrss also holds the peak of whoever started it.)"""
    with open("/proc/self/status") as file:
        status = file.read()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])
