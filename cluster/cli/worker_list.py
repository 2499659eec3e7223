"""`cluster worker list` and `cluster worker show`: which workers there are, and why one takes nothing."""

import asyncio
import sys
import time
from collections.abc import Iterator

import click

from cluster.cli.options import as_json, connection, quiet
from cluster.cli.tab_completion import workers_here
from cluster.client.types import Worker
from cluster.domain.base.errors import NotFound
from cluster.domain.base.printable import printable
from cluster.domain.job.amounts import GPUS, MEMORY, format_amount
from cluster.domain.scheduler.worker_states import WorkerState


@click.command("list")
@as_json
@quiet
@connection
@click.pass_context
def list_workers(ctx: click.Context, /, as_json: bool, quiet: bool) -> None:
    """List the workers: state, capacity, use."""
    from cluster.cli.render import print_json, worker_json
    from cluster.cli.table import print_table

    workers = _all(ctx)
    if as_json:
        print_json([worker_json(worker) for worker in workers])
    elif quiet:
        print("".join(f"{worker.id}\n" for worker in workers), end="")
    else:
        now = time.time()
        heads = ("WORKER", "STATE", "CPUS", "USED", "MEM", "GPUS", "RUNNING", "ASSIGNED", "HEARD", "ADDRESS", "ID")
        print_table(heads, [_row(worker, now) for worker in workers])
        if sys.stderr.isatty() and any(w.state in (WorkerState.OFFLINE, WorkerState.UNREACHABLE) for w in workers):
            print("`cluster worker remove ID` takes a machine off the list that will not come back", file=sys.stderr)
        for worker in workers:
            for why in _why_not(worker, now):
                print(f"cluster: worker {worker.name} takes nothing until {printable(why)}", file=sys.stderr)
            if leaving := _leaving(worker, now):
                print(f"cluster: worker {worker.name} leaves {leaving}", file=sys.stderr)


@click.command()
@click.argument("name", metavar="WORKER", shell_complete=workers_here)
@as_json
@quiet
@connection
@click.pass_context
def show(ctx: click.Context, /, name: str, as_json: bool, quiet: bool) -> None:
    """Tell all about a worker, by its id or name."""
    from cluster.cli.render import ago, iso, print_json, worker_json
    from cluster.cli.table import print_facts
    from cluster.domain.base.quantities import format_cpus

    found = [worker for worker in _all(ctx) if name in (worker.id, worker.name)]
    if not found:
        raise NotFound(f"there is no worker {name!r}; `cluster worker list` shows those there are")
    worker, now = found[0], time.time()
    if as_json:
        print_json(worker_json(worker))
    elif quiet:
        print(worker.id)
    else:
        print_facts(
            ("worker", f"{worker.name}  {worker.id}"),
            ("state", worker.state.word),
            *(("takes nothing", f"until {why}") for why in _why_not(worker, now)),
            ("leaves", _leaving(worker, now)),
            ("cpus", f"{format_cpus(worker.used_millicpus)} of {format_cpus(worker.millicpus)} in use"),
            *_resources(worker),
            ("sandbox", worker.offer.sandbox),
            ("labels", ", ".join(f"{name}={value}" for name, value in worker.offer.labels)),
            ("tasks", f"{worker.running} running, {worker.assigned} assigned"),
            ("address", worker.address),
            ("elsewhere", _elsewhere(worker)),
            ("version", worker.version),
            ("registered", iso(worker.registered_at)),
            ("heard", ago(worker.last_heard_at, now)),
        )


def _elsewhere(worker: Worker) -> str:
    """What it is called there, and more about that."""
    elsewhere = worker.offer.elsewhere
    facts = ", ".join(f"{name}={value}" for name, value in elsewhere.metadata)
    return f"{elsewhere.external_id}  {facts}".strip()


def _all(ctx: click.Context) -> tuple[Worker, ...]:
    from cluster.cli.connection import client

    async def work() -> tuple[Worker, ...]:
        async with client(ctx) as cluster:
            return await cluster.workers()

    return asyncio.run(work())


def _row(worker: Worker, now: float) -> tuple[str, ...]:
    from cluster.cli.render import ago
    from cluster.domain.base.quantities import format_cpus

    amounts = worker.offer.amounts
    return (
        worker.name,
        worker.state.word,
        format_cpus(worker.millicpus),
        format_cpus(worker.used_millicpus),
        format_amount(MEMORY, amounts[MEMORY]) if MEMORY in amounts else "-",
        str(amounts.get(GPUS, "-")),
        str(worker.running),
        str(worker.assigned),
        ago(worker.last_heard_at, now),
        worker.address or "-",
        worker.id,
    )


def _resources(worker: Worker) -> Iterator[tuple[str, str]]:
    """What it has beside cpus, and how much of that is in use."""
    offer = worker.offer
    for name, amount in sorted(offer.amounts.items()):
        ids = f" ({', '.join(offer.gpus)})" if name == GPUS else ""
        used = format_amount(name, worker.taken.get(name, 0))
        limit = "" if name != MEMORY or offer.limits_memory else "; only promised: no cgroup limits it here"
        yield name, f"{used} of {format_amount(name, amount)} in use{ids}{limit}"


def _why_not(worker: Worker, now: float) -> Iterator[str]:
    """Until when it takes nothing, and why, for people; nothing where it takes work, and where its state says it."""
    from cluster.cli.render import ago

    if worker.no_room:
        yield f"it has room: {worker.no_room}"
    if worker.trouble:
        yield f"it can start jobs: {worker.trouble}"
    if drain := worker.drain:
        why = [drain.reason, f"drained by {drain.by}", ago(drain.since, now)]
        if drain.deadline and worker.running + worker.assigned:
            why.append(f"what runs is stopped {_when(drain.deadline, now)}")
        yield f"it is resumed: {', '.join(filter(None, why))}"


def _leaving(worker: Worker, now: float) -> str:
    """When it does, for people; empty: it stays."""
    if not worker.leaves_at:
        return ""
    if worker.leaves_at > now:
        return f"{_when(worker.leaves_at, now)}, and takes what ends before (--time-request, --timeout)"
    return "when what it holds has ended, and takes nothing more"


def _when(at: float, now: float) -> str:
    from cluster.domain.base.quantities import format_duration

    return f"in {format_duration(at - now)}" if at > now else "now"
