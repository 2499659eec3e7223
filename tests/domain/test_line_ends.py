"""Where the last lines begin, looked for in blocks from the end."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base import line_ends
from cluster.domain.base.intervals import Range
from cluster.domain.base.line_ends import lines_back


@given(st.binary(max_size=40), st.integers(1, 8), st.integers(0, 40), st.integers(1, 7))
def test_it_is_behind_the_wanted_line_end_from_the_back(data: bytes, wanted: int, start: int, block: int) -> None:
    data = data.replace(b"a", b"\n")
    part = Range(min(start, len(data)), len(data))
    ends = [at + 1 for at in range(part.start, part.stop) if data[at : at + 1] == b"\n"]
    usual, line_ends._BLOCK = line_ends._BLOCK, block
    try:
        found = lines_back(lambda at, count: data[at : at + count], part, wanted)
    finally:
        line_ends._BLOCK = usual
    assert found == ((ends[-wanted], 0) if len(ends) >= wanted else (part.start, wanted - len(ends)))
