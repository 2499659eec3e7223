"""The options of a job that say how often it runs, and each time with what."""

from typing import Any

from cluster.domain.base.quantities import format_size
from cluster.domain.job.file_kinds import PATH
from cluster.domain.job.kinds import ARRAY, LINES, SWITCH
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.options import Option, Scope, Shown, option

MAX_LINES_BYTES = 16 * 1024 * 1024  # of all lines of one job, which are handed in as one message
MAX_LINES = 2_000_000  # of one job
MAX_SEGMENTS = 10_000  # of an array
_SPREAD: dict[str, Any] = {
    "scope": Scope.SCHEDULER,
    "alone": "needs a scheduler to spread it: a worker's own job has one task",
}


def _wrong_array(array: tuple[ArraySegment, ...]) -> str:
    if len(array) > MAX_SEGMENTS:
        return f"it has {len(array)} segments, and the most are {MAX_SEGMENTS}; use fewer and longer"
    reached = -1
    for first, last, step in sorted(array):
        if step < 1 or last < first or first < 0:
            return f"{first}-{last}:{step} names no numbers: use FIRST-LAST[:STEP], ascending"
        if first <= reached:
            return f"task number {first} comes twice, or segments overlap: list each once"
        reached = last
    return ""


def _wrong_lines(lines: bytes) -> str:
    if len(lines) > MAX_LINES_BYTES:
        most = format_size(MAX_LINES_BYTES)
        return f"the lines of one job have {len(lines)} bytes: the most are {most}; make several jobs of them"
    count = lines.count(b"\n") + 1
    if count > MAX_LINES:
        return f"{count} lines in one job: the most are {MAX_LINES}; make several jobs of them"
    if b"\0" in lines:
        line = lines.count(b"\n", 0, lines.index(b"\0")) + 1
        return f"a NUL byte in line {line}: no process can be given one"
    if lines and not lines.strip(b"\n"):
        return f"all {count} lines are empty, so there is nothing to run"
    return ""


NUMBERS: tuple[ArraySegment, ...] = option(
    ARRAY,
    "Run once for each number, as in 1-1000:2 or 1,5,10-20 (CLUSTER_TASK); of lines and rows only these.",
    default=(),
    check=_wrong_array,
    **_SPREAD,
)
EACH_LINE: bytes = option(
    LINES,
    "Run once for each line of FILE (-: stdin), for {} in the command (CLUSTER_LINE).",
    default=b"",
    name="each_line",
    check=_wrong_lines,
    **_SPREAD,
)
ROWS: bool = option(SWITCH, default=False, scope=Scope.SCHEDULER | Scope.LAUNCHER, shown=Shown.ELSEWHERE, typed=False)

# What becomes lines, and rows, where the job is handed in.
FROM_JSON = Option(
    PATH, "Run once for each object of FILE, an array or JSON lines, for {name} in the command.", name="from_json"
)
FROM_CSV = Option(
    PATH, "Run once for each row of FILE, for {name} in the command, as its header has it.", name="from_csv"
)
NO_HEADER = Option(SWITCH, "FILE of --from-csv has no header: its columns are {0}, {1}…", name="no_header")
FROM_FILES = (FROM_JSON, FROM_CSV, NO_HEADER)
