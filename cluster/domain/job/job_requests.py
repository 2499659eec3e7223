"""A request for one job, as a founding document has it in JSON:

    {"commands": [{"exec": ["curl", "https://www.example.com/"]}], "environment": {}, "request_id": "123456789"}

Beside these members there may be every option of a job, under its name in a job file (`job_tables`).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.job_tables import COMMANDS, JOBS, Path, WrongTable, specs_of
from cluster.domain.job.spec import JobSpec

ENVIRONMENT, REQUEST_ID, NAME, FILES = "environment", "request_id", "name", "files"
_ENV, _COMMAND, _SCRIPT = "env", "command", "script"


class JobRequest(NamedTuple):
    """What is to be run, and the id that its caller gave the request, a key of the job; empty: none. `files`: as in a
    spec, which has none of them yet."""

    spec: JobSpec
    id: str
    files: tuple[str, ...] = ()


def is_request(members: Mapping[str, Any]) -> bool:
    """Whether an object may be one, and not the tables of a job file."""
    return bool(members.keys() & {COMMANDS, _COMMAND, _SCRIPT}) and JOBS not in members


def request_of(
    members: Mapping[str, Any],
    load: Callable[[str], bytes],
    default: Mapping[str, Any] | None = None,
) -> JobRequest:
    """The request that these members are. `load` reads a file that an option names. `default`: members that it has
    unless others say what runs. WrongTable says what is wrong, and at which member."""
    table = dict(members)
    request_id, name = _text(table, REQUEST_ID), _text(table, NAME)
    files = table.pop(FILES, ())
    if not isinstance(files, list | tuple) or not all(map(is_text, files)):
        raise WrongTable((FILES,), "files are a list of texts, NAME:CONTENT each, the content as base64")
    if ENVIRONMENT in table:
        if _ENV in table:
            raise WrongTable((_ENV,), "env and environment are the same: say it once")
        table[_ENV] = _environment(table.pop(ENVIRONMENT))
    if COMMANDS in table:
        table[COMMANDS] = _commands(table[COMMANDS])
    for key, value in (default or {}).items():
        if not {key, COMMANDS, _COMMAND, _SCRIPT} & table.keys():
            table[key] = value
    try:
        (spec,) = specs_of({JOBS: {name: table}}, load)
    except WrongTable as error:
        raise WrongTable(_path(error.path[2:], members), str(error).removeprefix(f"job {name}: ")) from None
    return JobRequest(spec, request_id, tuple(files))


def is_text(value: Any) -> bool:
    """Whether it is one that can be sent on: half of a surrogate pair cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _path(path: Path, members: Mapping[str, Any]) -> Path:
    """As the request calls it."""
    return tuple(ENVIRONMENT if part == _ENV and ENVIRONMENT in members else part for part in path)


def _text(table: dict[str, Any], member: str) -> str:
    """Takes it out. A number will do, too."""
    value = table.pop(member, "")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not is_text(value):
        raise WrongTable((member,), "this is no text")
    return str(value)


def _commands(value: Any) -> list[Any]:
    """Each `{"exec": [...]}` as its words; the document has `command` for it, too."""
    if not isinstance(value, list) or not value:
        raise WrongTable((COMMANDS,), 'use a list of commands, as in [{"exec": ["echo", "hello"]}]')
    found = []
    for place, each in enumerate(value):
        if isinstance(each, dict):
            if len(each) != 1 or not each.keys() <= {"exec", _COMMAND}:
                raise WrongTable((COMMANDS, str(place)), 'a command has one member, as in {"exec": ["echo", "hello"]}')
            (each,) = each.values()
            if each in ([], ""):
                raise WrongTable((COMMANDS, str(place)), 'it is empty; give one, as in {"exec": ["echo", "hello"]}')
        found.append(each)
    return found


def _environment(value: Any) -> Any:
    if not isinstance(value, dict) or not all(map(is_text, value.values())):
        raise WrongTable((ENVIRONMENT,), 'variables are an object of texts, as in {"NAME": "value"}')
    return value


def refuse_files(path: str) -> bytes:
    """As `load`, for who may read none."""
    raise InvalidInput(
        f"no file is read here, so not {path[:60]!r} either: give its content, where the option takes that"
    )
