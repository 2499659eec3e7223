"""A time without a zone is in that of this process: one that is not known is refused, where it was taken for UTC."""

import pytest

from cluster.client.own_zone import refuse_unknown_zone
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import names_no_zone
from cluster.domain.job.spec import JobSpec


@pytest.mark.parametrize("name", ["Mars/Phobos", ":Mars/Phobos", "Europe", "CEST", "/no/such/file"])
@pytest.mark.parametrize("times", [{"at": "18:30"}, {"deadline": "2199-01-01T06:00"}])
def test_a_zone_that_is_not_known_is_refused(name: str, times: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", name)
    flag, text = next(iter(times.items()))
    with pytest.raises(InvalidInput, match=f"--{flag} {text}: TZ is '{name}', and no time zone of that name is known"):
        refuse_unknown_zone(JobSpec(("true",), **times))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "UTC", "Europe/Berlin", ":Europe/Berlin", "CET-1CEST", "<+03>-3", "EST5EDT"])
def test_one_that_is_known_or_has_its_offset_in_it_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", name)
    refuse_unknown_zone(JobSpec(("true",), at="18:30"))


@pytest.mark.parametrize(
    "times", [{"at": "2199-01-01T06:00Z"}, {"deadline": "2h"}, {}, {"at": "2199-01-01 06:00+0100"}]
)
def test_who_names_the_zone_or_a_duration_needs_none(times: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Mars/Phobos")
    refuse_unknown_zone(JobSpec(("true",), **times))  # type: ignore[arg-type]


def test_a_time_of_day_names_none() -> None:
    assert all(map(names_no_zone, ("18:30", "tomorrow 06:00", "2199-01-01T06:00", " 18:30:05 ")))
    assert not any(map(names_no_zone, ("", "2h", "soon", "2199-01-01T06:00Z", "2199-01-01 06:00:01.5-03:30")))
