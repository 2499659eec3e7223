"""Whole process trees: who belongs to an attempt, and how to kill all of it without a cgroup for each.

The launcher is a *child subreaper*: whatever a job leaves behind (a daemon that forked twice, called setsid
and closed everything) becomes the launcher's own child the moment its parent dies. So nothing can leave,
and the launcher needs only to know whose each such *stray* is:

1. its session is that of an attempt's leader (every attempt is its own session), or
2. its environment still carries the attempt's CLUSTER_ATTEMPT, or
3. neither: then it belongs to one of the attempts that ran when it was found, and is killed when the last
   of these ends.

A child that has not been reaped keeps its pid, so a stray's owner is decided once and cannot be confused by
reuse. Others are signalled through a pidfd after their start time was compared.

Killing: stop (SIGSTOP) everything found and look again until nothing new is there, so that forks cannot
outrun it; then SIGKILL all. What is left shows up as strays when the leader has been reaped, and is killed
the same way. One thing is out of reach unless the launcher is root: a program that a job started as another
user (setuid). It is logged, and the attempt's end does not wait for it once its leader has ended.
"""

import ctypes
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MOST_ROUNDS = 100  # of stopping; a fork bomb is caught within a few, whoever needs more is swept again later
LATEST_START = 10.0  # seconds after the journal says that an attempt begins: a disk may take long to write that
LONGEST_DEATH = 10.0  # seconds to wait for all killed processes that are not our children
# What says that a process is gone or hidden. Anything else (no descriptor or memory left for us) says nothing about it:
# taken for gone, it would run on after its lease. Then this launcher ends, and its watchdog kills all there is.
_OUT_OF_SIGHT = (FileNotFoundError, ProcessLookupError, PermissionError)


class Process(NamedTuple):
    """A line of /proc/PID/stat. `start`: clock ticks since boot; with the pid it names a process for ever."""

    pid: int
    state: str
    parent: int
    session: int
    start: int


