"""Times of the wall clock as people type and read them, in Unix seconds.

Python's calendar is loaded only where it is needed. It is told the time, and never asks for it.
"""

import re
from typing import TYPE_CHECKING

from cluster.domain.base.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

# Unix seconds of the first and the last moment that ISO 8601 tells: of the years 1 to 9999 in UTC.
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.999
FORMS = "2026-11-26T18:30, with Z or +01:00 where it is not your time zone, 18:30, or tomorrow 06:00"
_OF_DAY = re.compile(r"(?:(tomorrow) +)?(\d{1,2}):(\d{2})(?::(\d{2}))?")
_OF_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?")


def check_time(text: str) -> None:
    """InvalidInput for what is no time in one of FORMS."""
    unix_time(text, 86400.0, _utc())


def unix_time(text: str, now: float, zone: "tzinfo | None") -> float:
    """The time that the text means, said `now` in that zone, None: that of this process.

    A time of day is the next one. An hour that the zone has twice is the first of the two; one that it leaves out
    counts on from the hour before. InvalidInput for any other text, and for a moment that `iso` cannot tell."""
    text = text.strip()
    try:
        if found := _OF_DAY.fullmatch(text):
            return in_calendar(_of_day(found, now, zone).timestamp(), repr(text))
        if _OF_DATE.fullmatch(text):
            return in_calendar(_of_date(text, zone).timestamp(), repr(text))
    except (ValueError, OverflowError):  # there is no 31st of April, no 25:00
        pass
    raise InvalidInput(f"{text!r} is no time: use {FORMS}")


def names_no_zone(text: str) -> bool:
    """Whether it is a time that means another moment in another time zone."""
    text = text.strip()
    date = _OF_DATE.fullmatch(text)
    return bool(_OF_DAY.fullmatch(text) or (date and not date[1]))


def in_calendar(seconds: float, said: str = "") -> float:
    """The moment itself. InvalidInput for one that `iso` cannot tell, and for what is no finite number; `said`: as the
    error is to call it."""
    if not FIRST <= seconds <= LAST:
        raise InvalidInput(
            f"{said or f'{seconds:g}'} is none of the years 1 to 9999 in UTC: use an earlier or later time"
        )
    return seconds


def iso(seconds: float) -> str:
    """ISO 8601 in UTC of a moment from FIRST to LAST; milliseconds only where there are any."""
    from datetime import datetime

    millis = round(seconds * 1000)
    whole = datetime.fromtimestamp(millis // 1000, _utc()).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole.rjust(19, '0')}{f'.{millis % 1000:03}' if millis % 1000 else ''}Z"


def _of_day(found: re.Match[str], now: float, zone: "tzinfo | None") -> "datetime":
    from datetime import datetime, timedelta

    tomorrow, hour, minute, second = found.groups("0")
    today = datetime.fromtimestamp(now, zone)
    then = today.replace(hour=int(hour), minute=int(minute), second=int(second), microsecond=0, fold=0)
    return then + timedelta(days=1) if tomorrow != "0" or then.timestamp() <= now else then


def _of_date(text: str, zone: "tzinfo | None") -> "datetime":
    from datetime import datetime

    then = datetime.fromisoformat(text)
    return then if then.tzinfo else then.replace(tzinfo=zone)


def _utc() -> "tzinfo":
    from datetime import UTC

    return UTC
