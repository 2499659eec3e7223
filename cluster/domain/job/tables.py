"""Tables that people hand in, JSON and CSV, as the rows of a job: a line of JSON for each (`rows`).

Whatever is wrong with a table is told with its file, row (from 1, without the header), line and column.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.row_limits import MAX_ROW
from cluster.domain.job.rows import Field, fields_at, skip_space, wrong_columns

_BOM = "\ufeff"


def rows_of_json(content: bytes, name: str) -> bytes:
    """Of an array of objects, or of one object after another (JSON lines). Nothing of a table without rows."""
    text = _decoded(content, name)
    at = skip_space(text, 0)
    is_array = text[at : at + 1] == "["
    columns: list[str] = []
    rows: list[bytes] = []
    for begin, fields in _objects(text, at, is_array, name):
        where = _RowPlace(name, text, begin, len(rows) + 1)
        names = [field[0] for field in fields]
        if not rows:
            columns = names
            if wrong := wrong_columns(columns):
                raise where.error(wrong)
        elif names != columns:
            fields = _in_order(fields, columns, where)
        rows.append(
            _encoded("{" + ",".join(f"{_dumped(n)}:{_value(n, v, t, where)}" for n, v, t in fields) + "}", where)
        )
    return b"\n".join(rows)


def rows_of_csv(content: bytes, name: str, *, header: bool) -> bytes:
    """Of comma-separated values (RFC 4180), whose first line has the columns' names if there is a `header`. Empty lines
    are left out. Nothing of a table without rows."""
    text = _decoded(content, name)
    columns: Sequence[str] | None = None
    keys: list[str] = []
    rows: list[bytes] = []
    for line, values in _records(text, name):
        where = f"{name}, row {len(rows) + 1} (line {line})"
        if columns is None:
            columns = [value.strip() for value in values] if header else [str(i) for i in range(len(values))]
            keys = [f"{_dumped(column)}:" if header else "" for column in columns]
            if wrong := wrong_columns(columns):
                raise InvalidInput(f"{name}, line {line}: {wrong}{'; or is it --no-header?' if header else ''}")
            if header:
                continue
        if len(values) != len(columns):
            first = "header" if header else "first row"
            at = min(len(values), len(columns)) + 1
            raise InvalidInput(f"{where}, column {at}: it has {_columns(len(values))}, and the {first} {len(columns)}")
        row = ",".join(map(str.__add__, keys, map(_dumped, values)))
        rows.append((f"{{{row}}}" if header else f"[{row}]").encode())
    return b"\n".join(rows)


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise InvalidInput(
            f"{_place(name, before, len(before))}: the byte 0x{content[error.start]:02x} is no UTF-8; "
            f"`iconv -f latin1 -t utf-8` may mend it"
        ) from None
    if (at := text.find("\0")) >= 0:
        raise InvalidInput(f"{_place(name, text, at)}: a NUL character, which no process can be given")
    return text


def _place(name: str, text: str, at: int) -> str:
    return f"{name}, line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


class _RowPlace:
    """Where a row begins, for errors."""

    def __init__(self, name: str, text: str, at: int, row: int) -> None:
        self._name, self._text, self._at, self._row = name, text, at, row

    def error(self, why: str) -> InvalidInput:
        line = self._text.count("\n", 0, self._at) + 1
        return InvalidInput(f"{self._name}, row {self._row} (line {line}): {why}")


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _objects(text: str, at: int, is_array: bool, name: str) -> Iterator[tuple[int, list[Field]]]:
    """Where each begins, and its fields."""
    at = skip_space(text, at + is_array)
    closed = not is_array
    first = True
    while at < len(text):
        if is_array and first and text[at] == "]":
            at, closed = skip_space(text, at + 1), True
            break
        if text[at] != "{":
            raise InvalidInput(f'{_place(name, text, at)}: here begins no object; each row is one, as in {{"name": 1}}')
        try:
            fields, end = fields_at(text, at)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{_place(name, text, error.pos)}: {error.msg[0].lower()}{error.msg[1:]}") from None
        except RecursionError:
            raise InvalidInput(f"{_place(name, text, at)}: this row is nested too deep") from None
        yield at, fields
        at, first = skip_space(text, end), False
        if is_array and text[at : at + 1] == ",":
            at = skip_space(text, at + 1)
        elif is_array and text[at : at + 1] == "]":
            at, closed = skip_space(text, at + 1), True
            break
        elif is_array:
            raise InvalidInput(f"{_place(name, text, at)}: after a row a comma or ] should follow")
    if not closed or at < len(text):
        raise InvalidInput(f"{_place(name, text, at)}: {'something follows the array' if closed else 'it has no end'}")


def _in_order(fields: list[Field], columns: list[str], where: _RowPlace) -> list[Field]:
    """In that of the columns."""
    by_name = {field[0]: field for field in fields}
    if len(by_name) < len(fields):
        names = [field[0] for field in fields]
        twice = next(name for name in names if names.count(name) > 1)
        raise where.error(f"{twice!r} comes twice")
    if missing := [column for column in columns if column not in by_name]:
        raise where.error(f"it has no {missing[0]!r}, and the first row has; give every row the same columns")
    if extra := by_name.keys() - set(columns):
        raise where.error(f"it has {min(extra)!r}, and the first row has not; give every row the same columns")
    return [by_name[column] for column in columns]


def _value(name: str, value: Any, text: str, where: _RowPlace) -> str:
    """Its JSON in the shortest form; numbers as they were written."""
    if isinstance(value, str):
        if "\0" in value:
            raise where.error(f"a NUL character in {name!r}, which no process can be given")
        return _dumped(value)
    if not isinstance(value, dict | list):
        return text
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise where.error(f"a number in {name!r} is too large") from None


def _dumped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _encoded(row: str, where: _RowPlace) -> bytes:
    try:
        return row.encode()
    except UnicodeEncodeError:
        raise where.error("half a surrogate pair, which is no character") from None


# ── CSV ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins."""
    before = csv.field_size_limit(MAX_ROW)
    try:
        reader = csv.reader((f"{line}\n" for line in text.removesuffix("\n").split("\n")), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidInput(_wrong_record(text, line, name, str(error))) from None
            if values:
                yield line, values
    finally:
        csv.field_size_limit(before)


def _wrong_record(text: str, line: int, name: str, said: str) -> str:
    """What is wrong with the record that begins on that line: where a quotation is."""
    begin = 0
    for _ in range(line - 1):
        begin = text.index("\n", begin) + 1
    at = begin
    while at < len(text) and text[at] != "\n":
        if text[at] == '"':
            close = _closing(text, at + 1)
            if close < 0:
                return f"{_place(name, text, at)}: this quotation has no end"
            at = close + 1
            if text[at : at + 1] not in ("", ",", "\r", "\n"):
                return f'{_place(name, text, at)}: after a quotation a comma should follow (a quote within is "")'
        while at < len(text) and text[at] not in ",\n":
            if text[at] == "\r" and text[at : at + 2] != "\r\n":
                return f"{_place(name, text, at)}: a CR that ends no line; lines end in LF or CR LF"
            at += 1
        at += text[at : at + 1] == ","
    return f"{_place(name, text, begin)}: {said}"


def _closing(text: str, at: int) -> int:
    """The position of the quote that closes; -1: there is none."""
    while (at := text.find('"', at)) >= 0 and text[at : at + 2] == '""':
        at += 2
    return at
