"""The kinds of options whose values are times."""

from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import check_time, iso
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
            return iso(value)
        if getattr(value, "tzinfo", None) is not None:
            return iso(value.timestamp())
        if not isinstance(value, str):
            raise InvalidInput("is no time: give text, Unix seconds, or a datetime that has a time zone")
        return value


TIME = _Time()
