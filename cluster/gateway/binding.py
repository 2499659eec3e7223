"""From a request to the message of its route: the path's parameters, the query's, and the body."""

import asyncio
import hashlib
import math
import re
import uuid
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request

from cluster.client.job_fields import new_job_id
from cluster.domain.trust.identity import is_uuid
from cluster.gateway.bodies import Bodies, most_of
from cluster.gateway.json_messages import RANGES, from_json, numbers_of, one_of, parse_json
from cluster.gateway.problems import INVALID, WRONG_TYPE, Problem, WrongPlace, invalid
from cluster.gateway.routes import WHOLE, Route

QUICK = 64 * 1024  # bytes of a body that are read as JSON at once; more would hold the event loop
MOST_KEY = 255  # characters of an Idempotency-Key
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_BOOLS = {"true": True, "false": False}


class Binder:
    """Makes messages of requests. `bodies` bounds what bodies take."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def message(self, route: Route, request: Request, salt: str) -> Any:
        """The message of the request. Problem for what is wrong, all of it at once where that can be. `salt`: what the
        caller has shown, so that no two callers mean the same by an Idempotency-Key."""
        descriptor = route.method.request.DESCRIPTOR
        values = parameters(route, request, descriptor)
        message = await self._of_body(route, request, descriptor) if route.body else route.method.request()
        for name, value in {**values, **route.fixed}.items():
            _set(message, descriptor.fields_by_name[name], value)
        if route.makes_id:
            _make_ids(message, request, salt)
        return message

    async def _of_body(self, route: Route, request: Request, descriptor: Descriptor) -> Any:
        async with self._bodies.read(request, most_of(route.method.path)) as body:
            if not body and route.body == WHOLE:
                return route.method.request()
            if media_type(request) != "application/json":
                raise Problem(
                    WRONG_TYPE, "the body must be application/json, and Content-Type must say so (curl --json does)"
                )
            if len(body) <= QUICK:
                return _parsed(route, body, descriptor)
            return await asyncio.to_thread(_parsed, route, body, descriptor)


def _parsed(route: Route, body: bytes, descriptor: Descriptor) -> Any:
    value = parse_json(body)
    if route.body != WHOLE:
        part_type = descriptor.fields_by_name[route.body].message_type
        assert part_type is not None, "a body that is a field is a message"
        part = from_json(value, part_type)
        return route.method.request(**{route.body: part})
    taken = {*route.at.values(), *route.query, *route.fixed}
    if isinstance(value, dict) and (twice := taken & value.keys()):
        raise invalid([WrongPlace("this is said by the path", f"/{name}") for name in sorted(twice)])
    return from_json(value, descriptor)


def parameters(route: Route, request: Request, descriptor: Descriptor) -> dict[str, Any]:
    """The values of the fields that path and query fill."""
    wrong: list[WrongPlace] = []
    values: dict[str, Any] = {}
    for parameter, name in route.at.items():
        texts = [request.path_params[parameter]]
        values[name] = _value(descriptor.fields_by_name[name], parameter, texts, wrong)
    for name in request.query_params:
        if name not in route.query:
            known = f"it has {', '.join(route.query)}" if route.query else "it has none"
            wrong.append(WrongPlace(f"there is no such parameter; {known}", parameter=name[:60]))
        elif name not in values:
            texts = request.query_params.getlist(name)
            values[name] = _value(descriptor.fields_by_name[name], name, texts, wrong)
    if wrong:
        raise invalid(wrong)
    return values


def _value(field: FieldDescriptor, parameter: str, texts: list[str], wrong: list[WrongPlace]) -> Any:
    if field.is_repeated:
        return [_one(field, parameter, text, wrong) for text in texts]
    if len(texts) > 1:
        wrong.append(WrongPlace("it comes twice, and may come once", parameter=parameter))
    return _one(field, parameter, texts[0], wrong)


def _one(field: FieldDescriptor, parameter: str, text: str, wrong: list[WrongPlace]) -> Any:
    """One value, as the text of a parameter has it. A message stands for its one text: a selector."""
    expected = ""
    if field.message_type is not None:
        return GetMessageClass(field.message_type)(text=text)
    if field.enum_type is not None:
        if text in (numbers := numbers_of(field.enum_type)):
            return numbers[text]
        expected = one_of(field.enum_type)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        if text in _BOOLS:
            return _BOOLS[text]
        expected = "true or false"
    elif field.type in RANGES:
        lowest, highest = RANGES[field.type]
        if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 30 and lowest <= int(text) <= highest:
            return int(text)
        expected = f"an integer, {lowest} to {highest}"
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        expected = "a number, as in 1764194400.5"
    else:
        return text
    wrong.append(WrongPlace(f"{text[:60]!r} is not {expected}", parameter=parameter))
    return None


def _set(message: Any, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _make_ids(message: Any, request: Request, salt: str) -> None:
    """Gives the message its id; of several jobs those that have none, each another."""
    _check_key(request)
    if not hasattr(message, "jobs"):
        message.id = job_id(request, salt)
        return
    for place, job in enumerate(message.jobs):
        job.id = job.id or job_id(request, f"{salt}\0{place}", of_several=True)


def job_id(request: Request, salt: str, of_several: bool = False) -> str:
    """The UUID of a job that is submitted: the Idempotency-Key, if it is one and the job comes alone; or what it stands
    for; or a new one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return new_job_id()
    _check_key(request)
    if is_uuid(key) and not of_several:
        return key
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _check_key(request: Request) -> None:
    """Problem for an Idempotency-Key that is none, also where no job needs it."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= MOST_KEY and key.isprintable()):
        raise Problem(INVALID, f"Idempotency-Key must have 1 to {MOST_KEY} characters that can be seen")


def media_type(request: Request) -> str:
    """The type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def accepts(request: Request, media_type: str) -> bool:
    """Whether the caller has named this type among those that it takes."""
    return any(media_type in part.partition(";")[0] for part in _accepted(request))


def _accepted(request: Request) -> Iterable[str]:
    return request.headers.get("accept", "").lower().split(",")
