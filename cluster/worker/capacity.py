"""How many cpus this process may use."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available_millicpus(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """The cpus that the scheduler of the kernel grants us, less when a quota of our cgroup (v2 or v1) is lower."""
    cpus = len(os.sched_getaffinity(0)) * 1000
    return max(1, min([cpus, *_quotas(cgroups, own)]))


def _quotas(cgroups: Path, own: Path) -> list[int]:
    """The quotas of our cgroups and all above them, in millicpus. Inside a container the path may not be visible."""
    quotas = []
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / ("cpu" if controllers else "")
        directory = root / path.lstrip("/")
        for place in (directory, *directory.parents):
            if place == cgroups.parent:
                break
            quota = _quota_of(place)
            if quota:
                quotas.append(quota)
            if place == root:
                break
    return quotas


def _quota_of(place: Path) -> int | None:
    v2 = _read(place / "cpu.max").split()
    if len(v2) == 2 and v2[0] != "max":
        return int(v2[0]) * 1000 // int(v2[1])
    quota, period = _read(place / "cpu.cfs_quota_us").strip(), _read(place / "cpu.cfs_period_us").strip()
    if quota and period and int(quota) > 0:
        return int(quota) * 1000 // int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
