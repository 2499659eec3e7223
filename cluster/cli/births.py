"""Telling a process from whoever has its number later."""


def born(pid: int) -> tuple[int, str] | None:
    """When the process that has this number now began (clock ticks since boot), and in which boot; None when there is
    none, or only its remains."""
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
