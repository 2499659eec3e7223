"""A cgroup around the launcher and all it starts, so that its successor can kill whatever it left, however it hid.

Where a version 2 hierarchy is mounted (alone or beside version 1) and we may make groups in it, the launcher moves
into a group of its own, named after its directory. Nothing leaves a cgroup by forking, so after a crash `cgroup.kill`
(Linux 5.14) ends exactly what is left. That costs two writes in a launcher's life and nothing for an attempt: putting
each attempt into a group of its own was measured at 105 µs, a third of starting `/bin/true`.

Where it cannot be made (no permission, version 1 only, an old kernel) `tree.kill_remains` does what it can without.
"""

import os
import select
from contextlib import suppress

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")  # version 2 alone; beside version 1
LONGEST_DEATH_MS = 10_000


class Group:
    """The group of the launcher in `directory`. The file `group` there says where it is, for the successor."""

    def __init__(self, directory: str, identity: str) -> None:
        self._note = os.path.join(directory, "group")
        self._prefix = f"cluster-{identity}-"
        self._parent = own_group()
        self._path: str | None = None

    def kill_remains(self) -> bool:
        """Kill everything in the group of a dead launcher of this directory. True when there was such a group."""
        try:
            with open(self._note) as f:
                path = f.read()
        except FileNotFoundError:
            return False
        if not os.path.basename(path).startswith(self._prefix) or not os.path.isdir(path):
            return False  # after a reboot it is gone
        with suppress(OSError):
            _write(path, "cgroup.kill", "1")
            _wait_until_empty(path)
            os.rmdir(path)
        return True

    def enter(self) -> None:
        """Make the group and move into it, if that is possible."""
        if self._parent is None:
            return
        path = os.path.join(self._parent, f"{self._prefix}{os.getpid()}")
        try:
            os.mkdir(path)
            with open(self._note, "w") as f:
                f.write(path)
            _write(path, "cgroup.procs", "0")  # 0: the writer
        except OSError:
            return
        self._path = path

    def step_out(self) -> None:
        """Move the caller alone out of the launcher's group, should it be in there: a watchdog that kills the group
        must not be."""
        if self._parent is not None and os.path.basename(self._parent).startswith(self._prefix):
            with suppress(OSError):
                _write(os.path.dirname(self._parent), "cgroup.procs", "0")

    def leave(self) -> None:
        """Move back out and remove the group: nothing is left in it."""
        if self._path is not None and self._parent is not None:
            with suppress(OSError):
                _write(self._parent, "cgroup.procs", "0")
                os.rmdir(self._path)
                os.unlink(self._note)


def own_group() -> str | None:
    """The directory of the version 2 group that we are in; None where there is none."""
    with open("/proc/self/cgroup") as f:
        own = next((line.rstrip("\n")[3:] for line in f if line.startswith("0::")), None)
    for mount in MOUNTS:
        # Of these files version 1 has the second as well, the first only version 2.
        if own is not None and all(map(os.path.exists, (f"{mount}/cgroup.controllers", f"{mount}{own}/cgroup.procs"))):
            return f"{mount}{own}".rstrip("/")
    return None


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
