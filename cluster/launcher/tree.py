"""Whole process trees: what is below a slot, and how to kill all of it, with and without a cgroup.

Each slot is a *child subreaper*: whatever its attempt leaves behind (a daemon that forked twice, called setsid, cleared
its environment and closed everything) becomes the slot's own child the moment its parent dies. So nothing can leave,
and what belongs to an attempt is what is below its slot, however it hides. Others are signalled through a pidfd after
their start time was compared, so a pid that was used again is never taken for another.

Killing: stop (SIGSTOP) everything found and look again until nothing new is there, so that forks cannot outrun it; then
SIGKILL all. One thing is out of reach unless we are root: a program that a job started as another user (setuid).

Only where slots were killed together with launcher and watchdog, their orphans belong to nobody: `kill_orphans` finds
those of the dead launcher by its mark in their environment, and by the sessions of the leaders in its journal.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

MOST_ROUNDS = 100  # of stopping; a fork bomb is caught within a few, whoever needs more is swept again later
LATEST_START = 10.0  # seconds after the journal says that an attempt begins: a disk may take long to write that
LONGEST_DEATH = 10.0  # seconds to wait for all killed processes that are not our children
# What says that a process is gone or hidden. Anything else (no descriptor or memory left for us) says nothing about it:
# taken for gone, it would run on after its lease. Then this launcher ends, and its watchdog kills all there is.
_OUT_OF_SIGHT = (FileNotFoundError, ProcessLookupError, PermissionError)
# What pidfd_open says of a number that no process has, or that a thread has by now: EINVAL, or ENOENT since Linux 6.9.
_NO_PROCESS = (errno.ESRCH, errno.EINVAL, errno.ENOENT)


class ProcessStat(NamedTuple):
    """A line of /proc/PID/stat. `start`: clock ticks since boot; with the pid it names a process for ever."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    threads: int = 1

    @property
    def is_alive(self) -> bool:
        """Whether any thread of it runs. (When only its first one has ended, it is listed as a zombie, too.)"""
        return self.state not in "ZX" or self.threads > 1


def read_process(pid: int) -> ProcessStat | None:
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
    return ProcessStat(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]), int(fields[17]))


def read_own() -> ProcessStat:
    """What /proc says of the caller. OSError when we cannot look."""
    process = read_process(os.getpid())
    assert process is not None, "we look"
    return process


def read_all() -> dict[int, ProcessStat]:
    """Every process that is alive (zombies are not)."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read_process(int(name))
            if process is not None and process.is_alive:
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


def send(process: ProcessStat, number: int) -> bool:
    """Signal exactly this process. False when it may not be signalled; True when it was, or is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError as e:
        if e.errno in _NO_PROCESS:
            return True
        if e.errno != errno.ENOSYS:  # before Linux 5.3 there is no pidfd: accept the tiny race
            raise
        fd = -1
    try:
        if not _is_still(process):
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


