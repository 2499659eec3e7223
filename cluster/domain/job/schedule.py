"""A job that comes again, by `--every`, is a *schedule*: its tasks wait for ever, and each due time makes a *run* of
it, which is a job of its own."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from cluster.domain.base.cron import Cron
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso
from cluster.domain.base.zones import zone_of
from cluster.domain.job.schedule_course import MOST_COUNTED, ScheduleCourse
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.time_kinds import fields_and_zone, seconds_of
from cluster.domain.job.time_options import SKIP

# Seconds beyond which a clock that is set back was wrong before, and not only late or early: cron daemons say the same.
FAR_AHEAD = 3 * 3600.0
LATE = 60.0  # seconds after a due time until which it is not missed: somebody has started the scheduler anew, say


class Due(NamedTuple):
    """What a look at the clock has found."""

    at: float  # the last time that is due or missed; no earlier one is due any more
    missed: int  # of the times since the last look
    missed_at: float  # the last of them
    runs: bool  # `at` is not missed


def next_time(spec: JobSpec, after: float) -> float | None:
    """The first due time after that; None: there is none, as where the zone is not known any more."""
    fields, zone = fields_and_zone(spec.every)
    try:
        return Cron.parse(fields).next_after(after, zone_of(zone))
    except InvalidInput:
        return None


def look(spec: JobSpec, since: float, now: float) -> Due | None:
    """What has become due after `since`, until now; None: nothing."""
    fields, zone_name = fields_and_zone(spec.every)
    cron, zone = Cron.parse(fields), zone_of(zone_name)
    last = cron.last_until(now, since, zone)
    if last is None:
        return None
    runs = now - last <= LATE or spec.catch_up
    missed, missed_at = 0 if runs else 1, 0.0 if runs else last
    before = cron.last_until(last - 1, since, zone)
    if before is not None:
        missed_at = missed_at or before
        at: float | None = since
        while at is not None and at < before and missed < MOST_COUNTED:
            at = cron.next_after(at, zone)
            missed += 1
    return Due(last, missed, missed_at, runs)


def corrected(course: ScheduleCourse, begins: float, now: float) -> ScheduleCourse | None:
    """A schedule that has come farther than `now`, because the clock was far ahead, has its times anew from now on:
    this is its course then. None: it was not. `begins`: the time before which it does not run."""
    if course.until <= max(begins, now) + FAR_AHEAD:
        return None
    right = course._replace(until=max(begins - 1e-3, now), corrections=course.corrections + 1, corrected_at=now)
    if right.skipped_at > now:
        right = right._replace(skipped=0, skipped_at=0.0)
    if right.missed_at > now:
        right = right._replace(missed=0, missed_at=0.0)
    return right


def spec_of_run(spec: JobSpec, after: int = 0) -> JobSpec:
    """What one run is. `after`: the number of the job that must have ended first."""
    deadline = spec.deadline if seconds_of(spec.deadline) is not None else ""
    wait = (str(after),) if after else ()
    values = {"every": "", "overlap": SKIP, "catch_up": False, "at": "", "delay": 0.0, "key": "", "hold": False}
    return replace(spec, **values, deadline=deadline, after_any=wait)  # type: ignore[arg-type]


def in_its_zone(spec: JobSpec, at: float) -> str:
    """A time of the schedule in UTC, and what the clocks of its own time zone show then, if it names one."""
    _, name = fields_and_zone(spec.every)
    if not name:
        return iso(at)
    try:
        there = datetime.fromtimestamp(at, zone_of(name))
    except InvalidInput:  # the tables of zones are not there any more
        return iso(at)
    return f"{iso(at)} ({there:%Y-%m-%d %H:%M} in {name})"


def said(spec: JobSpec, course: ScheduleCourse) -> list[str]:
    """What there is to say of it beside the next time, one line each."""
    lines = []
    if course.last_run:
        lines.append(f"its last run is job {course.last_run}")
    if course.skipped:
        why = f"the last at {in_its_zone(spec, course.skipped_at)}: the run before had not ended, or it was paused"
        lines.append(f"{course.skipped} of its times were skipped, {why}")
    if course.missed:
        count = f"{course.missed}{' or more' if course.missed >= MOST_COUNTED else ''}"
        last = in_its_zone(spec, course.missed_at)
        lines.append(f"{count} of its times were missed, the last at {last}: the scheduler was away")
    if course.corrections:
        lines.append(f"its times count from {iso(course.corrected_at)} on: the scheduler's clock had been far ahead")
    return lines
