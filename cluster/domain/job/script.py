"""A script that travels with its job: what it may be, and what runs it.

It is started as the kernel starts files that begin with `#!`: its interpreter, perhaps one argument, the path of the
script, and what follows that. Without such a line /bin/sh runs it.
"""

from cluster.domain.base.quantities import format_size
from cluster.domain.job.file_kinds import SCRIPT
from cluster.domain.job.kinds import TEXT
from cluster.domain.job.options import Shown, option

MAX_SCRIPT = 1024 * 1024  # bytes
MAX_NAME = 255  # characters of what its file was called
HEAD = 64  # bytes of it that lists have: enough to tell that there is one
SHELL = "/bin/sh"


def wrong_script(script: bytes) -> str:
    """What keeps it from being run, and what to do; empty: nothing."""
    if len(script) > MAX_SCRIPT:
        return f"it has {len(script)} bytes, and the most are {format_size(MAX_SCRIPT)}: put it where the workers are"
    if b"\0" in script:
        at = script.index(b"\0")
        line, column = script.count(b"\n", 0, at) + 1, at - script.rfind(b"\n", 0, at)
        return f"line {line}, column {column}: a NUL byte, so this is no script; a program must be on the workers"
    if script.startswith(b"\xef\xbb\xbf"):
        return "line 1: it begins with a byte order mark; `sed -i '1s/^\\xef\\xbb\\xbf//'` removes it"
    first = script.partition(b"\n")[0]
    if first.startswith(b"#!") and first.endswith(b"\r"):
        return "line 1: it ends in CR LF, and no interpreter is called so; `sed -i 's/\\r$//'` mends it"
    if first.startswith(b"#!") and not first[2:].strip():
        return f"line 1: no interpreter follows #!; name one, as in #!{SHELL}"
    return ""


SCRIPT_FILE: bytes = option(
    SCRIPT,
    "Run the script in FILE (-: stdin; so does - as the command), which travels with the job.",
    default=b"",
    name="script_file",
    check=wrong_script,
)


def _wrong_script_name(name: str) -> str:
    return "" if len(name) <= MAX_NAME else f"it has {len(name)} characters, and the most are {MAX_NAME}"


SCRIPT_NAME: str = option(TEXT, default="", check=_wrong_script_name, shown=Shown.ELSEWHERE, typed=False)


def name_of(path: str) -> str:
    """What people call the script of that file; of stdin nothing."""
    name = path.rpartition("/")[2].encode(errors="surrogateescape").decode(errors="replace")
    return "" if path == "-" else name[:MAX_NAME]


def interpreter_of(script: bytes) -> tuple[str, ...]:
    """What runs it, by its first line: the words before its path."""
    first = script.partition(b"\n")[0].decode(errors="surrogateescape")
    return tuple(first[2:].strip().split(maxsplit=1)) if first.startswith("#!") else (SHELL,)
