"""Times that come again: what the five fields mean, where clocks are set, and what is refused."""

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.cron import NICKNAMES, Cron
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso, unix_time

BERLIN, NEW_YORK, LORD_HOWE, APIA = map(
    ZoneInfo, ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia")
)


def at(text: str) -> float:
    return unix_time(text, 0.0, UTC)


def next_times(cron: str, zone: tzinfo, after: str, count: int) -> list[str]:
    """Without seconds and Z."""
    moment, found = at(after), []
    for _ in range(count):
        due = Cron.parse(cron).next_after(moment, zone)
        assert due is not None
        assert due > moment
        moment = due
        found.append(iso(moment).removesuffix(":00Z"))
    return found


@pytest.mark.parametrize(
    ("cron", "after", "times"),
    [
        ("* * * * *", "2026-11-26T18:30:20Z", ["2026-11-26T18:31", "2026-11-26T18:32"]),
        ("0 6 * * *", "2026-11-26T06:00Z", ["2026-11-27T06:00", "2026-11-28T06:00"]),
        ("*/20 8-9 * * *", "2026-11-26T08:30Z", ["2026-11-26T08:40", "2026-11-26T09:00", "2026-11-26T09:20"]),
        ("5/25 12 * * *", "2026-11-26T12:00Z", ["2026-11-26T12:05", "2026-11-26T12:30", "2026-11-26T12:55"]),
        ("0 6 * * mon-fri", "2026-11-27T07:00Z", ["2026-11-30T06:00", "2026-12-01T06:00"]),
        ("0 6 * * 5-7", "2026-11-26T07:00Z", ["2026-11-27T06:00", "2026-11-28T06:00", "2026-11-29T06:00"]),
        ("0 6 * * SUN,0", "2026-11-26T07:00Z", ["2026-11-29T06:00", "2026-12-06T06:00"]),
        ("0 0 1,15 * *", "2026-11-26T00:00Z", ["2026-12-01T00:00", "2026-12-15T00:00"]),
        ("0 0 13 * fri", "2026-11-01T00:00Z", ["2026-11-06T00:00", "2026-11-13T00:00", "2026-11-20T00:00"]),  # either
        ("0 0 */2 * fri", "2026-11-01T00:00Z", ["2026-11-13T00:00", "2026-11-27T00:00"]),  # both, as one begins with *
        ("0 0 29 feb *", "2026-01-01T00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 29 2 *", "2097-01-01T00:00Z", ["2104-02-29T00:00"]),  # 2100 is no leap year
        ("0 0 29 2 */7", "2033-01-01T00:00Z", ["2060-02-29T00:00", "2088-02-29T00:00", "2128-02-29T00:00"]),  # Sundays
        ("59 23 31 dec *", "2026-12-31T23:59Z", ["2027-12-31T23:59"]),
        ("@hourly", "2026-11-26T18:30Z", ["2026-11-26T19:00", "2026-11-26T20:00"]),
        ("@daily", "2026-11-26T18:30Z", ["2026-11-27T00:00"]),
        ("@weekly", "2026-11-26T18:30Z", ["2026-11-29T00:00"]),
        ("@monthly", "2026-11-26T18:30Z", ["2026-12-01T00:00"]),
        ("@Yearly", "2026-11-26T18:30Z", ["2027-01-01T00:00"]),
    ],
)
def test_what_the_fields_mean(cron: str, after: str, times: list[str]) -> None:
    assert next_times(cron, UTC, after, len(times)) == times


@pytest.mark.parametrize(
    ("cron", "zone", "after", "times"),
    [
        # Berlin: 2026-03-29 from 02:00 (+1) to 03:00 (+2). What is due in between is due at its end, once.
        ("30 2 * * *", BERLIN, "2026-03-28T00:00Z", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        ("0,30 2 * * *", BERLIN, "2026-03-29T00:00Z", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        ("0 2,3 * * *", BERLIN, "2026-03-29T00:00Z", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        # With * for the hour nothing is made up.
        ("30 * * * *", BERLIN, "2026-03-29T00:00Z", ["2026-03-29T00:30", "2026-03-29T01:30"]),
        # 2026-10-25 from 03:00 (+2) back to 02:00 (+1). What is due in the hour that comes twice is due in the first.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("0 3 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T02:00", "2026-10-26T02:00"]),
        # With * for the hour both count.
        ("30 * * * *", BERLIN, "2026-10-25T00:00Z", ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]),
        ("*/30 * * * *", BERLIN, "2026-10-25T00:00Z", ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]),
        ("0 6 * * *", NEW_YORK, "2026-03-07T00:00Z", ["2026-03-07T11:00", "2026-03-08T10:00"]),
        # Half an hour, from 02:00 to 02:30 and back.
        ("15 2 * * *", LORD_HOWE, "2026-10-03T00:00Z", ["2026-10-03T15:30", "2026-10-04T15:15"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00Z", ["2026-04-04T14:45", "2026-04-05T15:15"]),
        # A day that Samoa left out: 2011-12-30. It is due when that day would have begun, which was the 31st.
        ("0 6 30 * *", APIA, "2011-12-01T00:00Z", ["2011-12-30T10:00", "2012-01-29T16:00"]),
    ],
)
def test_where_clocks_are_set(cron: str, zone: tzinfo, after: str, times: list[str]) -> None:
    assert next_times(cron, zone, after, len(times)) == times


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "10-20", "59", "1,31"]),
    st.sampled_from(["*", "*", "2", "1-3", "*/5", "0,23"]),
    st.sampled_from(["*", "*", "1", "29-31", "*/10"]),
    st.sampled_from(["*", "*", "3", "10", "jan,jul"]),
    st.sampled_from(["*", "*", "mon", "6-7", "*/2"]),
)


