"""Background processes: started so that they outlive us, told apart from whoever has their number later, waited for."""

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.cli.births import born
from cluster.cli.secret_hiding import VARIABLE
from cluster.domain.base.quantities import format_size

START_PATIENCE = 60.0  # seconds until a process must be ready; a first start on a slow disk takes a few
# Seconds that a process which was not ready in time has to end; a worker gives its tasks back meanwhile. Then it is
# killed, which loses nothing. Without that we would hold the lock, and nobody could start or stop a cluster.
END_PATIENCE = 60.0
LITTLE = 1 << 20  # bytes free on a disk; below that a start or its log may well have failed for want of room
LOG_TAIL = 4096  # bytes of a log in which to look for the reason of a failed start


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `started` (clock ticks since boot) and `boot` tell it from a later one that has the same pid."""

    pid: int
    started: int
    boot: str


class DidNotStart(Exception):
    """The process ended, or said nothing in time. The message is the last thing in its log. `code`: what it left with,
    None where we ended it."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


def find(pid: int) -> Process | None:
    """The process that has this pid now; None where there is none, or only a zombie."""
    began = born(pid)
    return None if began is None else Process(pid, *began)


def is_alive(process: Process) -> bool:
    """Whether it still runs."""
    return find(process.pid) == process


def program() -> list[str]:
    """How to start ourselves again: the packed file, or the package that runs now, and nothing from where we are."""
    boot = sys.modules.get("boot.cache")
    if boot is not None:
        return [sys.executable, "-S", "-I", os.path.abspath(boot.ARCHIVE)]  # as its first line has it
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from cluster.cli.entry import main; main()"
    return [sys.executable, "-P", "-c", code]


def cache() -> str:
    """The directory that the packed file has unpacked itself into; empty: we are none."""
    boot = sys.modules.get("boot.cache")
    return os.path.realpath(boot.location()) if boot is not None else ""


def start(arguments: Sequence[str], root: Path, log: Path, born: Callable[[Process], None]) -> Process:
    """Starts `cluster ARGUMENTS --ready-fd N` in the background, and returns once it says that it is ready.

    `born` is called as soon as there is a process, since we may be killed before it is ready. DidNotStart where it ends
    before it is ready, or is not in START_PATIENCE seconds. Its output is appended to `log`.
    """
    ready, write_end = os.pipe()
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as output:
            before = os.fstat(output.fileno()).st_size
            child = _child([*program(), *arguments, "--ready-fd", str(write_end)], root, output.fileno(), write_end)
        os.close(write_end)
        write_end = -1
        if (process := find(child.pid)) is not None:
            born(process)
        if not _said_ready(ready):
            code = _end(child)
            raise DidNotStart(_reason(log, before), code)
    finally:
        os.close(ready)
        if write_end >= 0:
            os.close(write_end)
    child.returncode = 0  # it is not ours to wait for: this keeps Popen from complaining that it still runs
    if process is None or not is_alive(process):
        raise DidNotStart(_reason(log, before))
    return process


def _child(command: Sequence[str], root: Path, output: int, write_end: int) -> "subprocess.Popen[bytes]":
    """It has `write_end` open too. OSError where it cannot be run; DidNotStart where it was killed before that."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=root,
            env=_environment(root),
            pass_fds=[write_end],
            start_new_session=True,
        )
    except subprocess.SubprocessError as error:
        raise DidNotStart(f"{command[0]} cannot be run: {error}") from None


def _environment(root: Path) -> dict[str, str]:
    """Our variables, without a join token: that would be another cluster's."""
    return {name: v for name, v in os.environ.items() if name != VARIABLE} | {"CLUSTER_HOME": str(root)}


def _end(child: "subprocess.Popen[bytes]") -> int | None:
    """Ends a process that is not ready. Returns its exit code where it left by itself, None where a signal ended it."""
    child.terminate()
    try:
        code = child.wait(END_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    return code if code > 0 else None


def stop(process: Process, patience: float) -> bool:
    """SIGTERM, and waits for its end; False when it goes on after `patience` seconds."""
    pidfd = _pidfd(process)
    if pidfd is None:
        return True
    try:
        if not is_alive(process):
            return True  # another process has its number now, which we leave alone
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        return _wait(pidfd, patience)
    except ProcessLookupError:
        return True
    finally:
        os.close(pidfd)


def wait_for_end(process: Process, patience: float) -> bool:
    """Waits for its end; False when it goes on after `patience` seconds."""
    pidfd = _pidfd(process)
    if pidfd is None:
        return True
    try:
        return not is_alive(process) or _wait(pidfd, patience)
    finally:
        os.close(pidfd)


def _pidfd(process: Process) -> int | None:
    """None: no process has its number, which may be a thread's by now (EINVAL, or ENOENT since Linux 6.9)."""
    try:
        return os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return None
        raise


def _wait(fd: int, patience: float) -> bool:
    """Whether the descriptor becomes readable in time: a pidfd at its process's end, a pipe when something is said."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def _said_ready(pipe: int) -> bool:
    return _wait(pipe, START_PATIENCE) and bool(os.read(pipe, 1))


def _reason(log: Path, before: int) -> str:
    """The last line that was written to the log after `before`."""
    with open(log, "rb") as file:
        file.seek(max(before, file.seek(0, os.SEEK_END) - LOG_TAIL))
        lines = file.read().decode(errors="replace").split("\n")
    said = [line.strip().removeprefix("cluster: ") for line in lines if line.strip()]
    if said:
        return f"{said[-1]} (its log: {log})"
    free = shutil.disk_usage(log.parent).free
    why = f": its disk is full, {format_size(free)} are left" if free < LITTLE else ""
    return f"it ended without a word{why} (its log: {log})"
