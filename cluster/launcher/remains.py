"""What a launcher that died left running, and the end of it: the same for its watchdog and for its successor."""

import os

from cluster.launcher import cgroup, journal, tree


def identity(directory: str) -> str:
    """What marks processes as started from this directory, whichever launcher it was: its device and
    inode.
    """
    st = os.stat(directory)
    return f"{st.st_dev:x}-{st.st_ino:x}"


def kill(group: cgroup.Group, mark: str, memory: journal.Memory) -> bool:
    """Kill what the dead launcher with this group, identity and journal left. True when there was anything. Raises
    OSError. The journal only says where else to look: what does not hide is found without it, torn or missing.
    """
    leaders = [(b.pid, b.boot) for b in memory.begun.values() if b.pid]
    killed = group.kill_remains()
    return tree.kill_remains(mark, leaders) > 0 or killed
