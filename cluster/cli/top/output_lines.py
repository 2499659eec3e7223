"""What a job writes, as lines that do no harm to a terminal. Pure."""

import codecs
import re
from collections import deque

from cluster.domain.base.printable import printable

MOST_LINES = 1000
MOST_OF_LINE = 2000  # characters that are kept of one
_COLOURS = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78DEHMc])")


class OutputLines:
    """The last lines. Colours are left out, and so is what a carriage return overwrites; any other control character
    is shown as an escape."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._open = ""  # the beginning of a line that has not ended
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        text = self._open + self._decoder.decode(data)
        *whole, rest = text.rsplit("\n", MOST_LINES)
        if len(whole) == MOST_LINES:
            whole = whole[1:]  # all that came before
        self._lines.extend(map(shown_line, whole))
        # Of an open line its end matters, for a bar that is drawn over itself; and it must not grow without bound.
        self._open = rest if len(rest) <= MOST_OF_LINE else rest[:MOST_OF_LINE] + rest[-MOST_OF_LINE:]
        if len(rest) > 8 * MOST_OF_LINE:
            self._open = rest[-MOST_OF_LINE:]

    def note(self, text: str) -> None:
        """A line of ours."""
        self._lines.append(printable(text))

    def lines(self) -> list[str]:
        return [*self._lines, *([shown_line(self._open)] if self._open else [])]


def shown_line(line: str) -> str:
    """A line as a terminal would have left it, without colours."""
    line = _COLOURS.sub("", line[-8 * MOST_OF_LINE :]).rstrip("\r")
    line = line.rpartition("\r")[2][:MOST_OF_LINE].expandtabs(8)
    return printable(line)
