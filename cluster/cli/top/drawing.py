"""What `cluster top` shows, as rows of text for a size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.cli.render import command_of, reason_of
from cluster.cli.table import fit, shortened, width_of
from cluster.cli.top.model import Intent, Model, Pane, View
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus, format_duration, format_size
from cluster.domain.job.amounts import MEMORY
from cluster.domain.job.endings import OK
from cluster.domain.job.states import COUNTED, TaskState

if TYPE_CHECKING:
    from cluster.client.types import Job, Worker

Span = tuple[str, str]  # a style, and text
Row = tuple[Span, ...]

LEAST_WIDTH, LEAST_HEIGHT = 30, 8
HEAD = 4  # rows of the overview
HELP = (
    "arrows, j k      move; page up, page down, home and end too",
    "tab              from jobs to workers, and back",
    "enter            open a job: its tasks, why it is where it is, its last output",
    "f                follow its output",
    "c                cancel a job (asks first)",
    "r                try again what has failed of it",
    "p                pause a job, or let it go on",
    "d                drain a worker, or let it take work again",
    "/                only jobs with a word in them, or a job by its number or name",
    "escape           back; in the lists: no filter any more",
    "q                back, and from the lists: leave. Ctrl-C leaves from anywhere",
)
_STATE_STYLES = {
    TaskState.RUNNING: "good",
    TaskState.FAILED: "bad",
    TaskState.CANCELLED: "warn",
    TaskState.BACKOFF: "warn",
    TaskState.SUCCEEDED: "dim",
}
_KEYS = {
    View.LISTS: "? help  q quit  enter open  f output  c cancel  r retry  p pause  d drain  / filter",
    View.JOB: "? help  esc back  f output  c cancel  r retry  p pause",
    View.OUTPUT: "? help  esc back  up/down scroll  f newest  c cancel",
    View.HELP: "any key: back",
}


def draw(model: Model, width: int, height: int, now: float) -> list[Row]:
    """`height` rows, none wider than `width` columns. Sets `model.page`, by which a page's key moves."""
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        small = f"too small: {LEAST_WIDTH} columns and {LEAST_HEIGHT} rows are needed"
        return [_row("", small, width), *[()] * (height - 1)][:height]
    rows = [*_overview(model, width, now)]
    room = height - len(rows) - 1
    if model.view is View.HELP:
        rows += [_row("", line, width) for line in ("", *HELP)][:room]
    elif model.view is View.JOB:
        rows += _job_rows(model, width, room, now)
    elif model.view is View.OUTPUT:
        rows += _output_rows(model, width, room)
    else:
        rows += _lists(model, width, room, now)
    rows += [()] * (height - 1 - len(rows))
    return [_clipped(row, width) for row in (*rows[: height - 1], _foot(model, width))]


def _clipped(row: Row, width: int) -> Row:
    """As much of it as there is room for."""
    spans: list[Span] = []
    for style, text in row:
        room = width - sum(width_of(words) for _, words in spans)
        if text and room > 0:
            spans.append((style, text if width_of(text) <= room else shortened(text, room)))
    return tuple(spans)


def _row(style: str, text: str, width: int) -> Row:
    return ((style, shortened(printable(text), width).rstrip() if style != "bar" else shortened(text, width)),)


def _overview(model: Model, width: int, now: float) -> list[Row]:
    running, waiting, failed = model.counts
    title = f" cluster  {model.where}"
    if model.queue and model.queue.pause:
        title += f"  the queue is paused by {model.queue.pause.by}"
    link: Row = _row("bar", printable(title), width)
    if model.absent:
        link = _row("alarm", f" no answer: {model.absent}", width)
    tasks = sum(worker.running for worker in model.workers)
    rate = model.throughput.rate(now)
    jobs = f"jobs   {running} running  {waiting} waiting  "
    fails = f"{failed} failed in the last hour"
    first: Row = (("", jobs), ("bad" if failed else "", fails))
    ended = f"tasks  {tasks} running  {rate:.3g} ended/s  "
    spark = model.throughput.sparkline(now, max(0, width - len(ended)))
    used, whole = model.cpus
    words = f"{_cpus(used)} of {_cpus(whole)} on {len(model.workers)} worker{'' if len(model.workers) == 1 else 's'}"
    bar = _load_bar(used, whole, max(0, min(40, width - 9 - len(words))))
    third: Row = (("", "cpus   "), ("good", bar), ("", f" {words}"))
    return [link, first, (("", ended), ("good", spark)), third]


def _cpus(milli: int) -> str:
    return format_cpus(milli) if milli else "0"


def _load_bar(used: int, whole: int, width: int) -> str:
    full = round(width * used / whole) if whole else 0
    return "█" * min(full, width) + "░" * max(0, width - full)


