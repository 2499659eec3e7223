"""`cluster top` on a real terminal, with a real cluster."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

_SEQUENCE = re.compile(rb"\x1b(?:\[([?0-9;]*)([A-Za-z])|\\)")


class Screen:
    """What a terminal of that size shows, by the sequences that `cluster top` writes; any other fails the test."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]", rows: int, columns: int) -> None:
        self._fd, self.process = fd, process
        self.clears = 0
        self.modes: list[bytes] = []  # that were set and unset
        self._rest = b""
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self._lines = [b""] * rows
        self._row = 0
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def text(self) -> str:
        return "\n".join(line.decode(errors="replace") for line in self._lines)

    def wait_for(self, words: str, *, gone: bool = False) -> None:
        until = time.monotonic() + PATIENCE
        while (words in self.text) is gone:
            assert time.monotonic() < until, f"{words!r}\n{self.text}"
            self.read(until - time.monotonic())

    def read(self, patience: float) -> bool:
        """Takes what comes within that time. Whether there is more to come."""
        if not select.select([self._fd], [], [], max(0.0, patience))[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other side has closed it
            return False
        self._rest += data
        self._take()
        return bool(data)

    def _take(self) -> None:
        while self._rest:
            if found := _SEQUENCE.match(self._rest):
                self._obey(found[1] or b"", found[2] or b"")
                self._rest = self._rest[found.end() :]
            elif self._rest[:1] == b"\x1b":
                assert len(self._rest) < 20, self._rest[:40]
                return  # not all of it is here
            else:
                text = re.match(rb"[^\x1b]+", self._rest)
                assert text
                assert not re.search(rb"[\x00-\x1f\x7f]", text[0]), text[0]
                self._lines[self._row] += text[0]
                self._rest = self._rest[text.end() :]

    def _obey(self, parameters: bytes, end: bytes) -> None:
        if end == b"H":
            self._row = min(int(parameters.split(b";")[0]), self.rows) - 1
            self._lines[self._row] = b""
        elif end == b"J":
            self.clears += 1
            self._lines = [b""] * self.rows
        elif end in (b"h", b"l"):
            self.modes.append(parameters + end)
        else:
            assert end in (b"m", b"K", b""), end

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def ends(self) -> int:
        """Its exit code."""
        while self.process.poll() is None:
            self.read(0.1)
        while self.read(0):
            if not select.select([self._fd], [], [], 0)[0]:
                break
        return self.process.returncode


@contextmanager
def top_on_a_screen(cluster: Command, rows: int = 24, columns: int = 80, **env: str) -> Iterator[Screen]:
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    line = ["setsid", "--ctty", *cluster.line("top")]
    environment = cluster.environment({"TERM": "xterm", **env})
    try:
        with subprocess.Popen(line, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            try:
                yield Screen(ours, process, rows, columns)
                assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
            finally:
                process.kill()
    finally:
        os.close(ours)
        os.close(theirs)


def test_jobs_are_watched_opened_followed_cancelled_and_a_worker_drained(cluster: Command) -> None:
    evil = submit(cluster, "--name", "evil\x1b[2J", "--", "sh", "-c", "printf '\\033[2Jboo\\rshown\\n'; sleep 600")
    with top_on_a_screen(cluster) as screen:
        screen.wait_for("online")
        screen.wait_for("evil\\x1b[2J")
        screen.type("f")
        screen.wait_for("shown")
        assert "boo" not in screen.text
        screen.type("\x1b")
        screen.wait_for("WORKER")
        other = submit(cluster, "--name", "other", "--", "sleep", "600")
        screen.wait_for("other")
        screen.type("/other\r\r")
        screen.wait_for(f"job {other} (other)")
        screen.wait_for("because")
        screen.type("c")
        screen.wait_for("y: yes")
        screen.type("y")
        screen.wait_for("state    cancelled")
        assert cluster("job", "wait", other).code == 143
        screen.type("\x1b")
        screen.wait_for("WORKER")
        screen.type("\x1b\td")
        screen.wait_for("drain worker")
        screen.type("y")
        screen.wait_for("draining")
        screen.type("dy")
        screen.wait_for("online")
        screen.resize(50, 200)
        screen.wait_for("OWNER")
        assert screen.clears == 2, "at the start and when it was resized"
        screen.type("q")
        assert screen.ends() == 0
        assert screen.modes[-2:] == [b"?25h", b"?1049l"]
    cluster.ok("job", "cancel", evil)


def test_a_scheduler_that_goes_is_told_and_found_again_and_signals_restore_the_terminal(command: Command) -> None:
    command.ok("up", "--cpus", "1")
    with top_on_a_screen(command, NO_COLOR="1") as screen:
        screen.wait_for("online")
        command.ok("down")
        screen.wait_for("no answer")
        command.ok("up", "--cpus", "1")
        screen.wait_for("no answer", gone=True)
        submit(command, "--name", "after", "--", "true")
        screen.wait_for("after")
        assert screen.clears == 1
        screen.process.send_signal(signal.SIGTERM)
        assert screen.ends() == -signal.SIGTERM
        assert screen.modes[-2:] == [b"?25h", b"?1049l"]
    with top_on_a_screen(command) as screen:
        screen.wait_for("? help")
        screen.type("\x03")
        assert screen.ends() == 130
    command.ok("down")


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_without_a_terminal_it_says_what_to_use(cluster: Command, term: str) -> None:
    done = cluster("top", env={"TERM": term})
    assert (done.code, done.out) == (2, b"")
    assert re.fullmatch(r"cluster: .*: `cluster status`, .* tell the same in lines\n", done.err), done.err
