"""Times that are over, as people name them: so long ago, or by the calendar."""

import re
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_duration
from cluster.domain.base.wall_time import iso, unix_time

if TYPE_CHECKING:
    from datetime import tzinfo

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CALENDAR = re.compile(r"\d{4}-\d{2}-\d{2}.*")


def past_time(text: str, now: float, zone: "tzinfo | None") -> float:
    """Unix seconds of `7d` (so long before `now`), `2026-11-20` (when that day began) or `2026-11-20T18:30`. What names
    no zone is in that one, None: that of this process. InvalidInput for anything else, and for what is yet to come."""
    text = text.strip()
    if _CALENDAR.fullmatch(text):
        found = unix_time(f"{text}T00:00" if _DATE.fullmatch(text) else text, now, zone)
    else:
        try:
            found = now - parse_duration(text)
        except InvalidInput:
            raise InvalidInput(
                f"{text!r} is no time that is over: use how long ago, as in 7d or 1h30m, or a date or time, as in "
                "2026-11-20 or 2026-11-20T18:30"
            ) from None
    if found > now:
        raise InvalidInput(f"{text} is yet to come: it is {iso(now)} now")
    return max(0.0, found)
