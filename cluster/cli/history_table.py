"""The history of jobs as a list, for people and programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.cli.render import ago, command_of, job_json, print_json, took
from cluster.cli.table import print_table
from cluster.domain.base.quantities import format_duration, format_size

if TYPE_CHECKING:  # the quick command has other values of the same shape
    from cluster.client.types import Job

HEADS = ("JOB", "STATE", "REASON", "ENDED", "TOOK", "CPU", "MEMORY", "OWNER", "NAME", "COMMAND")


def print_history(jobs: Sequence[Job], following: str, *, as_json: bool, quiet: bool) -> None:
    """A page of it; `following`: the page that goes on, empty: there is none."""
    if as_json:
        print_json({"jobs": [job_json(job) for job in jobs], "next": following or None})
    elif quiet:
        print("".join(f"{job.number}\n" for job in jobs), end="")
    else:
        now = time.time()
        print_table(HEADS, [_row(job, now) for job in jobs])
    sys.stdout.flush()
    if following and not (as_json or quiet):
        print(f"cluster: there may be more: --page {following} goes on after these", file=sys.stderr)


def _row(job: Job, now: float) -> tuple[str, ...]:
    used = job.used
    return (
        str(job.number),
        job.state.word,
        job.reason,
        ago(job.ended_at, now),
        took(job.started_at, job.ended_at, now),
        format_duration(used.cpu_seconds) if used.cpu_seconds else "-",
        format_size(used.peak_memory_bytes) if used.peak_memory_bytes else "-",
        job.owner,
        job.spec.name,
        command_of(job.spec),
    )
