"""`cluster queue`: whether anything starts, of all jobs that are there and that come."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import click

from cluster.cli.lazy import LazyGroup
from cluster.cli.options import as_json, connection, silent
from cluster.client.aio import AsyncClient
from cluster.client.types import QueueStatus, Share
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus, format_duration

COMMANDS = {
    "show": ("cluster.cli.queue:show", "Tell whether anything starts, and how many jobs there are."),
    "pause": ("cluster.cli.queue:pause", "Let nothing more start."),
    "resume": ("cluster.cli.queue:resume", "Let jobs start again."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS, invoke_without_command=True)
@as_json
@connection
@click.pass_context
def queue(ctx: click.Context, as_json: bool) -> None:
    """Pause and resume the whole queue. Without a command after it, it shows the queue.

    `cluster job list` lists the jobs.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, as_json=as_json)
    elif as_json:
        ctx.default_map = {ctx.invoked_subcommand: {"as_json": as_json}}


@click.command()
@as_json
@connection
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show whether tasks start, how many jobs have not ended, and what each user has had."""
    _do(ctx, AsyncClient.queue, as_json=as_json)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever waits.")
@as_json
@silent
@connection
@click.pass_context
def pause(ctx: click.Context, reason: str, as_json: bool, quiet: bool) -> None:
    """Pause the queue: no task starts until `cluster queue resume`. For admins.

    Jobs are accepted all the same, and what runs goes on. The wish outlives the scheduler.
    """
    _do(ctx, lambda cluster: cluster.pause_queue(reason=reason), as_json=as_json, quiet=quiet)


@click.command()
@as_json
@silent
@connection
@click.pass_context
def resume(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """Resume the queue: tasks start again. For admins. Jobs that are paused themselves stay so."""
    _do(ctx, AsyncClient.resume_queue, as_json=as_json, quiet=quiet)


def _do(
    ctx: click.Context,
    call: Callable[[AsyncClient], Awaitable[QueueStatus]],
    *,
    as_json: bool,
    quiet: bool = False,
) -> None:
    from cluster.cli.connection import client
    from cluster.cli.render import pause_json, print_json
    from cluster.cli.table import print_table

    async def work() -> QueueStatus:
        async with client(ctx) as cluster:
            return await call(cluster)

    now = asyncio.run(work())
    if as_json:
        shares = [{**asdict(share), "held_cpus": share.held_millicpus / 1000} for share in now.shares]
        for share in shares:
            del share["held_millicpus"]
        print_json(
            {
                "paused": now.pause and pause_json(now.pause),
                "jobs": now.jobs,
                "paused_jobs": now.paused_jobs,
                "shares": shares,
            }
        )
        return
    if quiet:
        return
    how = f"is {now.pause.said(time.time())}" if now.pause else "takes work"
    print(printable(f"the queue {how}"))
    paused = f", {now.paused_jobs} of them paused" if now.paused_jobs else ""
    print(f"jobs that have not ended: {now.jobs}{paused}")
    if now.shares:
        rows = [_row(share) for share in now.shares]
        print()
        print_table(("USER", "SHARE", "CPU TIME LATELY", "CPUS NOW"), rows)


def _row(share: Share) -> tuple[str, ...]:
    lately = format_duration(share.used_cpu_seconds)
    return share.user, f"{share.weight:g}", lately, format_cpus(share.held_millicpus)
