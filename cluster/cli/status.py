"""`cluster status`: one screen that says what cluster this is, who we are in it, and what goes on."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import click

from cluster.cli.options import as_json, connection
from cluster.client.discovery import Endpoint
from cluster.client.types import Job, Worker
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus
from cluster.domain.job.states import TaskState

MOST = 1000  # jobs to count: beyond that their exact number is no news
NEWEST = 5  # jobs shown


@click.command()
@as_json
@connection
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Tell what cluster this is, who you are in it, what its workers have, and how many jobs run and wait."""
    from cluster.cli.connection import client
    from cluster.cli.render import print_json

    async def work() -> tuple[Endpoint, tuple[Worker, ...], tuple[Job, ...], tuple[Job, ...], tuple[Job, ...]]:
        async with client(ctx) as cluster:
            workers = () if cluster.endpoint.is_worker else await cluster.workers()
            running = await cluster.list(states=[TaskState.RUNNING], limit=MOST)
            waiting = await cluster.list(states=[TaskState.READY], limit=MOST)
            return cluster.endpoint, workers, running, waiting, await cluster.list(limit=NEWEST)

    endpoint, workers, running, waiting, newest = asyncio.run(work())
    if as_json:
        print_json(_json(endpoint, workers, running, waiting))
    else:
        _print(endpoint, workers, running, waiting, newest)


def _print(
    endpoint: Endpoint, workers: Sequence[Worker], running: Sequence[Job], waiting: Sequence[Job], newest: Sequence[Job]
) -> None:
    from cluster.cli.render import ago, command_of, iso, state_of, why_of
    from cluster.cli.table import print_table

    me = endpoint.certificate
    facts = [
        ("cluster", f"{me.identity.cluster_id} at {endpoint.address}{_what(endpoint)}"),
        ("you", f"{me.identity.name}, by a certificate until {iso(me.not_after)}"),
        ("workers", "" if endpoint.is_worker else _of_workers(workers)),
        ("jobs", f"{_count(running)} running, {_count(waiting)} waiting"),
    ]
    for name, value in facts:
        if value:
            print(f"{name:<9} {printable(value)}")
    if newest:
        now = time.time()
        print()
        print_table(
            ("JOB", "STATE", "SUBMITTED", "NAME", "COMMAND"),
            [
                (str(job.number), state_of(job) + why_of(job), ago(job.submitted_at, now), job.spec.name,
                 command_of(job.spec))
                for job in newest
            ],
        )  # fmt: skip


def _what(endpoint: Endpoint) -> str:
    if endpoint.is_worker:
        return ", one worker alone"
    return ", which `cluster up` started here" if endpoint.is_embedded else ""


def _of_workers(workers: Sequence[Worker]) -> str:
    """How many in which state, and of those that take jobs the cpus."""
    if not workers:
        return "none: `cluster token create` makes a line that adds one"
    states = [worker.state.word for worker in workers]
    counts = ", ".join(f"{states.count(word)} {word}" for word in dict.fromkeys(sorted(states)))
    used, offered = _cpus(workers)
    return f"{counts}; {format_cpus(used)} of {format_cpus(offered)} cpus in use"


def _cpus(workers: Sequence[Worker]) -> tuple[int, int]:
    """(used, offered) millicpus of workers that are online."""
    online = [worker for worker in workers if worker.state.word == "online"]
    return sum(worker.used_millicpus for worker in online), sum(worker.millicpus for worker in online)


def _count(jobs: Sequence[Job]) -> str:
    return f"{MOST} or more" if len(jobs) >= MOST else str(len(jobs))


def _json(
    endpoint: Endpoint, workers: Sequence[Worker], running: Sequence[Job], waiting: Sequence[Job]
) -> dict[str, Any]:
    """Of jobs at most MOST in each state are counted."""
    from cluster.cli.render import iso

    used, offered = _cpus(workers)
    me = endpoint.certificate
    return {
        "cluster": me.identity.cluster_id,
        "address": endpoint.address,
        "one_worker": endpoint.is_worker,
        "started_by_up": endpoint.is_embedded,
        "user": me.identity.name,
        "certificate_until": iso(me.not_after),
        "workers": {state: sum(w.state.word == state for w in workers) for state in {w.state.word for w in workers}},
        "cpus": offered / 1000,
        "cpus_used": used / 1000,
        "jobs_running": len(running),
        "jobs_waiting": len(waiting),
    }
