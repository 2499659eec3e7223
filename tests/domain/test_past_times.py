"""Times that are over, as people name them."""

from datetime import UTC, timedelta, timezone

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.past_times import past_time

NOW = 1_764_197_999.5  # 2025-11-26T22:59:59.5Z
MIDNIGHT = 1_764_115_200.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7d", NOW - 7 * 86_400),
        (" 1h30m ", NOW - 5400),
        ("0", NOW),
        ("100000d", 0.0),  # before there was a clock
        ("2025-11-26", MIDNIGHT),
        ("2025-11-26T00:30", MIDNIGHT + 1800),
        ("2025-11-26 00:30:01", MIDNIGHT + 1801),
        ("2025-11-26T01:30+01:00", MIDNIGHT + 1800),
    ],
)
def test_so_long_ago_or_by_the_calendar(text: str, seconds: float) -> None:
    assert past_time(text, NOW, UTC) == seconds


def test_a_day_begins_when_it_does_in_that_zone() -> None:
    assert past_time("2025-11-26", NOW, timezone(timedelta(hours=2))) == MIDNIGHT - 7200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yesterday", "'yesterday' is no time that is over: use how long ago, as in 7d or 1h30m"),
        ("-7d", "'-7d' is no time that is over"),
        ("18:30", "'18:30' is no time that is over"),
        ("", "'' is no time that is over"),
        ("2025-11-31", "'2025-11-31T00:00' is no time: use"),
        ("2025-11-27", "2025-11-27 is yet to come: it is 2025-11-26T22:59:59.500Z now"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        past_time(text, NOW, UTC)
    assert str(caught.value).startswith(message)
