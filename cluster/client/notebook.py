"""How the client's values show themselves in a notebook: as HTML in which every text is escaped.

They are told by `cluster.client.types`, which this must not know in turn: so their types stand in names alone."""

from collections.abc import Iterable
from html import escape
from typing import Any

from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus, format_duration
from cluster.domain.job.endings import OK
from cluster.domain.job.states import COUNTED

MOST_OF_CELL = 200  # characters


def table(facts: Iterable[tuple[str, object]]) -> str:
    """Names and values, a row each; those without a value are left out."""
    rows = (f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts if value not in ("", 0))
    return f"<table>{''.join(rows)}</table>"


def _text(value: object) -> str:
    text = printable(str(value))
    return escape(text if len(text) <= MOST_OF_CELL else f"{text[:MOST_OF_CELL]}…")


def job_html(job: Any) -> str:
    counts = ", ".join(f"{count} {state.word}" for state in COUNTED if (count := job.counts.of(state)))
    took = format_duration(job.ended_at - job.started_at) if job.started_at and job.ended_at else ""
    facts = (("name", job.spec.name), ("state", job.state.word), ("reason", job.reason if job.reason != OK else ""))
    more = (("tasks", counts if job.is_array else ""), ("took", took), ("waits for", job.waits_for))
    return table((("job", job.number), *facts, *more, ("owner", job.owner), ("command", " ".join(job.spec.argv))))


def task_html(task: Any) -> str:
    took = format_duration(task.ended_at - task.started_at) if task.started_at and task.ended_at else ""
    facts = (("task", task.number), ("state", task.state.word), ("attempt", task.attempt), ("worker", task.worker_name))
    return table((*facts, ("reason", task.reason), ("detail", task.detail), ("took", took)))


def worker_html(worker: Any) -> str:
    used = format_cpus(worker.used_millicpus) if worker.used_millicpus else "0"
    cpus = f"{used} of {format_cpus(worker.millicpus)} in use" if worker.millicpus else ""
    tasks = f"{worker.running} running, {worker.assigned} assigned"
    return table((("worker", worker.name), ("state", worker.state.word), ("cpus", cpus), ("tasks", tasks)))
