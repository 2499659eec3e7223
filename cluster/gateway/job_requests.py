"""Requests for a job as a founding document writes them: JSON, a form, or a form with files.

    {"commands": [{"exec": ["curl", "https://www.example.com/"]}], "environment": {}, "request_id": "123456789"}
    command=curl "https://www.example.com/"
    -F file=@words.txt -F command="wc -l"

Beside these members there may be every option of a job, under its name in a job file.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.given_files import MAX_BYTES, MAX_FILES, packed, wrong_name
from cluster.domain.job.job_requests import ENVIRONMENT, FILES, JobRequest, refuse_files, request_of
from cluster.domain.job.job_tables import WrongTable
from cluster.domain.job.kinds import SWITCH
from cluster.domain.job.spec import OPTIONS, JobSpec, validate
from cluster.gateway.binding import QUICK, media_type
from cluster.gateway.handled_routes import Exchange, Schema
from cluster.gateway.members import JSON, object_in, pointer
from cluster.gateway.multipart import MULTIPART, FormField, parts_of
from cluster.gateway.problems import MALFORMED, TOO_LARGE, WRONG_TYPE, Problem, WrongPlace, invalid

FORM = "application/x-www-form-urlencoded"
MOST_NAME = 100  # characters of a file's
_SWITCHES = {option.name for option in OPTIONS if option.kind is SWITCH}
# Of JSON, as far as it matters where lists and objects are. A text without its end goes to the end of all: else each of
# its quotes would be looked at anew as a beginning, which takes quadratic time.
_TOKEN = re.compile(r'"(?:[^"\\]|\\(?s:.))*(?:"|\\?\Z)|[\[\]{}:]')
_BOOLS = {"true": True, "false": False}

COMMAND_SCHEMA: Schema = {
    "type": "object",
    "properties": {"exec": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["exec"],
}
REQUEST_SCHEMA: Schema = {
    "type": "object",
    "description": "Beside these members each option of a job, under its name in a job file: timeout, cpus, retries.",
    "properties": {
        "commands": {"type": "array", "items": COMMAND_SCHEMA, "description": "One after another."},
        "command": {"type": "string", "description": "One command, split into words as a shell does."},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "request_id": {"type": "string", "description": "The same again is the same job."},
        "name": {"type": "string"},
    },
}
BODIES = {JSON: REQUEST_SCHEMA, FORM: REQUEST_SCHEMA, MULTIPART: REQUEST_SCHEMA}


async def job_request(exchange: Exchange, default: Mapping[str, Any] | None = None) -> JobRequest | None:
    """The request that the body is. None: there is no body. `default`: members that it has unless the body says them.
    Problem says what is wrong, and where."""
    async with exchange.body() as body:
        if not body:
            return None
        said = exchange.request.headers.get("content-type", ""), media_type(exchange.request)
        if len(body) <= QUICK:
            return _judged(_read(*said, body), default)
        return await asyncio.to_thread(lambda: _judged(_read(*said, body), default))


def request_of_query(pairs: Sequence[tuple[str, str]], default: Mapping[str, Any]) -> JobRequest:
    """The same of the parameters of a query."""
    return _judged(_members_of(pairs), default)


def _read(content_type: str, kind: str, body: bytes) -> dict[str, Any]:
    # What curl sends with -d it calls a form, whatever it is.
    if kind == JSON or (kind in (FORM, "text/plain", "") and body.lstrip()[:1] == b"{"):
        return _object_in(body)
    if kind == FORM:
        return _members_of(_pairs(body))
    if kind == MULTIPART:
        return _with_files(parts_of(content_type, body))
    raise Problem(WRONG_TYPE, f"the body must be {JSON}, {FORM} or {MULTIPART}, and Content-Type must say so")


def _with_files(parts: Sequence[FormField]) -> dict[str, Any]:
    members = _members_of([(part.name, part.text) for part in parts if part.file is None])
    members[FILES] = [packed(_safe(part), part.content) for part in parts if part.file is not None]
    return members


def _safe(part: FormField) -> str:
    """The name under which its command finds the file: the last part of its path, of characters that no shell and no
    program takes for anything else. Problem where nothing is left of it."""
    last = re.split(r"[/\\]", part.file or "")[-1]
    name = re.sub(r"[^\w.+=@,-]", "_", last).lstrip(".")[:MOST_NAME]
    name = f"_{name[1:]}" if name.startswith("-") else name
    if not name.strip("_") or wrong_name(name):
        words = (
            f"{(part.file or '')[:60]!r} is no name of a file: give one, as in -F 'file=@data.csv;filename=data.csv'"
        )
        raise invalid([WrongPlace(words, parameter=part.name[:60])])
    return name


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        return object_in(body)
    except Problem as problem:
        if problem.kind is not MALFORMED:
            raise
        with suppress(Problem, UnicodeDecodeError):
            return object_in(_with_braces(body.decode()).encode())
        raise


def said_in_form(body: bytes, name: str) -> str | None:
    """What a form says under that name, which comes once; None where the body is no such form."""
    try:
        pairs = _pairs(body)
    except Problem:
        return None
    return pairs[0][1] if [each for each, _ in pairs] == [name] else None


def _with_braces(text: str) -> str:
    """The same with braces around what has a colon directly in a list: [ "command": [...] ], as the document has it."""
    opened: list[int] = []
    wanting: set[int] = set()
    braces: dict[int, str] = {}  # to be put before the character at that place
    for found in _TOKEN.finditer(text):
        if found[0] in "[{":
            opened.append(found.start())
        elif found[0] == ":" and opened and text[opened[-1]] == "[":
            wanting.add(opened[-1])
        elif found[0] in "]}" and opened and (begin := opened.pop()) in wanting:
            braces |= {begin + 1: "{", found.start(): "}"}
    return "".join(braces.get(place, "") + character for place, character in enumerate(text)) if braces else text


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=10_000
        )
    except UnicodeDecodeError as error:
        raise Problem(MALFORMED, f"the form is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise Problem(MALFORMED, f"the body is no form, as in command=true: {error}") from None


def _members_of(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The members that a form gives: what comes several times is a list, and variables are NAME=VALUE each."""
    members: dict[str, Any] = {}
    variables: dict[str, str] = {}
    for name, text in pairs:
        if name == ENVIRONMENT:
            variable, equals, value = text.partition("=")
            if not equals:
                raise invalid([WrongPlace(f"{text[:60]!r} is no NAME=VALUE", parameter=ENVIRONMENT)])
            variables[variable] = value
        elif name not in members:
            members[name] = _BOOLS.get(text, text) if name.replace("-", "_") in _SWITCHES else text
        else:
            before = members[name]
            members[name] = [*(before if isinstance(before, list) else [before]), text]
    return {**members, **({ENVIRONMENT: variables} if variables else {})}


