"""`cluster up` and `cluster down`: the embedded cluster."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from cluster.cli.http_door import full_listen, http_plain, where_it_serves
from cluster.cli.options import CPUS, yes
from cluster.cli.remarks import remark
from cluster.client.config import state_root
from cluster.client.discovery import LOGIN, choose, local_endpoint
from cluster.client.inside import inside_job
from cluster.domain.base.errors import ClusterError, NotPermitted
from cluster.domain.base.printable import printable

SHOWN = 20  # numbers of jobs in one line


@click.command("up")
@click.option("--cpus", type=CPUS, help="CPUs that its worker offers (default: all that there are).")
@click.option(
    "--http",
    default="",
    is_flag=False,
    flag_value="127.0.0.1:5000",
    metavar="[HOST:PORT]",
    help="Serve HTTP, too (default: on 127.0.0.1:5000).",
)
@http_plain
def up_command(cpus: int | None, http: str, http_plain: str | None) -> None:
    """Start a scheduler and a worker on this machine, in the background.

    They listen on this machine only. Doing it twice does no harm, and changes nothing. `cluster run` does it by
    itself when no cluster is configured.
    """
    from cluster.cli.embedded import up

    root = state_root()
    _refuse_in_a_job_of(root)
    listen = full_listen(http, http_plain) if http else ""
    door = [f"--http={listen}"] if http else []
    lines = up(root, cpus, [*door, *([f"--http-plain={http_plain}"] if door and http_plain else [])])
    print("\n".join(lines) or "the cluster on this machine runs already")
    if listen and (where := where_it_serves(listen, http_plain)):
        print(where)
    named = choose()
    elsewhere = named["scheduler"] if named["scheduler"].value else named["direct"]
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
    _refuse_in_a_job_of(root)
    running: list[int] = []
    elsewhere: list[int] = []
    if is_running(root):
        asks = not yes and is_terminal()
        try:
            running, elsewhere = asyncio.run(_running(root))
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
    if elsewhere:
        lines.append(f"on other workers these go on, for 45 s (--lost-after) without a scheduler: {_some(elsewhere)}")
    print("\n".join(lines) or "no cluster that `cluster up` started runs here")


def _refuse_in_a_job_of(root: Path) -> None:
    """NotPermitted inside a job, unless it has named a place that is not its cluster's: a stop would end the job itself
    with its worker, before it got to the scheduler, and what it starts would end with it."""
    inside = inside_job()
    if inside and (not os.environ.get("CLUSTER_HOME") or Path(inside.socket).is_relative_to(root.resolve())):
        raise NotPermitted("a job neither starts nor stops its cluster; --home DIR names a place for one of its own")


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:SHOWN])) + (f" and {len(numbers) - SHOWN} more" if numbers[SHOWN:] else "")


async def _running(root: Path) -> tuple[list[int], list[int]]:
    """The numbers of the jobs that run on the worker that `up` started, and of those that run on others alone.
    ClusterError when the scheduler does not say."""
    from cluster.client.aio import AsyncClient
    from cluster.domain.job.states import TaskState

    own = _id_of_worker(root)
    here: list[int] = []
    elsewhere: list[int] = []
    async with AsyncClient(local_endpoint(root)) as client:
        jobs = await client.list(states=[TaskState.RUNNING])
        has_others = any(worker.running for worker in await client.workers() if worker.id != own)
        for job in reversed(jobs):
            tasks = (await client.get(job.number, max_tasks=job.counts.running))[1] if has_others else ()
            is_elsewhere = bool(tasks) and all(task.worker_id != own for task in tasks)
            (elsewhere if is_elsewhere else here).append(job.number)
    return here, elsewhere


def _id_of_worker(root: Path) -> str:
    """The UUID of the worker that `up` started here; empty where it has not joined yet."""
    try:
        return str(json.loads((root / "worker" / "worker.json").read_bytes())["id"])
    except (OSError, ValueError, KeyError):
        return ""
