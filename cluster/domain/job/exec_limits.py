"""What Linux can start: how long the words, variables and lines of a job may be, and how many.

The kernel takes no string of more than 128 KiB, its NUL included (MAX_ARG_STRLEN), and all of them together, with a
pointer to each, must fit into a quarter of the stack's limit: 2 MiB where that is 8 MiB, as usual. A job that cannot
start anywhere is refused when it is handed in, not once for each task on a worker.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Protocol

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.lines import first_longer

MAX_STRING = 128 * 1024 - 1  # bytes of one word, of NAME=VALUE, or of CLUSTER_LINE=…
MAX_STRINGS = 1536 * 1024  # bytes of all; the rest of 2 MiB is for what workers add to the environment
MAX_WORDS = 32_768  # of a command
MAX_VARIABLES = 4096
MAX_PATH = 4095  # bytes of a path

MAX_LINE = 4 * 1024 * 1024  # bytes of one line; of those that are not in the command

EACH = 9  # bytes for the NUL and the pointer of a string
_LINE_VARIABLE = len("CLUSTER_LINE=")
_MAX_IN_VARIABLE = MAX_STRING - _LINE_VARIABLE  # bytes of a line
_USE_A_FILE = "put it into a file"


class Startable(Protocol):
    """What is looked at here of a JobSpec."""

    @property
    def argv(self) -> tuple[str, ...]: ...
    @property
    def script(self) -> str: ...
    @property
    def script_args(self) -> tuple[str, ...]: ...
    @property
    def then(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def env(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def cwd(self) -> str: ...


def words_of(spec: Startable) -> list[str]:
    """Of the command, and of those that follow it."""
    words = [*spec.argv, *([spec.script] if spec.script else []), *spec.script_args]
    return [*words, *chain.from_iterable(spec.then)] if spec.then else words


def check_startable(spec: Startable) -> int:
    """InvalidInput names what is too large, its size and the limit. Returns the bytes of command and environment,
    without lines."""
    words = words_of(spec)
    if len(words) > MAX_WORDS:
        raise InvalidInput(f"a command of {len(words)} words: the most are {MAX_WORDS}; {_USE_A_FILE}")
    if len(spec.env) > MAX_VARIABLES:
        raise InvalidInput(f"{len(spec.env)} environment variables: the most are {MAX_VARIABLES}; {_USE_A_FILE}")
    for what, path in (("--cwd", spec.cwd), ("--script", spec.script)):
        if size_of(path) > MAX_PATH:
            raise InvalidInput(f"{what} has {size_of(path)} bytes: Linux knows no path of more than {MAX_PATH}")
    total = 0
    for place, word in enumerate(words, start=1):
        total += _checked(f"word {place} of the command", size_of(word))
    for name, value in spec.env:
        total += _checked(f"the variable {name[:40]!r}", size_of(name) + 1 + size_of(value))
    if total > MAX_STRINGS:
        raise InvalidInput(
            f"command and environment have {total} bytes, {EACH} for each word and variable included: "
            f"the limit is {MAX_STRINGS}; {_USE_A_FILE}"
        )
    return total


def size_of(text: str) -> int:
    """The length of a text in bytes, as a process gets it."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode(errors="surrogateescape"))
    except UnicodeEncodeError:  # half a pair, which no process can be given: refused elsewhere
        return len(text.encode(errors="surrogatepass"))


def _checked(what: str, size: int) -> int:
    """What it takes of MAX_STRINGS."""
    if size > MAX_STRING:
        raise InvalidInput(f"{what} has {size} bytes: Linux starts nothing with more than {MAX_STRING}; {_USE_A_FILE}")
    return size + EACH


def is_too_long(line: str) -> bool:
    """For CLUSTER_LINE: its task is given it as a file."""
    return len(line) > _MAX_IN_VARIABLE or (not line.isascii() and size_of(line) > _MAX_IN_VARIABLE)


def check_lines(lines: bytes, words: Iterable[str], total: int, number_of: Callable[[int], int]) -> None:
    """Each must fit into the words of the command that it is put into, and with CLUSTER_LINE into the whole."""
    most, why, do = MAX_LINE, "the most are {}", _USE_A_FILE
    places = 1  # that a line takes: CLUSTER_LINE, and each {}
    for place, word in enumerate(words, start=1):
        if holes := word.count("{}"):
            places += holes
            room = (MAX_STRING - size_of(word) + 2 * holes) // holes
            if room < most:
                most, why = room, f"for word {place} of the command, that it is put into, the most are {{}}"
                do = "leave out {}, and read it from the file that CLUSTER_LINE_FILE names"
    room = (MAX_STRINGS - total - _LINE_VARIABLE - EACH) // places
    if room < min(most, _MAX_IN_VARIABLE):
        most, why, do = room, f"the command takes it {places} times, so that the most are {{}}", _USE_A_FILE
    if longer := first_longer(lines, max(0, most)):
        line, size = number_of(longer[0] - 1), longer[1]
        raise InvalidInput(f"line {line} of --each-line has {size} bytes: {why.format(max(0, most))}; {do}")
