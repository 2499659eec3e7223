"""`cluster job`: list, show, logs, wait, cancel. Submitting is in submit.py, pausing in pausing.py."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from cluster.cli.changed_jobs import tell_changed
from cluster.cli.lazy import LazyGroup
from cluster.cli.options import COUNT, DURATION, as_json, connection, is_given, quiet, yes
from cluster.cli.render import USUAL_LIMIT
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Job, Task
from cluster.domain.base.printable import printable
from cluster.domain.job.arrays import format_array
from cluster.domain.job.selectors import names_itself, names_tasks
from cluster.domain.job.states import COUNTED, TaskState

if TYPE_CHECKING:
    pass

COMMANDS = {
    "submit": ("cluster.cli.submit:submit", "Hand in a job and return."),
    "run": ("cluster.cli.submit:run", "Submit, follow the output, return the exit code."),
    "list": ("cluster.cli.jobs:list_jobs", "List jobs, newest first."),
    "history": ("cluster.cli.history:history", "List jobs that have ended, the last one first."),
    "stats": ("cluster.cli.history:stats", "Tell what a job takes, and what to ask for."),
    "show": ("cluster.cli.jobs:show", "Tell all about a job, and why it waits or failed."),
    "why": ("cluster.cli.why:why", "Tell why a job waits, or what ended it."),
    "logs": ("cluster.cli.logs:logs", "Print what a job has written."),
    "files": ("cluster.cli.results:files", "List the files that a job has left for keeps."),
    "fetch": ("cluster.cli.results:fetch", "Bring the files here that a job has left for keeps."),
    "wait": ("cluster.cli.jobs:wait", "Wait until jobs have ended."),
    "pause": ("cluster.cli.pausing:pause", "Let jobs start nothing more."),
    "resume": ("cluster.cli.pausing:resume", "Let jobs go on that were paused."),
    "tree": ("cluster.cli.tree:tree", "Show what a job has called, what it waits for, and who waits for it."),
    "state": ("cluster.cli.job_state:state", "What jobs keep for others to read: set, get."),
    "set": ("cluster.cli.job_set:set_command", "Change options of jobs that have not ended."),
    "retry": ("cluster.cli.again:retry", "Try again what has failed, in its job."),
    "rerun": ("cluster.cli.again:rerun", "Run a job again, as a new one."),
    "delete": ("cluster.cli.keeping:delete", "Delete jobs that have ended."),
    "pin": ("cluster.cli.keeping:pin", "Keep jobs, however old they become."),
    "unpin": ("cluster.cli.keeping:unpin", "Keep jobs as long as others of their age."),
    "cancel": ("cluster.cli.jobs:cancel", "Stop jobs or tasks, with their whole process trees."),
}

MEANT = {
    **dict.fromkeys(("kill", "stop"), "job cancel"),
    **dict.fromkeys(("rm", "remove"), "job delete"),
    **dict.fromkeys(("ps", "ls"), "job list"),
    **dict.fromkeys(("status", "info", "get"), "job show"),
    **dict.fromkeys(("output", "tail", "cat"), "job logs"),
    **{"hold": "job pause", "release": "job resume", "follow": "job logs -f"},
}


STATES = [s.word for s in TaskState]


@click.group(cls=LazyGroup, commands_at=COMMANDS, meant=MEANT, invoke_without_command=True)
@as_json
@quiet
@connection
@click.pass_context
def job(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """Submit jobs, look at them, wait for them, cancel them. Alone it lists them.

    \b
    Jobs and tasks are named by SELECTORs:
      5        job 5                    5.17, 5.1-10   tasks of job 5
      last     the newest job           all            every job
      NAME     all jobs of that name    UUID           a job by its id
      5.17#2   an attempt of a task     sweep.23       a task of the jobs called sweep
      5:failed tasks that are so now    5:lost,exit:3  by why they ended, too
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_jobs, as_json=as_json, quiet=quiet)
    elif as_json or quiet:  # `cluster job --json show 5` is `cluster job show --json 5`
        ctx.default_map = {ctx.invoked_subcommand: {"as_json": as_json, "quiet": quiet}}


@click.command("list")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=jobs_here)
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--limit", type=COUNT, default=USUAL_LIMIT, show_default=True, help="At most so many; 0: all.")
@as_json
@quiet
@connection
@click.pass_context
def list_jobs(
    ctx: click.Context, selectors: tuple[str, ...], states: tuple[str, ...], limit: int, as_json: bool, quiet: bool
) -> None:
    """List jobs, newest first."""
    from cluster.cli.connection import client
    from cluster.cli.render import print_jobs

    async def work() -> tuple[tuple[Job, ...], str]:
        async with client(ctx) as cluster:
            wanted = [TaskState[word.upper()] for word in states]
            return await cluster.list(*selectors, states=wanted, limit=limit + 1 if limit else 0), cluster.endpoint.user

    jobs, me = asyncio.run(work())
    print_jobs(jobs, limit, me=me, asked=is_given(ctx, "limit"), as_json=as_json, quiet=quiet)


