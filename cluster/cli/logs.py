"""`cluster job logs`: what jobs have written."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from cluster.cli.options import COUNT, as_json, connection, tag
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Output
from cluster.domain.base.errors import ClusterError
from cluster.domain.job import endings

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient

MOST_NOTES = 20  # tasks of which `logs` says why they could not be started


@click.command("logs")
@click.argument("selector", shell_complete=jobs_here)
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=COUNT, metavar="N", help="Only the last N lines of each stream.")
@click.option("--stdout", is_flag=True, help="Standard output only.")
@click.option("--stderr", is_flag=True, help="Standard error only.")
@tag
@as_json
@connection
@click.pass_context
def logs(
    ctx: click.Context,
    selector: str,
    follow: bool,
    tail: int | None,
    stdout: bool,
    stderr: bool,
    tag: bool,
    as_json: bool,
) -> None:
    """Print what a job has written, from its first byte: stdout to stdout, stderr to stderr.

    Arrays come in the order of their tasks. With --json each piece is an object on a line of its own.
    """
    from cluster.cli.connection import client
    from cluster.cli.line_tags import LineTags
    from cluster.cli.reader_watch import while_read
    from cluster.cli.render import note_of, output_json
    from cluster.cli.several_jobs import SeveralJobs
    from cluster.cli.writer import Writer

    both = stdout == stderr  # given both, or none

    tags = LineTags()
    writers = {False: Writer(sys.stdout.fileno()), True: Writer(sys.stderr.fileno())}

    async def show(piece: Output) -> None:
        if piece.note and not as_json:
            print(note_of(piece), file=sys.stderr)
            return
        data = output_json(piece) if as_json else tags.tagged(piece) if tag else piece.data
        await writers[piece.stderr and both and not as_json].write(data)

    async def work() -> None:
        silent, several = True, SeveralJobs(selector)
        async with client(ctx) as cluster:
            pieces = cluster.logs(selector, follow=follow, stdout=stdout or both, stderr=stderr or both, tail=tail)
            async for piece in pieces:
                silent = False
                if not as_json:
                    several.heard(piece.job)
                await show(piece)
            for of_stderr in (False, True):
                await writers[of_stderr and both].write(tags.rest(stderr=of_stderr))
            for note in await _why_not_started(cluster, selector) if silent else ():
                await show(note)

    asyncio.run(while_read(sys.stdout.fileno(), work()))


async def _why_not_started(cluster: "AsyncClient", selector: str) -> list[Output]:
    """Of one job that has no output: notes that say of its tasks why they could not be started, of MOST_NOTES at most.
    Empty: they could, or more jobs are meant."""
    try:
        job, tasks = await cluster.get(selector, max_tasks=MOST_NOTES)
    except ClusterError:
        return []
    unstarted = [task for task in tasks if endings.of_attempt(task.reason) == endings.LAUNCH_FAILED]
    return [
        Output(job.number, task.number, task.attempt, True, b"", 0, f"{task.reason}: {task.detail}")
        for task in unstarted
    ]