def descendants(roots: Iterable[int], table: dict[int, ProcessStat]) -> dict[int, ProcessStat]:
    """Those roots that are in the table, and everything below them."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, ProcessStat] = {}
    todo = [pid for pid in roots if pid in table]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found[pid] = table[pid]
            todo.extend(children.get(pid, ()))
    return found


def below(pid: int, start: int | None = None) -> dict[int, ProcessStat]:
    """Everything alive below that process, not itself; nothing, if it did not start then (clock ticks since boot).
    OSError when we cannot look.

    What ends while we look may leave its number to a stranger. So a list of children counts if its process is the same
    after it was read, and a child if its parent is that process, or `pid`, which gets orphans. Whoever gets another
    parent just then is found at the next look."""
    root = read_process(pid)
    if root is None or start not in (None, root.start):
        return {}
    found: dict[int, ProcessStat] = {}
    todo = [root]
    while todo:
        above = todo.pop()
        children = _children(above.pid)
        if children is None:  # a kernel without CONFIG_PROC_CHILDREN
            table = read_all()
            return {p: process for p, process in descendants([pid], table).items() if p != pid}
        if not children or not _is_still(above):
            continue
        for child in children:
            process = read_process(child) if child not in found else None
            if process is not None and process.parent in (above.pid, pid):
                todo.append(process)
                if process.is_alive:
                    found[child] = process
    return found


def _is_still(process: ProcessStat) -> bool:
    """Whether its pid is still its own. (A zombie's is.)"""
    now = read_process(process.pid)
    return now is not None and now.start == process.start


def children_of(pid: int) -> dict[int, ProcessStat]:
    """Its children that are alive. OSError when we cannot look."""
    children = _children(pid)
    if children is None:
        return {p: process for p, process in read_all().items() if process.parent == pid}
    found = filter(None, map(read_process, children))
    return {process.pid: process for process in found if process.is_alive and process.parent == pid}


def _children(pid: int) -> list[int] | None:
    """The children of all its threads. None when the kernel keeps no such list."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except _OUT_OF_SIGHT:
        return found
    for thread in threads:
        try:
            fd = os.open(f"/proc/{pid}/task/{thread}/children", os.O_RDONLY)
        except FileNotFoundError:
            if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
                return None
            continue  # the thread has ended
        except _OUT_OF_SIGHT:
            continue
        data = b""
        try:
            while chunk := os.read(fd, 1 << 16):
                data += chunk
        except _OUT_OF_SIGHT:
            pass
        finally:
            os.close(fd)
        found.extend(map(int, data.split()))
    return found


def signal_below(pid: int, number: int, child: int) -> bool:
    """Send a signal to everything below that process; what is stopped is continued, so that it can act on it. False
    when that child of it had ended before; a child that has not been waited for keeps its pid."""
    first = read_process(child)
    for process in below(pid).values():
        send(process, number)
        send(process, signal.SIGCONT)
    return first is not None and first.is_alive and first.parent == pid


def freeze_below(pid: int) -> set[ProcessStat]:
    """Stop everything below that process where it is, forks included. Answers what we may not signal."""
    _, refused = _stop_all(lambda: below(pid))
    return refused


def thaw_below(pid: int) -> None:
    """Let everything below that process go on. All is found first: as long as it is stopped nothing moves."""
    for process in below(pid).values():
        send(process, signal.SIGCONT)


def kill_all(find: Callable[[], dict[int, ProcessStat]]) -> tuple[set[ProcessStat], set[ProcessStat]]:
    """SIGKILL everything that `find` finds, forks included. Answers what was killed and what we may not
    signal.
    """
    stopped, refused = _stop_all(find)
    for process in stopped:
        send(process, signal.SIGKILL)
    return stopped - refused, refused


def _stop_all(find: Callable[[], dict[int, ProcessStat]]) -> tuple[set[ProcessStat], set[ProcessStat]]:
    """SIGSTOP everything that `find` finds, until nothing new is there. Answers all that was found, and what of it we
    may not signal."""
    stopped: dict[int, ProcessStat] = {}
    refused: set[ProcessStat] = set()
    quiet = 0  # looks in a row that found nothing new: one may miss what has just got another parent
    for _ in range(MOST_ROUNDS):
        new = {pid: p for pid, p in find().items() if pid not in stopped or stopped[pid].start != p.start}
        quiet = 0 if new else quiet + 1
        if quiet == 2:
            break
        for pid, process in new.items():
            stopped[pid] = process
            if not send(process, signal.SIGSTOP):
                refused.add(process)
    return set(stopped.values()), refused


def kill_for_good(find: Callable[[], dict[int, ProcessStat]]) -> tuple[set[ProcessStat], set[ProcessStat]]:
    """The same until a look finds nothing more that it has not killed: who forks and dies faster than others look is
    caught only by chance. LONGEST_DEATH seconds at most."""
    until = time.monotonic() + LONGEST_DEATH
    killed: set[tuple[int, int]] = set()
    processes: set[ProcessStat] = set()
    while True:
        some, refused = kill_all(find)
        new = {process for process in some if (process.pid, process.start) not in killed}
        if not new or time.monotonic() > until:
            return processes, refused
        killed.update((process.pid, process.start) for process in new)
        processes |= new


def kill_children(parent: ProcessStat, known: set[int]) -> None:
    """SIGKILL every child of that process but those that are known, with all below them."""

    def find() -> dict[int, ProcessStat]:
        found = {p.pid: p for p in children_of(parent.pid).values() if p.pid not in known}
        if not _is_still(parent):
            return {}
        for process in list(found.values()):
            found |= below(process.pid, process.start)
        return found

    kill_all(find)


def kill_slot(slot: ProcessStat) -> int:
    """SIGKILL a slot and everything below it, in an order that lets nothing get away: it is stopped first, and dies
    last. Answers how many processes were killed below it."""
    send(slot, signal.SIGSTOP)
    killed, _ = kill_for_good(lambda: below(slot.pid, slot.start))
    send(slot, signal.SIGKILL)
    return len(killed)


def wait_until_gone(processes: Iterable[ProcessStat]) -> None:
    """They were killed and are somebody else's children. Not for ever: one may hang in the kernel."""
    until = time.monotonic() + LONGEST_DEATH
    for process in processes:
        _wait_until_gone(process, max(0.0, until - time.monotonic()))


def kill_orphans(identity: str, begun: Iterable[tuple[int, float]]) -> int:
    """Kill what a dead launcher with this CLUSTER_LAUNCHER left running, and wait until it is gone.

    begun: (pid, boot clock when it was spawned) of the leaders it knew; with the session and the start time
    these find also those that cleared or hid their environment. Answers how many processes were killed.
    """
    tick = os.sysconf("SC_CLK_TCK")
    leaders = dict(begun)

    def is_leader(p: ProcessStat) -> bool:
        return p.pid in leaders and -0.1 < p.start / tick - leaders[p.pid] < LATEST_START

    # Sessions outlive their leaders, so a leader that was once recognised keeps its session marked, until another
    # process leads one of that number: no session has the number of another that anybody is in.
    sessions: set[int] = set()

    def find() -> dict[int, ProcessStat]:
        table = read_all()
        leads = {pid: is_leader(p) for pid, p in table.items() if pid == p.session}
        sessions.difference_update(leads)
        sessions.update(pid for pid, ours in leads.items() if ours)
        roots = [pid for pid, p in table.items() if p.session in sessions or _is_of(identity, pid)]
        return descendants(roots, table)

    killed, _ = kill_for_good(find)
    wait_until_gone(killed)
    return len(killed)


def _is_of(identity: str, pid: int) -> bool:
    return pid != os.getpid() and read_environment(pid, "CLUSTER_LAUNCHER") == identity


def _wait_until_gone(process: ProcessStat, patience: float) -> None:
    """It was killed and is somebody else's child. Not for ever: it may hang in the kernel. `patience` in seconds."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if _is_still(process):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(patience * 1000)
    finally:
        os.close(fd)
