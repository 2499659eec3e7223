"""Bodies that are JSON objects of a few members, and their schemas."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from starlette.responses import Response

from cluster.domain.job.job_requests import is_text
from cluster.gateway.binding import QUICK
from cluster.gateway.handled_routes import Exchange, Schema
from cluster.gateway.json_messages import MOST_ERRORS, parse_json
from cluster.gateway.problems import WrongPlace, invalid

JSON = "application/json"
TEXT: Schema = {"type": "string"}
SWITCH: Schema = {"type": "boolean"}


def object_in(body: bytes) -> dict[str, Any]:
    """The object that the body says. Problem where it is none."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid([WrongPlace("an object is wanted", "")])
    return value


async def texts_in(exchange: Exchange, *known: str) -> Mapping[str, str]:
    """The texts that the body's members are, empty where one is not there. Problem for anything else."""
    async with exchange.body() as body:
        if len(body) <= QUICK:
            return _texts(body, known)
        return await asyncio.to_thread(_texts, body, known)


def _texts(body: bytes, known: Sequence[str]) -> Mapping[str, str]:
    value = object_in(body)
    there = f"there is no such member; there are {', '.join(known)}"
    wrong = [WrongPlace(there, pointer(name)) for name in islice(value, MOST_ERRORS) if name not in known]
    wrong += [
        WrongPlace("this is no text", pointer(name)) for name in known if name in value and not is_text(value[name])
    ]
    if wrong:
        raise invalid(wrong)
    return {name: value.get(name, "") for name in known}


def pointer(*path: Any) -> str:
    """As a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part)[:60].replace('~', '~0').replace('/', '~1')}" for part in path)


def document(members: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is a JSON object, with the spaces that people put there."""
    return Response(json.dumps(members, ensure_ascii=False), status, headers, JSON)


def object_of(*required: str, **members: Schema) -> Schema:
    """The schema of an object with these members, and no others."""
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}
