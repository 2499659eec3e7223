"""A process beside the launcher that does nothing until the launcher dies, and then kills what it left running.

An agent whose launcher dies starts another, which kills what is left before it does anything else. But both may be
killed at once, and nobody may start the worker again for hours; its attempts would run on beside their retries. So the
launcher forks this process before anything else, and again should it die. What it relies on:

1. It reads from a pipe whose other end only the launcher holds, and any child of it between fork and exec, which
   closes it. So once the watchdog sees the end of the file, the launcher is dead, however it died, and all that it
   ever spawned has got as far as its own program, and carries the environment by which it is found.
2. Launcher and watchdog share one lock, `watchdog.lock`, which is free when both are gone (`flock` belongs to the
   opened file, which fork shares). A new launcher waits for it before it does anything. So the watchdog never meets a
   successor or anything a successor started: not its processes, not its cgroup, not its journal.
3. A launcher that ends in order kills its watchdog first, which is its own child, so that pid cannot be another's.

Only SIGKILL ends it: it has a session of its own and ignores what is sent to end a service or a terminal's processes,
because the launcher that gets the same signal may yet die of another one.
"""

import fcntl
import os
import signal
from contextlib import suppress
from typing import NoReturn

from cluster.launcher import cgroup, journal, remains
from cluster.launcher.log import log

NAME = "cluster-watchdog"  # as `ps` and `top` show it; the kernel keeps 15 characters
LOCK = "watchdog.lock"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Watchdog:
    """The watchdog of the calling process, the launcher in `directory`. `pid` is 0 while there is none."""

    def __init__(self, directory: str) -> None:
        """Waits until an earlier launcher's watchdog has done its work. Raises OSError."""
        self._directory = directory
        self._identity = remains.identity(directory)
        self._lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._writer = -1
        self.pid = 0
        self.start()

    def start(self) -> None:
        """Fork it: for the first time, or because the last one has been reaped. Raises OSError, and there is none."""
        self.pid = 0
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
        reader, self._writer = os.pipe()
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self._watch(reader)
        finally:
            os.close(reader)
        with suppress(OSError):  # for whoever wonders who holds the lock; it watches all the same
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % self.pid, 0)

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
            os.read(0, 1)  # nothing is ever written: it answers when the launcher is dead
            if remains.kill(group, self._identity, journal.recall(self._directory)):
                log("the launcher died, its watchdog killed what it left")
        except BaseException as e:
            log(f"the watchdog failed, what a dead launcher left may run on: {e!r}")
        finally:
            os._exit(0)

    def _detach(self, reader: int) -> None:
        """Keep nothing of the launcher's but the pipe (as stdin), launcher.log (stderr) and the lock."""
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        os.chdir(self._directory)  # not where an attempt runs, if one is just being started
        os.dup2(reader, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.closerange(3, self._lock)
        os.closerange(self._lock + 1, os.sysconf("SC_OPEN_MAX"))
        with open("/proc/self/comm", "w") as file:
            file.write(NAME)
