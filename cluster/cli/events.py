"""`cluster events`: what has happened to jobs and workers, and what happens."""

import asyncio
import sys
from contextlib import aclosing

import click

from cluster.cli.options import COUNT, connection
from cluster.cli.reader_watch import while_read
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import ClusterEvent
from cluster.domain.base.printable import printable
from cluster.domain.job import endings
from cluster.domain.scheduler.event_records import as_told


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "--since",
    type=COUNT,
    metavar="NUMBER",
    help="Only what came after the event of that number; 0: all that is kept.",
)
@click.option(
    "--job",
    "jobs",
    multiple=True,
    metavar="JOB",
    help="Only these jobs: numbers, names, UUIDs. Repeatable.",
    shell_complete=jobs_here,
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@connection
@click.pass_context
def events(ctx: click.Context, follow: bool, since: int | None, jobs: tuple[str, ...], as_json: bool) -> None:
    """Tell what has happened to jobs, workers and the queue; with --follow what happens.

    Each event has a number. Who passes the last one seen to --since misses nothing, whoever restarts meanwhile.
    Without --since, --follow begins with what comes; else all is told that is kept: the last hundred thousand.
    """
    start = since if since is not None or follow else 0
    work = _print(ctx, start, jobs, follow=follow, as_json=as_json)
    asyncio.run(while_read(sys.stdout.fileno(), work))


async def _print(ctx: click.Context, since: int | None, jobs: tuple[str, ...], *, follow: bool, as_json: bool) -> None:
    from cluster.cli.connection import client

    async with client(ctx) as cluster, aclosing(cluster.events(*jobs, since=since, follow=follow)) as found:
        async for event in found:
            print(_json(event) if as_json else _line(event), flush=follow)


def _json(event: ClusterEvent) -> str:
    from cluster.cli.json_text import json_text

    return json_text(as_told(event), seen=sys.stdout.isatty())


def _line(event: ClusterEvent) -> str:
    from cluster.cli.render import iso

    return printable(f"{event.sequence} {iso(event.at)} {sentence(event)}")


def sentence(event: ClusterEvent) -> str:
    """What has happened, for people."""
    what, _, happened = event.kind.partition(".")
    words = [what, happened.replace("_", " ")]
    if what == "jobs":
        words = ["job" if event.count == 1 else f"{event.count} jobs", event.tasks, happened]
    elif event.job:
        job = f"job {event.job}{f' ({event.name})' if event.name else ''}"
        words = [job, _tasks(event), happened] if what == "tasks" else [job, happened]
    elif event.worker:
        words = ["worker", event.worker, happened]
    if event.state and event.state != happened:
        words.append(event.state)
    if event.by:
        words.append(f"by {event.by}")
    if event.worker and event.job:
        words.append(f"on {event.worker}")
    because = [text for text in (event.reason if event.reason != endings.OK else "", event.detail) if text]
    return " ".join(word for word in words if word) + (f": {'; '.join(because)}" if because else "")


def _tasks(event: ClusterEvent) -> str:
    if not event.tasks:
        return f"attempt {event.attempt}"
    return f"{'task' if event.count == 1 else f'{event.count} tasks'} {event.tasks}, attempt {event.attempt},"
