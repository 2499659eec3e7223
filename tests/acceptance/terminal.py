"""A terminal for a command, and somebody who types on it."""

import codecs
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.command import Command
from tests.patience import PATIENCE


class Terminal:
    """The other side of a pseudo terminal: reads until some words have come, types."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]") -> None:
        self._fd = fd
        self.process = process
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character

    def wait_for(self, words: str) -> None:
        while words not in self.seen:
            assert select.select([self._fd], [], [], PATIENCE)[0], self.seen
            self.seen += self._decoder.decode(os.read(self._fd, 4096))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())


@contextmanager
def on_a_terminal(cluster: Command, *arguments: str) -> Iterator[Terminal]:
    """Runs the command with a terminal of its own, so that Ctrl-C is typed as a person types it."""
    ours, theirs = pty.openpty()
    try:
        line = ["setsid", "--ctty", *cluster.line(*arguments)]
        with subprocess.Popen(line, env=cluster.environment({}), stdin=theirs, stdout=theirs, stderr=theirs) as process:
            try:
                yield Terminal(ours, process)
            finally:
                process.kill()
    finally:
        os.close(ours)
        os.close(theirs)
