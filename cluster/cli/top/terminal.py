"""The terminal of `cluster top`: raw keys in, text out, and everything as it was afterwards."""

import os
import sys
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from cluster.cli.top.painting import ENTER, LEAVE
from cluster.domain.base.errors import InvalidInput

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # loaded after the first frame


class Terminal:
    """An open file of our own, which never blocks: nobody else's becomes non-blocking by that."""

    def __init__(self) -> None:
        """InvalidInput where there is no terminal."""
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput(f"/dev/tty: {error.strerror}: there is no terminal to draw on") from None
        self._before = termios.tcgetattr(self._fd)
        self._unsent = b""
        self._loop: AbstractEventLoop | None = None  # in which it reads and writes; None: not yet
        self._then: Callable[[], object] = lambda: None
        self._writes = False
        self._entered = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def take(self, then: Callable[[], object]) -> None:
        """Takes the screen, if it does not have it; `then` as of `write`."""
        if not self._entered:
            tty.setraw(self._fd)
            self._entered = True
            self.write(ENTER, then)

    def listen(self, loop: "AbstractEventLoop", pressed: Callable[[bytes], object], gone: Callable[[], object]) -> None:
        """From now on `pressed` gets what is typed; `gone` is called when the terminal is. What it had not taken of
        what was written is written on."""
        self._loop = loop
        loop.add_reader(self._fd, self._read, pressed, gone)
        self._send()

    def leave(self) -> None:
        """Gives the screen back. What was not written yet is dropped; this waits for a moment at most."""
        if not self._entered:
            return
        self._entered = False
        self._stop_writing()
        if self._loop:
            self._loop.remove_reader(self._fd)
            self._loop = None
        with suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
            # A terminal's driver takes this much at once, or nobody reads it. An escape that was cut ends by ST.
            os.write(self._fd, ("\x1b\\" + LEAVE).encode())
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)

    def close(self) -> None:
        os.close(self._fd)

    @property
    def is_busy(self) -> bool:
        """Whether it has not taken yet what was written: then no other frame is drawn."""
        return bool(self._unsent)

    def write(self, text: str, then: Callable[[], object] = lambda: None) -> None:
        """Writes as fast as the terminal takes it, and calls `then` when all of it is written."""
        self._unsent += text.encode(errors="replace")
        self._then = then
        self._send()

    def _send(self) -> None:
        try:
            sent = os.write(self._fd, self._unsent) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._unsent = b""
            self._stop_writing()
            return  # it is gone: the reader notices
        self._unsent = self._unsent[sent:]
        if self._unsent and self._loop and not self._writes:
            self._writes = True
            self._loop.add_writer(self._fd, self._send)
        elif not self._unsent:
            self._stop_writing()
            self._then()

    def _stop_writing(self) -> None:
        if self._writes and self._loop:
            self._loop.remove_writer(self._fd)
        self._writes = False
        self._unsent = b""

    def _read(self, pressed: Callable[[bytes], object], gone: Callable[[], object]) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            pressed(data)
        elif self._loop:
            self._loop.remove_reader(self._fd)
            gone()


def check_terminal() -> None:
    """InvalidInput where nothing can be drawn, with what to use there."""
    dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown")
    if dumb or not (sys.stdin.isatty() and sys.stdout.isatty()):
        what = f"TERM={os.environ.get('TERM', '')} cannot be drawn on" if dumb else "this is no terminal"
        raise InvalidInput(
            f"{what}: `cluster status`, `cluster job list` and `cluster events --follow` tell the same in lines"
        )
