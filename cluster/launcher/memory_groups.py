"""Cgroups that limit the memory of attempts: one for each attempt that asks for some, gone with its end.

In version 1 they lie beside the launcher's own group in the memory hierarchy, in version 2 below the next group that
has no process of its own and was delegated to us (systemd: `Delegate=memory`, `DelegateSubgroup=agent`), or below the
root. Their names begin as those of the launcher's groups do, so a successor finds what is left of them.

A slot goes into the group, starts the attempt there, and goes back. What it starts inherits the group, and so does all
that descends from it. So the memory of the slot does not count, and the kernel never ends the slot for want of memory.

Where none has moved for a while the kernel takes some 10 ms for a move, as all processors must notice it, and for those
that follow some 0.03 ms. So a slot that waits is in its next group already, which has no limit yet; and it goes back
while the attempt runs.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

MOUNT, MOUNT_V2 = "/sys/fs/cgroup", ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


class Files(NamedTuple):
    """How a version calls what is needed here."""

    limit: str
    with_swap: str  # "": swap has a limit of its own
    swap: str  # "": it counts to the one before
    events: str
    peak: str


V1 = Files(
    "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "", "memory.oom_control", "memory.max_usage_in_bytes"
)
V2 = Files("memory.max", "", "memory.swap.max", "memory.events", "memory.peak")


class MemoryGroups:
    """`prefix`: of the names. Looks once whether such groups can be made here, and where."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._place, self._files = next(self._places(), ("", V1))

    @property
    def can_limit(self) -> bool:
        return bool(self._place)

    @property
    def place(self) -> str:
        """The directory in which they are; empty where none can be made."""
        return self._place

    def _places(self) -> Iterator[tuple[str, Files]]:
        """Where one can be made, which is tried."""
        for place, files in possible_places():
            probe = os.path.join(place, f"{self._prefix}{os.getpid()}-probe")
            try:
                os.mkdir(probe)
            except OSError:
                continue
            try:
                _write(probe, files.limit, str(1 << 30))
                if all(os.path.exists(f"{probe}/{name}") for name in (files.events, "cgroup.procs")):
                    yield place, files
            except OSError:
                continue
            finally:
                with suppress(OSError):
                    os.rmdir(probe)

    def path_of(self, launcher: int, slot: int) -> str:
        """Of the group for what that slot of the launcher with that pid runs."""
        return os.path.join(self._place, f"{self._prefix}{launcher}-memory-{slot}")

    def enter(self, launcher: int, slot: int) -> "LimitedMemory":
        """The caller, a slot, is in a new group from now on, which has no limit yet. OSError, and it is not."""
        path = self.path_of(launcher, slot)
        group = LimitedMemory(path, self._files, _here(self._files))
        with suppress(OSError):
            os.rmdir(path)  # what ran in it was killed, and could not be waited for
        os.mkdir(path)
        try:
            group.join()
        except OSError:
            group.end()
            raise
        return group


class LimitedMemory:
    """The group of one attempt. `home`: where the slot was before."""

    def __init__(self, path: str, files: Files, home: str) -> None:
        self._path, self._files, self._home = path, files, home

    def limit(self, size: int) -> None:
        """It allows so many bytes from now on. OSError."""
        for name, value in (
            (self._files.limit, str(size)),
            (self._files.with_swap, str(size)),
            (self._files.swap, "0"),
        ):
            if name and (name == self._files.limit or os.path.exists(f"{self._path}/{name}")):
                _write(self._path, name, value)

    def join(self) -> None:
        """The caller is in the group from now on. OSError."""
        _write(self._path, "cgroup.procs", "0")

    def leave(self) -> None:
        """The slot goes back; what it has started stays. OSError."""
        _write(self._home, "cgroup.procs", "0")

    def end(self) -> tuple[bool, int]:
        """Nothing runs in it any more: whether the kernel has ended anything in it for want of memory, and the most
        that it took, in KiB (0: not known). It is removed."""
        try:
            killed = re.search(r"^oom_kill ([0-9]+)$", _read(self._path, self._files.events), re.MULTILINE)
            peak = _read(self._path, self._files.peak).strip()
        finally:
            with suppress(OSError):
                os.rmdir(self._path)
        return bool(killed and int(killed[1])), int(peak) // 1024 if peak.isdecimal() else 0


def possible_places() -> Iterator[tuple[str, Files]]:
    """Directories below which groups that limit memory may be made, if we may."""
    own = dict(_own_groups())
    if "memory" in own:
        yield f"{MOUNT}/memory{own['memory']}".rstrip("/"), V1
    for mount in MOUNT_V2:
        if "" not in own or not os.path.exists(f"{mount}/cgroup.controllers"):
            continue
        path = f"{mount}{own['']}".rstrip("/")
        for place in dict.fromkeys((path, os.path.dirname(path) if path != mount else path)):
            if place == mount or _is_delegated(place):
                with suppress(OSError):
                    _write(place, "cgroup.subtree_control", "+memory")
                yield place, V2


def _is_delegated(group: str) -> bool:
    """Whether systemd has left it to us."""
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _here(files: Files) -> str:
    """The directory of the group that the caller is in."""
    own = dict(_own_groups())
    if files is V1:
        return f"{MOUNT}/memory{own['memory']}".rstrip("/")
    mount = next(mount for mount in MOUNT_V2 if os.path.exists(f"{mount}/cgroup.controllers"))
    return f"{mount}{own['']}".rstrip("/")


def _own_groups() -> Iterator[tuple[str, str]]:
    """(controller, our group in its hierarchy): "" is version 2."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            yield from ((controller, path) for controller in controllers.split(","))


def _write(group: str, file: str, text: str) -> None:
    with open(os.path.join(group, file), "w") as f:
        f.write(text)


def _read(group: str, file: str) -> str:
    try:
        with open(os.path.join(group, file)) as f:
            return f.read()
    except OSError:
        return ""
