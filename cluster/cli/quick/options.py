"""Options as quick commands read them: each in a word of its own, its value in the next. Those of jobs are the ones
that the fields of the spec carry (cluster.domain.job.options), which are loaded where one is given."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.client.local import Elsewhere

Values = dict[str, Any]


def whole_number(text: str) -> int:
    """Of decimal digits, and not too large for any field."""
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise Elsewhere(text)
    return int(text)


def is_file_of_ours(program: str) -> bool:
    """Whether a command's first word names a file below where we are, which another machine hardly has there."""
    return "/" in program and not program.startswith("/") and os.path.isfile(program)


def is_no_program(word: str) -> bool:
    """Whether a command's first word names a file below where we are that cannot be started by that: one that nobody
    may execute, or one beside us whose name no directory of the PATH has."""
    if word.startswith("/") or not os.path.isfile(word):
        return False
    if "/" in word:
        return not os.access(word, os.X_OK)
    there = (os.path.join(directory, word) for directory in os.environ.get("PATH", os.defpath).split(os.pathsep))
    return not any(os.path.isfile(file) and os.access(file, os.X_OK) for file in there)


def option_of_ours(command: Sequence[str]) -> str:
    """The first word of the command that is an option of jobs, and may have been meant for us; empty: none is."""
    if not any(word.startswith("--") for word in command):
        return ""
    from cluster.domain.job.spec import OPTIONS

    flags = {option.flag for option in OPTIONS if option.flag}
    return next((word for word in command if word.partition("=")[0] in flags), "")


# By its flag: the option's name, and what makes its value from the word after it; None: it is true by being there.
Own = Mapping[str, tuple[str, Callable[[str], Any] | None]]
QUIET: Own = {"--quiet": ("quiet", None), "-q": ("quiet", None)}
JSON: Own = {"--json": ("as_json", None)}


def of_list(words: Sequence[str], options: Own) -> tuple[Values, list[str]]:
    """A command's own options, and the other words, before, after and between them. Elsewhere for any other option."""
    values: Values = {}
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            name, parse = options.get(word) or _elsewhere(word)
            values[name] = True if parse is None else parse(next(rest, ""))
        else:
            others.append(word)
    return values, others


def of_job(words: Sequence[str], options: Own) -> tuple[Values, Values, list[str]]:
    """A command's own options, the fields of the job's spec (cluster.v1.JobSpec) that others give, and the command that
    begins after them. Elsewhere for what makes more than one task, and for what is not right."""
    values: Values = {}
    fields: Values = {}
    rest = iter(words)
    for word in rest:
        if word == "--" or not word.startswith("-"):
            command = [*([] if word == "--" else [word]), *rest]
            if word != "--" and option_of_ours(command):
                raise Elsewhere("there is something to say about that")
            return values, fields, command
        if word in options:
            values[options[word][0]] = True
        else:
            _give(fields, word, rest)
    raise Elsewhere("no command")


def _give(fields: Values, flag: str, rest: Any) -> None:
    """The field of the option with that flag, its value from the rest of the words. Elsewhere, or InvalidInput."""
    from cluster.domain.job.kinds import ARRAY, SWITCH, VARIABLES
    from cluster.domain.job.spec import OPTIONS
    from cluster.domain.job.time_kinds import CRON, DEADLINE, TIME

    option = next((each for each in OPTIONS if each.flag == flag), None)
    by_itself = option and option.kind not in (ARRAY, TIME, DEADLINE, CRON) and not option.kind.reads_file
    if option is None or not by_itself or option.field == "script":
        raise Elsewhere(flag)
    if option.kind is SWITCH:
        fields[option.field] = True
        return
    text = next(rest, None)
    if text is None:
        raise Elsewhere(flag)
    if option.kind is VARIABLES:
        fields.setdefault(option.field, []).append(_variable(text))
    elif option.kind.names_file(text):
        raise Elsewhere(flag)
    else:
        value = option.read(text)
        if option.kind.adds_up:
            value = fields.get(option.field, ()) + value
        fields[option.field] = value
        option.validate(value)


def _variable(text: str) -> Values:
    """NAME=VALUE, or NAME with the value that it has here."""
    name, equals, value = text.partition("=")
    if not equals:
        value = os.environ[name] if name in os.environ else _elsewhere(text)
    return {"name": name, "value": value}


def _elsewhere(text: str) -> Any:
    raise Elsewhere(text)
