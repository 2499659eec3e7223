"""`cluster map`: a command for each of some files, which go to where it runs."""

import asyncio
import glob
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from cluster.cli.connection import client, head_start_of
from cluster.cli.grouped_help import JobCommand
from cluster.cli.map_words import check_words, remark_on_words
from cluster.cli.options import tag
from cluster.cli.submit import COMMAND_LINE, job_options_but, run_here, spec_of, typed_in
from cluster.cli.uploads import files_of, with_files
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import Entry, EntryKind
from cluster.domain.job.rows import FILE

# What says what tasks there are, or puts them where their files are not, is what this command does itself.
_NOT_WITH = ("each_line", "from_json", "from_csv", "no_header", "array", "cwd", "every", "overlap", "catch_up")
_FILE = re.compile(r"(?<![{$])\{\}(?!\})")  # {} that means the file: neither a shell's ${} nor {{}}


@click.command("map", cls=JobCommand, context_settings=COMMAND_LINE)
@job_options_but(_NOT_WITH)
@click.option("--to", metavar="DIR", default=".", type=click.Path(), help="Bring what --out keeps into DIR.")
@click.option("--apart", is_flag=True, help="Bring what each task leaves into a directory of its own, DIR/NUMBER.")
@click.option(
    "--out-dir", metavar="DIR", type=click.Path(), help="Also write what task 17 writes to DIR/17.out and .err."
)
@tag
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.pass_context
def map_command(ctx: click.Context, /, to: str, apart: bool, out_dir: str | None, quiet: bool, **options: Any) -> int:
    """Run a command for each of some files, one task for each: cluster map FILES... -- COMMAND with {} for the file.

    The task finds its file, and no other, by the path that it has here, and what --upload names. In the command {} is
    that path, {name} its last part, {stem} that without its ending, {ext} the ending; inside sh -c '…' use "$1", as
    below. What --out names comes here as the tasks end, output in the order of the files.

    \b
    Examples:
      cluster map --out '*.jpg' *.png -- convert {} {stem}.jpg
      cluster map --upload conv.py --out '*.txt' raw/*.csv -- python3 conv.py {} {stem}.txt
      cluster map --out out videos/*.mov -- sh -c 'mkdir out; ffmpeg -i "$1" "out/$2.mp4"' sh {} {stem}
      cluster map logs/*.gz -- sh -c 'zcat "$1" | grep -c error' sh {}
    """
    typed = typed_in(ctx)
    files, words = _parted(options["command"], has_script=bool(options["script_file"] or options["script"]))
    for name in _NOT_WITH:
        if name in typed:
            raise InvalidInput(f"--{name.replace('_', '-')} does not go with map, which makes a task of each file")
    shared = tuple(options["upload"])
    found = _found(files, shared)
    rows = [_row(entry) for entry in found]
    command = tuple(_FILE.sub(f"{{{FILE}}}", word) for word in words)
    spec = spec_of({**options, "command": command}, typed)
    if spec.array or spec.lines or spec.cwd or spec.every:
        raise InvalidInput("the script says what tasks there are, or where they run, which map does itself")
    check_words(spec, words, shared)
    remark_on_words(spec, rows, shared)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    spec = replace(spec, lines=lines, rows=True, upload_each=True)
    given = files_of({**options, "upload": files})
    assert given is not None, "there are files"
    head_start = head_start_of(ctx)

    async def work() -> int:
        async with client(ctx, start=True, head_start=head_start) as cluster:
            uploaded = await with_files(cluster, [spec], [given._replace(beside=shared)], quiet=quiet)
            assert uploaded is not None
            return await run_here(cluster, uploaded, spec, head_start, quiet, to, not apart, out_dir, options["tag"])

    return asyncio.run(work())


def _parted(given: Sequence[str], *, has_script: bool) -> tuple[list[str], list[str]]:
    """The files, and the words of the command, or of a script's arguments."""
    if "--" not in given:
        raise InvalidInput("where the files end and the command begins -- must stand: cluster map *.png -- file {}")
    place = list(given).index("--")
    files, words = list(given[:place]), list(given[place + 1 :])
    if not files:
        raise InvalidInput("there are no files before --: name some, as in: cluster map *.png -- file {}")
    if not words and not has_script:
        raise InvalidInput("there is no command after --: give one, as in: cluster map *.png -- file {}")
    return files, words


def _found(files: Sequence[str], shared: Sequence[str]) -> list[Entry]:
    """The files that are meant, in the order in which they are named: that of the tasks. InvalidInput, also where two
    of them, or one and another of what all tasks share, would have one path."""
    from cluster.client.files.walking import find

    for each in files:
        if not os.path.lexists(each):
            raise InvalidInput(_absent(each))
    here = os.getcwd()
    found: dict[bytes, Entry] = {}
    try:
        find(files, here)  # as they will go: two that would be called the same are told
        for each in files:
            several = find([each], here).sorted()
            found |= {entry.path: entry for entry in several if entry.kind is not EntryKind.DIRECTORY}
    except InvalidInput as error:
        raise InvalidInput(str(error).removeprefix("--upload: ").removeprefix("--upload ")) from None
    if not found:
        raise InvalidInput("there is no file in what is named: nothing is to be done")
    if shared:
        find((*files, *shared), here)
    return list(found.values())


def _absent(name: str) -> str:
    if not glob.has_magic(name):
        return f"{name}: there is no such file"
    if count := len(glob.glob(name)):
        files = f"{count} files match" if count > 1 else "1 file matches"
        return f"no file is called {name!r}; {files} it, and quotes have kept the shell from looking: leave them off"
    return f"no file is called {name!r}, and none matches it"


def _row(entry: Entry) -> Mapping[str, str]:
    try:
        path = entry.path.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{entry.name}: its name is no UTF-8, so no command can be given it: rename it") from None
    name = os.path.basename(path)
    stem, ext = os.path.splitext(name)
    return {FILE: path, "name": name, "stem": stem, "ext": ext.removeprefix(".")}
