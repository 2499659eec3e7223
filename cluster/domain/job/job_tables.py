"""Jobs as tables of a job file: `[jobs.NAME]` each, with the options under their names, and `[defaults]` for all.

A value is what one would type on the command line: a text, a number, a time, or true for what is a switch. A list is
what several flags would give, a table gives variables, and a command that is one text is split as a shell splits words.
So a new option can be used in job files without anything here.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from difflib import get_close_matches
from itertools import chain
from typing import Any, NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.file_kinds import SCRIPT
from cluster.domain.job.kinds import LINES, SWITCH, VARIABLES, WORDS
from cluster.domain.job.lines import picked
from cluster.domain.job.options import Option, given
from cluster.domain.job.script import name_of, wrong_script
from cluster.domain.job.script_lines import options_in
from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import OPTIONS, JobSpec, validate
from cluster.domain.job.tables import rows_of_csv, rows_of_json
from cluster.domain.job.task_options import FROM_FILES
from cluster.domain.job.upload_options import FILES_NAMED, STDIN, UPLOAD, check_upload
from cluster.domain.job.workflow import NewJob, Workflow, WrongWait

JOBS, DEFAULTS, COMMANDS = "jobs", "defaults", "commands"
SCRIPT_PATH = "script_path"  # beside the fields of a job, until its script has been looked at
LONGEST_VALUE = 60  # characters of a wrong value that an error shows

_OPTIONS = {
    option.name: option
    for option in (*OPTIONS, *FROM_FILES, *FILES_NAMED)
    if option.field != "name" and (option.flag or option.kind is WORDS)
}
Path = tuple[str, ...]  # of keys, from the outermost table on


class WrongTable(InvalidInput):
    """What is wrong with the tables, and where."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


class TableJob(NamedTuple):
    """One job, and the paths that it names: of what is to be uploaded, and of what it reads; empty: nothing."""

    spec: JobSpec
    upload: tuple[str, ...]
    stdin: str


def specs_of(
    tables: Mapping[str, Any], load: Callable[[str], bytes], environment: Mapping[str, str] | None = None
) -> list[JobSpec]:
    """The jobs as `jobs_of`, where none may name files of its own."""
    jobs = jobs_of(tables, load, environment)
    for spec, upload, stdin in jobs:
        for option, paths in ((UPLOAD, upload), (STDIN, stdin)):
            if paths:
                raise WrongTable((JOBS, spec.name, key_of(option)), f"job {spec.name}: {key_of(option)}: send it first")
    return [job.spec for job in jobs]


def jobs_of(
    tables: Mapping[str, Any], load: Callable[[str], bytes], environment: Mapping[str, str] | None = None
) -> list[TableJob]:
    """The jobs, in the order of the file. `load` reads a file that an option names: it may raise InvalidInput.
    `environment`: where a script that asks for a variable by its name alone finds it.
    WrongTable for what is no job, and for jobs that wait for each other in a circle."""
    for key in tables:
        if key not in (JOBS, DEFAULTS):
            raise WrongTable((key,), f"there is no table {key!r}{_nearest(key, (JOBS, DEFAULTS))}")
    named = tables.get(JOBS)
    if not isinstance(named, Mapping) or not named:
        raise WrongTable((JOBS,) if JOBS in tables else (), "it has no jobs: give each a table, as in [jobs.build]")
    defaults = _table(tables.get(DEFAULTS, {}), (DEFAULTS,))
    common = dict(_values(defaults, (DEFAULTS,), "the defaults", load))
    whole = {**_script_of(defaults), **common}
    jobs = [_job(name, _table(table, (JOBS, name)), whole, load, environment or {}) for name, table in named.items()]
    _check_order([job.spec for job in jobs])
    return jobs


def key_of(option: Option) -> str:
    """What the option is called in a job file."""
    return option.name.replace("_", "-")


