"""What rows of a job may be: all with the same columns, each of which can be given to a process."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.exec_limits import EACH, MAX_STRING, MAX_STRINGS, is_too_long, size_of
from cluster.domain.job.lines import first_longer
from cluster.domain.job.rows import filled, holes_in, texts_of, variable_of, wrong_columns, wrong_word

MAX_ROW = 1024 * 1024  # bytes
MAX_PLACES = 256  # of the command that take something of the row
_CHUNK = 256 * 1024  # bytes of rows that are read at once
_NUL = b"\\u0000"

NumberOf = Callable[[int], int]  # the task number of an index


def check_rows(lines: bytes, words: Sequence[str], total: int, number_of: NumberOf) -> None:
    """InvalidInput names the row, or the word of the command, and what to do. `total`: bytes of command and environment
    without them."""
    if longer := first_longer(lines, MAX_ROW):
        number, size = number_of(longer[0] - 1), longer[1]
        raise InvalidInput(f"row {number} has {size} bytes: the most are {MAX_ROW}; put what is large into a file")
    first = lines.partition(b"\n")[0]
    texts = _texts(first, number_of(0))
    columns, numbered = tuple(texts), first.startswith(b"[")
    if wrong := wrong_columns(columns):
        raise InvalidInput(f"row {number_of(0)}: {wrong}")
    for place, word in enumerate(words, start=1):
        if wrong := wrong_word(word, columns, numbered):
            raise InvalidInput(f"word {place} of the command: {wrong}")
    if (places := sum(1 for word in words for _ in holes_in(word, texts))) > MAX_PLACES:
        raise InvalidInput(f"the command takes its row in {places} places: the most are {MAX_PLACES}")
    surely, has_nul = _surely_fits(words, texts, total), _NUL in lines
    names = range(len(columns)) if numbered else texts.keys()
    index = 0
    for chunk in _chunks(lines):
        some = chunk.split(b"\n")
        rows = _loaded(chunk, len(some))
        for line, row in zip(some, rows or some, strict=True):
            if rows is None or len(line) > surely or (has_nul and _NUL in line):
                row = _checked(line, words, columns, total, number_of(index))
            if _names_of(row) != names:
                raise InvalidInput(f"row {number_of(index)}: it has other columns than the first row")
            index += 1


def _names_of(row: Any) -> Any:
    """Of its columns; None: it is no row."""
    return row.keys() if isinstance(row, dict) else range(len(row)) if isinstance(row, list) else None


def _surely_fits(words: Sequence[str], columns: Collection[str], total: int) -> int:
    """How many bytes a row may have without being looked at more closely: none of its texts is longer than it is."""
    most, places = (
        MAX_STRING - max(len(variable_of(column)) for column in columns) - 1,
        2,
    )  # CLUSTER_LINE, CLUSTER_COL_…
    for word in words:
        if holes := sum(1 for _ in holes_in(word, columns)):
            places += holes
            most = min(most, (MAX_STRING - size_of(word)) // holes)
    names = sum(len(variable_of(column)) + EACH for column in columns)
    return min(most, (MAX_STRINGS - total - names - EACH) // places)


def _checked(line: bytes, words: Sequence[str], columns: tuple[str, ...], total: int, number: int) -> Any:
    """The row, of which everything is looked at."""
    texts, text = _texts(line, number), line.decode()
    if "\0" in "".join(texts.values()):
        raise InvalidInput(f"row {number}: a NUL character, which no process can be given")
    if texts.keys() == set(columns):
        for place, (before, word) in enumerate(zip(words, filled(words, texts, text), strict=True), start=1):
            if (size := size_of(word)) > MAX_STRING:
                raise InvalidInput(
                    f"row {number}: word {place} of the command has {size} bytes with it: the most are {MAX_STRING}; "
                    f"leave out {before[:40]}, and read the row from the file that CLUSTER_LINE_FILE names"
                )
            total += size - size_of(before)
        variables = [size_of(value) + len(variable_of(name)) + EACH for name, value in texts.items()]
        total += sum(size for size in variables if size <= MAX_STRING) + (0 if is_too_long(text) else len(line) + EACH)
        if total > MAX_STRINGS:
            raise InvalidInput(
                f"row {number}: with it command and environment have {total} bytes: the limit is {MAX_STRINGS}; put it "
                "into a file"
            )
    return json.loads(line)


def _texts(line: bytes, number: int) -> dict[str, str]:
    try:
        return texts_of(line.decode())
    except ValueError as error:
        raise InvalidInput(f"row {number}: {error}") from None


def _chunks(lines: bytes) -> Iterator[bytes]:
    at = 0
    while at <= len(lines):
        end = lines.find(b"\n", at + _CHUNK)
        end = len(lines) if end < 0 else end
        yield lines[at:end]
        at = end + 1


def _loaded(chunk: bytes, count: int) -> list[Any] | None:
    """Its rows, read in one go. None: they are not so many rows, so each is to be looked at."""
    try:
        rows = json.loads(b"[%b]" % chunk.replace(b"\n", b","))
    except (ValueError, RecursionError):
        return None
    return rows if len(rows) == count else None
