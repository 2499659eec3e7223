"""What travels with a job, read where it is handed in: its script, and a line or row for each task."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

from cluster.cli.submit_warnings import remark_on_lines
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.lines import picked
from cluster.domain.job.script import wrong_script
from cluster.domain.job.spec import OPTIONS
from cluster.domain.job.task_options import FROM_CSV, FROM_FILES, FROM_JSON, NO_HEADER
from cluster.domain.job.upload_options import FILES_NAMED

# What becomes fields of the spec, by the field that it stands beside: lines are made of tables, too.
_BESIDE = {"lines": FROM_FILES, "upload": FILES_NAMED}
# All that may be typed, in order.
TYPED = [each for option in OPTIONS for each in (option, *_BESIDE.get(option.field, ())) if each.flag]


class NoLines(InvalidInput):
    """The file that has a line or row for each task has none."""


def reads_stdin(options: Mapping[str, Any]) -> list[str]:
    """What is to be read from there: the flags of options, and - where that is the command."""
    flags = [each.flag for each in TYPED if each.kind.reads_file and options[each.name] == "-"]
    return flags + ["-"] * (options["command"][:1] == ("-",))


def read_stdin_once(options: Mapping[str, Any]) -> None:
    """InvalidInput where several are to be read from there."""
    reading = reads_stdin(options)
    if len(reading) > 1:
        raise InvalidInput(f"{' and '.join(reading)} all read stdin: give files, but for one of them")


def script_in(path: str) -> bytes:
    """A script that can be run."""
    script = content_of(path, "--script-file")
    if not script.strip():
        raise InvalidInput(f"--script-file {path}: it is empty, so there is nothing to run")
    if wrong := wrong_script(script):
        raise InvalidInput(f"--script-file {path}: {wrong}")
    return script


def read_files_named(values: dict[str, Any]) -> None:
    """Puts what files say in the place of their names, in fields whose values may name one."""
    for each in OPTIONS:
        if isinstance(text := values.get(each.field), str) and (path := each.kind.names_file(text)):
            try:
                values[each.field] = each.kind.loaded(text, content_of(path, each.flag))
            except InvalidInput as error:
                if str(error).startswith(each.flag):
                    raise
                raise InvalidInput(f"{each.flag} {text}: {error}") from None


def take_options_of(script: bytes, options: dict[str, Any], typed: Collection[str]) -> None:
    """Options that the script gives itself, but those that are typed. Of variables it adds those that are not given by
    name."""
    from cluster.domain.job.script_lines import options_in

    path = options["script_file"]
    allowed = [each for each in TYPED if each.field not in ("script", "script_text")]
    for name, value in options_in(script, "the script on stdin" if path == "-" else path, allowed).items():
        if name == "env":
            given = {text.partition("=")[0] for text in options[name]}
            options[name] = (*(text for text in value if text.partition("=")[0] not in given), *options[name])
        elif name not in typed:
            options[name] = value


def lines_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the spec for the lines or rows that are to be read: of many those of --array. What is odd about
    lines is told. NoLines; InvalidInput."""
    each_line, from_json, from_csv = (options[each] for each in ("each_line", FROM_JSON.name, FROM_CSV.name))
    given = [f"--{flag}" for flag, path in zip(_FLAGS, (each_line, from_json, from_csv), strict=True) if path]
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)} exclude each other: each decides what the tasks are")
    if options[NO_HEADER.name] and not from_csv:
        raise InvalidInput("--no-header needs --from-csv, whose file has a header otherwise")
    if not given:
        return {"lines": b""}
    lines = _lines(each_line) if each_line else _rows(given[0], from_json or from_csv, not options[NO_HEADER.name])
    if options["array"]:
        lines = picked(lines, options["array"], rows=not each_line)
    return {"lines": lines, "rows": not each_line}


_FLAGS = ("each-line", "from-json", "from-csv")


def _lines(path: str) -> bytes:
    """The lines of a file or of stdin, without the last line's end."""
    content = content_of(path, "--each-line")
    if not content:
        raise NoLines(f"--each-line {path}: it is empty")
    content = content.removesuffix(b"\n")
    if not content.strip(b"\n"):
        raise InvalidInput(f"--each-line {path}: it has no lines but empty ones, so there is nothing to run")
    remark_on_lines(path, content)
    return content


def _rows(flag: str, path: str, header: bool) -> bytes:
    from cluster.domain.job.tables import rows_of_csv, rows_of_json

    content, name = content_of(path, flag), "stdin" if path == "-" else path
    rows = rows_of_csv(content, name, header=header) if flag == FROM_CSV.flag else rows_of_json(content, name)
    if not rows:
        raise NoLines(f"{flag} {path}: it has no rows")
    return rows


def content_of(path: str, flag: str) -> bytes:
    """Of a file, or for - of stdin."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidInput(f"{flag} {path}: {error.strerror}") from None
