"""Reads `sources.txt`: source code that means harm, and what must come of it. The file says how it is written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STATUS = {"ok": 200, "own": 422, "timeout": 504}
_HEAD = re.compile(r"^=== (.+): ([a-z|]+); ([^;\n]*)(?:; ([0-9.]+) s)?(; quick)?$", re.MULTILINE)
TIMEOUT = 20.0  # seconds that a case has that says nothing else

# Before a case whose statements must fail: what they use, and what tries them.
_ATTEMPT = """
import ctypes, fcntl, os, resource, signal, socket, struct, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def attempt(statement):
    try:
        exec(statement, globals())
    except (OSError, ValueError) as error:
        print(type(error).__name__, statement)
    else:
        print("HARM", statement)
"""


@dataclass(frozen=True)
class Source:
    """`statuses`: one of these is the answer's. `says`: of a success a part of its output, else of what is told."""

    name: str
    code: str
    statuses: Sequence[int]
    says: Sequence[str]
    timeout: float
    is_quick: bool


def _read(text: str) -> list[Source]:
    heads = list(_HEAD.finditer(text))
    assert len(heads) == text.count("\n=== "), "a head that is not written as heads are"
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [_source(head, text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _source(head: re.Match[str], code: str) -> Source:
    name, statuses, says, seconds, quick = head.groups()
    lines = re.sub(r"^# .*$", "", code, flags=re.MULTILINE).strip("\n").split("\n")
    if any(line.startswith("!") for line in lines):
        tried = [f"attempt({line[2:]!r})" if line.startswith("! ") else line for line in lines]
        lines = [*_ATTEMPT.split("\n"), *tried, "print('held')"]
    return Source(
        name,
        "\n".join(lines),
        [_STATUS[status] for status in statuses.split("|")],
        says.split(" + ") if says else [],
        float(seconds or TIMEOUT),
        bool(quick),
    )


SOURCES = _read((Path(__file__).with_name("sources.txt")).read_text())
