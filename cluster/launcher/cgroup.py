"""Cgroups around the launcher and around each of its slots, so that what they left can be killed however it hid.

Nothing leaves a cgroup by forking. Where a version 2 hierarchy is mounted (alone or beside version 1) and we may make
groups in it, the launcher moves into a group of its own, named after its directory, and each slot into one below that;
`cgroup.kill` (Linux 5.14) then ends exactly what is left. Where only version 1 is there, its freezer's (or pids')
groups say who is left, and each is killed. A slot enters once, so no attempt pays for it (to put each into a group of
its own was measured at 105 µs, a third of starting `/bin/true`).

Where no group can be made (no permission, an old kernel) `tree` does what it can without.
"""

import os
import select
from collections.abc import Iterator
from contextlib import suppress

from cluster.launcher import tree
from cluster.launcher.memory_groups import MemoryGroups

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")  # version 2 alone; beside version 1
V1 = ("freezer", "pids", "memory", "cpu")  # any of these does
LONGEST_DEATH_MS = 10_000
NOTE_SIZE = 1023  # characters to which a note is filled up, so that the next is as long


class Group:
    """The group of the launcher in `directory`. The file `group` there says where it is, for the successor."""

    def __init__(self, directory: str, identity: str) -> None:
        self._note = os.path.join(directory, "group")
        self._prefix = f"cluster-{identity}-"
        self._parents = [*filter(None, [own_group()]), *own_v1_groups()]
        self._path: str | None = None
        self.memory = MemoryGroups(self._prefix)

    def kill_orphans(self) -> bool:
        """Kill everything in the groups of dead launchers of this directory, and remove these. True when there was
        one."""
        found = [*self._orphans()]
        for path in found:
            with suppress(OSError):
                _kill(path)
                _remove(path)
        return bool(found)

    def _orphans(self) -> Iterator[str]:
        """Their groups: where the note says, and by their names beside ours, where launchers were killed together with
        whoever would have removed them. The caller holds the directory's lock, and no other directory has its name as
        long as there is anything of it."""
        try:
            with open(self._note) as f:
                noted = f.read().rstrip()
        except OSError:
            noted = ""
        found = {noted} if os.path.basename(noted).startswith(self._prefix) else set()
        for parent in dict.fromkeys([*self._parents, *filter(None, [self.memory.place])]):
            inside = os.path.basename(parent).startswith(self._prefix)
            place = os.path.dirname(parent) if inside else parent
            with suppress(OSError):
                found.update(f"{place}/{name}" for name in os.listdir(place) if name.startswith(self._prefix))
        yield from filter(os.path.isdir, sorted(found))  # after a reboot what is noted is gone

    def enter(self) -> None:
        """Make the group and move into it, if that is possible."""
        for parent in self._parents:
            path = os.path.join(parent, f"{self._prefix}{os.getpid()}")
            try:
                os.mkdir(path)
                self._take_note(path)
                _write(path, "cgroup.procs", "0")  # 0: the writer
            except OSError:
                with suppress(OSError):
                    os.rmdir(path)
                continue
            self._path = path
            return

    def _take_note(self, path: str) -> None:
        """Notes this launcher's group, over the last note: a full disk has room for that. Without a note a successor
        finds the group by its name, unless it is started in another one than we were."""
        with suppress(OSError):
            fd = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, path.ljust(NOTE_SIZE).encode() + b"\n", 0)
            finally:
                os.close(fd)

    def make_slot(self, number: int) -> None:
        """A group for that slot, which enters it itself."""
        if self._path is not None:
            with suppress(OSError):
                os.mkdir(self._slot(number))

    def enter_slot(self, number: int) -> None:
        """Move the caller, a slot, into its group."""
        if self._path is not None:
            with suppress(OSError):
                _write(self._slot(number), "cgroup.procs", "0")

    def kill_slot(self, number: int) -> None:
        """Kill what a slot that is gone has left in its group."""
        groups = [self._slot(number)] if self._path is not None else []
        if self.memory.can_limit:
            groups.append(self.memory.path_of(os.getpid(), number))
        for group in groups:
            with suppress(OSError):
                _kill(group, wait=False)

    def _slot(self, number: int) -> str:
        return f"{self._path}/slot-{number}"

    def step_out(self) -> None:
        """Move the caller alone out of the launcher's group, should it be in there: a watchdog that kills the group
        must not be."""
        for parent in self._parents:
            if os.path.basename(parent).startswith(self._prefix):
                with suppress(OSError):
                    _write(os.path.dirname(parent), "cgroup.procs", "0")

    def leave(self) -> None:
        """Move back out and remove the group: nothing is left in it."""
        if self._path is not None:
            with suppress(OSError):
                _write(os.path.dirname(self._path), "cgroup.procs", "0")
                _remove(self._path)
                os.unlink(self._note)


def own_group() -> str | None:
    """The directory of the version 2 group that we are in; None where there is none."""
    own = next((path for hierarchy, path in _own_groups() if hierarchy == ""), None)
    for mount in MOUNTS:
        # Of these files version 1 has the second as well, the first only version 2.
        if own is not None and all(map(os.path.exists, (f"{mount}/cgroup.controllers", f"{mount}{own}/cgroup.procs"))):
            return f"{mount}{own}".rstrip("/")
    return None


def own_v1_groups() -> list[str]:
    """The directories of the version 1 groups that we are in, of hierarchies that do not care who is in a group."""
    own = {hierarchy: path for hierarchies, path in _own_groups() for hierarchy in hierarchies.split(",")}
    found = [f"{MOUNTS[0]}/{name}{own[name]}".rstrip("/") for name in V1 if name in own]
    return [path for path in found if os.path.exists(f"{path}/cgroup.procs")]


def _own_groups() -> Iterator[tuple[str, str]]:
    """(names of the hierarchy, our group in it): "" is version 2."""
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, hierarchy, path = line.rstrip("\n").split(":", 2)
            yield hierarchy, path


def _kill(group: str, wait: bool = True) -> None:
    """Everything in it and below; and `wait` until it is gone, which takes long where something hangs in the kernel."""
    if os.path.exists(f"{group}/cgroup.kill"):
        _write(group, "cgroup.kill", "1")
        tree.kill_all(lambda: _members(group))  # the kernel passes over a process whose first thread has ended
        if wait:
            _wait_until_empty(group)
        return
    killed, _ = (tree.kill_for_good if wait else tree.kill_all)(lambda: _members(group))
    if wait:
        tree.wait_until_gone(killed)


def _members(group: str) -> dict[int, tree.ProcessStat]:
    """Who is alive in it and below, the caller not counted."""
    pids: list[int] = []
    for path, _, _ in os.walk(group):
        with open(f"{path}/cgroup.procs") as f:
            pids.extend(map(int, f.read().split()))
    found = (tree.read_process(pid) for pid in pids if pid != os.getpid())
    return {process.pid: process for process in found if process is not None and process.is_alive}


def _remove(group: str) -> None:
    """It and those below it, which are empty."""
    for path, _, _ in os.walk(group, topdown=False):
        os.rmdir(path)


def _write(group: str, file: str, text: str) -> None:
    with open(os.path.join(group, file), "w") as f:
        f.write(text)


def _wait_until_empty(group: str) -> None:
    """The kernel wakes whoever polls cgroup.events when `populated` changes."""
    with open(os.path.join(group, "cgroup.events")) as f:
        poll = select.poll()
        poll.register(f, select.POLLPRI)
        while "populated 1" in f.read():
            if not poll.poll(LONGEST_DEATH_MS):
                return
            f.seek(0)
