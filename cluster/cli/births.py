"""When a process began: tells it from a later one that has the same number."""


def born(pid: int) -> tuple[int, str] | None:
    """The start of the process that has this number now: its time (clock ticks since boot) and the id of the boot. None
    where no process has the number, or only a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            stat = file.read()
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
    except OSError:
        return None
    # proc(5): the name, in parentheses, may hold anything; after it come state (3rd field) … starttime (22nd).
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else (int(fields[19]), boot)
