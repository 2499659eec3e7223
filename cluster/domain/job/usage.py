"""What attempts have taken, summed up as their ends come in (cluster.domain.scheduler.usage_log): of a job, of a day.

All are whole numbers, so that sums are exact in whatever order they are made.
"""

from enum import StrEnum
from itertools import repeat
from typing import NamedTuple

MICRO = 1_000_000  # microseconds of a second
DAY = 86_400  # seconds
MOST_KEPT = 1 << 62  # of any number that a store has to keep, whatever workers say


class Usage(NamedTuple):
    """Of attempts that have ended."""

    tasks: int = 0  # of which the first attempt has ended
    attempts: int = 0
    failed: int = 0  # of these; neither successes nor cancelled ones
    run_micros: int = 0  # from start to end
    cpu_micros: int = 0
    wait_micros: int = 0  # until the first attempts started, from when their tasks might have
    peak_memory: int = 0  # bytes: the highest of any
    output_bytes: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        tasks, attempts, failed, run, cpu, wait, peak, output = self
        return Usage(
            tasks + other[0],
            attempts + other[1],
            failed + other[2],
            run + other[3],
            cpu + other[4],
            wait + other[5],
            max(peak, other[6]),
            output + other[7],
        )

    def kept(self) -> tuple[int, ...]:
        """As a store can keep it."""
        return tuple(map(min, self, repeat(MOST_KEPT)))


NOTHING_USED = Usage()


class UsageKind(StrEnum):
    """By what the usage of days is summed up."""

    USER = "user"
    NAME = "name"  # of jobs
    WORKER = "worker"


class UsageAdded(NamedTuple):
    """What comes to the sum of a day. Persisted by adding it to what there is; of two in one commit both count."""

    day: int  # since the Unix epoch, in UTC: that in which the scheduler heard of the ends
    kind: UsageKind
    owner: str  # whose jobs
    key: str  # the name of jobs, or the worker's id; of a user ""
    usage: Usage

    @property
    def place(self) -> tuple[int, UsageKind, str, str]:
        """Of which sum."""
        return self[:4]

    def plus(self, other: "UsageAdded") -> "UsageAdded":
        """Both together, of one place."""
        return self._replace(usage=self.usage.plus(other.usage))


class UsageTotal(NamedTuple):
    """What was used in some days, for one user, name or worker."""

    key: str  # the user's id, the name of jobs, or the worker's id
    usage: Usage
