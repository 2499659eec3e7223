"""`cluster job tree`: what jobs have called, and what they wait for, as a drawing."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from cluster.cli.connection import client
from cluster.cli.options import as_json, connection
from cluster.cli.render import command_of, job_json, print_json, state_of, why_of
from cluster.cli.tab_completion import jobs_here
from cluster.cli.table import print_table
from cluster.client.types import Job, JobTree
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.printable import printable
from cluster.domain.job.dependencies import Dependency, DependencyKind, dependencies_of

HEADS = ("JOB", "STATE", "WAITS FOR", "NAME", "COMMAND")
FLAGS = {kind: f"--{kind.value.replace('_', '-')}" for kind in DependencyKind}


@click.command("tree")
@click.argument("selector", default="", shell_complete=jobs_here)
@click.option("--dot", is_flag=True, help="For Graphviz, as in: cluster job tree --dot 5 | dot -Tsvg > tree.svg")
@as_json
@connection
@click.pass_context
def tree(ctx: click.Context, selector: str, dot: bool, as_json: bool) -> None:
    """Show a job with all that has to do with it, whether it has ended or not: what it was called by and has called,
    what it waits for and what waits for it, the last run of what comes again, and so on from each of these.

    Left out, it is the newest job; inside a job, that one.
    """
    if dot and as_json:
        raise InvalidInput("--dot and --json exclude each other: each is a form of the answer")

    async def work() -> JobTree:
        async with client(ctx) as cluster:
            inside = cluster.endpoint.inside
            return await cluster.tree(selector or (inside.job if inside else "") or "last")

    jobs, cut = asyncio.run(work())
    if as_json:
        print_json(_json(jobs))
    elif dot:
        print("\n".join(_dot(jobs)))
    else:
        print_table(HEADS, list(_rows(jobs)))
    if cut:
        print(f"cluster: these are only {len(jobs)} of the jobs that have to do with each other", file=sys.stderr)


def _calls(jobs: Sequence[Job]) -> Iterator[tuple[int, int]]:
    """(caller, called), of those that are shown."""
    shown = {job.number for job in jobs}
    return ((job.parent, job.number) for job in jobs if job.parent in shown)


def _runs(jobs: Sequence[Job]) -> Iterator[tuple[int, int]]:
    """(schedule, run), of those that are shown."""
    shown = {job.number for job in jobs}
    return ((job.schedule, job.number) for job in jobs if job.schedule in shown)


def _waits(jobs: Sequence[Job]) -> Iterator[tuple[int, Dependency]]:
    """(who waits, for what), of those that are shown."""
    shown = {job.number for job in jobs}
    return ((job.number, each) for job in jobs for each in dependencies_of(job.spec) if each.job in shown)


def _rows(jobs: Sequence[Job]) -> Iterator[Sequence[str]]:
    """Each job below its caller, or the schedule that it is a run of."""
    shown = {job.number: job for job in jobs}
    below: dict[int, list[Job]] = {}
    for above, number in sorted((*_calls(jobs), *_runs(jobs))):
        below.setdefault(above, []).append(shown[number])
    todo = [("", "", job) for job in reversed(jobs) if not {job.parent, job.schedule} & shown.keys()]
    while todo:
        branch, stem, job = todo.pop()
        waits = ", ".join(f"{FLAGS[kind].removeprefix('--')} {number}" for number, kind in dependencies_of(job.spec))
        yield f"{branch}{job.number}", state_of(job) + why_of(job), waits, job.spec.name, command_of(job.spec)
        children = below.get(job.number, [])
        for place, child in reversed(list(enumerate(children, start=1))):
            last = place == len(children)
            todo.append((stem + ("└─ " if last else "├─ "), stem + ("   " if last else "│  "), child))


def _dot(jobs: Sequence[Job]) -> Iterator[str]:
    yield "digraph jobs {"
    yield "  node [shape=box];"
    for job in jobs:
        label = _quoted(f"{job.number} {job.spec.name or job.spec.argv[0]}\n{state_of(job)}{why_of(job)}")
        yield f"  {job.number} [label={label}];"
    yield from (f"  {caller} -> {called};" for caller, called in _calls(jobs))
    yield from (f"  {schedule} -> {run} [style=dotted, label=run];" for schedule, run in _runs(jobs))
    for number, (other, kind) in _waits(jobs):
        yield f"  {other} -> {number} [style=dashed, label={_quoted(FLAGS[kind].removeprefix('--'))}];"
    yield "}"


def _quoted(text: str) -> str:
    """As Graphviz has it."""
    escaped = "\n".join(map(printable, text.split("\n"))).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _json(jobs: Sequence[Job]) -> dict[str, Any]:
    """Also the edges, as pairs of numbers."""
    return {
        "jobs": [job_json(job) for job in jobs],
        "calls": [{"caller": caller, "job": called} for caller, called in _calls(jobs)],
        "runs": [{"schedule": schedule, "job": run} for schedule, run in _runs(jobs)],
        "waits": [{"job": number, "for": other, "how": kind.value} for number, (other, kind) in _waits(jobs)],
    }
