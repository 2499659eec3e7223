"""`cluster worker drain` and `cluster worker resume`: machines are to be maintained, and nothing is to be lost."""

import asyncio
from collections.abc import Sequence

import click

from cluster.cli.options import DURATION, connection, silent
from cluster.cli.tab_completion import workers_here
from cluster.client.types import Worker
from cluster.domain.base.printable import printable
from cluster.domain.scheduler.worker_states import WorkerState


@click.command()
@click.argument("workers", metavar="WORKER...", nargs=-1, required=True, shell_complete=workers_here)
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who look at the workers or wait for them.")
@click.option(
    "--deadline",
    type=DURATION,
    help="Stop what still runs there after so long; it is tried again elsewhere if its job has retries.",
)
@silent
@connection
@click.pass_context
def drain(ctx: click.Context, /, workers: tuple[str, ...], reason: str, deadline: float | None, quiet: bool) -> None:
    """Let workers, by their ids or names, take nothing more, until `cluster worker resume`.

    What has not started there runs elsewhere, what runs goes on. A worker that holds nothing any more is listed as
    drained: then its machine may be stopped. Scheduler and worker may restart meanwhile.

    \b
    Examples:
      cluster worker drain box1 --reason 'new kernel'
      cluster worker drain box1 box2 --deadline 2h
      cluster worker list
    """
    from cluster.cli.connection import client

    async def work() -> tuple[Worker, ...]:
        async with client(ctx) as cluster:
            return await cluster.drain_workers(workers, reason=reason, within=deadline)

    _tell(asyncio.run(work()), quiet)


@click.command()
@click.argument("workers", metavar="WORKER...", nargs=-1, required=True, shell_complete=workers_here)
@silent
@connection
@click.pass_context
def resume(ctx: click.Context, /, workers: tuple[str, ...], quiet: bool) -> None:
    """Let workers that were drained, by their ids or names, take work again."""
    from cluster.cli.connection import client

    async def work() -> tuple[Worker, ...]:
        async with client(ctx) as cluster:
            return await cluster.resume_workers(workers)

    _tell(asyncio.run(work()), quiet)


def _tell(workers: Sequence[Worker], quiet: bool) -> None:
    for worker in () if quiet else workers:
        print(printable(f"worker {worker.name} {_how(worker)}"))


def _how(worker: Worker) -> str:
    """What has come of it, for people."""
    held = worker.running + worker.assigned
    gone = worker.state in (WorkerState.OFFLINE, WorkerState.UNREACHABLE)
    if worker.drain:
        left = f"tasks that it holds: {held}" if held else "it holds nothing"
        return f"takes nothing more; {f'it is {worker.state.word}, and ' if gone else ''}{left}"
    if worker.state is WorkerState.ONLINE:
        return "takes work"
    return f"is {worker.state.word}; {'when it is back ' if gone else ''}it is not drained"
