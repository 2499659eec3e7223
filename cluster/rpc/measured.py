"""What is measured, with the names that Prometheus has for it; and what is measured of any process."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.domain.base.durations import Durations

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
Labels = Mapping[str, str]


class Measured(NamedTuple):
    """One metric. Its name ends with the unit, where it has one."""

    name: str
    help: str
    kind: str
    samples: Sequence[tuple[Labels, float | Durations]]


def of_process(name: str) -> Iterator[Measured]:
    """Of this process, which is called so. The names are those that other programs use, but for ours before them."""
    labels = {"process": name}
    times, page = os.times(), os.sysconf("SC_PAGE_SIZE")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
    began = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    for what, words, kind, value in (
        ("cpu_seconds_total", "User and system time.", COUNTER, times.user + times.system),
        ("resident_memory_bytes", "Memory.", GAUGE, resident),
        ("open_fds", "Open files, sockets included.", GAUGE, len(os.listdir("/proc/self/fd"))),
        ("start_time_seconds", "When it was started, in Unix seconds.", GAUGE, time.time() - age),
    ):
        yield Measured(f"cluster_process_{what}", words, kind, [(labels, float(value))])
