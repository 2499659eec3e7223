"""What a job is: the spec that a user submits.

A task has an **index**, its position from 0 in the job's array, used everywhere inside; and a **number**, what people
type (`5.17`) and the task sees as CLUSTER_TASK. For `--array 1-1000:2` index 0 is number 1 and index 1 is number 3.
Times are seconds: wall-clock times since the Unix epoch, durations as such.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size
from cluster.domain.job.exec_limits import check_startable
from cluster.domain.job.lines import LineIndex
from cluster.domain.job.numbering import ArraySegment, Numbering

MAX_TASKS = 100_000_000  # of one job; interval sets stay cheap far beyond, task numbers stay readable
MAX_LINES_BYTES = 16 * 1024 * 1024  # of all lines of one job, which are handed in as one message
MAX_LINES = 2_000_000  # of one job
MAX_SEGMENTS = 10_000  # of an array
MAX_WORKER = 255  # characters of the worker that a job asks for, as of any name
MAX_RETRIES = 1_000_000  # of one task: as good as for ever
MAX_SECONDS = 1e9  # of any duration in a spec: 31 years
DEFAULT_GRACE = 10.0
DEFAULT_LOST_AFTER = 60.0
MIN_LOST_AFTER = 1.0
DEFAULT_MAX_OUTPUT = 64 << 20  # bytes kept of each stream
LEAST_MAX_OUTPUT, MOST_MAX_OUTPUT = 64 << 10, 64 << 30  # what a user may make of that


# What every task finds in its environment, whatever it is given: who it is.
OWN_VARIABLES = frozenset(f"CLUSTER_{name}" for name in ("JOB", "JOB_ID", "TASK", "LINE", "ATTEMPT", "LAUNCHER"))


_ONE_TASK = (ArraySegment(0, 0),)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One command, to run once, once for each number of `array`, or once for each line of `lines`."""

    argv: tuple[str, ...]
    name: str = ""
    script: str = ""  # path below the worker's scripts folder; stands between argv and script_args
    script_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = ""  # empty: a fresh directory for each attempt
    millicpus: int = 1000
    array: tuple[ArraySegment, ...] = ()
    lines: bytes = b""  # separated by \n, without a trailing one; empty: none
    timeout: float = 0.0  # of one attempt's run; 0: none
    grace: float = DEFAULT_GRACE  # from SIGTERM to SIGKILL
    worker: str = ""  # UUID or name of the only worker that may run it
    lost_after: float = DEFAULT_LOST_AFTER
    retries: int = 0
    merge_output: bool = False  # both streams into one file, stdout's, in the order in which they are written
    max_output: int = DEFAULT_MAX_OUTPUT  # bytes of each stream that are kept: its beginning and its end
    numbering: Numbering = field(init=False, compare=False, repr=False)
    line_index: LineIndex | None = field(init=False, compare=False, repr=False)  # None: there are no lines

    def __post_init__(self) -> None:
        index = LineIndex(self.lines) if self.lines else None
        segments = (ArraySegment(1, index.count),) if index else self.array or _ONE_TASK
        object.__setattr__(self, "line_index", index)
        object.__setattr__(self, "numbering", Numbering(segments))

    @property
    def task_count(self) -> int:
        return self.numbering.count

    @property
    def is_array(self) -> bool:
        return bool(self.array or self.lines)

    def number_of(self, index: int) -> int:
        """The task number of an index; 0 for the one task of a job that is no array."""
        return self.numbering.number_of(index)

    def without_lines(self) -> "JobSpec":
        """For workers, who get each task's line with the task: an array of as many numbers."""
        return replace(self, lines=b"", array=(ArraySegment(1, self.task_count),)) if self.lines else self

    def index_of(self, number: int) -> int | None:
        """The index of a task number; None if the job has no such task."""
        return self.numbering.index_of(number)


