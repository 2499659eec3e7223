"""`cluster job history` and `cluster job stats`: jobs that have ended, and what their attempts took."""

import asyncio
from typing import Any

import click

from cluster.cli.options import COUNT, PAST, as_json, connection, quiet
from cluster.cli.render import USUAL_LIMIT
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import HistoryPage, JobStats
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_cpus, format_duration, format_size
from cluster.domain.job.spread import Spread
from cluster.domain.job.states import ENDED, TaskState


@click.command()
@click.option("--since", type=PAST, help="Only what ended since then: 7d ago, or 2026-11-20T18:30.")
@click.option("--until", type=PAST, help="Only what ended before that.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.word for state in ENDED]),
    help="Only what ended so. Repeatable.",
)
@click.option("--failed", is_flag=True, help="The same as --state failed.")
@click.option("--user", default="", metavar="USER", help="Only this user's jobs.")
@click.option("--name", default="", metavar="NAME", help="Only jobs of this name.")
@click.option("--limit", type=COUNT, default=USUAL_LIMIT, show_default=True, help="At most so many; 0: all.")
@click.option("--page", default="", metavar="PAGE", help="Go on where a list ended that named this page.")
@as_json
@quiet
@connection
@click.pass_context
def history(
    ctx: click.Context,
    since: float | None,
    until: float | None,
    states: tuple[str, ...],
    failed: bool,
    user: str,
    name: str,
    limit: int,
    page: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """List jobs that have ended, the one that ended last first, with what they took.

    A time is so long ago (7d, 1h30m), a date, or a date and time; without a zone it is in yours.
    """
    from cluster.cli.connection import client
    from cluster.cli.history_table import print_history

    if since is not None and until is not None and since >= until:
        raise InvalidInput("--since is not before --until: nothing can have ended between them")
    wanted: dict[str, Any] = {"since": since or 0.0, "until": until or 0.0, "user": user, "name": name}
    wanted["states"] = [TaskState[word.upper()] for word in dict.fromkeys((*states, *["failed"] * failed))]

    async def work() -> HistoryPage:
        async with client(ctx) as cluster:
            return await cluster.history(**wanted, limit=limit, page=page)

    found = asyncio.run(work())
    print_history(found.jobs, found.next, as_json=as_json, quiet=quiet)


@click.command()
@click.argument("selector", metavar="NAME", shell_complete=jobs_here)
@as_json
@connection
@click.pass_context
def stats(ctx: click.Context, selector: str, as_json: bool) -> None:
    """Tell how long the jobs of a name take, or one job, with how many cpus and how much memory; and what to ask for.

    It is about the last 10,000 attempts that have ended, of the newest 500 jobs at most.
    """
    from cluster.cli.connection import client
    from cluster.cli.render import print_json

    async def work() -> JobStats:
        async with client(ctx) as cluster:
            return await cluster.stats(selector)

    found = asyncio.run(work())
    if as_json:
        print_json(_stats_json(found))
    else:
        _print_stats(found)


def _stats_json(found: JobStats) -> dict[str, Any]:
    from cluster.cli.render import iso

    spreads = {name: getattr(found, name) for name in ("run_seconds", "cpus", "peak_memory_bytes")}
    return {
        "jobs": {"first": found.first_job, "last": found.last_job, "count": found.jobs, "more": found.more},
        "attempts": found.attempts,
        "failed": found.failed,
        "failures": [{"reason": reason, "attempts": count} for reason, count in found.failures],
        "since": iso(found.since),
        "until": iso(found.until),
        **{name: spread._asdict() if spread.of else None for name, spread in spreads.items()},
        "asked": {"cpus": found.asked_millicpus / 1000, "memory_bytes": found.asked_memory or None},
        "proposed": {
            "cpus": found.proposed_millicpus / 1000 or None,
            "cpus_because": found.cpus_because or None,
            "memory_bytes": found.proposed_memory or None,
            "memory_because": found.memory_because or None,
        },
    }


def _print_stats(found: JobStats) -> None:
    from cluster.cli.render import iso
    from cluster.cli.table import print_facts, print_table

    one = found.jobs == 1
    failures = ", ".join(f"{count} {reason}" for reason, count in found.failures)
    part = f"{found.failed} ({found.failed / found.attempts:.0%}): {failures}" if found.failed else "none"
    print_facts(
        ("jobs", f"{found.last_job}" if one else f"{found.jobs}, from {found.first_job} to {found.last_job}"),
        ("attempts", f"{found.attempts}{', the last ones: what was before was not looked at' if found.more else ''}"),
        ("ended", "" if not found.until else f"{iso(found.since)} to {iso(found.until)}"),
        ("failed", part),
    )
    print()
    rows = [
        ("run time", found.run_seconds, format_duration),
        ("cpus", found.cpus, lambda number: f"{number:.2f}"),
        ("memory", found.peak_memory_bytes, lambda number: format_size(int(number))),
    ]
    print_table(("", "MEDIAN", "P95", "MOST", "OF"), [(word, *_cells(spread, shown)) for word, spread, shown in rows])
    print()
    if found.proposed_millicpus:
        print(f"--cpus {format_cpus(found.proposed_millicpus)}: {found.cpus_because}")
    if found.proposed_memory:
        print(f"--mem {_typed(found.proposed_memory)}: {found.memory_because}")
    if not (found.proposed_millicpus or found.proposed_memory):
        print("nothing to propose: none ran for 0.1 s, or none was measured")


def _cells(spread: Spread, shown: Any) -> tuple[str, ...]:
    if not spread.of:
        return "-", "-", "-", "0"
    return shown(spread.median), shown(spread.p95), shown(spread.most), str(spread.of)


def _typed(size: int) -> str:
    """As --mem takes it: whole MiB, or GiB where it is that."""
    gib, mib = 1 << 30, 1 << 20
    return f"{size // gib}G" if size % gib == 0 else f"{size // mib}M" if size % mib == 0 else str(size)
