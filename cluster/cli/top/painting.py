"""From rows to what is written to a terminal: only rows that are others than before. Pure."""

from collections.abc import Sequence

from cluster.cli.table import width_of
from cluster.cli.top.drawing import Row

ENTER = "\x1b[?1049h\x1b[?25l"  # another screen, no cursor
LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
_PLAIN = {"bar": "7", "alarm": "1;7", "chosen": "7", "bold": "1"}
_COLOURED = _PLAIN | {"good": "32", "bad": "31", "warn": "33", "dim": "90", "alarm": "1;37;41"}


def paint(old: Sequence[Row] | None, new: Sequence[Row], width: int, *, colours: bool) -> str:
    """What brings the screen from the old rows to the new ones; `old` None: nobody knows what is on it, so it is
    cleared first."""
    text = "\x1b[0m\x1b[2J" if old is None else ""
    before = old if old is not None else [()] * len(new)
    styles = _COLOURED if colours else _PLAIN
    for place, row in enumerate(new):
        if place >= len(before) or before[place] != row:
            text += f"\x1b[{place + 1};1H{_line(row, width, styles)}"
    return text


def _line(row: Row, width: int, styles: dict[str, str]) -> str:
    text, taken = "", 0
    for style, words in row:
        code = styles.get(style)
        text += f"\x1b[{code}m{words}\x1b[0m" if code else words
        taken += width_of(words)
    return text if taken >= width else f"{text}\x1b[K"  # in the last column that would take its letter
