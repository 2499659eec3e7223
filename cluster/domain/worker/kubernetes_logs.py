"""A container's output as Kubernetes' log API tells it with timestamps: where one has stopped, and what comes next.

It can be asked for what is newer than a second; each line has its own time, to nanoseconds. A position is the time of a
line, which of the lines of that time it was, and how many of its bytes were taken.
"""

import re
from datetime import datetime

_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_LONGEST_TIME = 36  # characters of one, and the space after it

Moment = tuple[float, bytes]  # seconds since the Unix epoch, and nanoseconds, of nine digits


class LogReader:
    """Give it what the API answers, in parts, and take what is new of it. `most`: bytes that are taken at once."""

    def __init__(self, position: str, most: int) -> None:
        self._time, count, taken = position.split(" ") if position else ("", "0", "0")
        self._at = (_moment(self._time.encode()) or (0.0, b""), int(count))
        self._taken = int(taken)  # bytes of the line at `_at`, line feed and all
        self._line: tuple[Moment, int] | None = None  # in the midst of which the answer is
        self._last: tuple[Moment, int] = ((0.0, b""), 0)  # the line before it
        self._passed = 0  # bytes of this line that were given
        self._is_ours = False
        self._most = most
        self._new: list[bytes] = []
        self._size = 0
        self._rest = b""
        self.full = False

    @property
    def since(self) -> str:
        """The whole second from which on the API is to tell; "": all."""
        found = _TIME.fullmatch(self._time.encode())
        return (found[1] + found[3]).decode() if found else ""

    @property
    def position(self) -> str:
        return f"{self._time} {self._at[1]} {self._taken}" if self._time else ""

    def feed(self, part: bytes) -> bool:
        """False: that is enough for now."""
        data = self._rest + part
        self._rest = b""
        while data:
            if self._line is None and not (data := self._begin(data)):
                return True
            text, feed, data = data.partition(b"\n")
            self._take(text + feed)
            if feed:
                self._line = None
            if self._size >= self._most:
                self.full = True
                return False
        return True

    def take(self) -> bytes:
        """What is new, in what was given since it was taken last."""
        new, self._new, self._size = self._new, [], 0
        return b"".join(new)

    def _begin(self, data: bytes) -> bytes:
        """The text of the line that begins here; nothing while its time is not whole."""
        told, space, text = data.partition(b" ")
        if not space and len(data) < _LONGEST_TIME and b"\n" not in data:
            self._rest = data
            return b""
        moment = _moment(told)
        if moment is None:  # nothing of the container's: an error, or the rest of a line that began long ago
            self._line, self._is_ours = self._last, False
            return data
        count = self._last[1] + 1 if moment == self._last[0] else 1
        self._line = self._last = (moment, count)
        self._passed, self._is_ours = 0, self._line >= self._at
        if self._line > self._at:
            self._at, self._taken, self._time = self._line, 0, told.decode()
        if not text:
            self._line, self._rest = None, data  # its text comes with the next part
            self._last = (moment, count - 1)
        return text

    def _take(self, text: bytes) -> None:
        if not self._is_ours:
            return
        new = text[max(0, self._taken - self._passed) :]
        self._passed += len(text)
        self._taken = max(self._taken, self._passed)
        if new:
            self._new.append(new)
            self._size += len(new)


def _moment(text: bytes) -> Moment | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    second = datetime.fromisoformat((found[1] + found[3]).decode().replace("Z", "+00:00"))
    return second.timestamp(), (found[2] or b"").ljust(9, b"0")
