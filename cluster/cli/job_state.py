"""`cluster job state`: values that a job sets for other jobs to read."""

import asyncio
import sys

import click

from cluster.cli.lazy import LazyGroup
from cluster.cli.options import as_json, connection
from cluster.cli.tab_completion import jobs_here
from cluster.client.inside import inside_job
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.printable import printable

COMMANDS = {
    "set": ("cluster.cli.job_state:set_state", "Inside a job: keep values for others to read."),
    "get": ("cluster.cli.job_state:get_state", "Print what a job keeps."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def state() -> None:
    """Values that jobs set for other jobs to read: short texts, each with a key."""


@click.command("set")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
@connection
@click.pass_context
def set_state(ctx: click.Context, values: tuple[str, ...]) -> None:
    """Inside a job: set values that others can read, while the job runs and afterwards.

    The job's tasks and attempts share them; a key that exists gets the new value.
    """
    from cluster.cli.connection import client

    pairs = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"{text!r}: give KEY=VALUE")
        pairs[key] = value

    async def work() -> None:
        async with client(ctx) as cluster:
            await cluster.set_state(**pairs)

    asyncio.run(work())


@click.command("get")
@click.argument("selector", metavar="[JOB]", default="", shell_complete=jobs_here)
@click.argument("key", default="")
@as_json
@connection
@click.pass_context
def get_state(ctx: click.Context, selector: str, key: str, as_json: bool) -> None:
    """Print the values that a job has set, a line for each key, or the value of one key.

    Inside a job the first may be left out: it is that job then. `cluster job state get "$CLUSTER_JOB" KEY` prints one.
    """
    from cluster.cli.connection import client
    from cluster.cli.render import print_json

    inside = inside_job()
    selector = selector or (inside.job if inside else "")
    if not selector:
        raise click.MissingParameter("inside a job it may be left out", ctx, param_hint="'JOB'", param_type="argument")

    async def work() -> dict[str, str]:
        async with client(ctx) as cluster:
            return dict(await cluster.state(selector))

    found = asyncio.run(work())
    if key and key not in found:
        known = f"it has {', '.join(found)}" if found else "it keeps nothing"
        raise NotFound(f"job {selector} keeps no {key!r}: {known}")
    if as_json:
        print_json(found[key] if key else found)
    elif key:
        print(printable(found[key]) if sys.stdout.isatty() else found[key])
    else:
        print("".join(f"{printable(name)}={printable(value)}\n" for name, value in found.items()), end="")
