"""What a request to /execute asks for."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_duration
from cluster.domain.job.script import MAX_SCRIPT
from cluster.gateway.binding import QUICK, media_type
from cluster.gateway.handled_routes import Exchange, Schema
from cluster.gateway.problems import INVALID, TOO_LARGE, WRONG_TYPE, Problem, WrongPlace, invalid
from cluster.gateway.source_code import source_in_form

TIMEOUT, MOST_TIMEOUT = 30.0, 3600.0  # seconds that code may run: if nothing is said, and at most
FORM = "application/x-www-form-urlencoded"
PLAIN = ("text/plain", "text/x-python", "application/x-python", "application/octet-stream")
PARAMETERS = {
    "code": "The source, quoted once or twice by quote_plus.",
    "timeout": f"How long it may run, as in 10s; {TIMEOUT:g} s where nothing is said, at most {MOST_TIMEOUT:g} s.",
}
BODIES: Mapping[str, Schema] = {
    FORM: {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    "text/plain": {"type": "string", "description": "The source, as it is."},
}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """`source`: as it is run. `timeout` in seconds. `mark`: a text that no output has by chance."""

    source: bytes
    timeout: float = TIMEOUT
    mark: str = field(default_factory=lambda: secrets.token_hex(16))


async def read_request(exchange: Exchange) -> CodeRequest:
    """Problem for what it may not say."""
    request = exchange.request
    sources = source_in_form(request.scope["query_string"])
    if request.method == "POST":
        sources += await _in_body(exchange)
    if len(sources) != 1 or not sources[0].strip():
        none = "there is none: give Python source as a field of a form, quoted by quote_plus, or as text/plain"
        raise invalid([WrongPlace("it comes more than once" if len(sources) > 1 else none, parameter="code")])
    return CodeRequest(_checked(sources[0]), _timeout(exchange.parameter("timeout")))


async def _in_body(exchange: Exchange) -> list[bytes]:
    async with exchange.body() as body:
        if not body:
            return []
        if media_type(exchange.request) == FORM:
            return source_in_form(body) if len(body) <= QUICK else await asyncio.to_thread(source_in_form, body)
        if media_type(exchange.request) in PLAIN:
            return [body]
    raise Problem(WRONG_TYPE, f"the body must be a form ({FORM}) with a field code, or the source itself (text/plain)")


def _checked(source: bytes) -> bytes:
    if len(source) > MAX_SCRIPT:
        raise Problem(TOO_LARGE, f"the code has {len(source)} bytes, and the most are {MAX_SCRIPT}")
    if b"\0" in source:
        raise Problem(
            INVALID,
            "the code has a NUL byte, which is in no Python source",
            [WrongPlace("a NUL byte", parameter="code")],
        )
    source = source.removeprefix(_BOM)
    return b"##" + source[2:] if source.startswith(b"#!") else source  # its interpreter is not its own choice


def _timeout(text: str) -> float:
    if not text:
        return TIMEOUT
    try:
        seconds = parse_duration(text)
    except InvalidInput as error:
        raise invalid([WrongPlace(str(error), parameter="timeout")]) from None
    if not 0 < seconds <= MOST_TIMEOUT:
        raise invalid([WrongPlace(f"use more than 0 and at most {MOST_TIMEOUT:g} s", parameter="timeout")])
    return seconds
