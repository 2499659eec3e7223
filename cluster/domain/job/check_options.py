"""The options of a job by which its output is judged, once its program has succeeded (`launcher/output_check.py`)."""

import re
from typing import TYPE_CHECKING, Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size
from cluster.domain.job.kinds import TEXT, OptionKind
from cluster.domain.job.options import Scope, option

if TYPE_CHECKING:
    from cluster.domain.job.json_schema import Schema

JSON, REGEX, SCHEMA = BEGINNINGS = "json", "regex:", "schema:"
MAX_PATTERN = 4096  # characters
MAX_SCHEMA = 64 * 1024  # bytes, without the spaces between its words
MAX_SCHEMA_FILE = 1024 * 1024  # bytes, as somebody wrote it
_OF_LAUNCHER: dict[str, Any] = {"default": "", "scope": Scope.LAUNCHER}


def _wrong_check(check: str) -> str:
    if check in ("", JSON):
        return ""
    if check.startswith(SCHEMA):
        return _wrong_schema(check.removeprefix(SCHEMA))
    if not check.startswith(REGEX):
        return "use regex:PATTERN, as in regex:^done$, json or schema:FILE; --check-with runs a command of yours"
    pattern = check.removeprefix(REGEX)
    if not pattern:
        return "there is no pattern after regex:"
    if len(pattern) > MAX_PATTERN:
        return f"its pattern has {len(pattern)} characters, and the most are {MAX_PATTERN}"
    try:
        re.compile(pattern.encode(errors="surrogateescape"), re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f", at character {error.pos + 1} of it"
        return f"no pattern: {error.msg}{where}"
    except (RecursionError, OverflowError) as error:
        return f"no pattern: {error}"
    return ""


def _wrong_schema(text: str) -> str:
    """Of a schema that has been read."""
    if not text:
        return "there is no file after schema:"
    if (size := len(text.encode(errors="surrogateescape"))) > MAX_SCHEMA:
        return f"the schema has {size} bytes, and the most are {MAX_SCHEMA}"
    try:
        schema_of(text)
    except InvalidInput as error:
        return str(error)
    return ""


def schema_of(text: str | bytes) -> "Schema":
    """InvalidInput, with line and column or the place in it, for what is no schema."""
    from json import JSONDecodeError

    from cluster.domain.base.strict_json import parse_json
    from cluster.domain.job.json_schema import Schema

    try:
        return Schema(parse_json(text))
    except JSONDecodeError as error:
        raise InvalidInput(f"no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise InvalidInput("no JSON: it is not UTF-8") from None
    except RecursionError:
        raise InvalidInput("it has too many levels") from None
    except ValueError as error:
        raise InvalidInput(f"no JSON: {error}") from None


class _Check(OptionKind):
    """How stdout is judged. A schema is named by its file and travels as what that says."""

    def names_file(self, text: str) -> str:
        path = text.removeprefix(SCHEMA) if text.startswith(SCHEMA) else ""
        return "" if path.lstrip()[:1] == "{" or path in ("true", "false") else path

    def loaded(self, text: str, content: bytes) -> str:
        from json import dumps, loads

        if len(content) > MAX_SCHEMA_FILE:
            raise InvalidInput(f"the schema has {len(content)} bytes, and the most are {MAX_SCHEMA_FILE}")
        try:
            schema_of(content)
        except InvalidInput as error:
            raise InvalidInput(f"the schema is wrong: {error}") from None
        return SCHEMA + dumps(loads(content), ensure_ascii=False, separators=(",", ":"))

    def quoted(self, value: str) -> str:
        return super().quoted(value) if not value.startswith(SCHEMA) else f"{SCHEMA}…"

    def shown(self, value: str) -> str:
        if not value.startswith(SCHEMA):
            return super().shown(value)
        return f"schema of {format_size(len(value.encode(errors='surrogateescape')) - len(SCHEMA))}"


CHECK = _Check()
CHECK_OUTPUT = option(
    CHECK,
    "Fail a task (format_error) whose stdout is not so: regex:PATTERN is found in it, json, or JSON as the JSON Schema "
    "in FILE says.",
    metavar="regex:PATTERN|json|schema:FILE",
    check=_wrong_check,
    **_OF_LAUNCHER,
)
CHECK_WITH = option(
    TEXT, "Fail a task (format_error) for whose stdout this shell command fails.", metavar="COMMAND", **_OF_LAUNCHER
)
