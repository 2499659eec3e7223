"""What people may want of a worker, in words: what each says, and what is wrong with one that says nothing."""

import ast
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.job.expressions import (
    MAX_DEPTH,
    MAX_LENGTH,
    Constant,
    Facts,
    WrongExpression,
    parse,
    wrong_expression,
)

G = float(1 << 30)
W1: Facts = {
    "name": "w1",
    "cpus": 8.0,
    "mem": 64 * G,
    "gpus": 2.0,
    "licence": 4.0,
    "zone": "a",
    "rack": "7",
    "disk": "500G",
    "spare": 0.0,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('zone == "a"', True),
        ("zone == 'a'", True),
        ('zone=="a"and mem>=64G', True),
        ('zone != "a"', False),
        ('zone == "b" or zone == "a"', True),
        ('zone == "a" or zone == "b" and false', True),
        ('(zone == "a" or zone == "b") and false', False),
        ('not zone == "b"', True),
        ('not (zone == "b" or has gpu)', False),
        ("not not true", True),
        ("mem >= 64G", True),
        ("mem > 64GiB", False),
        ("mem <= 65536M", True),
        ("memory < 1T", True),
        ("cpus == 8", True),
        ("cpus < 8.5 and cpu > 7.5", True),
        ("gpus == 2", True),
        ("has gpu", True),
        ("has gpus", True),
        ("has zone", True),
        ("has spare", False),
        ("has fpga", False),
        ("licence >= 4", True),
        ("licence > 4", False),
        ("rack >= 7", True),
        ("rack == 7", True),
        ('rack == "7"', True),
        ("rack < 7", False),
        ("disk < 0.5T", True),
        ("zone > 3", False),
        ("zone <= 3", False),
        ("fpga >= 0", False),
        ("fpga == 0", False),
        ("fpga != 0", True),
        ('tier != "gold"', True),
        ('name in ("w1", "w2")', True),
        ('name in ("w2",)', False),
        ('name not in ("w2", "w3")', True),
        ("rack in (6, 7, 8)", True),
        ('zone in ("a")', True),
        ("  \n true\t", True),
    ],
)
def test_each_says_what_it_says(text: str, holds: bool) -> None:
    assert parse(text).holds(W1) is holds


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ('zone = "a"', 6, "use == to compare"),
        ("zone == a", 9, 'put text in quotes: "a"'),
        (
            "zone",
            5,
            "it ends too early: zone is no condition by itself: compare it, as in zone == …, or say `has zone`",
        ),
        ("zone and mem > 1", 6, "zone is no condition by itself"),
        ('zone == "a', 9, 'this text has no end: close it with "'),
        ("zone == 'a", 9, "this text has no end: close it with '"),
        ('zone == "a" mem > 1', 13, "`mem` does not go on from there: put `and` or `or` between"),
        ('(zone == "a"', 13, "it ends too early: close the parenthesis here with )"),
        ('zone == "a")', 12, "`)` does not go on from there"),
        ('zone < "b"', 8, "< compares numbers: use one"),
        ('mem == "64G"', 8, "mem is a number: compare it with one"),
        ("name == 7", 9, "name is text: put it in quotes"),
        ("mem >= 64X", 8, "64X is no number and no size"),
        ("mem >=", 7, "it ends too early: a value is missing here"),
        ("64G <= mem", 1, "begin with the name of a label or resource"),
        ('"a" == zone', 1, "begin with the name of a label or resource"),
        ("zone && true", 6, "use `and`"),
        ("a == 1 || true", 8, "use `or`"),
        ("!has gpu", 1, "use `not`, or != to compare"),
        ("zone in a", 9, "list the values in parentheses"),
        ('zone in ("a" "b")', 14, "go on with a comma and another value, or close the list with )"),
        ("zone in ()", 10, "a value is missing here"),
        ('zone not "a"', 10, "say `not in (…)` here"),
        ("has", 4, "it ends too early: the name of a label or resource is missing here"),
        ("has and", 5, "the name of a label or resource is missing here"),
        ("and true", 1, "the name of a label or resource is missing here"),
        ("mem > 1 # big", 9, "'#' means nothing here"),
        ("zone == \x00", 9, "'\\x00' means nothing here"),
        ("__import__('os')", 11, "__import__ is no condition by itself"),
        ("", 1, "it ends too early: the name of a label or resource is missing here"),
    ],
)
def test_errors_point_at_the_column(text: str, column: int, why: str) -> None:
    with pytest.raises(WrongExpression) as caught:
        parse(text)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"column {column}: {why}")
    assert caught.value.text == text
    assert "\n" not in str(caught.value)


