"""`cluster job set`: what may be changed of jobs that were handed in."""

import asyncio

import click

from cluster.cli.changed_jobs import tell_changed
from cluster.cli.options import Parsed, as_json, connection, quiet
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import PRIORITY


@click.command("set")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...")
@click.option(
    "--priority",
    type=Parsed("priority", PRIORITY.parse),
    metavar="N",
    help="Go before jobs of lower priority: -1000 to 1000. Only admins raise it.",
)
@as_json
@quiet
@connection
@click.pass_context
def set_command(
    ctx: click.Context, selectors: tuple[str, ...], priority: int | None, as_json: bool, quiet: bool
) -> None:
    """Change the priority of jobs that have not ended. What runs goes on."""
    from cluster.cli.connection import client

    if priority is None:
        raise InvalidInput("nothing is to be changed: give --priority N")

    async def work() -> tuple[tuple[Job, ...], int]:
        async with client(ctx) as cluster:
            return await cluster.set_priority(*selectors, priority=priority)

    jobs, count = asyncio.run(work())
    said = f"priority {priority} for {count} job{'' if count == 1 else 's'}"
    words = said if count else "nothing to change: all have it already, or have ended"
    tell_changed(jobs, ("changed_jobs", count), words, as_json=as_json, quiet=quiet)
