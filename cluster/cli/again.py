"""`cluster job retry` and `cluster job rerun`: tasks are tried again in their job, or all of it as a new job."""

import asyncio
import sys

import click

from cluster.cli.changed_jobs import tell_changed
from cluster.cli.options import as_json, connection, quiet
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job import endings
from cluster.domain.job.selectors import names_tasks
from cluster.domain.job.states import TaskState


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@click.option("--failed", is_flag=True, help="Only what has failed or was lost, not what was cancelled.")
@click.option("--lost", is_flag=True, help="Only what was lost.")
@click.option("--tasks", default="", metavar="NUMBERS", help="Only these tasks, as in 1-10,17.")
@as_json
@quiet
@connection
@click.pass_context
def retry(
    ctx: click.Context,
    selectors: tuple[str, ...],
    failed: bool,
    lost: bool,
    tasks: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Try again what has failed, was lost or was cancelled: the same job and tasks, new attempts.

    A job that has ended goes on by that. What runs is left alone, and so is what has succeeded; jobs that waited for
    this one, and have ended, stay as they are.
    """
    from cluster.cli.connection import client

    if failed and lost:
        raise InvalidInput("--failed and --lost exclude each other: what was lost has failed too")
    wanted = [
        _chosen(text, tasks, TaskState.FAILED.word if failed else endings.LOST if lost else "") for text in selectors
    ]

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.retry(*wanted)

    jobs, count = asyncio.run(work())
    numbers = ", ".join(str(job.number) for job in jobs)
    words = f"job {numbers}: {count} task{' is' if count == 1 else 's are'} tried again"
    tell_changed(jobs, ("tasks", count), words, as_json=as_json, quiet=quiet)


def _chosen(selector: str, tasks: str, condition: str) -> str:
    """The selector with what the flags say of its tasks."""
    if tasks and names_tasks(selector):
        raise InvalidInput(f"{selector}: it names tasks, and so does --tasks {tasks}; give one of them")
    return selector + (f".{tasks}" if tasks else "") + (f":{condition}" if condition else "")


@click.command()
@click.argument("selector", shell_complete=jobs_here)
@click.option("--once", is_flag=True, help="Of a job that comes again (--every), make one run more, now.")
@as_json
@quiet
@connection
@click.pass_context
def rerun(ctx: click.Context, selector: str, once: bool, as_json: bool, quiet: bool) -> None:
    """Run a whole job again, as a new job with the same spec, and return.

    `cluster job show` tells of the new one which it repeats. A time of --at or --deadline that is over is left out. A
    job that comes again (--every) makes a second one that does, unless --once is given.
    """
    from cluster.cli.connection import client
    from cluster.cli.render import job_json, print_json

    async def work() -> Job:
        async with client(ctx) as cluster:
            return await cluster.rerun(selector, once=once)

    job = asyncio.run(work())
    if as_json:
        print_json(job_json(job))
    elif quiet:
        print(job.number)
    else:
        print(f"job {job.number} submitted, as job {job.rerun_of} was")
    if job.spec.every and not quiet:
        words = f"job {job.number} comes again (--every), beside job {job.rerun_of}; `cluster job cancel` ends either"
        print(f"cluster: {words}; --once runs it once, now", file=sys.stderr)
    sys.stdout.flush()
