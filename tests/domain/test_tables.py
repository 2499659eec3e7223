"""Tables that are handed in: what becomes of JSON and CSV, and how what is wrong in them is told."""

import contextlib
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.tables import rows_of_csv, rows_of_json


def from_json(text: str | bytes) -> list[str]:
    return rows_of_json(text if isinstance(text, bytes) else text.encode(), "t.json").decode().split("\n")


def from_csv(text: str | bytes, header: bool = True) -> list[str]:
    return rows_of_csv(text if isinstance(text, bytes) else text.encode(), "t.csv", header=header).decode().split("\n")


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1.50, "b": "x"}, {"b": "y", "a": 2}]',
        '{"a":1.50,"b":"x"}\n{"a":2,"b":"y"}\n',
        '\ufeff\n{"a":1.50,\n"b":"x"}\r\n\r\n{"a":2,"b":"y"}',
        '[\n  {"a": 1.50, "b": "x"},\n  {"a": 2, "b": "y"}\n]\n',
    ],
)
def test_an_array_of_objects_and_json_lines_are_the_same(text: str) -> None:
    assert from_json(text) == ['{"a":1.50,"b":"x"}', '{"a":2,"b":"y"}']


def test_what_is_nested_is_made_compact_and_every_row_is_a_line() -> None:
    assert from_json('[{"a": [1,\n {"b": null}],\n "c": "x\\ny", "d": "\\u00e4"}]') == [
        '{"a":[1,{"b":null}],"c":"x\\ny","d":"ä"}'
    ]


def test_tables_without_rows_are_empty() -> None:
    assert [rows_of_json(text, "x") for text in (b"", b" \n", b"[]", b"[ ]\n")] == [b""] * 4
    assert [rows_of_csv(text, "x", header=True) for text in (b"", b"\n\n", b"a,b\n", b"a,b\r\n\r\n")] == [b""] * 4
    assert rows_of_csv(b"\n", "x", header=False) == b""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5", 't.json, line 1, column 1: here begins no object; each row is one, as in {"name": 1}'),
        ('{"a":1}\n\n  x', "t.json, line 3, column 3: here begins no object"),
        ('[{"a":1},\n5]', "t.json, line 2, column 1: here begins no object"),
        ('[{"a":1}', "t.json, line 1, column 9: after a row a comma or ] should follow"),
        ('[{"a":1},', "t.json, line 1, column 10: it has no end"),
        ('[{"a":1},]', "t.json, line 1, column 10: here begins no object"),
        ('[{"a":1}]\n{"a":1}', "t.json, line 2, column 1: something follows the array"),
        ('{"a":1,\n"b":}', "t.json, line 2, column 5: expecting value"),
        ('{"a":1}\n{"b":1}', "t.json, row 2 (line 2): it has no 'a', and the first row has"),
        ('{"a":1}\n{"a":1,"b":2}', "t.json, row 2 (line 2): it has 'b', and the first row has not"),
        ('{"a":1}\n{"a":1,"a":2}', "t.json, row 2 (line 2): 'a' comes twice"),
        ('{"a":1,"a":2}', "t.json, row 1 (line 1): column 2: 'a' comes twice; rename one"),
        ("{}", "t.json, row 1 (line 1): there are no columns"),
        ('{"a":"x\\u0000"}', "t.json, row 1 (line 1): a NUL character in 'a'"),
        ('{"a":"\\ud800"}', "t.json, row 1 (line 1): half a surrogate pair"),
        ('{"a":[1e999]}', "t.json, row 1 (line 1): a number in 'a' is too large"),
        ('{"a":Infinity}', "t.json, line 1, column 6: infinity is no JSON"),
        ('{"a":\n' + "[" * 100_000, "t.json, line 1, column 1: this row is nested too deep"),
        (b'{"a":1}\n{"a":"\xe9"}', "t.json, line 2, column 7: the byte 0xe9 is no UTF-8; `iconv"),
        ('{"a":1}\n\0', "t.json, line 2, column 1: a NUL character"),
        ('{"a":"x\ny"}', "t.json, line 1, column 8: invalid control character at"),
    ],
)
def test_what_is_wrong_in_json_is_told_with_its_place(text: str | bytes, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        from_json(text)
    assert str(raised.value).startswith(why)


def test_csv_is_read_as_spreadsheets_write_it() -> None:
    text = '\ufeffname, size\r\n"a ""b"", c",1\r\n\r\n"two\nlines", 2\r\n'
    assert from_csv(text) == ['{"name":"a \\"b\\", c","size":"1"}', '{"name":"two\\nlines","size":" 2"}']
    assert from_csv("a,1\nb,\n", header=False) == ['["a","1"]', '["b",""]']
    assert from_csv("a\nx") == ['{"a":"x"}']


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n3\n", "t.csv, row 2 (line 3), column 2: it has 1 column, and the header 2"),
        ('a,b\n"1\n1",2\n3,4,5\n', "t.csv, row 2 (line 4), column 3: it has 3 columns, and the header 2"),
        ("a,b,A\n", "t.csv, line 1: column 3: 'a' and 'A' are both CLUSTER_COL_A; rename one; or is it --no-header?"),
        ("a,,b\n1,2,3\n", "t.csv, line 1: column 2 has no name: give it one; or is it --no-header?"),
        ('a,b\n1,"2\n3,4\n', "t.csv, line 2, column 3: this quotation has no end"),
        ('a,b\nx,"2" y\n', 't.csv, line 2, column 6: after a quotation a comma should follow (a quote within is "")'),
        ('a,b\n"x ""y""","2"z\n', "t.csv, line 2, column 14: after a quotation a comma"),
        ("a,b\n1\r2,3\n", "t.csv, line 2, column 2: a CR that ends no line"),
        (b"a,b\n1,2\n\xff,3\n", "t.csv, line 3, column 1: the byte 0xff is no UTF-8"),
        ("a,b\n1,\0\n", "t.csv, line 2, column 3: a NUL character"),
    ],
)
def test_what_is_wrong_in_csv_is_told_with_its_place(text: str | bytes, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        from_csv(text)
    assert str(raised.value).startswith(why)


def test_without_a_header_the_first_row_says_how_many_columns_there_are() -> None:
    with pytest.raises(
        InvalidInput, match=r"^t.csv, row 2 \(line 2\), column 3: it has 3 columns, and the first row 2$"
    ):
        from_csv("1,2\n3,4,5\n", header=False)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=5))
def test_whatever_csv_a_program_writes_comes_back(table: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table)
    assert [json.loads(row) for row in from_csv(file.getvalue(), header=False)] == table


@given(st.text(alphabet='a,"\n\r\0{}[]:1', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (from_json, from_csv):
        with contextlib.suppress(InvalidInput):
            read(text)
