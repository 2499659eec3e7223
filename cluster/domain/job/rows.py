"""Rows: lines that are JSON, each an object, or an array whose values are numbered from 0.

A value is passed to commands as text: a string as it is, anything else as its JSON stands there. `{name}` in a word of
the command is the value of that column, `{}` the whole row; `{{name}}` is {name} as it is, and so is what follows a $,
which is a shell's. In the environment the column is CLUSTER_COL_NAME.
"""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

MAX_COLUMNS = 1000
MAX_COLUMN_NAME = 255  # characters
PREFIX = "CLUSTER_COL_"
FILE = "file"  # the column that names the file which a task finds, where each finds one (`upload_each`)
_SPACE = re.compile(r"[ \t\n\r]*")
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HOLE = re.compile(r"(?<!\$)\{(?:\{([^{}]*)\}\}|([^{}]*)\})")  # {{NAME}} or {NAME}, with any name

Field = tuple[str, Any, str]  # name, value, and its JSON


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def fields_at(text: str, at: int) -> tuple[list[Field], int]:
    """The fields of the object or array that begins there, and where it ends. json.JSONDecodeError says what is wrong,
    and where; RecursionError for what is nested too deep."""
    names = text[at : at + 1] == "{"
    if not names and text[at : at + 1] != "[":
        raise json.JSONDecodeError("here begins no object", text, at)
    close = "}" if names else "]"
    fields: list[Field] = []
    at = skip_space(text, at + 1)
    while text[at : at + 1] != close:
        name = str(len(fields))
        if names:
            if text[at : at + 1] != '"':
                raise json.JSONDecodeError("here a name in double quotes should stand", text, at)
            name, at = _decoder.raw_decode(text, at)
            at = skip_space(text, at)
            if text[at : at + 1] != ":":
                raise json.JSONDecodeError("here a colon should stand", text, at)
            at = skip_space(text, at + 1)
        begin = at
        try:
            value, at = _decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:  # NaN, or a number of thousands of digits
            raise json.JSONDecodeError(str(error), text, begin) from None
        fields.append((name, value, text[begin:at]))
        at = skip_space(text, at)
        if text[at : at + 1] == ",":
            at = skip_space(text, at + 1)
            if text[at : at + 1] == close:
                raise json.JSONDecodeError("after a comma something should follow", text, at)
        elif text[at : at + 1] != close:
            raise json.JSONDecodeError(f"here a comma or {close} should stand", text, at)
    return fields, at + 1


def skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None, "it may match nothing"
    return match.end()


def texts_of(line: str) -> dict[str, str]:
    """The texts of a row, by the columns' names. ValueError for what is no row."""
    try:
        fields, end = fields_at(line, 0)
    except RecursionError:
        raise ValueError("its row is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its row is no JSON object: column {error.pos + 1}: {error.msg}") from None
    if end != len(line):
        raise ValueError(f"its row is more than a JSON object: column {end + 1}")
    return {name: value if isinstance(value, str) else text for name, value, text in fields}


def file_in(line: str) -> bytes:
    """The path of the file that the row names; empty: it names none. ValueError for what is no row."""
    return texts_of(line).get(FILE, "").encode(errors="surrogateescape")


def variable_of(column: str) -> str:
    """In capitals, with _ for all but the letters A to Z, digits and _."""
    return PREFIX + _NOT_IN_NAMES.sub("_", column.upper() if column.isascii() else _ascii_upper(column))


def _ascii_upper(text: str) -> str:
    return "".join(char.upper() if char.isascii() else char for char in text)


def wrong_columns(columns: Sequence[str]) -> str:
    """What is wrong with them, and what to do; empty: nothing."""
    if not columns:
        return "there are no columns"
    if len(columns) > MAX_COLUMNS:
        return f"{len(columns)} columns: the most are {MAX_COLUMNS}"
    seen: dict[str, str] = {}
    for place, column in enumerate(columns, start=1):
        if not column.strip():
            return f"column {place} has no name: give it one"
        if len(column) > MAX_COLUMN_NAME:
            return f"the name of column {place} has {len(column)} characters: the most are {MAX_COLUMN_NAME}"
        variable = variable_of(column)
        if before := seen.get(variable):
            same = f"{column!r} comes twice" if before == column else f"{before!r} and {column!r} are both {variable}"
            return f"column {place}: {same}; rename one"
        seen[variable] = column
    return ""


def filled(words: Iterable[str], texts: Mapping[str, str], line: str) -> list[str]:
    """The words of a command with the row's texts in them."""

    def fill(hole: re.Match[str]) -> str:
        doubled, name = hole.groups()
        if doubled is not None:
            return f"{{{doubled}}}" if doubled in texts or _NAME.fullmatch(doubled) else hole[0]
        return texts.get(name, hole[0]) if name else line

    return [_HOLE.sub(fill, word) if "{" in word else word for word in words]


def holes_in(word: str, columns: Container[str]) -> Iterator[str]:
    """The columns whose texts the word takes, each as often as it stands there; empty: the whole row."""
    if "{" in word:
        names = (hole[2] for hole in _HOLE.finditer(word))
        yield from (name for name in names if name is not None and (not name or name in columns))


def wrong_word(word: str, columns: Sequence[str], numbered: bool) -> str:
    """Which placeholder in it names no column; empty: each does. `numbered`: columns are numbers."""
    known = frozenset(columns)
    for hole in _HOLE.finditer(word) if "{" in word else ():
        name = hole[2]
        if name and name not in known and (_NAME.fullmatch(name) or (numbered and name.isdecimal())):
            shown = ", ".join(columns[:10]) + (", …" if columns[10:] else "")
            return f"{hole[0]} names no column; there are {shown} (and {{{hole[0]}}} is {hole[0]} as it is)"
    return ""
