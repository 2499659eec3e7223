"""Several commands of one attempt, one after another: a fork of its slot leads them, so that the attempt has one leader
from its first command to its last. Attempts of one command have none of this.

Who stops an attempt signals its whole tree. The leader outlives that: the command decides how it ends, and what would
come next is not begun. An attempt that left commands out did not succeed, so the leader then dies of the signal.
"""

import os
import resource
import shlex
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from cluster.domain.job.endings import NOT_RUNNABLE
from cluster.launcher import linux
from cluster.launcher.command import CannotStart

Words = Sequence[str]
_ASKING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})  # that a program may answer
_NOT_OURS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGIO)
_FAULT = 70  # EX_SOFTWARE: a fault of ours
_SHOWN = 200  # characters of a command that is told
_TOLD = 1 << 16  # bytes: what a pipe holds


def lead(commands: Sequence[Words], start: Callable[[Words], int], uid: int | None) -> tuple[int, int]:
    """Forks the leader, as that user for good (None: as we are). `start` starts a command, answers its pid, and raises
    CannotStart. Answers the leader's pid, and a descriptor for `command_told`. Raises OSError."""
    reader, writer = os.pipe()
    slot = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        try:
            _become_leader(slot, uid)
            _Leader(commands, start, writer).run()
        finally:
            os._exit(_FAULT)
    os.close(writer)
    return pid, reader


def command_told(reader: int, commands: Sequence[Words]) -> str:
    """Which of the commands was begun last, and why it could not be started, if so. Call it once, when nothing runs."""
    os.set_blocking(reader, False)
    try:
        told = os.read(reader, _TOLD).decode(errors="replace")
    except BlockingIOError:
        told = ""
    finally:
        os.close(reader)
    places, _, why = told.partition("!")
    if not (begun := places.split()):
        return ""
    text = shlex.join(commands[int(begun[-1]) - 1])
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"command {begun[-1]} of {len(commands)}: {why or shown}"


def _become_leader(slot: int, uid: int | None) -> None:
    os.setsid()
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    if uid is not None:
        os.setresuid(uid, uid, uid)
    linux.on_parents_death(signal.SIGKILL)
    if os.getppid() != slot:  # it died before we asked
        os._exit(_FAULT)


class _Leader:
    def __init__(self, commands: Sequence[Words], start: Callable[[Words], int], told: int) -> None:
        self._commands, self._start, self._told = commands, start, told
        self._asked: signal.Signals | None = None
        for number in _ASKING:
            signal.signal(number, self._on_signal)

    def run(self) -> NoReturn:
        for place, words in enumerate(self._commands, start=1):
            if self._asked is not None:
                _die_of(self._asked)
            os.write(self._told, b"%d\n" % place)
            _, status = os.waitpid(self._begin(words), 0)
            if os.WIFSIGNALED(status):
                _die_of(signal.Signals(os.WTERMSIG(status)))
            if code := os.WEXITSTATUS(status):
                os._exit(code)
        os._exit(0)

    def _begin(self, words: Words) -> int:
        """Its pid. A signal that comes while it is started may have missed it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
        try:
            pid = self._start(words)
        except CannotStart as error:
            os.write(self._told, f"!{error}".encode(errors="replace"))
            os._exit(error.code or NOT_RUNNABLE)
        for number in signal.sigpending() & _ASKING:
            os.kill(pid, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
        return pid

    def _on_signal(self, number: int, _: object) -> None:
        self._asked = signal.Signals(number)


def _die_of(number: signal.Signals) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left one already, if it may
    if number is not signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