def validate(spec: JobSpec) -> None:
    """Raises InvalidInput, with the value and what to do, for a spec that could never run."""
    texts: Sequence[str] = (
        *spec.argv,
        spec.script,
        *spec.script_args,
        spec.cwd,
        spec.name,
        spec.worker,
        *(v for kv in spec.env for v in kv),
    )
    if not spec.script and not (spec.argv and spec.argv[0]):
        raise InvalidInput("the command is empty: give one after --, as in: cluster run -- echo hello")
    if any("\0" in text for text in texts):
        raise InvalidInput("a NUL byte in the command, environment or a path: no process can be given one")
    _validate_lines(spec)
    check_startable(spec)
    if len(spec.worker) > MAX_WORKER:
        raise InvalidInput(f"--worker {spec.worker[:40]!r}… has {len(spec.worker)} characters: no worker's name has")
    if spec.script:
        _validate_script(spec.script)
    for name, _ in spec.env:
        if not name or "=" in name or any(char.isspace() for char in name):
            raise InvalidInput(f"{name!r} is not a name of an environment variable: use NAME=VALUE, without spaces")
        if name in OWN_VARIABLES:
            raise InvalidInput(f"the variable {name} tells each task who it is, and cannot be given: use another name")
    if spec.cwd and not spec.cwd.startswith("/"):
        raise InvalidInput(f"--cwd {spec.cwd!r} is not absolute: the worker has no directory to start from")
    if spec.millicpus < 1:
        raise InvalidInput(f"{spec.millicpus / 1000:g} cpus: a task needs at least 0.001")
    for what, seconds in (("timeout", spec.timeout), ("grace", spec.grace)):
        if not 0 <= seconds < MAX_SECONDS:
            raise InvalidInput(f"a {what} of {seconds:g} s: use 0 or more, and less than {MAX_SECONDS:g}")
    if not MIN_LOST_AFTER <= spec.lost_after < MAX_SECONDS:
        raise InvalidInput(
            f"lost after {spec.lost_after:g} s: use {MIN_LOST_AFTER:g} or more, and less than {MAX_SECONDS:g}"
        )
    if not 0 <= spec.retries <= MAX_RETRIES:
        raise InvalidInput(f"{spec.retries} retries: use 0 to {MAX_RETRIES}")
    if not LEAST_MAX_OUTPUT <= spec.max_output <= MOST_MAX_OUTPUT:
        least, most = format_size(LEAST_MAX_OUTPUT), format_size(MOST_MAX_OUTPUT)
        raise InvalidInput(f"{spec.max_output} bytes of output are to be kept: use {least} to {most}")
    _validate_array(spec)


def _validate_script(script: str) -> None:
    if script.startswith("/") or ".." in script.split("/"):
        raise InvalidInput(f"script {script!r} leaves the worker's scripts folder: give a path inside it, without '..'")


def _validate_lines(spec: JobSpec) -> None:
    if (size := len(spec.lines)) > MAX_LINES_BYTES:
        most = format_size(MAX_LINES_BYTES)
        raise InvalidInput(f"the lines of one job have {size} bytes: the most are {most}; make several jobs of them")
    if spec.lines and spec.task_count > MAX_LINES:
        raise InvalidInput(f"{spec.task_count} lines in one job: the most are {MAX_LINES}; make several jobs of them")
    if b"\0" in spec.lines:
        line = spec.lines.count(b"\n", 0, spec.lines.index(b"\0")) + 1
        raise InvalidInput(f"a NUL byte in line {line} of --each-line: no process can be given one")
    if spec.lines and not spec.lines.strip(b"\n"):
        raise InvalidInput(f"all {spec.task_count} lines of --each-line are empty, so there is nothing to run")


def _validate_array(spec: JobSpec) -> None:
    if spec.array and spec.lines:
        raise InvalidInput("--array and --each-line exclude each other: each decides what the tasks are")
    if len(spec.array) > MAX_SEGMENTS:
        raise InvalidInput(f"an array of {len(spec.array)} segments: the most are {MAX_SEGMENTS}; use fewer and longer")
    reached = -1
    for segment in sorted(spec.array):
        if segment.step < 1 or segment.last < segment.first or segment.first < 0:
            raise InvalidInput(f"array {segment.first}-{segment.last}:{segment.step}: use FIRST-LAST[:STEP], ascending")
        if segment.first <= reached:
            raise InvalidInput(f"array: task number {segment.first} comes twice, or segments overlap: list each once")
        reached = segment.last
    if spec.task_count > MAX_TASKS:
        raise InvalidInput(f"{spec.task_count} tasks in one job: the limit is {MAX_TASKS}")
