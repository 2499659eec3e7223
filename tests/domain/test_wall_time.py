"""Times as people type them."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import FIRST, LAST, check_time, iso, unix_time

NOW = 1_795_708_800.0  # 2026-11-26T16:00:00Z, a Thursday
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "zone", "meant"),
    [
        ("2026-11-26T18:30", UTC, "2026-11-26T18:30:00Z"),
        ("2026-11-26 18:30:15", UTC, "2026-11-26T18:30:15Z"),
        ("2026-11-26T18:30:15.25Z", BERLIN, "2026-11-26T18:30:15.250Z"),
        ("2026-11-26T18:30", BERLIN, "2026-11-26T17:30:00Z"),
        ("2026-07-26T18:30", BERLIN, "2026-07-26T16:30:00Z"),
        ("2026-11-26T18:30+05:30", BERLIN, "2026-11-26T13:00:00Z"),
        ("2026-11-26T18:30-0800", UTC, "2026-11-27T02:30:00Z"),
        ("18:30", UTC, "2026-11-26T18:30:00Z"),
        ("18:30", BERLIN, "2026-11-26T17:30:00Z"),
        ("16:30", BERLIN, "2026-11-27T15:30:00Z"),  # it is 17:00 there
        ("9:05:30", NEW_YORK, "2026-11-27T14:05:30Z"),
        ("16:00", UTC, "2026-11-27T16:00:00Z"),  # now is over
        ("tomorrow 06:00", UTC, "2026-11-27T06:00:00Z"),
        ("tomorrow 23:00", BERLIN, "2026-11-27T22:00:00Z"),
        (" tomorrow  6:00 ", UTC, "2026-11-27T06:00:00Z"),
        # Berlin's clocks are set back on 2026-10-25 and forward on 2026-03-29.
        ("2026-10-25T02:30", BERLIN, "2026-10-25T00:30:00Z"),  # of the two the first
        ("2026-03-29T02:30", BERLIN, "2026-03-29T01:30:00Z"),  # there is none: as long after midnight
    ],
)
def test_a_time_means_one_moment(text: str, zone: tzinfo, meant: str) -> None:
    assert iso(unix_time(text, NOW, zone)) == meant
    assert unix_time(meant, NOW, BERLIN) == unix_time(text, NOW, zone), "and that form means itself"
    check_time(text)


def test_tomorrow_is_a_day_of_the_calendar_however_long_it_is() -> None:
    evening = unix_time("2026-03-28T20:00", NOW, BERLIN)
    assert iso(unix_time("tomorrow 20:00", evening, BERLIN)) == "2026-03-29T18:00:00Z"  # 23 hours later
    assert iso(unix_time("19:00", evening, BERLIN)) == "2026-03-29T17:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "tomorrow", "18", "25:00", "18:60", "18:30:60", "2026-11-26", "2026-13-26T18:30"),
        *("2026-04-31T12:00", "2026-11-26T18:30X", "2026-11-26T24:00", "26.11.2026 18:30", "-1:30", "yesterday 18:30"),
        *("18:30 tomorrow", "2026-11-26T18:30+25:00", "10m", "0000-11-26T18:30", "٣٠:١٨"),
    ],
)
def test_what_is_no_time_is_told_what_one_is(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no time: use 2026-11-26T18:30, .* 18:30, or tomorrow 06:00"):
        check_time(text)


def test_times_are_told_in_utc() -> None:
    assert iso(NOW) == "2026-11-26T16:00:00Z"
    assert iso(NOW + 0.0625) == "2026-11-26T16:00:00.062Z"
    assert iso(NOW - 0.0001) == "2026-11-26T16:00:00Z"


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00+12:00", "0001-01-01T00:00+00:01"])
def test_a_moment_that_no_calendar_in_utc_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is none of the years 1 to 9999 in UTC"):
        check_time(text)


def test_the_first_and_the_last_moment_are_told_and_read() -> None:
    for moment, text in ((FIRST, "0001-01-01T00:00:00Z"), (LAST, "9999-12-31T23:59:59.999Z")):
        assert iso(moment) == text
        assert unix_time(text, NOW, UTC) == moment