def _table(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise WrongTable(path, f"{'.'.join(path)} is no table: begin one with [{'.'.join(path)}]")
    return value


def _script_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """Where it has its script from, beside its fields."""
    option = next(each for each in _OPTIONS.values() if each.kind is SCRIPT)
    found = [value for key, value in table.items() if key.replace("-", "_") == option.name]
    return {SCRIPT_PATH: found[0]} if found else {}


def _job(
    name: str,
    table: Mapping[str, Any],
    common: Mapping[str, Any],
    load: Callable[[str], bytes],
    environment: Mapping[str, str],
) -> TableJob:
    path = (JOBS, name)
    try:
        check_name(name)
        own = {**_script_of(table), **dict(_values(table, path, f"job {name}", load))}
        values = {**common, **own}
        script_path = values.pop(SCRIPT_PATH, "")
        values["script_name"] = name_of(script_path)
        for field, value in _options_of_script(values.get("script_text", b""), script_path, load, environment):
            if field == "env":
                values["env"] = tuple({**dict(value), **dict(values.get("env", ()))}.items())
            else:
                values.setdefault(field, value)
        if "env" in common and "env" in own:
            values["env"] = tuple({**dict(common["env"]), **dict(own["env"])}.items())
        if COMMANDS in own and "argv" in own:
            raise InvalidInput(f"command and {COMMANDS} exclude each other: each is what runs")
        argv, *then = (() if "argv" in own else values.pop(COMMANDS, ())) or [values.get("argv", ())]
        values |= {"argv": argv, "then": tuple(then), **_lines(values)}
        upload, stdin = values.pop(UPLOAD.name, ()), "".join(values.pop(STDIN.name, ()))
        spec = JobSpec(**{key: value for key, value in values.items() if key != COMMANDS}, name=name)
        if not spec.argv and not spec.script and not spec.script_text:
            raise InvalidInput('it has no command: give one, as in command = ["make", "all"]')
        each, shared = spec.upload_each, spec.upload_shared
        check_upload("".join(upload), spec.cwd, each=each, beside="", shared=shared, rows=spec.rows)
        validate(replace(spec, upload_shared=False))
    except WrongTable:
        raise
    except InvalidInput as error:
        raise WrongTable((*path, *_meant_by(str(error), table)), f"job {name}: {error}") from None
    return TableJob(spec, upload, stdin)


def _options_of_script(
    script: bytes, path: str, load: Callable[[str], bytes], environment: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """The fields that the script gives itself, in lines that begin with #CLUSTER. Its job is called as its table."""
    refused = ("script", "script_text")
    allowed = {
        each.name: each for each in (*OPTIONS, *FROM_FILES, *FILES_NAMED) if each.flag and each.field not in refused
    }
    for name, value in options_in(script, path, list(allowed.values())).items() if script else ():
        option = allowed[name]
        if option.field == "name":
            continue
        if option.kind is VARIABLES:
            yield option.field, tuple(_variable(text, environment) for text in value)
        elif option in FILES_NAMED:
            yield option.name, value if isinstance(value, tuple) else (value,)
        elif option.kind.reads_file or (isinstance(value, str) and option.kind.names_file(value)):
            yield option.field or option.name, _read(option, value, load)
        else:
            yield option.field or option.name, value


def _variable(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """NAME=VALUE, or NAME with the value that it has there."""
    name, equals, value = text.partition("=")
    if not equals and name not in environment:
        raise InvalidInput(f"--env {name}: there is no such variable here; give one with --env {name}=VALUE")
    return name, value if equals else environment[name]


def _meant_by(error: str, table: Mapping[str, Any]) -> Path:
    """The first key of the table that the error names: as a flag, by a word that has a hyphen, or as the command. None:
    empty."""
    words = re.findall(r"(--)?([a-z][a-z-]*[a-z])", error)
    names = {word for flag, word in words if flag or "-" in word}
    if any(word == "command" for _, word in words):
        names |= {"command", COMMANDS}
    return next(((key,) for key in table if key.replace("_", "-") in names), ())


def _values(
    table: Mapping[str, Any], path: Path, whose: str, load: Callable[[str], bytes]
) -> Iterator[tuple[str, Any]]:
    """The fields that the table gives, and their values."""
    given: dict[str, str] = {}
    for key, value in table.items():
        where, name = (*path, key), key.replace("-", "_")
        if name == COMMANDS:
            try:
                yield COMMANDS, _commands(value)
            except InvalidInput as error:
                raise WrongTable(where, f"{whose}: {key} = {_shown(value)}: {error}") from None
            continue
        option = _OPTIONS.get(name)
        if option is None:
            raise WrongTable(where, f"{whose}: {_unknown(key)}")
        if name in given:
            raise WrongTable(where, f"{whose}: {given[name]} and {key} are the same option: give it once")
        given[name] = key
        try:
            field = _paths(option, value) if option in FILES_NAMED else _read(option, value, load)
            if option not in FILES_NAMED:
                option.validate(field)
        except InvalidInput as error:
            raise WrongTable(where, f"{whose}: {key} = {_shown(value)}: {error}") from None
        yield option.field or option.name, field


def _lines(values: dict[str, Any]) -> dict[str, Any]:
    """The fields for the lines or rows that there are, of many those of `array`. Takes out what is no field."""
    from_json, from_csv, no_header = (values.pop(option.name, None) for option in FROM_FILES)
    lines = values.get("lines", b"")
    if (lines != b"") + (from_json is not None) + (from_csv is not None) > 1:
        raise InvalidInput("each-line, from-json and from-csv exclude each other: each decides what the tasks are")
    if no_header and from_csv is None:
        raise InvalidInput("no-header needs from-csv, whose file has a header otherwise")
    rows = from_json is not None or from_csv is not None
    if from_json is not None:
        lines = rows_of_json(from_json, "from-json")
    elif from_csv is not None:
        lines = rows_of_csv(from_csv, "from-csv", header=not no_header)
    if not lines:
        return {}
    return {"lines": picked(lines, values["array"], rows=rows) if values.get("array") else lines, "rows": rows}


def _unknown(key: str) -> str:
    if key == "name":
        return "there is no key 'name': a job is called as its table, [jobs.NAME]"
    return f"there is no option {key!r}{_nearest(key, [key_of(option) for option in _OPTIONS.values()])}"


def _nearest(key: str, known: Sequence[str]) -> str:
    found = nearest(key.replace("_", "-"), known)
    return f"; the nearest is {found!r}" if found else f"; there are {', '.join(known)}"


def nearest(word: str, known: Sequence[str]) -> str:
    """Which of these was meant, most likely; empty: none is like it."""
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.5)), "")


