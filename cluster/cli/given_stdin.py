"""What of our stdin a job gets to read, of `cluster run`: what somebody feeds to us, and nothing that only happens to
be open.

A file is read to its end. A pipe (or socket) is read when there is something in it, or its end, within a moment; and
after that as long as it takes where another program that the same shell has started writes to it, as in `sort x |
cluster run -- cmd`. What is left is a pipe that was handed down to us and says nothing, as of cron, ssh or a CI system:
that is left alone, and told, because it may never end. A terminal is never read, nor anything else.
"""

import os
import select
import stat
import sys
from typing import IO

from cluster.cli.remarks import remark

MOMENT = 1.0  # seconds
STDIN = 0


def given_stdin() -> IO[bytes] | None:
    """What is to be read; None: nothing, which is told where somebody may wonder. May wait for a moment."""
    try:
        found = os.fstat(STDIN)
    except OSError:  # it is closed
        return None
    if stat.S_ISREG(found.st_mode):
        return sys.stdin.buffer if os.lseek(STDIN, 0, os.SEEK_CUR) < found.st_size else None
    if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        return None
    if not _is_ready():
        if not _is_written_beside_us(found):
            remark("stdin says nothing, and the job gets none: --stdin - waits for it, --no-stdin does without")
            return None
        remark("waiting for stdin: --no-stdin does without it")
    return sys.stdin.buffer


def _is_ready() -> bool:
    """Whether something can be read within a moment, or the end is there."""
    poll = select.poll()
    poll.register(STDIN, select.POLLIN)
    return bool(poll.poll(MOMENT * 1000))


def _is_written_beside_us(pipe: os.stat_result) -> bool:
    """Whether a process that is none of those by which we were started has its other end open: one that a shell has
    started for us. Who started us may keep a pipe open for as long as it lives."""
    if not stat.S_ISFIFO(pipe.st_mode):
        return False  # both ends of a socket look different
    ancestors = _ancestors()
    others = (name for name in os.listdir("/proc") if name.isdigit() and int(name) not in ancestors)
    return any(_writes(name, pipe) for name in others)


def _writes(process: str, pipe: os.stat_result) -> bool:
    directory = f"/proc/{process}/fd"
    try:
        for fd in os.listdir(directory):
            found = os.stat(f"{directory}/{fd}")
            is_it = (found.st_dev, found.st_ino) == (pipe.st_dev, pipe.st_ino)
            if is_it and os.lstat(f"{directory}/{fd}").st_mode & stat.S_IWUSR:
                return True
    except OSError:  # it has ended, or is another user's
        pass
    return False


def _ancestors() -> set[int]:
    """The numbers of our own process and of all above it."""
    found: set[int] = set()
    process = os.getpid()
    while process and process not in found:
        found.add(process)
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                process = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found
