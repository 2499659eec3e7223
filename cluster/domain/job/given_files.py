"""Files that travel with a job: each attempt finds them where it runs, in a directory of its own.

Of a spec each is one text, NAME:CONTENT, the content as base64: so it goes wherever texts go.
"""

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size
from cluster.domain.job.kinds import Several
from cluster.domain.job.options import option

MAX_FILES, MAX_BYTES = 100, 1024 * 1024  # of one job, all together
MAX_NAME = 200  # bytes


class _Files(Several):
    """Files, each with its name and its content."""

    is_listed = False

    def told(self, value: Any) -> Any:
        return list(value) or None

    def texts(self, value: Any) -> Sequence[str]:
        return tuple(value)

    def checked(self, value: Any) -> Any:
        return tuple(packed(*each) if isinstance(each, tuple) else str(each) for each in super().checked(value))


def packed(name: str, content: bytes) -> str:
    """A file as a spec has it."""
    return f"{name}:{b2a_base64(content, newline=False).decode()}"


def unpacked(text: str) -> tuple[str, bytes]:
    """Name and content. InvalidInput where there is none."""
    name, _, content = text.partition(":")
    try:
        return name, a2b_base64(content.encode(), strict_mode=True)
    except (NotBase64, ValueError):
        raise InvalidInput(f"the content of file {name[:60]!r} is no base64: give NAME:BASE64") from None


def wrong_name(name: str) -> str:
    """What keeps it from being the name of such a file; empty: nothing."""
    if not name or "/" in name or ":" in name or not name.isprintable():
        return f"{name[:60]!r} is no name of a file: use letters that can be seen, and neither / nor :"
    if name.startswith("."):
        return f"a file that is called {name[:60]!r} would be hidden: use a name that begins with no dot"
    size = len(name.encode(errors="surrogateescape"))
    return f"a name of {size} bytes: the most are {MAX_NAME}" if size > MAX_NAME else ""


def _wrong_files(files: Sequence[str]) -> str:
    """What is wrong with those of a spec, and what to do; empty: nothing."""
    if len(files) > MAX_FILES:
        return f"{len(files)} files: the most are {MAX_FILES}; pack them into one"
    total, names = 0, set[str]()
    for text in files:
        try:
            name, content = unpacked(text)
        except InvalidInput as error:
            return str(error)
        if wrong := wrong_name(name):
            return wrong
        if name in names:
            return f"two files are called {name!r}: give each a name of its own"
        names.add(name)
        total += len(content)
    if total > MAX_BYTES:
        return (
            f"the files have {total} bytes, and the most are {format_size(MAX_BYTES)}: put them where the workers are"
        )
    return ""


FILES = _Files()
GIVEN_FILES: tuple[str, ...] = option(FILES, default=(), check=_wrong_files, typed=False)