def _read(option: Option, value: Any, load: Callable[[str], bytes]) -> Any:
    """The value of the option's field."""
    kind = option.kind
    if kind is SWITCH:
        if not isinstance(value, bool):
            raise InvalidInput("use true or false")
        return value
    if kind is VARIABLES:
        if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
            raise InvalidInput('use a table of texts, as in { NAME = "value" }')
        return tuple(value.items())
    if kind is WORDS:
        return _words(value)
    if kind is LINES and isinstance(value, list):
        return kind.taken([_typed(line) for line in value])
    if kind.reads_file:
        content = load(given(_typed(value)))
        if kind is SCRIPT and (wrong := wrong_script(content)):
            raise InvalidInput(wrong)
        return content.removesuffix(b"\n") if kind is LINES else content
    if kind.adds_up and isinstance(value, list):
        return tuple(chain.from_iterable(option.read(_typed(each)) for each in value))
    text = _typed(value)
    return kind.loaded(text, load(path)) if (path := kind.names_file(text)) else option.read(text)


def _paths(option: Option, value: Any) -> tuple[str, ...]:
    """Of files that are sent when the jobs are handed in."""
    paths = tuple(given(_typed(each)) for each in (value if option is UPLOAD and isinstance(value, list) else [value]))
    if "-" in paths:
        raise InvalidInput("a job of a file cannot read stdin: name a file")
    return paths


def _commands(value: Any) -> list[tuple[str, ...]]:
    if not isinstance(value, list) or not value:
        raise InvalidInput('use a list of commands, as in [["make"], ["make", "test"]] or ["make", "make test"]')
    return [_words(each) for each in value]


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise InvalidInput(f"it cannot be split into words as a shell does ({error}): use a list") from None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise InvalidInput('use a list of texts, as in ["make", "all"], or one text, as in "make all"')
    return tuple(value)


def _typed(value: Any) -> str:
    """As it would be typed."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput("use one text or number, as on the command line")
    return str(value)


def _shown(value: Any) -> str:
    """A value as the file has it, about."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value.isoformat() if isinstance(value, datetime | date | time) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _check_order(specs: Sequence[JobSpec]) -> None:
    workflow = Workflow([NewJob(f"\0{place}", spec) for place, spec in enumerate(specs)])  # nobody can type such ids
    try:
        workflow.in_order(dict.fromkeys((text for text, _ in workflow.outside()), 0))
    except WrongWait as wrong:
        option = next(each for each in OPTIONS if each.field == wrong.kind.value)
        raise WrongTable((JOBS, specs[wrong.place].name, key_of(option)), str(wrong)) from None
    except InvalidInput as error:
        raise WrongTable((JOBS,), str(error)) from None
