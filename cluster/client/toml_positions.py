"""Where the keys of a TOML file stand, which `tomllib` does not tell. Reads only what `tomllib` has read."""

import re
import tomllib

Path = tuple[str, ...]  # of keys, from the outermost table on

_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'"{3}(?:[^\\]|\\.)*?"{3,5}' + r"|'{3}.*?'{3,5}" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'", re.DOTALL
)
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")


def positions(text: str) -> dict[Path, tuple[int, int]]:
    """Line and column, from 1, of each table's header and of each key, but for those inside values."""
    found: dict[Path, tuple[int, int]] = {}
    table: Path = ()
    at = 0
    while (at := _after(_BLANK, text, at)) < len(text):
        start = at
        if is_header := text[at] == "[":
            at += 2 if text.startswith("[[", at) else 1
        keys, at = _keys(text, at)
        path = keys if is_header else (*table, *keys)
        for length in range(len(path), 0, -1):
            found.setdefault(path[:length], (text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)))
        if is_header:
            table = path
            at = _line_end(text, at)
        else:
            at = _value_end(text, text.index("=", at) + 1)
    return found


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _keys(text: str, at: int) -> tuple[Path, int]:
    """A key, which may have dots, and where it ends."""
    keys: list[str] = []
    while True:
        match = _KEY.match(text, _after(_SPACES, text, at))
        if match is None:
            return tuple(keys), at
        word = match[0]
        keys.append(tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word)
        at = _after(_SPACES, text, match.end())
        if not text.startswith(".", at):
            return tuple(keys), at
        at += 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _value_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'" and (match := _STRING.match(text, at)):
            at = match.end()
        elif char == "#":
            at = _line_end(text, at)
        elif char == "\n" and not depth:
            return at
        else:
            depth += (char in "[{") - (char in "]}")
            at += 1
    return at
