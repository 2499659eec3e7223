"""Rows: what a command gets of them, and which are refused."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.client.handy_specs import spec_of
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.arrays import parse_array
from cluster.domain.job.exec_limits import MAX_LINE, MAX_STRING
from cluster.domain.job.lines import picked
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.row_limits import MAX_ROW
from cluster.domain.job.rows import filled, texts_of, variable_of, wrong_columns, wrong_word
from cluster.domain.job.spec import JobSpec, validate

ROW = '{"name":"a b","size":1.50,"more":{"x":[1,2]},"none":null,"a-b":true}'


def test_strings_are_passed_as_they_are_and_anything_else_as_its_json() -> None:
    assert texts_of(ROW) == {"name": "a b", "size": "1.50", "more": '{"x":[1,2]}', "none": "null", "a-b": "true"}
    assert texts_of('["x", 12345678901234567890123]') == {"0": "x", "1": "12345678901234567890123"}
    assert texts_of('{"\\u00e4":"\\n"}') == {"ä": "\n"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "its row is no JSON object: column 1: here begins no object"),
        ("5", "column 1: here begins no object"),
        ('{"a":1', "column 7: here a comma or } should stand"),
        ('{"a":1,}', "column 8: after a comma something should follow"),
        ('{"a" 1}', "column 6: here a colon should stand"),
        ("{a:1}", "column 2: here a name in double quotes should stand"),
        ('{"a":}', "column 6: Expecting value"),
        ('{"a":NaN}', "column 6: NaN is no JSON"),
        ('{"a":1} 2', "its row is more than a JSON object: column 8"),
        ('{"a":' + "[" * 100_000, "its row is nested too deep"),
        ('{"a":' + "9" * 5000 + "}", "column 6: Exceeds the limit"),
    ],
)
def test_what_is_no_row_is_told_with_its_column(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        texts_of(line)


SHORT = st.text(max_size=5)
VALUES = st.recursive(SHORT | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_whatever_json_says_of_an_object_its_texts_say(row: dict[str, object], indent: int | None) -> None:
    texts = texts_of(json.dumps(row, indent=indent))
    assert texts.keys() == row.keys()
    for name, value in row.items():
        assert texts[name] == value if isinstance(value, str) else json.loads(texts[name]) == value


def test_words_get_the_texts_of_their_columns() -> None:
    texts = texts_of(ROW)
    words = ["{name}", "<{size}{a-b}>", "{}", "{{name}} {{other}}", "${name} ${x}", "{more}", "{ name }", "$1 {none}{"]
    assert filled(words, texts, ROW) == [
        *("a b", "<1.50true>", ROW, "{name} {other}", "${name} ${x}", '{"x":[1,2]}', "{ name }", "$1 null{"),
    ]
    assert filled(["{{x y}} {{.Name}} {{name} {{{a}}}"], {"name": "b", "a": "c"}, "") == [
        "{{x y}} {{.Name}} {b {{a}}",
    ], "what is no name stays"
    assert filled(["{0}{1}", "{{0}}"], {"0": "{1}", "1": "x"}, "") == ["{1}x", "{0}"], "what is put in is not looked at"


def test_many_braces_and_many_columns_are_read_in_one_go() -> None:
    """Each of them was looked for behind each brace: that took a second, in which nobody else was served."""
    columns = tuple(f"column {number}" for number in range(1000))
    words = ["{" * 131_000, "{column " * 16_000, "{" * 65_000 + "}" * 65_000, "{column 999}" * 10_000]
    texts = dict.fromkeys(columns, "x")
    assert filled(words, texts, "")[3] == "x" * 10_000
    assert wrong_word(words[3], columns, numbered=False) == ""


def test_columns_have_variables_in_capitals() -> None:
    names = {"name": "NAME", "File name": "FILE_NAME", "größe": "GR__E", "a.b-c": "A_B_C", "0": "0", "_x9": "_X9"}
    assert {name: variable_of(name) for name in names} == {name: f"CLUSTER_COL_{end}" for name, end in names.items()}


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([], "there are no columns"),
        (["a", " "], "column 2 has no name: give it one"),
        (["a", "b", "a"], "column 3: 'a' comes twice; rename one"),
        (["a b", "x", "A_B"], "column 3: 'a b' and 'A_B' are both CLUSTER_COL_A_B; rename one"),
        (["x" * 256], "the name of column 1 has 256 characters: the most are 255"),
        ([str(n) for n in range(1001)], "1001 columns: the most are 1000"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(columns: list[str], why: str) -> None:
    assert wrong_columns(columns) == why


@pytest.mark.parametrize("word", ["x", "{name}", "{}", "${nmae}", "{{nmae}}", "{a b}", "{print $1}", "a{2}", '{"a":1}'])
def test_what_is_no_placeholder_is_no_error(word: str) -> None:
    assert wrong_word(word, ("name", "size"), numbered=False) == ""


@pytest.mark.parametrize(
    ("word", "columns", "why"),
    [
        ("{nmae}", ("name", "size"), "{nmae} names no column; there are name, size (and {{nmae}} is {nmae} as it is)"),
        ("{name}{Name}", ("name",), "{Name} names no column; there are name (and"),
        ("{2}", ("0", "1"), "{2} names no column; there are 0, 1 (and"),
        ("{name}", ("0", "1"), "{name} names no column; there are 0, 1 (and"),
    ],
)
def test_a_placeholder_that_names_no_column_is_told(word: str, columns: tuple[str, ...], why: str) -> None:
    assert wrong_word(word, columns, numbered=columns[0] == "0").startswith(why)


def spec(*argv: str, rows: bytes = b'{"a":"x","b":1}\n{"b":2,"a":"y"}', **fields: object) -> JobSpec:
    return replace(JobSpec(argv or ("echo", "{a}"), lines=rows, rows=True), **fields)  # type: ignore[arg-type]


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (spec("echo", "{c}"), "word 2 of the command: {c} names no column; there are a, b"),
        (spec("sh", script="x.sh", script_args=("{c}",)), "word 3 of the command: {c} names no column"),
        (spec(rows=b'{"a":1}\n{"b":1}'), "row 2: it has other columns than the first row"),
        (spec(rows=b'{"a":1}\n["x"]'), "row 2: it has other columns than the first row"),
        (spec("true", rows=b'["a"]\n["x","y"]'), "row 2: it has other columns than the first row"),
        (spec(rows=b'{"a":1}\n5'), "row 2: it has other columns than the first row"),
        (spec(rows=b'{"a":1}\n{"a":'), "row 2: its row is no JSON object: column 6: Expecting value"),
        (spec(rows=b'{"a":1},{"a":1}\n{"a":2}'), "row 1: its row is more than a JSON object"),
        (spec(rows=b'{"a":1}\n{"a":"\\u0000"}'), "row 2: a NUL character, which no process can be given"),
        (spec(rows=b'{"a":"\xe9"}'), "row 1: 'utf-8' codec can't decode byte 0xe9"),
        (spec(rows=b"{}"), "row 1: there are no columns"),
        (spec(rows=b'{"a":1}\n5', array=(ArraySegment(7, 9, 2),)), "row 9: it has other columns"),
        (JobSpec(("true",), rows=True), "there are no rows, so there is nothing to run"),
        (
            spec("echo", "{a}{a}", rows=b'{"a":"%b"}' % LONG.encode()),
            "row 1: word 2 of the command has 200000 bytes with it: the most are 131071; leave out {a}{a}, and read",
        ),
        (
            spec("echo", *["{a}"] * 15, rows=b'{"a":"1"}\n{"a":"%b"}' % LONG.encode()),
            "row 2: with it command and environment have 17",
        ),
        (
            spec("true", rows=b'{"a":"%b"}' % (b"x" * MAX_ROW)),
            f"row 1 has {MAX_ROW + 8} bytes: the most are {MAX_ROW}; put what is large into a file",
        ),
        (spec(*["{a}"] * 257), "the command takes its row in 257 places: the most are 256"),
        (spec("true", env=(("CLUSTER_COL_A", "1"),)), "--env: the variable CLUSTER_COL_A tells each task who it is"),
    ],
)
def test_rows_that_no_task_could_be_given_are_refused(wrong: JobSpec, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        validate(wrong)
    assert str(raised.value).startswith(why)


@pytest.mark.parametrize(
    "rows",
    [
        b'{"a":"%b"}' % (b"x" * MAX_STRING),
        b'{"a":"%b","b":"%b"}' % ((LONG.encode(),) * 2),
        b'["%b"]' % (b"x" * 131_058),
    ],
)
def test_what_is_too_long_for_a_variable_is_left_to_the_file(rows: bytes) -> None:
    validate(spec("true", rows=rows))


def test_a_row_that_was_accepted_can_be_started() -> None:
    rows = b'{"a":"%b"}' % (b"x" * (MAX_STRING - len("CLUSTER_COL_A=")))
    accepted = spec("true", "{a}", rows=rows)
    validate(accepted)
    texts = texts_of(rows.decode())
    env = {variable_of(name): text for name, text in texts.items()}
    assert subprocess.run(filled(accepted.argv, texts, rows.decode()), env=env, check=False).returncode == 0
    assert sys.platform == "linux"


def test_a_program_gives_rows_as_lines_of_json() -> None:
    rows = [json.dumps({"a": number}) for number in range(3)]
    made = spec_of(["echo", "{a}"], each_line=rows, rows=True, array="2-3")
    assert made == spec(rows=b'{"a": 1}\n{"a": 2}', array=(ArraySegment(2, 3),))
    validate(made)


def test_some_lines_are_picked_by_their_numbers() -> None:
    lines = b"a\nb\n\nd\ne"
    assert picked(lines, parse_array("1-5:2"), rows=False) == b"a\n\ne"
    assert picked(lines, parse_array("4,2"), rows=False) == b"d\nb"
    for wrong, words in {"0": "no line 0", "3-9": "no line 9; there are 5, from 1 on", "6": "no line 6"}.items():
        with pytest.raises(InvalidInput, match=f"--array .*{words}"):
            picked(lines, parse_array(wrong), rows=False)


def test_lines_beside_an_array_are_those_of_its_numbers() -> None:
    some = JobSpec(("echo", "{}"), lines=b"d\nb", array=parse_array("4,2"))
    validate(some)
    assert [some.number_of(index) for index in range(2)] == [4, 2]
    assert (some.index_of(2), some.index_of(1), some.task_count) == (1, None, 2)
    assert some.without_lines() == JobSpec(("echo", "{}"), array=parse_array("4,2"))
    with pytest.raises(InvalidInput, match="2 lines for 3 task numbers: give one for each"):
        validate(replace(some, array=parse_array("1-3")))
    with pytest.raises(InvalidInput, match="line 2 of --each-line has 4194305 bytes"):
        validate(replace(some, argv=("true",), lines=b"d\n" + b"x" * (MAX_LINE + 1)))
