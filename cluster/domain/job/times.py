"""The times that follow from a job's options.

A time is one of the scheduler's wall clock, and fixed when the job is accepted: `--delay` counts from then. Nothing
happens before that clock shows it, however it is set meanwhile.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso, unix_time
from cluster.domain.job.records import JobRecord
from cluster.domain.job.spec import JobSpec

if TYPE_CHECKING:
    from datetime import tzinfo


def resolved(spec: JobSpec, now: float, zone: "tzinfo | None") -> JobSpec:
    """The spec with its times in UTC. What names no zone is in that one (None: that of this process), and a time of day
    the next after `now`. InvalidInput for what is no time."""
    return replace(spec, at=iso(unix_time(spec.at, now, zone))) if spec.at else spec


def starts_at(record: JobRecord) -> float:
    """When its tasks may start at the earliest, in Unix seconds; 0: at once."""
    spec = record.spec
    at = unix_time(spec.at, record.submitted_at, None) if spec.at else 0.0
    return max(at, record.submitted_at + spec.delay if spec.delay else 0.0)


def refuse_past(spec: JobSpec, now: float) -> None:
    """InvalidInput for a resolved spec with a time that is over when the job comes."""
    if spec.at and unix_time(spec.at, now, None) <= now:
        raise InvalidInput(f"--at {spec.at} is past: it is {iso(now)} now; give a later time, or none to start at once")