def _judged(members: dict[str, Any], default: Mapping[str, Any] | None) -> JobRequest:
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise invalid([WrongPlace("half of a surrogate pair is no character", "")]) from None
    try:
        asked = request_of(members, refuse_files, default)
    except WrongTable as error:
        raise invalid([WrongPlace(str(error), pointer(*error.path))]) from None
    return asked._replace(spec=_given(asked.spec, asked.files))


def _given(spec: JobSpec, files: Sequence[str]) -> JobSpec:
    """With these files. The command gets the names of those that none of its words is, as its last words."""
    if not files:
        return spec
    if sum(map(len, files)) > MAX_BYTES * 4 // 3 + MAX_FILES * 2 * MOST_NAME:
        raise Problem(TOO_LARGE, f"the files have more than {MAX_BYTES} bytes, the most that a job may bring")
    words = {*spec.argv, *spec.script_args, *chain.from_iterable(spec.then)}
    names = tuple(name for name in (text.partition(":")[0] for text in files) if name not in words)
    of_script = spec.script or spec.script_text
    argv, last = (spec.argv, names) if of_script else ((*spec.argv, *names), ())
    spec = replace(spec, files=tuple(files), argv=argv, script_args=(*spec.script_args, *last))
    try:
        validate(spec)
    except InvalidInput as error:
        raise invalid([WrongPlace(str(error), pointer(FILES))]) from None
    return spec
