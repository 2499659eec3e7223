"""Answers that are JSON documents."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request
from starlette.responses import Response

from cluster.gateway.json_messages import to_json
from cluster.gateway.routes import Route

MOST_KEPT = 512  # documents of messages, should the same be read again
MOST_OF_ONE = 8 * 1024  # bytes of such a message


class Document(NamedTuple):
    """A document."""

    content: bytes
    tag: str  # its ETag
    next: Any  # where the next page begins, of a list


def message_answer(route: Route, request: Request, message: Any) -> Response:
    """A message as a JSON document. What is asked for again and again, as the state of a job is, is written once."""
    if route.verb != "GET" or message.ByteSize() > MOST_OF_ONE:
        return document_answer(route, request, to_json(message))
    return _read(route, request, _written(message.DESCRIPTOR, message.SerializeToString(), route.answer))


@lru_cache(maxsize=MOST_KEPT)
def _written(kind: Descriptor, data: bytes, member: str) -> Document:
    return _as_written(to_json(GetMessageClass(kind).FromString(data)), member)


def _as_written(document: Mapping[str, Any], member: str) -> Document:
    content = json.dumps(document[member] if member else document, ensure_ascii=False).encode()
    return Document(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', document.get("next"))


def document_answer(route: Route, request: Request, document: Mapping[str, Any]) -> Response:
    """A JSON document."""
    written = _as_written(document, route.answer)
    if route.verb == "GET":
        return _read(route, request, written)
    headers = {}
    if route.status == 201 and "job" in document:
        headers["Location"] = f"/v1/jobs/{document['job']['number']}"
    return Response(written.content, route.status, headers, "application/json")


def _read(route: Route, request: Request, written: Document) -> Response:
    """What is read has an ETag, and is left out where the reader has it."""
    headers = {"ETag": written.tag, "Cache-Control": "private, no-cache"}
    if link := _next(route, request, written.next):
        headers["Link"] = link
    known = request.headers.get("if-none-match", "")
    if written.tag in known or known == "*":
        return Response(status_code=304, headers=headers)
    return Response(written.content, route.status, headers, "application/json")


def _next(route: Route, request: Request, next_place: Any) -> str:
    """Where the next page of a list is; empty: this is the last."""
    place = next((name for name in ("below", "after") if name in route.query), "")
    if not place or not next_place:
        return ""
    others = [(name, value) for name, value in request.query_params.multi_items() if name != place]
    return f'<{request.url.path}?{urlencode([*others, (place, next_place)])}>; rel="next"'
