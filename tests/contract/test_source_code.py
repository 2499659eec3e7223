"""Code comes quoted once or twice, and is the same program either way."""

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateway.source_code import is_quoted, source_in_form

CORPUS = [
    "print(1)",
    "print(1+1)",
    'print("a+b %41 %2B %25")',
    "print('100%')",
    "import this",
    "import sys; sys.exit(3)",
    "for i in range(3):\n    print(i, '+', i % 41)\n",
    "x = 5 % 41 + 3\nprint(x)",
    "print('ü€😀')  # %C3%BC",
    "a=b=1;print(a&b,a==b)",
    "print(f'{1+1:+d}')",
    "# only a comment",
    "print('''\r\n\t&code=2;''')",
    "def f(*a, **k): return a, k\nprint(f(1, x=2))",
    "print(b'\\x00\\xff', '~', -1, 1_000, 'a/b?c#d')",
    "raise ValueError('%')",
    "print(quote_plus('print(1)'))",
    "print('print%281%29')",
    "1+1",
    "a-b+~c",
    "x.y+z_1",
    "pass",
    "1",
]


@pytest.mark.parametrize("code", CORPUS)
def test_code_is_the_same_quoted_once_or_twice(code: str) -> None:  # S4.9
    assert source_in_form(f"code={quote_plus(code)}".encode()) == [code.encode()]
    assert source_in_form(f"code={quote_plus(quote_plus(code))}".encode()) == [code.encode()]


@given(st.text(max_size=60), st.sampled_from(["print({})", "x = {}\n", "{} # ", "'{}'"]))
def test_no_program_that_does_anything_looks_quoted(inner: str, around: str) -> None:
    """It has a bracket, a space, a quote or a line end; however it was quoted, it comes out as it was."""
    code = around.format(inner.encode(errors="replace").decode())
    assert not is_quoted(code.encode())
    assert source_in_form(f"code={quote_plus(code)}".encode()) == [code.encode()]
    assert source_in_form(f"code={quote_plus(quote_plus(code))}".encode()) == [code.encode()]


def test_escapes_that_quote_plus_does_not_make_are_code() -> None:
    for code in ("a%41", "a%2b", "x%", "x%2", "%zz", "a%7E"):
        assert source_in_form(f"code={quote_plus(code)}".encode()) == [code.encode()]


def test_a_form_may_have_other_fields_and_any_bytes() -> None:
    assert source_in_form(b"timeout=3&co%64e=1&x&code=%FF%80(&codes=2") == [b"1", b"\xff\x80("]
    assert source_in_form(b"") == source_in_form(b"&&=") == []
