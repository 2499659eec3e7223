"""`cluster job why`: what keeps a job from running, or what ended it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import click

from cluster.cli.connection import client
from cluster.cli.explanations import history, why_job, why_task
from cluster.cli.options import as_json, connection
from cluster.cli.render import job_json, print_json, state_of, task_json, took, why_of
from cluster.cli.table import print_facts
from cluster.client.aio import AsyncClient
from cluster.client.types import Job, Task
from cluster.domain.base.quantities import format_duration, format_size
from cluster.domain.job import endings
from cluster.domain.job.selectors import parse_selector
from cluster.domain.job.states import TaskState

MOST_TASKS = 3  # of many, that are explained
MOST_LINES = 10  # of a task's stderr
ABNORMAL = (TaskState.FAILED, TaskState.BACKOFF, TaskState.CANCELLED)  # where there are tasks in one, none of the next


class Explained(NamedTuple):
    job: Job  # where tasks were selected: of these alone
    tasks: Sequence[Task]  # that are explained
    several: bool  # tasks were selected
    more: int = 0  # tasks in the same state as those that are explained


@click.command("why")
@click.argument("selector")
@as_json
@connection
@click.pass_context
def why(ctx: click.Context, selector: str, as_json: bool) -> None:
    """Tell why a job or a task waits, or what ended it.

    Of many tasks it explains the first that failed; `cluster job why 5.17` explains that one.
    """

    async def work() -> Explained:
        async with client(ctx) as cluster:
            return await explained(cluster, selector)

    found = asyncio.run(work())
    if as_json:
        print_json(_json(found))
    else:
        _print(found)


async def explained(cluster: AsyncClient, selector: str) -> Explained:
    """One job, and of its tasks the one that is selected or the first that failed, each with its last words."""
    job, tasks = await cluster.get(selector, max_tasks=2, attempts=True)
    if len(tasks) == 1:
        return Explained(job, tasks, several=False)
    those = str(parse_selector(selector).of(job.number, job.spec.name))  # whatever is submitted meanwhile
    async with aclosing(cluster.watch(those)) as changes:  # it counts what is selected
        (job,) = await anext(changes)
    state = next((state for state in ABNORMAL if job.counts.of(state)), None)
    if state is None:
        return Explained(job, (), several=True)
    _, first = await cluster.get(those, max_tasks=MOST_TASKS, states=[state])
    alone = [await cluster.get(f"{job.number}.{task.number}", max_tasks=1, attempts=True) for task in first]
    more = max(0, job.counts.of(state) - len(first))
    return Explained(job, [task for _, (task,) in alone], several=True, more=more)


def _print(found: Explained) -> None:
    job, tasks, several, more = found
    if several:
        name = f"{job.number}.{job.part}" if job.part else str(job.number)
        because = (("because", line) for line in why_job(job))
        print_facts(("job", name), ("state", state_of(job) + why_of(job)), *because)
    for task in tasks:
        if several:
            print()
        named = ("task", f"{job.number}.{task.number}") if job.is_array else ("job", str(job.number))
        print_facts(named, *_facts(job, task))
    if more:
        print(f"\nand {more} more {tasks[0].state.word}: `cluster job why {job.number}.N` explains one of them")


def _facts(job: Job, task: Task) -> Iterator[tuple[str, object]]:
    said = task.reason in ("", endings.OK, task.state.word)
    yield "state", task.state.word if said else f"{task.state.word} ({task.reason})"
    yield from (("because", line) for line in why_task(job, task))
    if task.exception:
        yield "exception", task.exception.in_words
    yield "exit code", task.exit_code if task.state.ended else ""
    yield "attempt", task.attempt if task.attempt > 1 or job.spec.retries else ""
    yield "history", history(task)
    yield "worker", task.worker_name or task.worker_id
    yield "ran", _use(task) if task.ended_at and task.started_at else ""
    name = "stdout" if job.spec.merge_output else "stderr"
    for place, line in enumerate(last_lines(task.stderr_tail)):
        yield "" if place else name, line


def _use(task: Task) -> str:
    """How long it ran, and what it took, as far as that was measured."""
    words = [took(task.started_at, task.ended_at, task.ended_at)]
    if task.cpu_seconds:
        words.append(f"{format_duration(task.cpu_seconds)} of cpu")
    if task.peak_memory:
        words.append(f"peak memory {format_size(task.peak_memory)}")
    return ", ".join(words)


def last_lines(tail: bytes) -> list[str]:
    """The last lines of that output that say something, as a terminal would leave them."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in tail.decode(errors="backslashreplace").split("\n")]
    return [line.expandtabs() for line in lines if line.strip()][-MOST_LINES:]


def _json(found: Explained) -> dict[str, Any]:
    job, tasks, _, more = found
    details = [
        {
            **task_json(task, job.spec, with_attempts=True),
            "because": why_task(job, task),
            "stderr": last_lines(task.stderr_tail),
        }
        for task in tasks
    ]
    return {**job_json(job), "because": why_job(job), "task_details": details, "more_tasks": more}