@click.command("show")
@click.argument("selector", shell_complete=jobs_here)
@click.option("--tasks", "max_tasks", type=COUNT, default=20, show_default=True, help="So many tasks.")
@click.option("--attempts", is_flag=True, help="Each attempt of these tasks, not the last alone.")
@as_json
@quiet
@connection
@click.pass_context
def show(ctx: click.Context, selector: str, max_tasks: int, attempts: bool, as_json: bool, quiet: bool) -> None:
    """Tell all about a job, or about tasks of it (5.17): why it waits, how each ended, and where."""
    from cluster.cli.connection import client
    from cluster.cli.keeping_shown import kept_json
    from cluster.cli.render import job_json, print_json, task_json

    async def work() -> tuple[Job, tuple[Task, ...], str]:
        async with client(ctx) as cluster:
            most = max_tasks + 1  # one more tells whether there are more
            job, tasks = await cluster.get(selector, max_tasks=most, attempts=attempts)
            if job.results is None or not job.results.missing:
                return job, tasks, ""
            from cluster.cli.results import still_missing

            return job, tasks, await still_missing(cluster, job)

    job, tasks, missing = asyncio.run(work())
    more = len(tasks) > max_tasks > 0
    tasks = tasks[:max_tasks]
    if names_tasks(selector):  # who asks for 5.3-8 looks for them in that order
        tasks = tuple(sorted(tasks, key=lambda task: task.index))
    if as_json:
        details = [task_json(task, job.spec, with_attempts=attempts) for task in tasks]
        more_told = {"children": list(job.children), "results": job.results and asdict(job.results), **kept_json(job)}
        print_json({**job_json(job, whole=True), **more_told, "task_details": details})
    elif quiet:
        print(job.number)
    else:
        _print_job(job, tasks, missing, attempts=attempts)
    if more and not (quiet or is_given(ctx, "max_tasks")):
        print(
            f"cluster: these are only {max_tasks} of its {job.counts.total} tasks; --tasks N shows more",
            file=sys.stderr,
        )


def _print_job(job: Job, tasks: Sequence[Task], missing: str, *, attempts: bool) -> None:
    from cluster.cli.keeping_shown import kept_facts
    from cluster.cli.render import because, command_of, iso, options_shown, state_of, took, why_of
    from cluster.cli.table import print_facts
    from cluster.cli.task_tables import print_attempts, print_tasks
    from cluster.cli.usage import used_facts

    now = time.time()
    lines = [task.line for task in tasks]
    line = lines[0] if len(lines) == 1 else None  # of the one task that is shown
    facts: list[tuple[str, Any]] = [
        ("job", f"{job.number}  {job.id}"),
        ("name", job.spec.name),
        ("owner", job.owner),
        ("run of", job.schedule or ""),
        ("rerun of", job.rerun_of or ""),
        ("called by", ", which was called by ".join(reversed(job.callers))),
        ("has called", ", ".join(map(str, reversed(job.children)))),
        ("command", command_of(job.spec, line)),
        ("line", "" if line is None else os.fsdecode(line)),
        ("state", state_of(job) + why_of(job)),
        ("exit code", job.exit_code if job.state.ended else ""),
        *(("exception", task.exception.in_words) for task in tasks if task.exception),
        *(("waits", why) for why in because(job, now)),
        _cancelled(job),
        ("tasks", _tasks_of(job) if job.is_array else ""),
        *options_shown(replace(job.spec, priority=job.priority)),
        ("results", _results_of(job, missing)),
        ("changed", ", ".join(sorted(job.changed))),
        ("submitted", iso(job.submitted_at)),
        ("started", iso(job.started_at)),
        ("ended", iso(job.ended_at)),
        ("took", took(job.started_at, job.ended_at, now) if job.started_at else ""),
        *used_facts(job),
        *kept_facts(job, now),
    ]
    print_facts(*facts)
    if tasks:
        print()
        (print_attempts if attempts else print_tasks)(job, tasks)


def _cancelled(job: Job) -> tuple[str, str]:
    """By whom and why; what waited in vain was cancelled by nobody."""
    words = ": ".join(filter(None, (job.cancelled_by, job.cancel_reason)))
    return ("cancelled by" if job.cancelled_by else "cancelled", words)


