"""The kinds of options whose values are times."""

from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number, parse_duration
from cluster.domain.base.wall_time import check_time, in_calendar, iso
from cluster.domain.job.kinds import OptionKind


class _Time(OptionKind):
    """A time of the wall clock, as text: what was typed, and once a client has handed it in ISO 8601 in UTC. A program
    may give a datetime that has a time zone, or Unix seconds."""

    metavar = "TIME"

    def parse(self, text: str) -> Any:
        text = text.strip()
        if text:
            check_time(text)
        return text

    def checked(self, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return iso(in_calendar(value))
        if getattr(value, "tzinfo", None) is not None:
            return iso(in_calendar(value.timestamp()))
        if not isinstance(value, str):
            raise InvalidInput("is no time: give text, Unix seconds, or a datetime that has a time zone")
        return value


class _Deadline(_Time):
    """A time, or a duration from when the job is accepted, which stays one; empty: none. A program may give seconds."""

    metavar = "TIME|DURATION"

    def parse(self, text: str) -> Any:
        text = text.strip()
        seconds = seconds_of(text)
        return super().parse(text) if seconds is None else text if seconds else ""

    def checked(self, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.parse(format_number(value))
        return super().checked(value)


class _Cron(OptionKind):
    """When a job comes again: the fields of cron, and perhaps the time zone in which they are meant."""

    metavar = "CRON[@TZ]"

    def parse(self, text: str) -> Any:
        text = " ".join(text.split())
        if text:
            from cluster.domain.base.cron import Cron

            fields, zone = fields_and_zone(text)
            if text.endswith("@") and not zone:
                raise InvalidInput(f"{text!r} names no time zone after its @: leave that out for UTC, or name one")
            Cron.parse(fields)
        return text


def fields_and_zone(text: str) -> tuple[str, str]:
    """Of `0 6 * * *@Europe/Berlin`, and of `@daily@Europe/Berlin`; no zone is empty."""
    nickname = text[:1] == "@"
    fields, _, zone = text[nickname:].partition("@")
    return "@" * nickname + fields, zone


def seconds_of(text: str) -> float | None:
    """Of a duration; None for what is none."""
    try:
        return parse_duration(text)
    except InvalidInput:
        return None


TIME, DEADLINE, CRON = _Time(), _Deadline(), _Cron()
