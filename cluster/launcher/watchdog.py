"""A process beside the launcher that kills what may run no longer when the launcher cannot: it is dead, or stalled.

It looks at the table of leashes (`leashes`), which agent and launcher write, and cuts each leash that is out and that
neither the launcher nor the slot itself has cut: they may hang in a file system, or be stopped. And when the launcher
dies it kills all that is below the slots: an agent whose launcher dies starts another, which does the same before
anything else, but both may be killed at once, and nobody may start the worker again for hours. What it relies on:

1. It reads no file and writes none until the launcher is dead, only /proc and memory, which it keeps from being paged
   out: no disk that hangs holds it up.
2. It waits on a pipe whose other end only the launcher holds. A byte there means that there is a leash which may be out
   sooner than all before; the end of the file, that the launcher is dead, however it died.
3. Launcher and watchdog share one lock, `watchdog.lock`, which is free when both are gone (`flock` belongs to the
   opened file, which fork shares). A new launcher kills the watchdog that holds it, which may be stopped, and waits
   until it is gone: so no watchdog meets a successor or anything that a successor started.
4. A launcher that ends in order kills its watchdog first, which is its own child, so that pid cannot be another's.

Only SIGKILL ends it: it has a session of its own and ignores what is sent to end a service or a terminal's processes,
because the launcher that gets the same signal may yet die of another one.
"""

import fcntl
import gc
import os
import select
import signal
from contextlib import suppress
from typing import NoReturn

from cluster.domain.session.leashes import WATCHDOG_MARGIN, cut_at, is_out
from cluster.launcher import cgroup, clock, journal, linux, orphans, tree
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log

NAME = "cluster-watchdog"  # as `ps` and `top` show it; the kernel keeps 15 characters
LOCK = "watchdog.lock"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Watchdog:
    """The watchdog of the calling process, the launcher in `directory`. `pid` is 0 while there is none."""

    def __init__(self, directory: str, leashes: Leashes) -> None:
        """Ends an earlier launcher's watchdog first. Raises OSError."""
        self._directory = directory
        self._identity = orphans.identity(directory)
        self._leashes = leashes
        self._launcher = tree.read_own()
        self._lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        self._take_lock()
        self._writer = -1
        self.pid = 0
        self.start()

    def _take_lock(self) -> None:
        """Raises OSError: one that was killed and is not gone hangs in the kernel."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            words = os.pread(self._lock, 64, 0).split()
        with suppress(ValueError):
            pid, start = map(int, words)
            earlier = tree.read_process(pid)
            if earlier is not None and earlier.start == start:
                tree.send(earlier, signal.SIGKILL)
                tree.wait_until_gone([earlier])
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def start(self) -> None:
        """Fork it: for the first time, or because the last one has been reaped. Raises OSError, and there is none."""
        self.pid = 0
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # one that is stopped reads nothing, and looks when it goes on
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self._watch(reader)
        finally:
            os.close(reader)
        with suppress(OSError):  # for a successor; it watches all the same
            process = tree.read_process(self.pid)
            # In the place of the last one's, which is as long: a disk may have become full.
            os.pwrite(self._lock, b"%10d %20d\n" % (self.pid, process.start if process is not None else 0), 0)

    def tell(self, leash: float | None) -> None:
        """A slot has got this leash (s) in the table, and is about to be handed what runs on it."""
        if leash is not None and not 0 < self._leashes.awaited <= leash:
            with suppress(OSError):  # it has just died, and its successor looks for itself
                os.write(self._writer, b"!")

    def dismiss(self) -> None:
        """The launcher ends and leaves nothing: it is not needed any more. Answers when it is gone."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def _watch(self, reader: int) -> NoReturn:
        """All that the forked process does. Never returns, and never runs any of the launcher's own code."""
        try:
            self._detach(reader)
            group = cgroup.Group(self._directory, self._identity)
            group.step_out()
            linux.stay_in_memory()
            self._cut_leashes()
            # No file was touched so far. From here on the launcher is dead.
            orphans.kill_slots([(row.pid, row.start) for row in self._leashes.rows()])
            if orphans.kill(self._directory, group, self._identity, journal.load(self._directory)):
                log("the launcher died, its watchdog killed what it left")
        except BaseException as e:
            log(f"the watchdog failed, what a dead launcher left may run on: {e!r}")
        finally:
            os._exit(0)

    def _cut_leashes(self) -> None:
        """Cuts leashes until the launcher is dead."""
        timer = clock.BootTimer()
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(timer.fd, select.POLLIN)
        while True:
            timer.wake_at(self._cut_what_is_out())
            for fd, _ in poll.poll():
                if fd == timer.fd:
                    timer.fired()
                elif not os.read(0, 4096):
                    return

    def _cut_what_is_out(self) -> float | None:
        """Kills each slot whose leash is out, with all below it. Answers when (boot clock, s) the next may be out."""
        leashes = self._leashes
        now = clock.now()
        for row in leashes.rows():
            if row.leash and is_out(now, leashes.confirmed_at, row.leash, WATCHDOG_MARGIN):
                slot = tree.read_process(row.pid)
                if slot is not None and slot.start == row.start and slot.is_alive:
                    tree.kill_slot(slot)
                else:  # killed, and the launcher, whose children its orphans are now, has not seen it
                    tree.kill_children(self._launcher, {os.getpid(), *(each.pid for each in leashes.rows())})
        shortest = leashes.shortest()
        leashes.await_(shortest or 0.0)
        shortest = leashes.shortest()  # again: what came in between saw that we wait for something else, or told us
        if shortest is None:
            return None
        return max(cut_at(leashes.confirmed_at, shortest, WATCHDOG_MARGIN), now + WATCHDOG_MARGIN)

    def _detach(self, reader: int) -> None:
        """Keep nothing of the launcher's but the pipe (as stdin), launcher.log (stderr), the lock and what is
        mapped."""
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        os.chdir("/")
        os.dup2(reader, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.closerange(3, self._lock)
        os.closerange(self._lock + 1, os.sysconf("SC_OPEN_MAX"))
        with open("/proc/self/comm", "w") as file:
            file.write(NAME)
