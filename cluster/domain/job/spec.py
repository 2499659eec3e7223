"""What a job is: the spec that a user submits. Each of its fields is an option of the job (`options`).

A task has an **index**, its position from 0 in the job's array, used everywhere inside; and a **number**, what people
type (`5.17`) and the task sees as CLUSTER_TASK. For `--array 1-1000:2` index 0 is number 1 and index 1 is number 3.
Times are seconds: wall-clock times since the Unix epoch, durations as such.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job import needs
from cluster.domain.job.check_options import CHECK_OUTPUT, CHECK_WITH
from cluster.domain.job.command_kinds import COMMANDS, wrong_commands
from cluster.domain.job.dependency_options import AFTER, AFTER_ANY, AFTER_EACH, AFTER_FAIL, ON_DEPENDENCY_FAIL
from cluster.domain.job.exec_limits import check_lines, check_startable, words_of
from cluster.domain.job.file_kinds import SCRIPT
from cluster.domain.job.given_files import GIVEN_FILES
from cluster.domain.job.growth import refuse_growth
from cluster.domain.job.kinds import (
    CPUS,
    DURATION,
    LIMIT,
    SIZE,
    SWITCH,
    TEXT,
    VARIABLES,
    WORDS,
)
from cluster.domain.job.lines import LineIndex
from cluster.domain.job.notice_options import NOTIFY, NOTIFY_CMD, NOTIFY_ON
from cluster.domain.job.numbering import ArraySegment, Numbering
from cluster.domain.job.options import Option, Scope, Shown, option, options_of
from cluster.domain.job.order_options import HOLD, MAX_FAILS, MAX_RUNNING, PRIORITY, TIME_REQUEST
from cluster.domain.job.result_options import MAX_FILES, MAX_RESULTS, OUT
from cluster.domain.job.retry_options import BACKOFF, GROW, RETRIES, RETRY_ON
from cluster.domain.job.row_limits import check_rows
from cluster.domain.job.rows import PREFIX
from cluster.domain.job.sandbox import SANDBOX, check_in_sandbox, check_variables
from cluster.domain.job.script import HEAD, SCRIPT_FILE, SCRIPT_NAME
from cluster.domain.job.task_options import EACH_LINE, NUMBERS, ROWS
from cluster.domain.job.task_variables import OWN_VARIABLES
from cluster.domain.job.time_options import (
    AT,
    CATCH_UP,
    DEADLINE,
    DELAY,
    EVERY,
    KEY,
    MAX_SECONDS,
    OVERLAP,
    QUEUE_TIMEOUT,
    QUIET_TIMEOUT,
    SKIP,
)
from cluster.domain.job.upload_options import (
    STDIN_SENT,
    UPLOAD_BESIDE,
    UPLOAD_EACH,
    UPLOAD_SHARED,
    UPLOADED,
    check_upload,
)

MAX_TASKS = 100_000_000  # of one job; interval sets stay cheap far beyond, task numbers stay readable
MAX_WORKER = 255  # characters of the worker that a job asks for, as of any name
DEFAULT_GRACE = 10.0
DEFAULT_LOST_AFTER = 60.0
MIN_LOST_AFTER = 1.0
DEFAULT_MAX_OUTPUT = 64 << 20  # bytes kept of each stream
LEAST_MAX_OUTPUT, MOST_MAX_OUTPUT = 64 << 10, 64 << 30  # what a user may make of that


_ONE_TASK = Numbering((ArraySegment(0, 0),))


def _wrong_script(script: str) -> str:
    leaves = script.startswith("/") or ".." in script.split("/")
    return "it leaves the worker's scripts folder: give a path inside it, without '..'" if leaves else ""


def wrong_variable_name(name: str) -> str:
    """What keeps it from being the name of an environment variable, and what to do; empty: nothing."""
    if not name or "=" in name or any(char.isspace() for char in name):
        return f"{name!r} is not a name of an environment variable: use NAME=VALUE, with no space in NAME"
    return ""


def _wrong_variables(env: tuple[tuple[str, str], ...]) -> str:
    for name, _ in env:
        if wrong := wrong_variable_name(name):
            return wrong
        if name in OWN_VARIABLES:
            return f"the variable {name} tells each task who it is, and cannot be given: use another name"
    return ""


def _wrong_directory(cwd: str) -> str:
    if not cwd or cwd.startswith("/"):
        return ""
    return "it is not absolute, and the worker has no directory to start from: give a path that begins with /"


def _wrong_cpus(millicpus: int) -> str:
    return "" if millicpus >= 1 else "a task needs at least 0.001"


def _wrong_worker(worker: str) -> str:
    fits = len(worker) <= MAX_WORKER
    return "" if fits else f"it has {len(worker)} characters, and no worker's name has more than {MAX_WORKER}"


_ALL = Scope.SCHEDULER | Scope.WORKER


@dataclass(frozen=True)
class JobSpec:
    """One command, to run once, once for each number of `array`, or once for each line of `lines`.

    A spec has only what differs from the defaults, which are the class's: a few values, of seventy."""

    # Command: what to run, and in which surroundings
    argv: tuple[str, ...] = option(WORDS, name="command")
    name: str = option(TEXT, "A name to find the job by.", default="", scope=_ALL, shown=Shown.ELSEWHERE)
    env: tuple[tuple[str, str], ...] = option(
        VARIABLES,
        "Set a variable; without value: yours. No others of yours are passed.",
        default=(),
        check=_wrong_variables,
    )
    # Empty: a fresh directory for each attempt.
    cwd: str = option(
        TEXT,
        "Run in DIR, an absolute path on the worker (default: an empty directory, deleted with its files when the task "
        "ends; on a cluster that `cluster up` or `run` started: yours, and DIR may be relative to it).",
        default="",
        metavar="DIR",
        check=_wrong_directory,
    )
    # A path below the worker's scripts folder; stands between argv and script_args.
    script: str = option(
        TEXT, "Run PATH of the worker's scripts folder.", default="", metavar="PATH", check=_wrong_script
    )
    # What a script says that travels with the job; its file has the place of `script`.
    script_text: bytes = SCRIPT_FILE
    script_name: str = SCRIPT_NAME  # what that file was called, for people
    script_args: tuple[str, ...] = option(WORDS, default=())
    # Commands that follow in the same attempt, each when all before it have left with 0.
    then: tuple[tuple[str, ...], ...] = option(COMMANDS, default=(), check=wrong_commands, typed=False)
    files: tuple[str, ...] = GIVEN_FILES  # that each attempt finds in its fresh directory

    sandbox: bool = SANDBOX

    # Tasks: how often, each with what
    array: tuple[ArraySegment, ...] = NUMBERS
    # Separated by \n, without a trailing one; empty: none. Where there is an array too, a line for each of its numbers.
    lines: bytes = EACH_LINE
    rows: bool = ROWS  # the lines are JSON: `rows`

    # Request: what each task needs
    millicpus: int = option(
        CPUS,
        "CPUs for each task, as in 2 or 0.5.",
        default=1000,
        name="cpus",
        check=_wrong_cpus,
        scope=_ALL,
        shown=Shown.ALWAYS,
    )
    # UUID or name of the only worker that may run it.
    worker: str = option(
        TEXT, "Run on this worker only.", default="", metavar="ID|NAME", check=_wrong_worker, scope=_ALL
    )

    memory: int = needs.MEMORY
    gpus: int = needs.GPUS
    resources: tuple[str, ...] = needs.RESOURCES_BESIDE
    need: str = needs.NEED
    prefer: str = needs.PREFER
    spread: bool = needs.SPREAD
    pack: bool = needs.PACK
    exclusive: bool = needs.EXCLUSIVE

    # Order: when it may start; of other jobs that come first the scheduler keeps the numbers
    priority: int = PRIORITY
    hold: bool = HOLD
    max_running: int = MAX_RUNNING
    max_fails: int = MAX_FAILS
    time_request: float = TIME_REQUEST
    after: tuple[str, ...] = AFTER
    after_any: tuple[str, ...] = AFTER_ANY
    after_fail: tuple[str, ...] = AFTER_FAIL
    after_each: tuple[str, ...] = AFTER_EACH
    on_dependency_fail: str = ON_DEPENDENCY_FAIL

    # Times: when it starts, and when it ends at the latest
    at: str = AT
    delay: float = DELAY
    queue_timeout: float = QUEUE_TIMEOUT
    deadline: str = DEADLINE
    quiet_timeout: float = QUIET_TIMEOUT

    every: str = EVERY
    overlap: str = OVERLAP
    catch_up: bool = CATCH_UP
    key: str = KEY

    notify: str = NOTIFY
    notify_cmd: str = NOTIFY_CMD
    notify_on: str = NOTIFY_ON

    # Policy: when an attempt is over, and what follows
    timeout: float = option(
        LIMIT,
        "Stop a task that runs longer, as in 90, 10m, 1h30m; 0: never.",
        default=0.0,
        bounds=(0, MAX_SECONDS),
        scope=Scope.LAUNCHER,
    )
    grace: float = option(
        DURATION, "From SIGTERM to SIGKILL.", default=DEFAULT_GRACE, bounds=(0, MAX_SECONDS), scope=Scope.LAUNCHER
    )
    retries: int = RETRIES
    retry_on: tuple[str, ...] = RETRY_ON  # empty: whatever failed
    grow: str = GROW
    backoff: tuple[float, ...] = BACKOFF  # seconds: the first pause, and the longest
    lost_after: float = option(
        DURATION,
        "Give a task up when its worker is silent for so long; no less than 4/3 of --lease (20 s).",
        default=DEFAULT_LOST_AFTER,
        bounds=(MIN_LOST_AFTER, MAX_SECONDS),
        scope=Scope.SCHEDULER,
        alone="needs a scheduler: nobody gives up a worker's own job",
    )

    wait_children: bool = option(
        SWITCH,
        "End only when the jobs that it has called have ended; if one did not succeed, fail.",
        default=False,
        scope=Scope.SCHEDULER,
        alone="needs a scheduler: a worker's own job calls no others",
    )

    # Files: what it finds, and what is kept of its output
    upload: str = UPLOADED
    upload_each: bool = UPLOAD_EACH
    upload_beside: str = UPLOAD_BESIDE
    upload_shared: bool = UPLOAD_SHARED
    stdin: str = STDIN_SENT
    check_output: str = CHECK_OUTPUT
    check_with: str = CHECK_WITH
    merge_output: bool = option(
        SWITCH, "Keep stderr in stdout, both in the order written.", default=False, scope=Scope.LAUNCHER
    )
    max_output: int = option(
        SIZE,
        "Keep so much of each stream, its beginning and its end, as in 500k, 64M, 2G.",
        default=DEFAULT_MAX_OUTPUT,
        bounds=(LEAST_MAX_OUTPUT, MOST_MAX_OUTPUT),
        scope=_ALL,
    )
    out: tuple[str, ...] = OUT  # patterns of the files that each attempt leaves for keeps
    max_files: int = MAX_FILES
    max_results: int = MAX_RESULTS

    numbering: Numbering = field(init=False, compare=False, repr=False, default=_ONE_TASK)
    line_index: LineIndex | None = field(
        init=False, compare=False, repr=False, default=None
    )  # None: there are no lines

    def __post_init__(self) -> None:
        index = LineIndex(self.lines) if self.lines else None
        segments = self.array or (numbers_of_lines(index.count) if index else ())
        for name in [name for name, value in self.__dict__.items() if name in DEFAULTS and value == DEFAULTS[name]]:
            del self.__dict__[name]
        if index is not None:
            self.__dict__["line_index"] = index
        if segments:
            self.__dict__["numbering"] = Numbering(segments)

    @property
    def given(self) -> list[Option]:
        """The options that have another value than their default."""
        found = [_BY_FIELD[name] for name in self.__dict__ if name in _BY_FIELD]
        found.sort(key=_PLACES.__getitem__)
        return found

    @property
    def task_count(self) -> int:
        return self.numbering.count

    @property
    def waits(self) -> bool:
        """Whether other jobs come first."""
        return bool(self.after or self.after_any or self.after_fail or self.after_each)

    @property
    def begins_waiting(self) -> bool:
        """Whether its tasks wait before they are ready, for other jobs or for a time."""
        return self.waits or bool(self.at or self.delay or self.every)

    @property
    def is_array(self) -> bool:
        return bool(self.array or self.lines)

    def number_of(self, index: int) -> int:
        """The task number of an index; 0 for the one task of a job that is no array."""
        return self.numbering.number_of(index)

    def without_lines(self) -> "JobSpec":
        """The spec as workers get it, with each task's line beside the task: an array of as many numbers."""
        return replace(self, lines=b"", array=self.array or numbers_of_lines(self.task_count)) if self.lines else self

    def for_lists(self) -> "JobSpec":
        """The spec as lists have it: no environment, no files, and of its script the beginning."""
        if not (self.env or self.files) and len(self.script_text) <= HEAD:
            return self
        return replace(self, env=(), files=(), script_text=self.script_text[:HEAD])

    def index_of(self, number: int) -> int | None:
        """The index of a task number; None if the job has no such task."""
        return self.numbering.index_of(number)


