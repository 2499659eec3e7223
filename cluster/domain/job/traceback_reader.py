"""Python's tracebacks at the end of what a task wrote to stderr: which exception ended it, and where that was raised.

What counts is the exception that was raised last: the one before it in the same chain is its cause. A traceback need
not be whole: its beginning may be cut off, a SyntaxError has no heading, and an exception that was never raised (in a
group, as a cause) has no place. What ended a thread counts if nothing else is there; what Python says that it ignored
never does. A group and all that is in it have margins, two columns for each level (PEP 654):

      + Exception Group Traceback (most recent call last):
      |   File "load.py", line 3, in <module>
      | ExceptionGroup: two rows (2 sub-exceptions)
      +-+---------------- 1 ----------------
        | ValueError: bad row

Nothing tells the lines of a message from the notes that follow it, or from what is written later. So the message is its
first line, and the lines that follow stand apart.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from cluster.domain.job.raised_exception import RaisedException

MOST_TEXT = 1000  # characters of each text that is given
MOST_FOLLOWING = 20  # lines


def read_exception(tail: bytes) -> RaisedException | None:
    """The exception that ended the program which wrote this, the end of a stderr, in any encoding. None: it shows no
    traceback. Takes time in proportion to the bytes."""
    reader = _Reader()
    for line in _lines_of(tail):
        reader.read(line)
    reader.close()
    found = reader.found
    top = min((each.level for each in found), default=0)
    outer = [i for i, each in enumerate(found) if each.level == top]
    at = next((i for i in reversed(outer) if not found[i].in_thread), outer[-1] if outer else None)
    if at is None:
        return None
    before = [i for i in outer if i < at]
    cause = found[before[-1]].exception() if before and found[at].is_linked else None
    return replace(found[at].exception(), cause=cause, first_in_group=_first_below(found, at))


# Colours and other control sequences, and links, of terminals. Each alternative is linear.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines would also split within messages
_HEADING = "Traceback (most recent call last):"
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9})(?:, in (.+))?')
_EXCEPTION = re.compile(r"([^\W\d][\w.<>]*)(?:|:|: (.*))")
_LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_IN_THREAD, _IGNORED = "Exception in thread ", "Exception ignored "
_IN_MARGIN = re.compile(r"((?:  )+)\| ?(.*)")
_GROUP_HEADING = re.compile(rf"((?:  )+)\+ Exception Group {re.escape(_HEADING)}")
_NEXT_IN_GROUP = re.compile(r"((?:  )+)\+-(\+?)-+ ([0-9]+|\.\.\.) -+")
_GROUP_END = re.compile(r" +\+-+")


@dataclass(slots=True)
class _Traceback:
    """One that is being read. It is in its frames until it has a type."""

    level: int  # of the group that it is in; 0: of none
    place_in_group: int = 0  # from 1
    is_linked: bool = False  # to the one before on the same level, which is its cause
    in_thread: bool = False
    is_ignored: bool = False
    frame: tuple[str, int, str] | None = None
    type: str = ""
    message: str = ""
    following: list[str] = field(default_factory=list)

    def reach(self, file: str, line: int, function: str) -> None:
        """The next frame."""
        if self.frame is None or not file.startswith("<frozen "):  # of Python's own importing: its caller tells more
            self.frame = file, line, function

    def exception(self) -> RaisedException:
        file, line, function = self.frame or ("", 0, "")
        following = list(self.following)
        while following and not following[-1].strip():
            following.pop()
        message = self.message
        if not message.strip() and following:  # that began with a line end
            message = following.pop(0)
        texts = map(_shortened, following)
        return RaisedException(
            _shortened(self.type), _shortened(message), _shortened(file), line, _shortened(function), tuple(texts)
        )


class _Reader:
    """Reads lines one after another."""

    def __init__(self) -> None:
        self.found: list[_Traceback] = []
        self._open: _Traceback | None = None
        self._in_group = False
        self._places: dict[int, int] = {}  # in the groups that are open, by level
        self._last = ""  # line that belongs to no traceback

    def read(self, line: str) -> None:
        if not line.startswith("  "):
            self._in_group = False
            self._read_text(0, line)
        elif match := _GROUP_HEADING.fullmatch(line):
            self._in_group = True
            self._begin(_level(match[1]))
        elif match := _NEXT_IN_GROUP.fullmatch(line):
            level = _level(match[1]) + len(match[2])
            self._in_group = True
            self._places[level] = int(match[3]) if match[3].isdigit() else 0
            self.close()
            self._begin(level)
        elif self._in_group and _GROUP_END.fullmatch(line):
            self.close()
        elif (match := _IN_MARGIN.fullmatch(line)) and (self._in_group or _FRAME.fullmatch(match[2])):
            self._in_group = True
            self._read_text(_level(match[1]), match[2])
        else:
            self._in_group = False
            self._read_text(0, line)

    def close(self) -> None:
        """What is open ends here."""
        if self._open and self._open.type and not self._open.is_ignored:
            self.found.append(self._open)
        self._open = None

    def _read_text(self, level: int, text: str) -> None:
        if self._open and self._open.level != level:
            self.close()
        if not text.strip():
            self._follow(text)
        elif text.endswith(_HEADING):
            self._begin(level)
        elif text in _LINKS:
            self._link(level)
        elif text.startswith((_IN_THREAD, _IGNORED)):
            self.close()
            apart = self._begin(level)
            apart.in_thread, apart.is_ignored = text.startswith(_IN_THREAD), text.startswith(_IGNORED)
        elif match := _FRAME.fullmatch(text):
            self._begin(level).reach(match[1], int(match[2]), match[3] or "")
        elif self._open is None:
            self._last = text
        elif self._open.type:
            self._follow(text)
        elif not text.startswith(" "):  # else it is a line of the program
            self._read_exception(self._open, text)

    def _follow(self, text: str) -> None:
        if self._open and self._open.type and len(self._open.following) < MOST_FOLLOWING:
            self._open.following.append(text)

    def _begin(self, level: int) -> _Traceback:
        """A traceback, unless its beginning was read already."""
        if self._open is None or self._open.type or self._open.level != level:
            self.close()
            self._open = _Traceback(level, self._places.get(level, 0))
        return self._open

    def _link(self, level: int) -> None:
        if self._open is None:  # the cause was never raised, and has no traceback
            self._read_exception(_Traceback(level, self._places.get(level, 0)), self._last)
        cause = self._open
        self.close()
        effect = self._begin(level)
        effect.is_linked = True
        if cause:
            effect.in_thread, effect.is_ignored = cause.in_thread, cause.is_ignored

    def _read_exception(self, traceback: _Traceback, text: str) -> None:
        """Something else in its place ends the traceback: others have written in between."""
        match = _EXCEPTION.fullmatch(text)
        self._open = traceback if match else None
        if match:
            traceback.type, traceback.message = match[1], match[2] or ""


def _lines_of(data: bytes) -> Iterator[str]:
    """Without what terminals act on. Of UTF-16 and UTF-32 the zeros go; what is not UTF-8 is written as `\\xe9`."""
    text = data.replace(b"\0", b"").decode(errors="backslashreplace")
    return iter(_LINE_END.split(_TERMINAL.sub("", text)))


def _level(margin: str) -> int:
    return len(margin) // 2 - 1


def _first_below(found: Sequence[_Traceback], at: int) -> RaisedException | None:
    """The first in the group, and in the groups that stand first in it; of a chain in there, what was raised last."""
    first = at
    while (below := _first_in(found, first)) is not None:
        first = below
    return found[first].exception() if first != at else None


def _first_in(found: Sequence[_Traceback], at: int) -> int | None:
    level, first = found[at].level + 1, None
    for i in range(at + 1, len(found)):
        if found[i].level < level or (found[i].level == level and found[i].place_in_group != 1):
            break
        if found[i].level == level:
            first = i
    return first


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
