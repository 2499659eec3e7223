"""Task numbers as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.arrays import format_array, parse_array
from cluster.domain.job.numbering import ArraySegment

segments = st.builds(
    lambda first, count, step: ArraySegment(first, first + (count - 1) * step, step if count > 1 else 1),
    st.integers(0, 10**9),
    st.integers(1, 10**6),
    st.integers(1, 1000),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", [(5, 5, 1)]),
        ("1-1000:2", [(1, 999, 2)]),
        ("1,5,10-20", [(1, 1, 1), (5, 5, 1), (10, 20, 1)]),
        ("0-3", [(0, 3, 1)]),
        (" 1-2 , 7 ", [(1, 2, 1), (7, 7, 1)]),
    ],
)
def test_reads_what_people_type(text: str, expected: list[tuple[int, int, int]]) -> None:
    assert parse_array(text) == tuple(ArraySegment(*e) for e in expected)


@given(st.lists(segments, min_size=1, max_size=5))
def test_writing_and_reading_are_inverse(array: list[ArraySegment]) -> None:
    assert parse_array(format_array(array)) == tuple(array)


@pytest.mark.parametrize(
    "text", ["", "x", "1-", "-1", "5-1", "1-5:0", "1,,2", "1-2-3", "1:2", "1.5", "\u0661-\u0663", "1" * 19]
)
def test_says_which_part_is_wrong(text: str) -> None:
    with pytest.raises(InvalidInput, match="1-1000:2") as told:
        parse_array(text)
    assert f"{text!r} in {text!r}" not in str(told.value)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_array(text)
    except InvalidInput:
        return
    assert all(0 <= s.first <= s.last and s.step >= 1 for s in parsed)