def numbers_of_lines(count: int) -> tuple[ArraySegment, ...]:
    """What the tasks of so many lines are called."""
    return (ArraySegment(1, count),)


OPTIONS = options_of(JobSpec)
DEFAULTS = {each.field: each.default for each in OPTIONS}
JobSpec.argv = ()  # what a spec without a command has
_BY_FIELD = {each.field: each for each in OPTIONS}
_PLACES = {each: place for place, each in enumerate(OPTIONS)}


def texts_of(spec: JobSpec) -> Iterator[str]:
    """Every text of it: each costs memory wherever it goes."""
    for each in spec.given:
        yield from each.kind.texts(getattr(spec, each.field))


def refuse_what_needs_a_scheduler(spec: JobSpec) -> None:
    """Refuses what a worker alone cannot act on: InvalidInput names the option."""
    for each in OPTIONS:
        value = getattr(spec, each.field)
        if each.alone and value != each.default:
            raise InvalidInput(f"{each.said(value)} {each.alone}".strip())


def for_launcher(spec: JobSpec) -> dict[str, Any]:
    """The options that the launcher acts on, by their fields' names, as its template has them."""
    return {each.field: each.kind.told(getattr(spec, each.field)) for each in OPTIONS if Scope.LAUNCHER in each.scope}


