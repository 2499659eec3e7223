"""`cluster up` and `cluster down`: the embedded cluster."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from cluster.cli.options import CPUS, yes
from cluster.cli.submit_warnings import remark
from cluster.client.config import state_root
from cluster.client.discovery import LOGIN, choose, local_endpoint
from cluster.domain.base.errors import ClusterError
from cluster.domain.base.printable import printable

SHOWN = 20  # numbers of jobs in one line


@click.command("up")
@click.option("--cpus", type=CPUS, help="CPUs that its worker offers (default: all that there are).")
def up_command(cpus: int | None) -> None:
    """Start a scheduler and a worker on this machine, in the background.

    They listen on this machine only. Doing it twice does no harm, and changes nothing. `cluster run` does it by
    itself when no cluster is configured.
    """
    from cluster.cli.embedded import up

    lines = up(state_root(), cpus)
    print("\n".join(lines) or "the cluster on this machine runs already")
    named = choose()
    elsewhere = named["scheduler"] if named["scheduler"].value else named["at"]
    if elsewhere.value:
        leave = "`cluster logout` leads here" if elsewhere.source == LOGIN else "without that they come here"
        remark(f"`cluster run` and `cluster job` go to {elsewhere.value} ({elsewhere.source}) all the same; {leave}")


@click.command("down")
@yes
def down_command(yes: bool) -> None:
    """Stop the cluster that `up` or `run` started here, with the jobs that run on it.

    Jobs that wait are kept: they go on after the next `up`. Only on a terminal it asks before it stops what runs.
    """
    from cluster.cli.confirmation import confirm, is_terminal
    from cluster.cli.embedded import down, is_running

    root = state_root()
    running: list[int] = []
    if is_running(root):
        asks = not yes and is_terminal()
        try:
            running = asyncio.run(_running(root))
        except ClusterError as error:  # one that has failed is stopped in order to be started again
            if asks:
                confirm(f"{printable(str(error))}. Jobs that run here will be killed. Stop all the same?")
        else:
            if running and asks:
                number = len(running)
                confirm(f"{number} job{'s' if number > 1 else ''} running here will be killed. Stop?")
    lines = down(root)
    if running:
        lines.append(f"{'these jobs' if len(running) > 1 else 'this job'} ran: {_some(running)}")
    print("\n".join(lines) or "no cluster that `cluster up` started runs here")


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:SHOWN])) + (f" and {len(numbers) - SHOWN} more" if numbers[SHOWN:] else "")


async def _running(root: Path) -> list[int]:
    """The jobs that run. ClusterError when the scheduler does not say."""
    from cluster.client.aio import AsyncClient
    from cluster.domain.job.states import TaskState

    async with AsyncClient(local_endpoint(root)) as client:
        return sorted(job.number for job in await client.list(states=[TaskState.RUNNING]))
