"""The times that follow from a job's options.

A time is one of the scheduler's wall clock, and fixed when the job is accepted: `--delay` counts from then. Nothing
happens before that clock shows it, however it is set meanwhile.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso, unix_time
from cluster.domain.base.zones import zone_of
from cluster.domain.job.changes import Changes
from cluster.domain.job.records import JobRecord
from cluster.domain.job.schedule import FAR_AHEAD, next_time
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.time_kinds import fields_and_zone, seconds_of

if TYPE_CHECKING:
    from datetime import tzinfo


def resolved(spec: JobSpec, now: float, zone: "tzinfo | None") -> JobSpec:
    """The spec with its times in UTC. What names no zone is in that one (None: that of this process), and a time of day
    the next after `now`. InvalidInput for what is no time."""
    if not (spec.at or spec.deadline):
        return spec
    deadline = spec.deadline if seconds_of(spec.deadline) is not None else _in_utc(spec.deadline, now, zone)
    return replace(spec, at=_in_utc(spec.at, now, zone), deadline=deadline)


def changes_in_utc(changes: Changes, now: float, zone: "tzinfo | None") -> Changes:
    """The same of options that are to be changed."""
    times = {field: changes[field] for field in ("at", "deadline") if changes.get(field)}
    found = {field: text if seconds_of(text) is not None else _in_utc(text, now, zone) for field, text in times.items()}
    return {**changes, **found}


def _in_utc(text: str, now: float, zone: "tzinfo | None") -> str:
    return iso(unix_time(text, now, zone)) if text else ""


def starts_at(record: JobRecord) -> float:
    """When its tasks may start at the earliest, in Unix seconds; 0: at once."""
    return _start(record.spec, record.submitted_at)


def start_in_force(record: JobRecord, now: float, waited: float = 0.0) -> float:
    """The same while the clock shows `now`. Of a delay that began when the clock was far ahead `waited` seconds are
    over."""
    begins = record.submitted_at
    return _start(record.spec, now - waited if begins > now + FAR_AHEAD else begins)


def deadline_of(record: JobRecord) -> float:
    """When all of its tasks must have ended, in Unix seconds; 0: never."""
    return _deadline(record.spec, record.submitted_at)


def deadline_after(record: JobRecord) -> float:
    """The seconds from when it was handed in, where they say its deadline; 0: a time does, or it has none."""
    return 0.0 if record.spec.every else seconds_of(record.spec.deadline) or 0.0


def _start(spec: JobSpec, now: float) -> float:
    at = unix_time(spec.at, now, None) if spec.at else 0.0
    return max(at, now + spec.delay if spec.delay else 0.0)


def _deadline(spec: JobSpec, now: float) -> float:
    if not spec.deadline:
        return 0.0
    seconds = seconds_of(spec.deadline)
    if spec.every and seconds is not None:
        return 0.0  # each of its runs has that
    return unix_time(spec.deadline, now, None) if seconds is None else now + seconds if seconds else 0.0


def refuse_times(spec: JobSpec, now: float) -> None:
    """InvalidInput for a resolved spec with a time that is over when the job comes, that comes in vain, or in a zone
    that is not known here."""
    if spec.every:
        zone_of(fields_and_zone(spec.every)[1])
        if next_time(spec, max(now, _start(spec, now))) is None:
            since = f" after --at {spec.at}" if spec.at else ""
            raise InvalidInput(f"--every {spec.every!r} has no time{since}: the calendar ends with the year 9999")
    if spec.at and unix_time(spec.at, now, None) <= now:
        raise InvalidInput(f"--at {spec.at} is past: it is {iso(now)} now; give a later time, or none to start at once")
    start, deadline = _start(spec, now), _deadline(spec, now)
    if deadline and deadline <= now:
        raise InvalidInput(f"--deadline {spec.deadline} is past: it is {iso(now)} now; give a later time, or none")
    if deadline and deadline <= start:
        raise InvalidInput(
            f"--deadline {spec.deadline} ends the job at {iso(deadline)}, and it starts no sooner than {iso(start)}: "
            "give a later one"
        )
