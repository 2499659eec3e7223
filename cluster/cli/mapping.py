"""`cluster map`: a command for each of some files, which go to where it runs."""

import asyncio
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from cluster.cli.connection import client, head_start_of
from cluster.cli.submit import COMMAND_LINE, job_options, run_here, spec_of, typed_in
from cluster.cli.uploads import with_files
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import Entry, EntryKind
from cluster.domain.job.rows import FILE
from cluster.domain.job.spec import JobSpec

# What says what tasks there are, or which files they find, is what this command does itself.
_NOT_WITH = (
    *("each_line", "from_json", "from_csv", "no_header", "array", "upload", "stdin"),
    *("cwd", "script_file", "every"),
)


@click.command("map", context_settings=COMMAND_LINE)
@job_options
@click.option("--to", metavar="DIR", default=".", type=click.Path(), help="Bring what --out keeps into DIR.")
@click.option("--apart", is_flag=True, help="Bring what each task leaves into a directory of its own, DIR/NUMBER.")
@click.option(
    "--out-dir", metavar="DIR", type=click.Path(), help="Also write what task 17 writes to DIR/17.out and .err."
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.pass_context
def map_command(ctx: click.Context, /, to: str, apart: bool, out_dir: str | None, quiet: bool, **options: Any) -> int:
    """Run a command for each of some files, one task for each: cluster map FILES... -- COMMAND with {} for the file.

    The task finds its file, and no other, by the path that it has here. In the command {} is that path, {name} its last
    part, {stem} that without its ending, {ext} the ending. What --out names comes here as the tasks end, output in the
    order of the files.

    \b
    Examples:
      cluster map --out '*.jpg' *.png -- convert {} {stem}.jpg
      cluster map --out out --cpus 4 videos/*.mov -- sh -c 'mkdir out; ffmpeg -i {} out/{stem}.mp4'
      cluster map logs/*.gz -- sh -c 'zcat {} | grep -c error'
    """
    typed = typed_in(ctx)
    files, words = _parted(options["command"])
    _refuse_others(typed)
    found = _found(files)
    command = tuple(word.replace("{}", f"{{{FILE}}}") for word in words)
    spec = _for_each(spec_of({**options, "command": command}, typed), found)
    head_start = head_start_of(ctx)

    async def work() -> int:
        from cluster.client.files.job_files import JobFiles

        async with client(ctx, start=True, head_start=head_start) as cluster:
            uploaded = await with_files(cluster, [spec], [JobFiles(tuple(files))], quiet=quiet)
            assert uploaded is not None
            return await run_here(cluster, uploaded, spec, head_start, quiet, to, not apart, out_dir)

    return asyncio.run(work())


def _parted(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files, and the words of the command."""
    if "--" not in given:
        raise InvalidInput("where the files end and the command begins -- must stand: cluster map *.png -- file {}")
    place = list(given).index("--")
    files, words = list(given[:place]), list(given[place + 1 :])
    if not files:
        raise InvalidInput("there are no files before --: name some, as in: cluster map *.png -- file {}")
    if not words:
        raise InvalidInput("there is no command after --: give one, as in: cluster map *.png -- file {}")
    return files, words


def _refuse_others(typed: Collection[str]) -> None:
    for name in _NOT_WITH:
        if name in typed:
            raise InvalidInput(f"--{name.replace('_', '-')} does not go with map, which makes a task of each file")


def _found(files: Sequence[str]) -> list[Entry]:
    """The files that are meant, in the order in which they are named: that of the tasks. InvalidInput."""
    from cluster.client.files.walking import find

    here = os.getcwd()
    find(files, here)  # as they will go: two that would be called the same are told
    found: dict[bytes, Entry] = {}
    for file in files:
        found |= {entry.path: entry for entry in find([file], here).sorted() if entry.kind is not EntryKind.DIRECTORY}
    if not found:
        raise InvalidInput("there is no file in what is named: nothing is to be done")
    return list(found.values())


def _for_each(spec: JobSpec, found: Sequence[Entry]) -> JobSpec:
    """The job with a task for each of these."""
    rows = "\n".join(json.dumps(_row(entry), ensure_ascii=False) for entry in found)
    return replace(spec, lines=rows.encode(), rows=True, upload_each=True)


def _row(entry: Entry) -> Mapping[str, str]:
    try:
        path = entry.path.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{entry.name}: its name is no UTF-8, so no command can be given it: rename it") from None
    name = os.path.basename(path)
    stem, ext = os.path.splitext(name)
    return {FILE: path, "name": name, "stem": stem, "ext": ext.removeprefix(".")}
