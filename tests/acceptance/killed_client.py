"""`cluster`, killed by SIGKILL at a certain step of what its client does: `python -m tests.acceptance.killed_client`.

A step is a call of a function in `cluster/client`, or of one of the system's that is made there, in any thread. The
first argument says before which one the process is killed (0: never); the second names a file of 8 bytes, in which the
steps that were made stand, however the process has ended. The others are the command's.
"""

import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import cluster.client
from cluster.cli.entry import main
from tests.acceptance.command import Command

OURS = tuple(cluster.client.__path__)


def kill_before(step: int, counter: mmap.mmap) -> None:
    """From now on steps are counted."""
    made = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal made
        if event == "call" or (event == "c_call" and getattr(called, "__module__", "") == "posix"):
            if not frame.f_code.co_filename.startswith(OURS):
                return
            made += 1
            struct.pack_into("<Q", counter, 0, made)
            if made == step:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


class KilledClient:
    """Runs commands that are killed."""

    def __init__(self, command: Command, place: Path) -> None:
        """`place`: a directory for its own use."""
        self._command, self._counter = command, place / "steps"

    def steps(self, *arguments: str, **options: Any) -> int:
        """How many steps the command takes, which succeeds."""
        with self._started(0, *arguments, **options) as process:
            assert process.wait() == 0
        return self._made()

    def kill(self, step: int, *arguments: str, **options: Any) -> bool:
        """Whether it came so far, and was killed."""
        with self._started(step, *arguments, **options) as process:
            code = process.wait()
        assert code in (0, -signal.SIGKILL), code
        return code != 0

    @contextmanager
    def reaching(self, step: int, *arguments: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
        """The command, which is not killed, once it has come so far, or has ended."""
        with self._started(0, *arguments, **options) as process:
            while self._made() < step and process.poll() is None:
                time.sleep(0.0005)
            yield process

    @contextmanager
    def _started(self, step: int, *arguments: str, cwd: Path) -> Iterator["subprocess.Popen[bytes]"]:
        self._counter.write_bytes(bytes(8))
        line = [sys.executable, "-m", __name__, str(step), str(self._counter), *arguments]
        with subprocess.Popen(
            line,
            env=self._command.environment({}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            yield process

    def _made(self) -> int:
        return int(struct.unpack("<Q", self._counter.read_bytes())[0])


if __name__ == "__main__":
    with open(sys.argv[2], "r+b") as file:
        counting = mmap.mmap(file.fileno(), 8)
    kill_before(int(sys.argv[1]), counting)
    del sys.argv[1:3]
    main()
