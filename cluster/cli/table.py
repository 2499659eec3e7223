"""Tables: columns that fit on a terminal, tab-separated lines in a pipe."""

import os
import sys
from collections.abc import Iterable, Sequence

from cluster.domain.base.printable import printable

GAP = 2  # between two columns
LEAST = 8  # of a column that gives way: fewer letters than that tell nothing, and cost the others theirs
NAMES = 13  # columns of the names of facts, where none is longer
USUAL_WIDTH = 80  # columns of a terminal that does not say how many it has


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on a terminal; in a pipe one line each with tabs between, heads first."""
    if not sys.stdout.isatty():
        for row in [heads, *rows]:
            print("\t".join(printable(cell.replace("\t", " ").replace("\n", " ")) for cell in row))
        return
    rows = [[printable(cell) for cell in row] for row in rows]
    natural = [max(map(width_of, column)) for column in zip(heads, *rows, strict=True)]
    widths = fit(natural, [i == 0 or head == "STATE" for i, head in enumerate(heads)], _terminal_width())
    bold, plain = ("", "") if os.environ.get("TERM", "dumb") in ("", "dumb", "unknown") else ("\x1b[1m", "\x1b[0m")
    print(f"{bold}{_line(heads, widths)}{plain}")
    for row in rows:
        print(_line(row, widths))


def print_facts(*facts: tuple[str, object]) -> None:
    """What is known of one thing, a line each: name and value. Those without a value are left out."""
    shown = [(printable(name), value) for name, value in facts if value not in ("", None)]
    width = max([NAMES, *(width_of(name) for name, _ in shown)])
    for name, value in shown:
        print(f"{name}{' ' * (width - width_of(name))} {printable(str(value))}")


def fit(natural: Sequence[int], kept: Sequence[bool], room: int) -> list[int]:
    """How wide each column is where they share `room`: the widest give way first, never those that are `kept`. Where
    they would have less than LEAST each, the last of the others are left out: 0."""
    widths = [width if keep else min(width, room) for width, keep in zip(natural, kept, strict=True)]
    giving = [i for i, keep in enumerate(kept) if not keep]
    while giving and _together(w if keep else min(w, LEAST) for w, keep in zip(widths, kept, strict=True)) > room:
        widths[giving.pop()] = 0
    while giving and _together(widths) > room:
        widths[max(giving, key=lambda i: widths[i])] -= 1
    return widths


def width_of(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_width_of_one, text))


def shortened(text: str, width: int) -> str:
    """The text in so many columns: what does not fit gives way to an ellipsis, what is too short gets spaces."""
    taken = width_of(text)
    if taken > width:
        taken = 1
        for end, char in enumerate(text):
            if taken + (here := _width_of_one(char)) > width:
                text = f"{text[:end]}…"
                break
            taken += here
    return text + " " * (width - taken)


def _width_of_one(char: str) -> int:
    from unicodedata import category, east_asian_width

    return 0 if category(char) in ("Mn", "Me", "Cf") else 2 if east_asian_width(char) in "WF" else 1


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = (shortened(cell, width) for cell, width in zip(cells, widths, strict=True) if width)
    return (" " * GAP).join(shown).rstrip()


def _together(widths: Iterable[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + GAP * (len(shown) - 1)


def _terminal_width() -> int:
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH
