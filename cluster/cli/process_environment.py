"""What a process may lack when cron, a service or a web server starts it, and how it is made good: open standard
streams, UTF-8, and the name of its own Python."""

import fcntl
import io
import locale
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

OUTPUT = "standard output"  # what errors about it name


def make_good() -> None:
    """To be called first of all. May start this process anew, in UTF-8."""
    _hold_standard_descriptors()
    if not sys.executable:  # Python looks for itself in PATH, which may not be there
        sys.executable = os.readlink("/proc/self/exe")
    _speak_utf8()
    _open_streams()


def _hold_standard_descriptors() -> None:
    """Whoever closed one of the three (`2>&-`) wants nothing of it. The next file or connection that is opened would
    get its number, and what is meant for nobody would go there. (A program between us and them, such as a script that
    looks for a Python, may have opened one already: nothing can be written to that.)"""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    for stream in (1, 2):
        if fcntl.fcntl(stream, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            os.dup2(fd, stream)
    os.close(fd)


def _speak_utf8() -> None:
    """Starts this process anew where the locale has another encoding, Latin-1 say: what is text there, arguments and
    paths, would reach workers as other bytes. Python speaks UTF-8 by itself only in the locales C and POSIX.

    It does so by an option: where Python is told to ignore variables (-I) it ignores PYTHONUTF8 too.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode:
        return
    anew = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execv(sys.executable, anew)  # noqa: S606 (nothing here came from elsewhere)


def _open_streams() -> None:
    """The three, also where Python found none when it started (it has None there, which cannot be written to). What an
    encoding cannot show (a job's name, a path) is shown as an escape; it is no reason to end."""
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as we run)
    sys.stdout = _opened(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _opened(_Remarks(2, "w", closefd=False), sys.stderr)


def _opened(raw: io.FileIO, pythons: TextIO | None) -> io.TextIOWrapper:
    # A terminal shows the locale's encoding; what programs read, JSON above all, is UTF-8.
    own = raw.isatty() and locale.getencoding() not in ("UTF-8", "ANSI_X3.4-1968")
    encoding = locale.getencoding() if own else pythons.encoding if pythons else "utf-8"
    lines = raw.isatty() or raw.fileno() == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=lines)


class _StandardStream(io.FileIO):
    """A standard stream. Somebody beside us may have made it non-blocking: then it is waited for."""

    def write(self, data: Any) -> int:
        while (written := super().write(data)) is None:
            select.select([], [self], [])
        return written


class _Output(_StandardStream):
    """Standard output: an error says that it is that."""

    def write(self, data: Any) -> int:
        with naming_output():
            return super().write(data)


class _Remarks(_StandardStream):
    """Standard error: where it takes nothing (a full disk, a terminal that is gone) nobody is told anything, and that
    is all. What was to be done is done, and the exit code says how."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


@contextmanager
def naming_output() -> Iterator[None]:
    """An OSError in the body of this names standard output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, OUTPUT) from None
