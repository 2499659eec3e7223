"""Durations, cpus and sizes, typed and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import (
    format_cpus,
    format_duration,
    format_setting,
    format_size,
    parse_cpus,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("5min", 300),
        ("500ms", 0.5),
        ("1d2h3m4s5ms", 93784.005),
        ("0", 0),
    ],
)
def test_reads_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "m", "1h1h", "1 h", "1e3", "nan", "inf", "1m x"])
def test_refuses_other_durations(text: str) -> None:
    with pytest.raises(InvalidInput, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (0.34, "0.3s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (245, "4m05s"),
        (7380, "2h03m"),
        (273600, "3d04h"),
        (-1, "0.0s"),
    ],
)
def test_shows_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.001, "1ms"), (0.05, "50ms"), (0.1, "0.1s"), (0.0, "0.0s"), (90.0, "1m30s")]
)
def test_what_somebody_chose_is_shown_though_it_is_short(seconds: float, text: str) -> None:
    assert format_setting(seconds) == text


@given(st.integers(1, 2**31 - 1))
def test_cpus_are_read_as_they_are_shown(millicpus: int) -> None:
    assert parse_cpus(f"{millicpus / 1000:.3f}") == millicpus


@pytest.mark.parametrize(("millicpus", "text"), [(2000, "2"), (500, "0.5"), (1250, "1.25")])
def test_shows_cpus(millicpus: int, text: str) -> None:
    assert format_cpus(millicpus) == text
    assert parse_cpus(text) == millicpus


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "nan", "inf", "0.0001", "1e9"])
def test_refuses_other_cpus(text: str) -> None:
    with pytest.raises(InvalidInput, match="cpus"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("64k", 65536), ("64M", 64 << 20), ("1.5GiB", 3 << 29), ("2 TB", 2 << 40), ("7 B", 7)],
)
def test_reads_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "0.3k", "nan", "1e9", "9P", "9999999999T"])
def test_refuses_other_sizes(text: str) -> None:
    with pytest.raises(InvalidInput, match="no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (20 << 20, "20.0 MiB"),
        (300 << 30, "300 GiB"),
        (2**60, "1024.0 PiB"),
    ],
)
def test_shows_sizes(size: int, text: str) -> None:
    assert format_size(size) == text
