"""`cluster job delete`, `pin` and `unpin`, and `cluster prune`: what is kept, and what goes."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cluster.cli.confirmation import confirm
from cluster.cli.options import Parsed, as_json, connection, quiet, yes
from cluster.cli.tab_completion import jobs_here
from cluster.client.types import Deleted, Pruned
from cluster.domain.base.quantities import format_size
from cluster.domain.scheduler.retention import parse_keep, parse_keep_age

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient

KEEP = Parsed("keep", lambda text: str(parse_keep(text)))
KEEP_AGE = Parsed("keep", lambda text: str(parse_keep_age(text)))


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@yes
@as_json
@quiet
@connection
@click.pass_context
def delete(ctx: click.Context, selectors: tuple[str, ...], yes: bool, as_json: bool, quiet: bool) -> None:
    """Delete jobs that have ended: all that is known of them, and what they have written.

    All that are named go, or none: not where one has not ended, is pinned, or is needed by a job that goes on. Of `all`
    such jobs stay.
    """
    from cluster.cli.connection import client
    from cluster.cli.progress import told
    from cluster.cli.render import print_json

    async def work() -> Deleted:
        async with client(ctx) as cluster:
            return await told(cluster.delete(*selectors), f"deleting {_named(selectors)}", quiet)

    if not yes:
        confirm(f"Delete {_named(selectors)}, and what was written, for good?")
    done = asyncio.run(work())
    if as_json:
        print_json({"deleted_jobs": done.total, "kept_jobs": done.kept, "jobs": list(done.jobs)})
    elif quiet:
        _print_numbers(done.jobs)
    else:
        print(f"deleted {_jobs(done.total)}{f'; {done.kept} must be kept' if done.kept else ''}")


def _named(selectors: Sequence[str]) -> str:
    if "all" in selectors:
        return "all jobs that have ended"
    return f"job{'' if len(selectors) == 1 else 's'} {', '.join(selectors)}"


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@as_json
@quiet
@connection
@click.pass_context
def pin(ctx: click.Context, selectors: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Keep jobs and what they have written, however old they become and whatever they take, until `cluster job unpin`.

    Nobody deletes a pinned job.
    """
    _pin(ctx, selectors, True, as_json, quiet)


@click.command()
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@as_json
@quiet
@connection
@click.pass_context
def unpin(ctx: click.Context, selectors: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Keep jobs as long as others of their age again."""
    _pin(ctx, selectors, False, as_json, quiet)


def _pin(ctx: click.Context, selectors: Sequence[str], pinned: bool, as_json: bool, quiet: bool) -> None:
    from cluster.cli.connection import client
    from cluster.cli.render import print_json

    async def work() -> tuple[tuple[int, ...], int]:
        async with client(ctx) as cluster:
            return await (cluster.pin(*selectors) if pinned else cluster.unpin(*selectors))

    jobs, count = asyncio.run(work())
    word = "pinned" if pinned else "unpinned"
    if as_json:
        print_json({f"{word}_jobs": count, "jobs": list(jobs)})
    elif quiet:
        _print_numbers(jobs)
    elif count:
        print(f"{word} {_jobs(count)}")
    else:
        print(f"nothing to {word[:-2].removesuffix('n')}: {'all were' if pinned else 'none was'} pinned")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go, and how much that is.")
@click.option("--keep-jobs", type=KEEP, metavar="AGE,SIZE", help="So long, or so much, this once (90d, 5GB).")
@click.option("--keep-output", type=KEEP, metavar="AGE,SIZE", help="The same of what jobs have written.")
@click.option("--keep-files", type=KEEP, metavar="AGE,SIZE", help="The same of what was uploaded, and of results.")
@click.option("--keep-usage", type=KEEP_AGE, metavar="AGE", help="So long what `cluster usage` sums up.")
@yes
@as_json
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@connection
@click.pass_context
def prune(
    ctx: click.Context,
    dry_run: bool,
    keep_jobs: str | None,
    keep_output: str | None,
    keep_files: str | None,
    keep_usage: str | None,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Delete now what is kept no longer: jobs that have ended, and of others what they have written, and their files.

    The scheduler does so by itself, as its --keep-jobs, --keep-output, --keep-files, --keep-usage and --user-output
    say. Here other limits may be given, for once. Returns when the room was given back.
    """
    from cluster.cli.connection import client
    from cluster.cli.progress import told
    from cluster.cli.render import print_json

    async def pruned(cluster: "AsyncClient", dry_run: bool) -> Pruned:
        limits = {"keep_jobs": keep_jobs, "keep_output": keep_output, "keep_files": keep_files}
        limits["keep_usage"] = keep_usage
        call = cluster.prune(**{name: text or "" for name, text in limits.items()}, dry_run=dry_run)
        return await told(call, "looking" if dry_run else "deleting", quiet)

    async def work(dry_run: bool) -> Pruned:
        async with client(ctx) as cluster:
            return await pruned(cluster, dry_run)

    if not (dry_run or yes):
        confirm(f"{_told(asyncio.run(work(True)), 'would go')}. Delete that for good?")
    done = asyncio.run(work(dry_run))
    if as_json:
        print_json({"dry_run": dry_run, **done._asdict()})
    else:
        print(_told(done, "would go" if dry_run else "deleted"))


def _told(done: Pruned, what: str) -> str:
    kept = f"kept: jobs {done.keep_jobs}, output {done.keep_output}, files {done.keep_files}, usage {done.keep_usage}"
    usage = (
        f", and what was used on {done.usage_days} day{'' if done.usage_days == 1 else 's'}" if done.usage_days else ""
    )
    if not (done.jobs or done.outputs or done.files or done.usage_days):
        return f"nothing {'would go' if what == 'would go' else 'was to be deleted'} ({kept})"
    more = {"output": done.outputs, "files": done.files}
    others = "".join(f" and the {kind} of {count} more" for kind, count in more.items() if count)
    sizes = f"{format_size(done.job_bytes)} of the database, {format_size(done.output_bytes)} of output"
    files = f", {format_size(done.file_bytes)} of files" if done.files else ""
    return f"{what}: {_jobs(done.jobs)}{others}: {sizes}{files}{usage} ({kept})"


def _print_numbers(jobs: Sequence[int]) -> None:
    print("".join(f"{job}\n" for job in jobs), end="")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
