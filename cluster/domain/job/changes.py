"""Which options of a job may be changed after it was handed in (`cluster job set`), and what may stand in the way.

A change is for what has not begun: what runs goes on as it was started. Of what the scheduler decides later (retries,
bounds, clocks) it is for all of the job.
"""

from collections.abc import Mapping
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso, unix_time
from cluster.domain.job.options import Option
from cluster.domain.job.spec import OPTIONS, JobSpec
from cluster.domain.job.spec_making import with_fields
from cluster.domain.job.time_kinds import seconds_of

# Options that may be changed at any time: what the scheduler decides by them comes later,
LATER = ("priority", "max_running", "max_fails", "retries", "retry_on", "backoff", "time_request")
CLOCKS = ("queue_timeout", "deadline")
START = ("at", "delay")
# or workers act on them, and get them with the next attempts.
OF_ATTEMPTS = ("timeout", "grace", "quiet_timeout")
# What a task asks for: as long as workers have none.
REQUESTED = (
    *("millicpus", "memory", "gpus", "resources"),
    *("worker", "need", "prefer", "spread", "pack", "exclusive", "grow"),
)
CHANGEABLE = (*LATER, *CLOCKS, *START, *OF_ATTEMPTS, *REQUESTED)

Changes = Mapping[str, Any]  # by fields of JobSpec

BY_FIELD = {option.field: option for option in OPTIONS}
CHANGEABLE_OPTIONS = tuple(option for option in OPTIONS if option.field in CHANGEABLE)


def named(name: str) -> Option:
    """The option that may be changed and is called so. InvalidInput."""
    for option in CHANGEABLE_OPTIONS:
        if name.replace("-", "_") in (option.name, option.field):
            return option
    known = ", ".join(sorted(option.name.replace("_", "-") for option in CHANGEABLE_OPTIONS))
    raise InvalidInput(f"{name[:80]!r} is nothing that can be changed of a job; these are: {known}")


def check_changes(changes: Changes) -> None:
    """InvalidInput for what cannot be changed, or not so, of whatever job."""
    if not changes:
        raise InvalidInput("nothing is to be changed: name an option, as in --retries 3")
    for field, value in changes.items():
        named(field).validate(value)
    if changes.get("spread") and changes.get("pack"):
        raise InvalidInput("--spread and --pack exclude each other: on as many workers as there are, or on as few?")


def with_changes(spec: JobSpec, changes: Changes) -> JobSpec:
    """The spec with these. Its lines and numbers are not looked at again: none of that can be changed."""
    return with_fields(spec, changes) if changes else spec


def from_now(changes: Changes, now: float, *, again: bool = False) -> Changes:
    """The same with times that do not depend on when the job was handed in: a duration counts from `now`, Unix seconds.
    `again`: of a job that comes again, of which each run has a deadline of that long."""
    moved = dict(changes)
    if "delay" in moved or "at" in moved:
        at = unix_time(moved["at"], now, None) if moved.get("at") else 0.0
        delay = moved.get("delay", 0.0)
        at = max(at, now + delay if delay else 0.0)
        moved |= {"at": iso(at) if at else "", "delay": 0.0}
    if (seconds := seconds_of(moved.get("deadline", ""))) is not None and not again:
        moved["deadline"] = iso(now + seconds) if seconds else ""
    return moved