def test_length_and_depth_have_bounds() -> None:
    assert parse(" " * (MAX_LENGTH - 4) + "true") == Constant(True)
    assert "1001 characters, and the most are 1000" in wrong_expression(" " * (MAX_LENGTH - 3) + "true")
    deep = MAX_DEPTH - 1
    assert parse("(" * deep + "true" + ")" * deep) == Constant(True)
    assert parse("not " * deep + "true").holds(W1) is (deep % 2 == 0)
    for wrong in ("(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH, "not " * 200 + "true", "(" * MAX_LENGTH):
        assert f"the most is {MAX_DEPTH}" in wrong_expression(wrong)


names = st.sampled_from(("zone", "rack", "cpus", "mem", "gpus", "licence", "fpga", "name"))
strings = st.sampled_from(("a", "b", "7", "w1"))


def comparisons() -> st.SearchStrategy[tuple[str, str]]:
    """As ours, and as Python would say it of W1."""

    def number(name: str, sign: str, value: int) -> tuple[str, str]:
        return f"{name} {sign} {value}", f"({name!r} in numbers and numbers[{name!r}] {sign} {value})"

    def text(name: str, value: str, negated: bool) -> tuple[str, str]:
        ours, python = f"{name} == '{value}'", f"(texts.get({name!r}) == {value!r})"
        return (ours.replace("==", "!="), f"(not {python})") if negated else (ours, python)

    of_numbers = st.builds(
        number,
        st.sampled_from(("cpus", "gpus", "licence", "fpga")),
        st.sampled_from(("<", "<=", ">", ">=", "==")),
        st.integers(0, 9),
    )
    return st.one_of(
        of_numbers, st.builds(text, st.sampled_from(("zone", "rack", "tier", "name")), strings, st.booleans())
    )


def joined(parts: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    both = st.builds(
        lambda a, word, b: (f"({a[0]} {word} {b[0]})", f"({a[1]} {word} {b[1]})"),
        parts,
        st.sampled_from(("and", "or")),
        parts,
    )
    return st.one_of(both, parts.map(lambda a: (f"not ({a[0]})", f"(not {a[1]})")))


@given(st.recursive(comparisons(), joined, max_leaves=8))
def test_it_is_true_where_python_would_say_so(pair: tuple[str, str]) -> None:
    ours, python = pair
    if wrong_expression(ours):
        assert f"the most is {MAX_DEPTH}" in wrong_expression(ours)
        return
    given_facts: dict[str, Any] = {
        "numbers": {name: value for name, value in W1.items() if isinstance(value, float)},
        "texts": {name: value for name, value in W1.items() if isinstance(value, str)},
    }
    compiled = compile(ast.parse(python, mode="eval"), "test", "eval")
    assert parse(ours).holds(W1) is bool(eval(compiled, given_facts))  # what the test itself has made


pieces = st.lists(
    st.sampled_from(
        (
            "zone",
            "mem",
            "name",
            "has",
            "in",
            "not",
            "and",
            "or",
            "true",
            "(",
            ")",
            ",",
            "==",
            "<",
            "=",
            '"a"',
            "'",
            "64G",
            "7x",
            " ",
        )
    )
)


@given(st.one_of(st.text(), pieces.map(" ".join), pieces.map("".join)))
def test_whatever_is_said_is_read_or_refused_with_a_place(text: str) -> None:
    if not (wrong := wrong_expression(text)):
        assert not text or parse(text).holds(W1) in (True, False)
        return
    column = int(re.match(r"column ([0-9]+): ", wrong)[1])  # type: ignore[index]
    assert 1 <= column <= max(MAX_LENGTH, len(text) + 1)


def test_the_longest_texts_are_read_to_their_ends() -> None:
    for text in ("(" * 999, "a==1 or " * 124 + "a==1", "'" * 1000, "a in (" + "1," * 490 + "1)", "1" * 1000):
        if not wrong_expression(text):
            parse(text).holds(W1)
