"""`cluster job pause` and `cluster job resume`: jobs start nothing more, and go on."""

import asyncio

import click

from cluster.cli.changed_jobs import tell_changed
from cluster.cli.options import as_json, connection, quiet
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Job


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever looks at the job.")
@click.option("--stop-running", is_flag=True, help="Freeze what runs, too, until the job is resumed.")
@as_json
@quiet
@connection
@click.pass_context
def pause(
    ctx: click.Context, selectors: tuple[str, ...], reason: str, stop_running: bool, as_json: bool, quiet: bool
) -> None:
    """Let jobs start nothing more, until `cluster job resume`. What runs goes on.

    With --stop-running it stands still where it is, and so do its --timeout and --quiet-timeout; it keeps its cpus and
    its memory. A --deadline does not wait.

    The wish outlives the scheduler. What an admin has paused only an admin resumes.
    """
    from cluster.cli.connection import client

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.pause(*selectors, reason=reason, stop_running=stop_running)

    jobs, count = asyncio.run(work())
    frozen = sum(job.frozen for job in jobs)
    running = sum(job.counts.running for job in jobs) - frozen
    goes_on = f"; tasks that run, and go on: {running}" if running else ""
    stands = f"; tasks that run, and are frozen: {frozen}" if frozen else ""
    words = f"paused {_jobs(count)}{stands}{goes_on}" if count else "nothing to pause: all had ended"
    tell_changed(jobs, ("paused_jobs", count), words, as_json=as_json, quiet=quiet)


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@as_json
@quiet
@connection
@click.pass_context
def resume(ctx: click.Context, selectors: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Let jobs go on that were paused, or submitted with --hold."""
    from cluster.cli.connection import client

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.resume(*selectors)

    jobs, count = asyncio.run(work())
    words = f"resumed {_jobs(count)}" if count else "nothing to resume: none of these is paused"
    tell_changed(jobs, ("resumed_jobs", count), words, as_json=as_json, quiet=quiet)


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
