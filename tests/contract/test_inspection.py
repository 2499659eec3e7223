"""What is found about an exception on the door for debugging, as far as an answer can have it."""

import pytest

from cluster.gateway.execute_inspection import split

OWN = b"Traceback\n"


def test_what_was_found_stands_behind_the_mark() -> None:
    assert split(bytearray(OWN), "MARK") == (bytearray(OWN), None)
    assert split(bytearray(OWN + b'\nMARK{"type": "E"}'), "MARK") == (bytearray(OWN), {"type": "E"})


@pytest.mark.parametrize(
    "found", [b'{"type": "\\ud800"}', b'{"line": NaN}', b'{"line": 1e999}', b"[" * 5000, b"{}\nmore"]
)
def test_what_no_answer_can_have_is_the_codes_own_output(found: bytes) -> None:
    """An exception, a function or a file may have any name, also half of a surrogate pair."""
    stderr = bytearray(OWN + b"\nMARK" + found)
    assert split(bytearray(stderr), "MARK") == (stderr, None)
