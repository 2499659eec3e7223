"""`cluster job why`: what keeps a job from running, or what ended it."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import click

from cluster.cli.connection import client
from cluster.cli.explanations import history, memory_asked, why_job, why_task
from cluster.cli.options import as_json, connection
from cluster.cli.render import job_json, print_json, state_of, task_json, took, why_of
from cluster.cli.tab_completion import jobs_here
from cluster.cli.table import print_facts, print_table
from cluster.client.aio import AsyncClient
from cluster.client.types import Job, Task
from cluster.domain.base.errors import NotFound
from cluster.domain.base.quantities import format_cpus, format_duration, format_size
from cluster.domain.job import endings
from cluster.domain.job.selectors import parse_selector
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.hindrances import Candidate, Explanation

MOST_TASKS = 3  # of many, that are explained
MOST_CAUSES = 10  # jobs, each of which ended because of the next
CAUSE = re.compile(r"\bjob (\d+) had to ")  # as cluster.domain.job.dependencies says it
MOST_LINES = 10  # of a task's stderr
ABNORMAL = (TaskState.FAILED, TaskState.BACKOFF, TaskState.CANCELLED)  # where there are tasks in one, none of the next


class Cause(NamedTuple):
    """Another job, because of which one has ended."""

    job: Job
    because: Sequence[str]


class Explained(NamedTuple):
    job: Job  # where tasks were selected: of these alone
    tasks: Sequence[Task]  # that are explained
    several: bool  # tasks were selected
    more: int = 0  # tasks in the same state as those that are explained
    causes: Sequence[Cause] = ()  # where it ended because of another job: that one, and what ended that


@click.command("why")
@click.argument("selector", shell_complete=jobs_here)
@as_json
@click.option("--verbose", "-v", is_flag=True, help="Tell also which workers could run it, the first in rank first.")
@connection
@click.pass_context
def why(ctx: click.Context, selector: str, as_json: bool, verbose: bool) -> None:
    """Tell why a job or a task waits, or what ended it.

    Of what waits for a worker it tells what keeps each of them from it. Of many tasks it explains the first that
    failed; `cluster job why 5.17` explains that one.
    """

    async def work() -> Explained:
        async with client(ctx) as cluster:
            found = await explained(cluster, selector)
            return found._replace(causes=await _causes(cluster, found.job))

    found = asyncio.run(work())
    if as_json:
        print_json(_json(found))
    else:
        _print(found)
        if verbose:
            _print_candidates(found.job.explanation)


async def explained(cluster: AsyncClient, selector: str) -> Explained:
    """One job, and of its tasks the one that is selected or the first that failed, each with its last words."""
    job, tasks = await cluster.get(selector, max_tasks=2, attempts=True)
    explanation = job.explanation
    if len(tasks) == 1:
        return Explained(job, tasks, several=False)
    those = str(parse_selector(selector).of(job.number, job.spec.name))  # whatever is submitted meanwhile
    async with aclosing(cluster.watch(those)) as changes:  # it counts what is selected
        (job,) = await anext(changes)
    job = replace(job, explanation=explanation)
    state = next((state for state in ABNORMAL if job.counts.of(state)), None)
    if state is None:
        return Explained(job, (), several=True)
    _, first = await cluster.get(those, max_tasks=MOST_TASKS, states=[state])
    alone = [await cluster.get(f"{job.number}.{task.number}", max_tasks=1, attempts=True) for task in first]
    more = max(0, job.counts.of(state) - len(first))
    return Explained(job, [task for _, (task,) in alone], several=True, more=more)


async def _causes(cluster: AsyncClient, job: Job) -> list[Cause]:
    """The job that had to end otherwise, what ended that, and so on."""
    found: list[Cause] = []
    while len(found) < MOST_CAUSES and (said := CAUSE.search(job.cancel_reason)) and not job.cancelled_by:
        try:
            job, tasks = await cluster.get(said[1], max_tasks=1, states=ABNORMAL)
        except NotFound:
            break  # it is not ours, or was deleted
        because = why_task(job, tasks[0]) if tasks else why_job(job)
        found.append(Cause(job, because))
    return found


def _print(found: Explained) -> None:
    job, tasks, several, more, causes = found
    if several:
        name = f"{job.number}.{job.part}" if job.part else str(job.number)
        because = (("because", line) for line in why_job(job))
        print_facts(("job", name), ("state", state_of(job) + why_of(job)), *because, *_workers(job))
    for task in tasks:
        if several:
            print()
        named = ("task", f"{job.number}.{task.number}") if job.is_array else ("job", str(job.number))
        print_facts(named, *_facts(job, task), *(() if several else _workers(job)))
    for cause in causes:
        print()
        facts = (("job", str(cause.job.number)), ("name", cause.job.spec.name))
        because = (("because", line) for line in cause.because)
        print_facts(*facts, ("state", state_of(cause.job) + why_of(cause.job)), *because)
    if more:
        print(f"\nand {more} more {tasks[0].state.word}: `cluster job why {job.number}.N` explains one of them")


def _workers(job: Job) -> Iterator[tuple[str, str]]:
    """What keeps each worker from it; those that are kept by the same in one line."""
    for place, each in enumerate(job.explanation.hindrances):
        more = each.number - len(each.workers)
        names = ", ".join(each.workers) + (f" and {more} more" if more else "")
        fix = f": {each.fix}" if each.fix else ""
        yield "" if place else "workers", f"{names}: {each.reason}{fix}"


def _print_candidates(explanation: Explanation) -> None:
    if explanation.candidates:
        print()
        rows = [_row(place, candidate) for place, candidate in enumerate(explanation.candidates, 1)]
        print_table(("RANK", "WORKER", "PREFERRED", "FIT NOW", "OF THIS JOB", "FREE CPUS"), rows)
    if explanation.more:
        print(f"and {explanation.more} more")


def _row(place: int, candidate: Candidate) -> tuple[str, ...]:
    preferred = "yes" if candidate.preferred else "no"
    numbers = (str(candidate.tasks_that_fit), str(candidate.tasks_there), format_cpus(candidate.free_millicpus))
    return (str(place), candidate.worker, preferred, *numbers)


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
    yield "ran", _use(job, task) if task.ended_at and task.started_at else ""
    name = "stdout" if job.spec.merge_output else "stderr"
    for place, line in enumerate(last_lines(task.stderr_tail)):
        yield "" if place else name, line


def _use(job: Job, task: Task) -> str:
    """How long it ran, and what it took, as far as that was measured."""
    words = [took(task.started_at, task.ended_at, task.ended_at)]
    if task.cpu_seconds:
        words.append(f"{format_duration(task.cpu_seconds)} of cpu")
    if task.peak_memory:
        limit = f" of {format_size(memory_asked(job, task))} that it asked for" if job.spec.memory else ""
        words.append(f"peak memory {format_size(task.peak_memory)}{limit}")
    return ", ".join(words)


def last_lines(tail: bytes) -> list[str]:
    """The last lines of that output that say something, as a terminal would leave them."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in tail.decode(errors="backslashreplace").split("\n")]
    return [line.expandtabs() for line in lines if line.strip()][-MOST_LINES:]


def _json(found: Explained) -> dict[str, Any]:
    job, tasks, _, more, causes = found
    details = [
        {
            **task_json(task, job.spec, with_attempts=True),
            "because": why_task(job, task),
            "stderr": last_lines(task.stderr_tail),
        }
        for task in tasks
    ]
    because = {"because": why_job(job), "workers": _workers_json(job.explanation)}
    reasons = [
        {"job": each.job.number, "state": each.job.state.word, "reason": each.job.reason, "because": list(each.because)}
        for each in causes
    ]
    return {**job_json(job), **because, "task_details": details, "more_tasks": more, "causes": reasons}


def _workers_json(explanation: Explanation) -> dict[str, Any]:
    hindrances = [
        {**each._asdict(), "workers": list(each.workers), "fix": each.fix or None} for each in explanation.hindrances
    ]
    ranked = [
        {**candidate._asdict(), "free_cpus": candidate.free_millicpus / 1000} for candidate in explanation.candidates
    ]
    for each in ranked:
        del each["free_millicpus"]
    return {"hindrances": hindrances, "candidates": ranked, "more_candidates": explanation.more}