def validate(spec: JobSpec) -> None:
    """Raises InvalidInput, with the value and what to do, for a spec that could never run."""
    if not (spec.script or spec.script_text) and not (spec.argv and spec.argv[0]):
        raise InvalidInput("the command is empty: give one after --, as in: cluster run -- echo hello")
    if spec.script and spec.script_text:
        raise InvalidInput(f"--script {spec.script!r} and --script-file exclude each other: each is what runs")
    given = [(each, getattr(spec, each.field)) for each in spec.given]
    if any("\0" in text for each, value in given if each.kind is not SCRIPT for text in each.kind.texts(value)):
        raise InvalidInput("a NUL byte in the command, environment or a path: no process can be given one")
    for each, value in given:
        each.validate(value)
    if spec.line_index and spec.line_index.count != spec.task_count:
        raise InvalidInput(f"{spec.line_index.count} lines for {spec.task_count} task numbers: give one for each")
    if spec.files and spec.cwd:
        raise InvalidInput(
            "files and --cwd exclude each other: they are put into a directory that is the attempt's own"
        )
    per_task, beside, shared = spec.upload_each, spec.upload_beside, spec.upload_shared
    check_upload(spec.upload, spec.cwd, each=per_task, beside=beside, shared=shared, rows=spec.rows)
    if spec.out and spec.cwd:
        raise InvalidInput(
            "--out and --cwd exclude each other: kept are files of a directory that is the attempt's own"
        )
    if spec.spread and spec.pack:
        raise InvalidInput("--spread and --pack exclude each other: on as many workers as there are, or on as few?")
    refuse_growth(spec.grow, spec.memory, spec.retries, spec.retry_on)
    if spec.sandbox:
        check_in_sandbox(spec.need, cwd=spec.cwd, script=spec.script, check_with=spec.check_with)
        check_variables(name for name, _ in spec.env)
    if spec.every and spec.waits:
        raise InvalidInput("--every and --after exclude each other: a job that comes again waits for no other")
    if not spec.every and (spec.catch_up or spec.overlap != SKIP):
        raise InvalidInput("--overlap and --catch-up need --every: they are about jobs that come again")
    if spec.task_count > MAX_TASKS:
        raise InvalidInput(f"{spec.task_count} tasks in one job: the limit is {MAX_TASKS}")
    if spec.rows and (names := [name for name, _ in spec.env if name.startswith(PREFIX)]):
        raise InvalidInput(f"--env: the variable {names[0]} tells each task who it is, and cannot be given: rename it")
    total = check_startable(spec)
    if spec.lines:
        (check_rows if spec.rows else check_lines)(spec.lines, words_of(spec), total, spec.number_of)
    elif spec.rows:
        raise InvalidInput("there are no rows, so there is nothing to run")