@given(FIELDS, st.sampled_from([UTC, BERLIN, LORD_HOWE]), st.integers(1_700_000_000, 1_900_000_000))
def test_each_time_has_the_right_fields_and_none_between_two_has(
    fields: tuple[str, ...], zone: tzinfo, after: int
) -> None:
    cron = Cron.parse(" ".join(fields))
    due = cron.next_after(float(after), zone)
    assert due is not None
    assert due > after
    assert due % 60 == 0
    shown = datetime.fromtimestamp(due, zone)
    exists = shown.minute in cron.minutes and shown.hour in cron.hours and cron._has(shown.date())
    made_up = datetime.fromtimestamp(due - 60, zone).utcoffset() != shown.utcoffset()
    assert exists or made_up
    assert cron.last_until(due, float(after), zone) == due
    assert cron.last_until(due - 60, float(after), zone) is None
    later = cron.next_after(due, zone)
    assert later is not None
    assert cron.last_until(later, float(after), zone) == later


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("61 * * * *", "minute '61' is none: use 0-59, ascending ranges as 0-59, steps as"),
        ("* 24 * * *", "hour '24' is none: use 0-23,"),
        ("* * 0 * *", "day of month '0' is none: use 1-31,"),
        ("* * * 13 *", "month '13' is none: use 1-12 or jan-dec,"),
        ("* * * * fry", "day of week 'fry' is none: use 0-7 or sun-sat,"),
        ("* * * * fri-mon", "day of week 'fri-mon' is none"),
        ("*/0 * * * *", "minute '\\*/0' is none"),
        ("*/x * * * *", "minute '\\*/x' is none"),
        ("1, * * * *", "minute '' is none"),
        ("-5 * * * *", "minute '-5' is none"),
        ("٣ * * * *", "minute '٣' is none"),
        ("0 6 * *", "'0 6 \\* \\*' has 4 fields: use five \\(minute, hour, day of month, month, day of week\\), as in"),
        ("0 0 6 * * *", "has 6 fields"),
        ("", "'' has 0 fields"),
        ("@reboot", "'@reboot' is no schedule: use @hourly, @daily,"),
        ("0 0 31 feb *", "'0 0 31 feb \\*' never comes"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_told_what_one_is(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Cron.parse(text)


def test_all_nicknames_are_schedules() -> None:
    assert all(Cron.parse(name) == Cron.parse(fields) for name, fields in NICKNAMES.items())


@pytest.mark.parametrize(
    "cron", ["* * * * *", "0 0 29 2 *", "59 23 31 12 *", "0 0 1 1 *", "30 2 * * *", "0 0 13 * fri"]
)
@pytest.mark.parametrize("zone", [UTC, *map(ZoneInfo, ("Pacific/Kiritimati", "Etc/GMT+12", "Australia/Lord_Howe"))])
@pytest.mark.parametrize("after", ["9990-01-01T00:00Z", "9999-11-30T23:59Z", "9999-12-31T20:00Z"])
def test_times_end_with_the_calendar(cron: str, zone: tzinfo, after: str) -> None:
    moment = at(after)
    for _ in range(12):
        due = Cron.parse(cron).next_after(moment, zone)
        if due is None:
            break
        assert due > moment
        moment = due
    else:
        assert cron == "* * * * *" or after.startswith("9990")
    assert Cron.parse(cron).last_until(moment, moment - 60.0, zone) in (None, moment)


def test_months_that_do_not_fit_are_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    has = Cron._has

    def counting(self: Cron, day: date) -> bool:
        nonlocal looked
        looked += 1
        return has(self, day)

    cron = Cron.parse("0 0 29 2 */7")
    monkeypatch.setattr(Cron, "_has", counting)
    due = cron.next_after(at("2033-01-01T00:00Z"), UTC)
    assert due is not None
    assert looked < 28 * 29
    looked = 0
    assert cron.last_until(due + 86400.0, at("2033-01-01T00:00Z"), UTC) == due
    assert looked < 5
