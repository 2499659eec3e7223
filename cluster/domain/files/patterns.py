"""Which files of a directory are meant, by patterns of their paths: `out/*`, `**/*.png`, `log.txt`.

Of a path each part is matched alone: `*` is any text, `?` one byte, `[a-z]` one of some, `[!a-z]` none of them; none of
these matches a dot that a name begins with. A part `**` is any directories, perhaps none. Who matches a directory means
all that is in it, and `.` the directory itself.

A walk asks for one name after another (`below`), and need not enter where nothing can match. What a name costs is
linear in its length, whatever the pattern is.
"""

import re
from collections.abc import Iterable, Sequence

MAX_PATTERNS = 100
MAX_PATTERN = 1024  # bytes of one
MAX_PARTS = 500  # of all together

# Positions in the patterns: (pattern, how many of its parts have been matched).
Places = frozenset[tuple[int, int]]

_ANY = None  # the part **


class Patterns:
    """Patterns, as texts in which bytes that are no UTF-8 stand as lone surrogates. InvalidInput is not raised: ask
    `wrong_patterns` first."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.texts = tuple(patterns)
        self._parts = [[_part(name) for name in _names(pattern)] for pattern in patterns]

    @property
    def start(self) -> Places:
        """Where a walk begins: at the directory itself."""
        return self._with_none((number, 0) for number in range(len(self._parts)))

    def below(self, places: Places, name: bytes) -> Places:
        """Where the patterns are at that entry of a directory at which they were at `places`. Empty: none of them can
        match it, nor anything in it."""
        found = []
        for number, at in places:
            parts = self._parts[number]
            if at == len(parts):
                continue
            part = parts[at]
            if part is _ANY:
                if not name.startswith(b"."):
                    found.append((number, at))
            elif part.fullmatch(name):
                found.append((number, at + 1))
        return self._with_none(found)

    def matched(self, places: Places) -> set[int]:
        """Which patterns, by their places among all, match an entry at which they are at `places`."""
        return {number for number, at in places if at == len(self._parts[number])}

    def _with_none(self, places: Iterable[tuple[int, int]]) -> Places:
        """And where they are when `**` stands for no directory."""
        found: set[tuple[int, int]] = set()
        for number, at in places:
            parts = self._parts[number]
            found.add((number, at))
            if at < len(parts) and parts[at] is _ANY:
                found.add((number, at + 1))
        return frozenset(found)


def wrong_patterns(patterns: Sequence[str]) -> str:
    """What is wrong with patterns of what a job leaves in its directory, and what to do; empty: nothing."""
    if len(patterns) > MAX_PATTERNS:
        return f"{len(patterns)} patterns: the most are {MAX_PATTERNS}; name a directory instead"
    total = 0
    for pattern in patterns:
        size = len(_bytes(pattern))
        if size > MAX_PATTERN:
            return f"a pattern of {size} bytes: the most are {MAX_PATTERN}"
        if wrong := _wrong(pattern):
            return f"{pattern!r}: {wrong}"
        total += len(_names(pattern))
    return f"the patterns have {total} parts: the most are {MAX_PARTS}" if total > MAX_PARTS else ""


def _wrong(pattern: str) -> str:
    if pattern.startswith("/"):
        return "it is absolute, and only what is in the task's own directory is kept: give a path inside of it"
    if ".." in pattern.split("/"):
        return "it leaves the task's directory: give a path inside of it, without '..'"
    if any("\ud800" <= char <= "\udfff" for char in pattern):
        return "it has bytes that are no UTF-8: use ? for each of them"
    return "" if pattern else "it is empty: use . for all that is there"


def _names(pattern: str) -> list[bytes]:
    """Its parts; those that change nothing are left out, as of two `**` one after another the second is."""
    names: list[bytes] = []
    for name in _bytes(pattern).split(b"/"):
        if name not in (b"", b".") and not (name == b"**" and names[-1:] == [b"**"]):
            names.append(name)
    return names


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _part(name: bytes) -> "re.Pattern[bytes] | None":
    """What matches a name. Between two stars stands what is looked for once, as far to the left as it is found: nothing
    further to the right lets more match, so an atomic group holds on to it, and no name takes long."""
    if name == b"**":
        return _ANY
    pieces = [b""]
    at = 0
    while at < len(name):
        char = name[at : at + 1]
        end = _end_of_set(name, at) if char == b"[" else 0
        if char == b"*":
            pieces.append(b"")
        elif char == b"?":
            pieces[-1] += b"."
        elif end:
            pieces[-1] += _set(name[at + 1 : end])
            at = end
        else:
            pieces[-1] += re.escape(char)
        at += 1
    first, *rest = pieces
    text = first
    if rest:
        text += b"".join(b"(?>.*?%s)" % piece for piece in rest[:-1] if piece) + b".*" + rest[-1]
    hidden = b"" if name.startswith(b".") else rb"(?!\.)"
    return re.compile(hidden + text, re.DOTALL)


def _end_of_set(name: bytes, at: int) -> int:
    """Where the set that begins there ends; 0: it is no set, so its bracket stands for itself."""
    first = at + 1 + (name[at + 1 : at + 2] == b"!")
    end = name.find(b"]", first + 1)
    return max(0, end)


def _set(inner: bytes) -> bytes:
    """One byte of some, or of none of them. A range that names none matches nothing."""
    is_not = inner.startswith(b"!")
    chars = inner[is_not:]
    found: set[int] = set()
    at = 0
    while at < len(chars):
        if chars[at + 1 : at + 2] == b"-" and at + 2 < len(chars):
            found.update(range(chars[at], chars[at + 2] + 1))
            at += 3
        else:
            found.add(chars[at])
            at += 1
    if not found:
        return b"." if is_not else b"(?!)"
    return b"[%s%s]" % (b"^" if is_not else b"", b"".join(b"\\x%02x" % each for each in sorted(found)))
