"""How many cpus and how much memory this process may use, and which gpus there are."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.session.offer import check_unit

_CGROUPS = Path("/sys/fs/cgroup")
# Of what there is of memory, a part is left for the system, the agent and what files take: a tenth, at most 2 GiB.
MARGIN, MOST_MARGIN = 0.1, 2 << 30
NVIDIA_SMI = "nvidia-smi"
NO_DEVICES = 6  # its exit code where it finds none, as its manual says
NVIDIA_PATIENCE = 20.0  # seconds; a driver that is not loaded yet takes some


def available_millicpus(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """The cpus that the scheduler of the kernel grants us, less when a quota of our cgroup (v2 or v1) is lower."""
    cpus = len(os.sched_getaffinity(0)) * 1000
    return max(1, min([cpus, *_quotas(cgroups, own)]))


def available_memory(
    cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup"), meminfo: Path = Path("/proc/meminfo")
) -> int:
    """Bytes for tasks: what the machine has, less when a limit of our cgroup (v2 or v1) is lower, less a margin. 0:
    nothing says how much that is."""
    found = re.search(r"MemTotal: *([0-9]+) kB", _read(meminfo))
    limits = [limit for place in _groups(cgroups, own, "memory") if (limit := _memory_limit_of(place)) is not None]
    there = min([int(found[1]) * 1024 if found else 0, *limits])
    return there - min(int(there * MARGIN), MOST_MARGIN)


def found_gpus() -> tuple[str, ...]:
    """The ids of the gpus that nvidia-smi lists, as CUDA_VISIBLE_DEVICES takes them; none where there is no such
    program, or it finds none. ClusterError where it fails."""
    program = shutil.which(NVIDIA_SMI)
    if program is None:
        return ()
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_PATIENCE, check=True)
        return tuple(check_unit(line.strip()) for line in done.stdout.splitlines() if line.strip())
    except subprocess.CalledProcessError as error:
        if error.returncode == NO_DEVICES:
            return ()
        said = (error.stderr or error.stdout or "").strip().splitlines()
        why = said[-1] if said else f"exit code {error.returncode}"
    except (OSError, subprocess.SubprocessError, InvalidInput) as error:
        why = str(error)
    raise ClusterError(
        f"{NVIDIA_SMI} does not say which gpus there are: {why}; name them with --gpus, or give --gpus 0"
    )


def _quotas(cgroups: Path, own: Path) -> list[int]:
    """The quotas of our cgroups and all above them, in millicpus."""
    return [quota for place in _groups(cgroups, own, "cpu") if (quota := _quota_of(place))]


def _groups(cgroups: Path, own: Path, controller: str) -> Iterator[Path]:
    """Our groups of that controller, in both versions, and all above them. Inside a container the path may not be
    visible."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / (controller if controllers else "")
        directory = root / path.lstrip("/")
        for place in (directory, *directory.parents):
            if place == cgroups.parent:
                break
            yield place
            if place == root:
                break


def _memory_limit_of(place: Path) -> int | None:
    text = (_read(place / "memory.max") or _read(place / "memory.limit_in_bytes")).strip()
    return int(text) if text.isdecimal() else None


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
