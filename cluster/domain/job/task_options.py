"""The options of a job that say how often it runs, and each time with what."""

from typing import Any

from cluster.domain.base.quantities import format_size
from cluster.domain.job.kinds import ARRAY, LINES
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.options import Scope, option

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
    "Run once for each number, as in 1-1000:2 or 1,5,10-20 (CLUSTER_TASK).",
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