def _lists(model: Model, width: int, room: int, now: float) -> list[Row]:
    workers = max(2, min(len(model.workers) + 1, room // 3))
    jobs = room - workers
    model.page = max(1, (jobs if model.pane is Pane.JOBS else workers) - 1)
    shown = model.shown_jobs
    told = [_job_cells(job, now) for job in shown]
    heads = ("JOB", "STATE", "TASKS", "TOOK", "NAME", "REASON", "OWNER", "COMMAND")
    cursor = model.cursor(Pane.JOBS, [str(job.number) for job in shown])
    front = model.pane is Pane.JOBS
    styles = [_STATE_STYLES.get(job.state, "") for job in shown]
    rows = _table(heads, told, styles, (cursor, front), width, jobs)
    if not shown:
        none = "no job has that in it" if model.filter or model.typed else "no jobs yet: cluster run -- echo hello"
        rows[1:2] = [_row("dim", none if model.queue or model.jobs else "…", width)]
    told = [_worker_cells(worker) for worker in model.workers]
    cursor = model.cursor(Pane.WORKERS, [worker.id for worker in model.workers])
    styles = ["" if worker.state.word == "online" else "warn" for worker in model.workers]
    heads = ("WORKER", "STATE", "CPUS", "LOAD", "MEM", "RUNNING", "ASSIGNED", "WHY")
    return rows + _table(heads, told, styles, (cursor, not front), width, workers)


def _job_cells(job: Job, now: float) -> tuple[str, ...]:
    ended = job.counts.ended
    tasks = f"{ended}/{job.counts.total}" if job.is_array else "1"
    took = format_duration(max(0.0, (job.ended_at or now) - job.started_at)) if job.started_at else "-"
    state = "paused" if job.pause and not job.state.ended else job.state.word
    reason = reason_of(job)
    cells = (str(job.number), state, tasks, took, job.spec.name, "" if reason == OK else reason, job.owner)
    return (*cells, command_of(job.spec)[:200])


def _worker_cells(worker: Worker) -> tuple[str, ...]:
    load = _load_bar(worker.used_millicpus, worker.millicpus, 10)
    why = worker.trouble or worker.no_room or (worker.drain.reason if worker.drain else "")
    memory, taken = worker.offer.amounts.get(MEMORY, 0), worker.taken.get(MEMORY, 0)
    cpus = f"{_cpus(worker.used_millicpus)}/{_cpus(worker.millicpus)}"
    mem = f"{format_size(taken)}/{format_size(memory)}" if memory else "-"
    return (worker.name, worker.state.word, cpus, load, mem, str(worker.running), str(worker.assigned), why)


def _table(
    heads: Sequence[str],
    told: Sequence[Sequence[str]],
    styles: Sequence[str],
    cursor: tuple[int, bool],
    width: int,
    room: int,
) -> list[Row]:
    """A head and as many rows as there is room for, around the cursor (its row, and whether the pane is in front)."""
    at, front = cursor
    first = max(0, min(at - (room - 1) // 2, len(told) - (room - 1)))
    part = [[printable(cell) for cell in row] for row in told[first : first + room - 1]]
    natural = [max(map(width_of, column)) for column in zip(heads, *part, strict=True)]
    widths = fit(natural, [i == 0 or head == "STATE" for i, head in enumerate(heads)], width)
    rows: list[Row] = [(("bold" if front else "dim", shortened(_cells(heads, widths), width).rstrip()),)]
    for place, row in enumerate(part, first):
        text = shortened(_cells(row, widths), width)
        rows.append((("chosen", text),) if place == at and front else ((styles[place], text.rstrip()),))
    return rows + [()] * (room - len(rows))


def _cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(shortened(cell, width) for cell, width in zip(cells, widths, strict=True) if width)


def _job_rows(model: Model, width: int, room: int, now: float) -> list[Row]:
    opened = model.open_job
    if opened is None or str(opened.job.number) != model.opened:
        return [_row("bold", f"job {model.opened}", width), _row("dim", "…", width)]
    job = opened.job
    name = f" ({job.spec.name})" if job.spec.name else ""
    counts = "  ".join(f"{count} {state.word}" for state in COUNTED if (count := job.counts.of(state)))
    rows = [
        _row("bold", f"job {job.number}{name}  of {job.owner}", width),
        _row(_STATE_STYLES.get(job.state, ""), f"state    {job.state.word}  tasks: {counts}", width),
        _row("", f"command  {command_of(job.spec)[:1000]}", width),
        *[_row("", f"because  {line}", width) for line in opened.because[:4]],
        (),
    ]
    left = max(0, room - len(rows))
    tasks = min(len(opened.tasks) + 1, max(2, left // 2)) if job.is_array else 0
    if tasks:
        told = [
            (str(t.number), t.state.word, str(t.attempt), t.worker_name, _ran(t.started_at, t.ended_at, now), t.reason)
            for t in opened.tasks
        ]
        styles = [_STATE_STYLES.get(task.state, "") for task in opened.tasks]
        rows += _table(("TASK", "STATE", "TRY", "WORKER", "TOOK", "REASON"), told, styles, (0, False), width, tasks)
        rows.append(())
    left = room - len(rows) - 1
    if left > 0:
        rows.append(_row("dim", "last output (f follows it)", width))
        rows += [_row("", line, width) for line in opened.output[-left:]]
    return rows


def _ran(started: float, ended: float, now: float) -> str:
    return format_duration(max(0.0, (ended or now) - started)) if started else "-"


def _output_rows(model: Model, width: int, room: int) -> list[Row]:
    model.page = max(1, room - 1)
    end = len(model.output) - model.back
    lines = model.output[max(0, end - room + 1) : end]
    where = f", {model.back} lines before the newest" if model.back else ""
    head = _row("bold", f"output of job {model.opened}{where}", width)
    if not lines:
        return [head, _row("dim", "nothing yet", width)]
    return [head, *[_row("", line, width) for line in lines]]


def _question(asked: Intent) -> str:
    """What is about to be done, for whoever has to say yes."""
    match asked.verb:
        case "drain":
            return f"drain worker {asked.name}?"
        case "resume_worker":
            return f"let worker {asked.name} take work again?"
    name = f" ({asked.name})" if asked.name else ""
    return f"{asked.verb} job {asked.of}{name}?"


def _foot(model: Model, width: int) -> Row:
    if model.typed is not None:
        return _row("", f"/{model.typed}_", width)
    if model.asked:
        return _row("alarm", f"{_question(model.asked)} y: yes, any other key: no", width)
    if model.message:
        return _row("warn", model.message, width)
    keys = _KEYS[model.view]
    return _row("dim", f"filter {model.filter}  esc: all  {keys}" if model.filter else keys, width)
