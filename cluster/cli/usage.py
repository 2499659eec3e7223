"""`cluster usage`: what was used, by users, names of jobs or workers; and what `job show` says of one job."""

import asyncio
import sys
from typing import Any

import click

from cluster.cli.options import COUNT, PAST, as_json, connection
from cluster.client.job_fields import Used
from cluster.client.past import KINDS
from cluster.client.types import Job, UsageReport, UsageRow
from cluster.domain.base.quantities import format_duration, format_size

SECONDS_OF_A_DAY = 86_400


@click.command()
@click.option("--by", type=click.Choice(KINDS), default="user", show_default=True, help="What it is summed up by.")
@click.option("--since", type=PAST, help="From that day on: 7d ago, or 2026-11-20. Days are those of UTC.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many, those with most CPU time.")
@as_json
@connection
@click.pass_context
def usage(ctx: click.Context, by: str, since: float | None, limit: int, as_json: bool) -> None:
    """Tell what the attempts of jobs used that have ended: by users, by names of jobs, or by workers.

    The sums are kept day by day, and stay when jobs are deleted. A user sees what its own jobs used.
    """
    from cluster.cli.connection import client
    from cluster.cli.render import iso, print_json
    from cluster.cli.table import print_table

    if not limit:
        raise click.BadParameter("give 1 to 1000", ctx, param_hint="--limit")

    async def work() -> UsageReport:
        async with client(ctx) as cluster:
            return await cluster.usage(by=by, since=since or 0.0, limit=limit)

    found = asyncio.run(work())
    if as_json:
        rows = [_row_json(by, row) for row in found.rows]
        total = found.total._asdict()
        print_json({"by": by, "since": iso(found.since), "rows": rows, "more": found.more, "total": total})
        return
    heads = (by.upper(), "TASKS", "ATTEMPTS", "FAILED", "CPU", "RUN TIME", "WAIT", "MEMORY", "OUTPUT")
    rows_shown = [(_shown(row), *_cells(row.used)) for row in found.rows]
    if len(found.rows) + found.more > 1:
        rows_shown.append(("all", *_cells(found.total)))
    print_table(heads, rows_shown)
    sys.stdout.flush()
    if found.since and since and since % SECONDS_OF_A_DAY:
        print(f"cluster: since {iso(found.since)}, the beginning of that day in UTC", file=sys.stderr)
    if found.more:
        print(f"cluster: {found.more} with less CPU time are not shown; --limit N shows more", file=sys.stderr)


def _shown(row: UsageRow) -> str:
    return row.worker or row.key or "-"


def _row_json(by: str, row: UsageRow) -> dict[str, Any]:
    named = {"worker_id": row.key, "worker": row.worker or None} if by == "worker" else {by: row.key or None}
    return {**named, **row.used._asdict()}


def _cells(used: Used) -> tuple[str, ...]:
    counts = (str(used.tasks), str(used.attempts), str(used.failed))
    times = (used.cpu_seconds, used.run_seconds, used.wait_seconds)
    sizes = (used.peak_memory_bytes, used.output_bytes)
    return *counts, *map(format_duration, times), *(format_size(size) if size else "-" for size in sizes)


def used_facts(job: Job) -> list[tuple[str, str]]:
    """What `job show` says of what attempts of the job took: words and value. Nothing while none has ended."""
    used = job.used
    if not used.attempts:
        return []
    many, failed = used.attempts > 1, f", {used.failed} failed" if used.failed else ""
    mean = f" a task, {format_duration(used.wait_seconds)} in all" if used.tasks > 1 else ""
    return [
        ("waited", f"{format_duration(used.wait_seconds / max(1, used.tasks))}{mean}"),
        ("attempts", f"{used.attempts} ended{failed}" if many or job.is_array else ""),
        ("run time", f"{format_duration(used.run_seconds)} in all" if many else ""),
        ("cpu time", format_duration(used.cpu_seconds) if used.cpu_seconds else ""),
        ("peak memory", format_size(used.peak_memory_bytes) if used.peak_memory_bytes else ""),
        ("output", format_size(used.output_bytes)),
    ]
