"""What a launcher that died left running, and the end of it: the same for its watchdog and for its successor."""

import os

from cluster.launcher import cgroup, journal, tree
from cluster.launcher.begun_file import BegunFile


def identity(directory: str) -> str:
    """What marks processes as started from this directory, whichever launcher it was: its device and
    inode.
    """
    st = os.stat(directory)
    return f"{st.st_dev:x}-{st.st_ino:x}"


def kill_slots(slots: list[tuple[int, int]]) -> int:
    """Kill those of these processes, (pid, start), that are still there, with all below them. Reads no file but /proc.
    Answers how many were killed below them."""
    killed = 0
    found = [tree.read_process(pid) for pid, _ in slots]
    alive = [p for p, (_, start) in zip(found, slots, strict=True) if p is not None and p.start == start]
    for slot in alive:
        killed += tree.kill_slot(slot)
    tree.wait_until_gone(alive)
    return killed


def kill(directory: str, group: cgroup.Group, mark: str, memory: journal.Memory) -> bool:
    """Kill what the dead launcher of this directory, with this group, identity and journal left. True when there was
    anything. Raises OSError. The journal only says where else to look: what does not hide is found without it, torn or
    missing.
    """
    below = kill_slots(list(BegunFile(directory, journal.boot_id()).processes()))
    leaders = [(b.pid, b.boot) for b in memory.begun.values() if b.pid]
    killed = group.kill_orphans()
    return tree.kill_orphans(mark, leaders) > 0 or below > 0 or killed