def _results_of(job: Job, missing: str) -> str:
    """Of a job with --out: what it has left, and what of that is still to come, and why."""
    if job.results is None:
        return ""
    from cluster.domain.base.quantities import format_size

    kept = job.results
    words = f"{kept.files} file{'' if kept.files == 1 else 's'}, {format_size(kept.size)}"
    if job.is_array:
        words += f", of {kept.attempts} attempt{'' if kept.attempts == 1 else 's'}"
    words += f"; {kept.deleted}" if kept.deleted else ""
    missing = missing or (f"those of {kept.missing} are still on their workers" if kept.missing else "")
    return words + (f"; {missing}" if missing else "")


def _tasks_of(job: Job) -> str:
    """Of an array: how many tasks are in which state, and their numbers."""
    counts = job.counts
    states = ", ".join(f"{counts.of(state)} {state.word}" for state in COUNTED if counts.of(state))
    return f"{counts.total}: {states}{f'; numbers {format_array(job.spec.array)}' if job.spec.array else ''}"


@click.command("wait")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@as_json
@quiet
@connection
@click.pass_context
def wait(ctx: click.Context, selectors: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Wait until jobs have ended, and return their exit code (the highest).

    Where tasks are selected, as in 5.17, only these are waited for, and the exit code is theirs. Of `all` and of a name
    those are not waited for that come again (--every).
    """
    from cluster.cli.connection import client
    from cluster.cli.follow import exit_code
    from cluster.cli.progress import JobsProgress
    from cluster.cli.render import job_json, print_json, why_of

    async def work() -> tuple[Job, ...]:
        shown = None if quiet else JobsProgress()
        latest: tuple[Job, ...] = ()
        try:
            async with client(ctx) as cluster:
                async for jobs in cluster.watch(*selectors):
                    first, latest = not latest, jobs
                    if first and not quiet:
                        named = [job for job in jobs if names_itself(selectors, job.number, job.id)]
                        _tell_schedules(named, "ends only when somebody cancels it")
                    if not any(_is_waited_for(job, selectors) for job in jobs):
                        break
                    if shown:
                        shown.update(jobs)
        finally:
            if shown:
                shown.close()
        return latest

    jobs = asyncio.run(work())
    if not quiet:
        _tell_schedules(jobs, "is not waited for")
    schedules = any(job.spec.every for job in jobs)
    jobs = tuple(job for job in jobs if job.state.ended)
    if as_json:
        print_json([job_json(job) for job in jobs])
    elif quiet:
        print("".join(f"{job.number}\n" for job in jobs), end="")
    else:
        if not (jobs or schedules or "all" in selectors):
            print("nothing to wait for: no task is so now")
        for job in jobs:
            name = f"{job.number}.{job.part}" if job.part else str(job.number)
            print(f"job {name} {job.state.word}{printable(why_of(job))}")
    return exit_code(jobs)


def _is_waited_for(job: Job, selectors: Sequence[str]) -> bool:
    """Whether it has yet to end, and is no schedule that was not meant itself: that never ends."""
    return not job.state.ended and (not job.spec.every or names_itself(selectors, job.number, job.id))


def _tell_schedules(jobs: Sequence[Job], what: str) -> None:
    for job in jobs:
        if job.spec.every and not job.state.ended:
            print(f"cluster: job {job.number} comes again (--every), and {what}", file=sys.stderr)


@click.command("cancel")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@click.option("--grace", type=DURATION, help="From SIGTERM to SIGKILL (default: the job's own).")
@click.option("--reason", default="", help="Why, for whoever looks at the job later.")
@click.option("--keep-children", is_flag=True, help="Let the jobs go on that these have called for.")
@yes
@as_json
@quiet
@connection
@click.pass_context
def cancel(
    ctx: click.Context,
    selectors: tuple[str, ...],
    grace: float | None,
    reason: str,
    keep_children: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Stop jobs or tasks: SIGTERM, then SIGKILL, to each whole process tree; and the jobs that these have called for.

    What has ended already stays as it is, and that is no error.
    """
    from cluster.cli.confirmation import confirm
    from cluster.cli.connection import client

    if "all" in selectors and not yes:
        confirm("Cancel all jobs?")

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.cancel(*selectors, grace=grace, reason=reason, keep_children=keep_children)

    jobs, count = asyncio.run(work())
    none = f"nothing to cancel: {'all had ended' if jobs or 'all' in selectors else 'no task is so now'}"
    words = f"cancelling {count} task{'' if count == 1 else 's'}" if count else none
    tell_changed(jobs, ("cancelled_tasks", count), words, as_json=as_json, quiet=quiet)