def become_subreaper() -> None:
    """From now on orphaned descendants become our children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def read_process(pid: int) -> Process | None:
    """What /proc says of a process, or None when there is none. OSError when we cannot look."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except _OUT_OF_SIGHT:
        return None
    try:
        data = os.read(fd, 4096)
    except _OUT_OF_SIGHT:
        return None
    finally:
        os.close(fd)
    # The name is in parentheses and may contain anything, so fields are counted from the last closing one.
    fields = data[data.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def read_all() -> dict[int, Process]:
    """Every process that is alive (zombies are not)."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read_process(int(name))
            if process is not None and process.state not in "ZX":
                found[process.pid] = process
    return found


def read_environment(pid: int, name: str) -> str | None:
    """The value of one variable in the environment that a process was started with; None when absent or
    hidden. OSError when we cannot look.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            data = f.read()
    except _OUT_OF_SIGHT:
        return None
    prefix = name.encode() + b"="
    for entry in data.split(b"\0"):
        if entry.startswith(prefix):
            return os.fsdecode(entry[len(prefix) :])
    return None


def send(process: Process, number: int) -> bool:
    """Signal exactly this process. False when it may not be signalled; True when it was, or is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    except OSError as e:
        if e.errno != errno.ENOSYS:  # before Linux 5.3 there is no pidfd: accept the tiny race
            raise
        fd = -1
    try:
        now = read_process(process.pid)
        if now is None or now.start != process.start:
            return True
        if fd >= 0:
            signal.pidfd_send_signal(fd, number)
        else:
            os.kill(process.pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)
    return True


def descendants(roots: Iterable[int], table: dict[int, Process]) -> dict[int, Process]:
    """Those roots that are in the table, and everything below them."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, Process] = {}
    todo = [pid for pid in roots if pid in table]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found[pid] = table[pid]
            todo.extend(children.get(pid, ()))
    return found


def kill_all(find: Callable[[], dict[int, Process]]) -> tuple[set[Process], set[Process]]:
    """SIGKILL everything that `find` finds, forks included. Answers what was killed and what we may not
    signal.
    """
    stopped: dict[int, Process] = {}
    refused: set[Process] = set()
    for _ in range(MOST_ROUNDS):
        new = {pid: p for pid, p in find().items() if pid not in stopped}
        if not new:
            break
        for pid, process in new.items():
            stopped[pid] = process
            if not send(process, signal.SIGSTOP):
                refused.add(process)
    for process in stopped.values():
        send(process, signal.SIGKILL)
    return set(stopped.values()) - refused, refused


def kill_remains(identity: str, begun: Iterable[tuple[int, float]]) -> int:
    """Kill what a dead launcher with this CLUSTER_LAUNCHER left running, and wait until it is gone.

    begun: (pid, boot clock when it was spawned) of the leaders it knew; with the session and the start time
    these find also those that cleared or hid their environment. Answers how many processes were killed.
    """
    tick = os.sysconf("SC_CLK_TCK")
    leaders = dict(begun)

    def is_leader(p: Process) -> bool:
        return p.pid == p.session and p.pid in leaders and -0.1 < p.start / tick - leaders[p.pid] < LATEST_START

    # Sessions outlive their leaders, so a leader that was once recognised keeps its session marked.
    sessions: set[int] = set()

    def find() -> dict[int, Process]:
        table = read_all()
        sessions.update(pid for pid, p in table.items() if is_leader(p))
        roots = [pid for pid, p in table.items() if p.session in sessions or _is_of(identity, pid)]
        return descendants(roots, table)

    killed, _ = kill_all(find)
    until = time.monotonic() + LONGEST_DEATH
    for process in killed:
        _wait_until_gone(process, max(0.0, until - time.monotonic()))
    return len(killed)


def _is_of(identity: str, pid: int) -> bool:
    return pid != os.getpid() and read_environment(pid, "CLUSTER_LAUNCHER") == identity


def _wait_until_gone(process: Process, patience: float) -> None:
    """It was killed and is somebody else's child. Not for ever: it may hang in the kernel. `patience` in seconds."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = read_process(process.pid)
        if now is not None and now.start == process.start:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(patience * 1000)
    finally:
        os.close(fd)


class Trees:
    """Which process belongs to which attempt. `watchdog` answers the pid of the one child that is no attempt's."""

    def __init__(self, watchdog: Callable[[], int]) -> None:
        self._watchdog = watchdog
        self.leaders: dict[int, str] = {}  # pid of a leader that was not reaped -> key
        self._sessions: dict[int, str] = {}  # pid of every leader whose attempt has not ended -> key
        self._marks: dict[str, str] = {}  # CLUSTER_ATTEMPT -> key
        self._mark_of: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._owners: dict[int, str] = {}  # stray, our child -> key
        self._suspects: dict[int, set[str]] = {}  # stray -> keys of which one is its owner's
        self._out_of_reach: set[int] = set()  # strays that we may not signal (setuid programs)
        self._killed: dict[int, int] = {}  # pid -> start of what was sent SIGKILL
        self._children = _open_children()

    def add(self, key: str, pid: int, mark: str) -> None:
        """An attempt was started. `mark` is its CLUSTER_ATTEMPT."""
        self.leaders[pid] = self._sessions[pid] = self._marks[mark] = key
        self._pids[key], self._mark_of[key] = pid, mark

    def reaped(self, pid: int) -> str | None:
        """One of our children is gone: the key when it was a leader, None when it was a stray."""
        key = self.leaders.pop(pid, None)
        if key is None:
            self._owners.pop(pid, None)
            self._suspects.pop(pid, None)
            self._out_of_reach.discard(pid)
            self._killed.pop(pid, None)
        return key

    def forget(self, key: str) -> None:
        """The attempt ended: nothing of it runs."""
        pid = self._pids.pop(key)
        if self._sessions.get(pid) == key:  # else the pid was used again: its session is another attempt's
            del self._sessions[pid]
        self._marks.pop(self._mark_of.pop(key), None)

    def strays(self, key: str) -> list[int]:
        """Our children that are left over from this attempt, whose leader has been reaped."""
        self._find_owners()
        for pid, suspects in list(self._suspects.items()):
            suspects.intersection_update(self._pids)
            if suspects <= {key}:
                self._owners[pid] = key
                del self._suspects[pid]
        return [pid for pid, k in self._owners.items() if k == key and pid not in self._out_of_reach]

    def signal(self, keys: Iterable[str], number: int) -> None:
        """Send a signal to every process of these trees; stopped ones are continued, so that they can act on it."""
        for process in self._members(keys).values():
            send(process, number)
            send(process, signal.SIGCONT)

    def kill(self, keys: list[str]) -> int:
        """SIGKILL these trees; answers how many processes of them we may not signal."""
        killed, refused = kill_all(lambda: self._members(keys))
        self._killed.update((p.pid, p.start) for p in killed)
        self._out_of_reach.update(p.pid for p in refused)
        return len(refused)

    def are_dying(self, strays: Iterable[int]) -> bool:
        """Was each of these sent SIGKILL already?"""
        found = filter(None, map(read_process, strays))
        return all(self._killed.get(p.pid) == p.start for p in found)

    def _members(self, keys: Iterable[str]) -> dict[int, Process]:
        table = read_all()
        self._find_owners()
        wanted = set(keys)
        # A leader that has been reaped may have left its pid to another attempt's.
        leaders = {self._pids[key] for key in wanted if self._sessions.get(self._pids[key]) == key}
        roots = [pid for pid, key in self._owners.items() if key in wanted]
        for pid, process in table.items():
            if process.session in leaders:
                roots.append(pid)
        roots += [pid for pid in leaders if pid in self.leaders]
        return descendants(roots, table)

    def _find_owners(self) -> None:
        """Until nobody has died on the way: what such a one started last became our child after we had looked."""
        before: set[int] = set()
        while not (dead := self._find_owners_once()) <= before:
            before = dead

    def _find_owners_once(self) -> set[int]:
        """Answers the children that were dead before we got to them, and are still to be reaped."""
        dead = set()
        for pid in self._read_children():
            if pid in self.leaders or pid in self._owners or pid in self._suspects or pid == self._watchdog():
                continue
            process = read_process(pid)
            if process is None or process.state in "ZX":
                dead.add(pid)
                continue
            key = self._sessions.get(process.session)
            if key is None:
                key = self._marks.get(read_environment(pid, "CLUSTER_ATTEMPT") or "")
            if key is not None:
                self._owners[pid] = key
            else:
                self._suspects[pid] = set(self._pids)
        return dead

    def _read_children(self) -> Iterator[int]:
        if self._children is None:  # a kernel without CONFIG_PROC_CHILDREN
            me = os.getpid()
            return (p.pid for p in read_all().values() if p.parent == me)
        data = b""
        while chunk := os.pread(self._children, 1 << 16, len(data)):
            data += chunk
        return map(int, data.split())


def _open_children() -> int | None:
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    except FileNotFoundError:
        return None
