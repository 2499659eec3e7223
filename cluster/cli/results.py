"""`cluster job files` and `cluster job fetch`: what jobs have left for keeps (--out)."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cluster.cli.options import COUNT, as_json, connection, quiet
from cluster.cli.tab_completion import jobs_here
from cluster.client.fetching import FetchedTask
from cluster.client.results import TaskResults, entry_told
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_size
from cluster.domain.files.tree import Entry, EntryKind, shown
from cluster.domain.job.arrays import format_array
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.results import ResultsState

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient

MISSING = 1  # exit code where results are not here
MOST_LOOKED_AT = 10_000  # tasks of which it is told where their results are


def remarks_on(several: Iterable[TaskResults]) -> list[str]:
    """What is to be said about the results of tasks, a line each: of tasks of a job of which the same is to be said one
    line."""
    tasks: dict[tuple[int, str, str], list[TaskResults]] = {}
    for results in several:
        for before, after in _said_of(results):
            tasks.setdefault((results.job, before, after), []).append(results)
    return [f"{before}{_named(alike)}{after}" for (_, before, after), alike in tasks.items()]


def _said_of(results: TaskResults) -> Iterator[tuple[str, str]]:
    """What stands before the name of the task, and what behind it."""
    if results.state is ResultsState.COMING:
        yield "results of ", f" are still coming from worker {results.worker}"
    elif results.state is ResultsState.AWAY:
        what = "which is not connected: they come when it is back; fetch them then"
        yield "results of ", f" are on worker {results.worker}, {what}"
    for note in results.notes:
        yield "", f": {note}"


def _named(alike: Sequence[TaskResults]) -> str:
    """Attempts of one job, as one would select them."""
    if len(alike) == 1:
        return alike[0].name
    ranges = IntervalSet((each.task_number or 0, (each.task_number or 0) + 1) for each in alike).ranges()
    numbers = format_array([ArraySegment(start, stop - 1, 1) for start, stop in ranges])
    return f"{alike[0].job}.{numbers}"


async def still_missing(cluster: "AsyncClient", job: Job) -> str:
    """Why results of a job are not here yet, in words; empty: all are, or there are too many tasks to look at."""
    if job.results is None or not job.results.missing or job.spec.task_count > MOST_LOOKED_AT:
        return ""
    async with aclosing(cluster.results(job.number)) as several:
        where = Counter([(each.state, each.worker) async for each in several])
    words = {
        ResultsState.COMING: "being collected and sent by worker {}",
        ResultsState.AWAY: "on worker {}, which is not connected: they come when it is back",
    }
    return "; ".join(
        f"those of {count} {words[state].format(worker)}" for (state, worker), count in where.items() if state in words
    )


def tell_remarks(several: Iterable[TaskResults]) -> None:
    for line in remarks_on(several):
        print(f"cluster: {printable(line)}", file=sys.stderr)


def fetched_in_words(fetched: list[FetchedTask]) -> str:
    """What `fetch` has done."""
    files = sum(each.files for each in fetched)
    places = sorted({str(each.directory) for each in fetched if each.files})
    where = places[0] if len(places) == 1 else f"{len(places)} directories"
    if not files:
        return "there are no files to fetch"
    came = sum(each.came for each in fetched)
    size = f", of which {format_size(came)} came" if came else ", all of which were there already"
    return f"{files} file{'' if files == 1 else 's'} in {where}{size}"


@click.command("files")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@as_json
@quiet
@connection
@click.pass_context
def files(ctx: click.Context, selectors: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """List the files that jobs or tasks have left for keeps (--out), with sizes and SHA-256.

    Of each task its last attempt, or the one that is selected, as in 5.17#1.
    """
    from cluster.cli.connection import client
    from cluster.cli.render import print_json
    from cluster.cli.table import print_table

    async def work() -> list[tuple[TaskResults, tuple[Entry, ...]]]:
        async with client(ctx) as cluster, aclosing(cluster.results(*selectors)) as several:
            return [(results, await cluster.entries(results)) async for results in several]

    found = asyncio.run(work())
    if as_json:
        print_json([_told(results, entries) for results, entries in found])
    elif quiet:
        for _, entries in found:
            print("".join(f"{shown(entry.path)}\n" for entry in entries), end="")
    else:
        rows = [_row(results, entry) for results, entries in found for entry in entries]
        if rows:
            print_table(("TASK", "SIZE", "SHA-256", "PATH"), rows)
        tell_remarks(results for results, _ in found)
    return _missing(results for results, _ in found)


def _row(results: TaskResults, entry: Entry) -> tuple[str, str, str, str]:
    name = shown(entry.path)
    if entry.kind is EntryKind.DIRECTORY:
        return results.name, "-", "-", f"{name}/"
    if entry.kind is EntryKind.LINK:
        return results.name, "-", "-", f"{name} -> {shown(entry.target)}"
    return results.name, format_size(entry.size), entry.digest.hex(), name


def _told(results: TaskResults, entries: tuple[Entry, ...]) -> dict[str, Any]:
    return {
        "job": results.job,
        "task": results.task_number,
        "attempt": results.attempt,
        "state": results.state.name.lower(),
        "worker": results.worker or None,
        "notes": list(results.notes),
        "files": [entry_told(entry) for entry in entries],
    }


@click.command("fetch")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=jobs_here)
@click.option("--to", metavar="DIR", default=".", show_default=True, type=click.Path(), help="Where they are to be.")
@click.option("--flat", is_flag=True, help="All in DIR itself, as of `cluster map`: no directory for each task.")
@click.option("--apart", is_flag=True, help="Of `cluster map`, too, a directory for each task.")
@click.option("--attempt", type=COUNT, metavar="N", help="Of each task what its Nth attempt has left, not its last.")
@as_json
@quiet
@connection
@click.pass_context
def fetch(
    ctx: click.Context,
    selectors: tuple[str, ...],
    to: str,
    flat: bool,
    apart: bool,
    attempt: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Bring the files here that jobs or tasks have left for keeps (--out): of an array each task's into DIR/NUMBER.

    What is still coming is waited for. A file appears whole or not at all; what is there already is not fetched again,
    and a fetch that was broken off goes on where it was. Of each task its last attempt is taken, or the one that is
    selected, as in 5.17#1.
    """
    from cluster.cli.connection import client
    from cluster.cli.fetch_progress import FetchProgress
    from cluster.cli.render import print_json

    if flat and apart:
        raise InvalidInput("--flat and --apart exclude each other: give one")

    async def work() -> list[FetchedTask]:
        progress = FetchProgress(quiet)
        try:
            async with client(ctx) as cluster:
                wanted = selectors if attempt is None else await _attempts(cluster, selectors, attempt)
                several = cluster.fetch(*wanted, to=to, flat=flat or (False if apart else None), listener=progress)
                async with aclosing(several):
                    return [fetched async for fetched in several]
        finally:
            progress.close()

    fetched = asyncio.run(work())
    if as_json:
        print_json([_fetched_told(each) for each in fetched])
    elif not quiet:
        print(fetched_in_words(fetched))
    tell_remarks(each.results for each in fetched)
    return _missing(each.results for each in fetched)


async def _attempts(cluster: "AsyncClient", selectors: Iterable[str], attempt: int) -> list[str]:
    """The attempts of that number of the selected tasks that have had as many. NotFound where none has."""
    async with aclosing(cluster.results(*selectors)) as several:
        found = [replace(each, attempt=attempt).name async for each in several if 0 < attempt <= each.attempt]
    if not found:
        raise NotFound(
            f"{', '.join(selectors)}: no attempt {attempt} has ended: `cluster job show` tells how many have"
        )
    return found


def _fetched_told(fetched: FetchedTask) -> dict[str, Any]:
    told = _told(fetched.results, ())
    return {**told, "files": fetched.files, "directory": str(fetched.directory), "bytes_fetched": fetched.came}


def _missing(several: Iterable[TaskResults]) -> int:
    """The exit code."""
    missing = (ResultsState.COMING, ResultsState.AWAY, ResultsState.GONE)
    return MISSING if any(results.state in missing for results in several) else 0
