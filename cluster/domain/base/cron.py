"""Times that come again: the five fields of cron, in a time zone.

    minute hour day-of-month month day-of-week        as in  0 6 * * mon-fri

Each field is `*`, a number or a name, a range `1-5`, any of these with a step (`*/15`, `8-18/2`; `5/15` is `5-59/15`),
or several with commas. If both days are restricted, either is enough, as in every cron.

Where a zone skips an hour, what was due in it is due at once after it; where it has an hour twice, what is due in it is
due in the first. With `*` for the hour it is the passing of time that counts: nothing is made up, and both hours count.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_YEARS = 41  # in which each date comes on each day of the week, 29 February included, and even around a year 2100
_AROUND = timedelta(hours=3)  # more than any zone sets its clocks at once; but for days that are skipped as a whole
_LAST = date(9999, 12, 1)  # of the days that are looked at: a month before Python's calendar ends, in every zone
_LATEST = datetime(9999, 12, 3, tzinfo=UTC).timestamp()  # no zone shows a day there that is looked at


class _Field(NamedTuple):
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()  # of the numbers from the first on


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),  # 0 and 7: Sunday
)


class Cron(NamedTuple):
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0: Sunday
    either_day: bool  # a day that is right by the month or by the week will do

    @classmethod
    @lru_cache(1000)
    def parse(cls, text: str) -> "Cron":
        """InvalidInput names the field that is wrong, its value, and what it may be."""
        words = NICKNAMES.get(text.strip().lower(), text).lower().split()
        if text.strip().startswith("@") and len(words) != len(_FIELDS):
            raise InvalidInput(f"{text.strip()!r} is no schedule: use {', '.join(NICKNAMES)}, or five fields")
        if len(words) != len(_FIELDS):
            names = ", ".join(field.name for field in _FIELDS)
            raise InvalidInput(f"{text!r} has {len(words)} fields: use five ({names}), as in '0 6 * * mon-fri'")
        minutes, hours, days, months, weekdays = (
            _values(field, word) for field, word in zip(_FIELDS, words, strict=True)
        )
        either = not (words[2].startswith("*") or words[4].startswith("*"))
        found = cls(
            tuple(sorted(minutes)),
            tuple(sorted(hours)),
            frozenset(days),
            frozenset(months),
            frozenset(day % 7 for day in weekdays),
            either,
        )
        if found.next_after(0.0, UTC) is None:
            raise InvalidInput(f"{text!r} never comes: no such month has such a day")
        return found

    def next_after(self, after: float, zone: tzinfo) -> float | None:
        """The first time after that, both in Unix seconds; None: there is none before the calendar ends."""
        start = _shown(after, zone) - _AROUND
        day = start.date()
        last = min(_LAST, date(min(day.year + _YEARS, _LAST.year), 12, 1))
        while day <= last:
            if day.month not in self.months:
                if (day.year, day.month) == (last.year, last.month):
                    break
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            if self._has(day):
                for hour in self.hours:
                    if day > start.date() or hour >= start.hour:
                        times = [time for time in self._times(day, hour, zone) if time > after]
                        if times:
                            return min(times)
            day += timedelta(days=1)
        return None

    def last_until(self, until: float, after: float, zone: tzinfo) -> float | None:
        """The last time after `after` that is no later than `until`; None: there is none."""
        stop = _shown(until, zone) + _AROUND
        day, first = stop.date(), _shown(after, zone) - _AROUND
        while day >= first.date():
            if day.month not in self.months:
                day = day.replace(day=1) - timedelta(days=1)
                continue
            if self._has(day):
                for hour in reversed(self.hours):
                    if (day > first.date() or hour >= first.hour) and (day < stop.date() or hour <= stop.hour):
                        times = [time for time in self._times(day, hour, zone) if after < time <= until]
                        if times:
                            return max(times)
            day -= timedelta(days=1)
        return None

    def _has(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week

    def _times(self, day: date, hour: int, zone: tzinfo) -> Iterator[float]:
        """Those of that hour of the zone's clocks, in Unix seconds."""
        begin, end = (datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone) for minute in (0, 59))
        if _is_plain(begin) and _is_plain(end) and end.timestamp() - begin.timestamp() == 59 * 60:
            yield from (begin.timestamp() + 60 * minute for minute in self.minutes)
            return
        any_hour = len(self.hours) == 24
        for minute in self.minutes:
            then = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            first, second = then.timestamp(), then.replace(fold=1).timestamp()
            if second >= first:  # twice where it is more
                yield first
                if any_hour and second > first:
                    yield second
            elif not any_hour:
                yield _after_gap(second, first, zone)


def _shown(seconds: float, zone: tzinfo) -> datetime:
    """What the clocks of that zone show then, and at _LATEST for ever."""
    return datetime.fromtimestamp(min(seconds, _LATEST), zone).replace(tzinfo=None)


def _is_plain(then: datetime) -> bool:
    """Whether there is that time, and once."""
    return then.timestamp() == then.replace(fold=1).timestamp()


def _after_gap(before: float, after: float, zone: tzinfo) -> float:
    """The moment between these, to the minute, at which the zone's clocks are set forward."""
    offset = datetime.fromtimestamp(after, zone).utcoffset()
    low, high = int(before) // 60, int(after) // 60
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle * 60, zone).utcoffset() == offset:
            high = middle
        else:
            low = middle + 1
    return float(high * 60)


def _values(field: _Field, text: str) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = span.partition("-")
        if span == "*":
            first, last = field.first, field.last
        else:
            first = _number(field, low, part)
            last = _number(field, high, part) if dash else field.last if slash else first
        if slash and not (step.isascii() and step.isdigit() and int(step)):
            raise _wrong(field, part)
        if last < first:
            raise _wrong(field, part)
        values.update(range(first, last + 1, int(step) if slash else 1))
    return values


def _number(field: _Field, text: str, part: str) -> int:
    if text in field.names:
        return field.first + field.names.index(text)
    if not (text.isascii() and text.isdigit()) or not field.first <= int(text) <= field.last:
        raise _wrong(field, part)
    return int(text)


def _wrong(field: _Field, text: str) -> InvalidInput:
    names = f" or {field.names[0]}-{field.names[-1]}" if field.names else ""
    return InvalidInput(
        f"{field.name} {text!r} is none: use {field.first}-{field.last}{names}, ascending ranges as "
        f"{field.first}-{field.last}, steps as */2, several with commas, or *"
    )
