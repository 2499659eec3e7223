"""Tables of single tasks, and of their attempts."""

import os
import time
from collections.abc import Sequence

from cluster.cli.render import iso, took
from cluster.cli.table import print_table
from cluster.client.types import Job, Task
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.quantities import format_duration, format_size


def print_tasks(job: Job, tasks: Sequence[Task]) -> None:
    """A line for each, with its last attempt."""
    now = time.time()
    heads = ["TASK", "STATE", "REASON", "ATTEMPT", "WORKER", "TOOK", "CPU", "MEMORY"]
    rows = [
        [
            f"{job.number}.{task.number}" if job.is_array else str(job.number),
            task.state.word,
            _how_it_ended(task),
            str(task.attempt or "-"),
            task.worker_name or task.worker_id or "-",
            took(task.started_at, task.ended_at, now),
            *_use(task),
        ]
        for task in tasks
    ]
    if tasks[0].line is not None:
        heads.append("LINE")
        for row, task in zip(rows, tasks, strict=True):
            row.append(os.fsdecode(task.line or b""))
    print_table(heads, rows)


def print_attempts(job: Job, tasks: Sequence[Task]) -> None:
    """A line for each attempt of each task; one that was never tried has a line of its own."""
    now = time.time()
    shown = [each for task in tasks for each in task.attempts or (task,)]
    with_references = any(each.reference for each in shown)
    heads = ["ATTEMPT", "STATE", "REASON", "EXIT", "WORKER", "STARTED", "ENDED", "TOOK", "CPU", "MEMORY"]
    heads += ["REFERENCE"] if with_references else []
    rows = [
        (
            AttemptKey(job.number, 0, each.attempt).shown(each.number if job.is_array else 0),
            each.state.word,
            _how_it_ended(each),
            str(each.exit_code) if each.state.ended else "-",
            each.worker_name or each.worker_id or "-",
            iso(each.started_at) or "-",
            iso(each.ended_at) or "-",
            took(each.started_at, each.ended_at, now),
            *_use(each),
            *((each.reference or "-",) if with_references else ()),
        )
        for each in shown
    ]
    print_table(heads, rows)


def _use(task: Task) -> tuple[str, str]:
    cpu = format_duration(task.cpu_seconds) if task.cpu_seconds else "-"
    return cpu, format_size(task.peak_memory) if task.peak_memory else "-"


def _how_it_ended(task: Task) -> str:
    words = task.reason
    if task.signal and task.signal not in words:
        words += f" by {task.signal}"
    return f"{words}: {task.detail}" if task.detail else words
