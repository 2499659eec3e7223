"""Errors over HTTP: problem details (RFC 9457). What the scheduler raised keeps its words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.responses import Response

from cluster.domain.base import errors
from cluster.domain.base.errors import ClusterError

MEDIA_TYPE = "application/problem+json"
SOON = 1  # seconds after which it may work: what a client that is told to come again waits
CHALLENGE = 'Bearer realm="cluster", Basic realm="cluster", charset="UTF-8"'


class Kind(NamedTuple):
    """One kind of problem. Its name is the end of its type, which the page of the API explains."""

    name: str
    status: int
    means: str


INVALID = Kind("invalid", 400, "A value can never be right; `errors` says which, by its JSON pointer or parameter.")
MALFORMED = Kind("malformed", 400, "The request is not HTTP, or its body is not JSON; `line` and `column` say where.")
UNAUTHENTICATED = Kind("unauthenticated", 401, "No token or certificate was shown, or it counts no more.")
NOT_PERMITTED = Kind("not-permitted", 403, "The role of whoever calls may not do this.")
CROSS_SITE = Kind("cross-site", 403, "A page of another site made this request.")
NOT_FOUND = Kind("not-found", 404, "There is no such thing, or it is somebody else's.")
WRONG_METHOD = Kind("wrong-method", 405, "What is there has no such method; `Allow` names those it has.")
TOO_SLOW = Kind("too-slow", 408, "The request did not arrive in time.")
CONFLICT = Kind("conflict", 409, "The present state forbids it.")
LENGTH_REQUIRED = Kind("length-required", 411, "The request must say how many bytes come.")
TOO_LARGE = Kind("too-large", 413, "The body is larger than anything that this takes.")
WRONG_TYPE = Kind("wrong-type", 415, "The body must be application/json.")
RANGE = Kind("range", 416, "None of the bytes are there that Range asks for; `Content-Range` says how many there are.")
WRONG_HOST = Kind("wrong-host", 421, "The Host header names somebody else.")
FAILED = Kind("failed", 422, "The code that was to run ended with an error of its own, which this tells.")
EXHAUSTED = Kind("exhausted", 429, "A bound was reached; later it may work.")
HEADERS_TOO_LARGE = Kind("headers-too-large", 431, "Request line and headers are larger than anything that is taken.")
INTERNAL = Kind("internal", 500, "A fault of ours; the log says more under the id.")
UNAVAILABLE = Kind("unavailable", 503, "The scheduler cannot be reached, or too much goes on; `Retry-After` says when.")
TIMED_OUT = Kind("timed-out", 504, "The code that was to run took longer than it may, and was stopped.")

KINDS = (
    *(INVALID, MALFORMED, UNAUTHENTICATED, NOT_PERMITTED, CROSS_SITE, NOT_FOUND, WRONG_METHOD, TOO_SLOW, CONFLICT),
    *(LENGTH_REQUIRED, TOO_LARGE, WRONG_TYPE, RANGE, WRONG_HOST, FAILED, EXHAUSTED, HEADERS_TOO_LARGE, INTERNAL),
    *(UNAVAILABLE, TIMED_OUT),
)

# A class that is not here is told as its parent.
_OF_ERRORS: dict[type[ClusterError], Kind] = {
    ClusterError: INTERNAL,
    errors.InvalidInput: INVALID,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    errors.Exhausted: EXHAUSTED,
    errors.NotAuthenticated: UNAUTHENTICATED,
    errors.NotPermitted: NOT_PERMITTED,
    errors.Unreachable: UNAVAILABLE,
    errors.NotOffered: UNAVAILABLE,  # until the scheduler is as new as its gateway
    errors.Untrusted: UNAVAILABLE,  # of the gateway itself, which its caller cannot help
    errors.Unusable: UNAVAILABLE,
}


class WrongPlace(NamedTuple):
    """One thing that is wrong in a request: where, by a JSON pointer (RFC 6901) or the name of a parameter."""

    detail: str
    pointer: str | None = None  # into the body
    parameter: str | None = None  # of the path or the query

    def as_json(self) -> dict[str, str]:
        """As a member of `errors`."""
        return {key: value for key, value in self._asdict().items() if value is not None}


@dataclass
class Problem(Exception):
    """Raised by whoever finds that a request cannot be answered as it asks."""

    kind: Kind
    detail: str
    errors: Sequence[WrongPlace] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The document's members."""
        document: dict[str, Any] = {
            "type": f"/v1/docs#{self.kind.name}",
            "title": HTTPStatus(self.kind.status).phrase,
            "status": self.kind.status,
            "detail": self.detail,
            **self.more,
        }
        if self.errors:
            document["errors"] = [place.as_json() for place in self.errors]
        return document

    def response(self) -> Response:
        """The document, with the headers that belong to its status."""
        headers = dict(self.headers)
        if self.kind is UNAUTHENTICATED:
            headers["WWW-Authenticate"] = CHALLENGE
        if self.kind in (UNAVAILABLE, EXHAUSTED):
            headers.setdefault("Retry-After", str(SOON))
        return Response(json.dumps(self.as_json()), self.kind.status, headers, MEDIA_TYPE)


def invalid(places: Sequence[WrongPlace]) -> Problem:
    """The problem of a request in which these are wrong: at least one."""
    first = places[0]
    where = first.parameter or first.pointer or "the body"
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return Problem(INVALID, f"{where}: {first.detail}{more}", places)


def problem_of(error: ClusterError) -> Problem:
    """What the caller is told of an error of ours or of the scheduler's."""
    kind = next(_OF_ERRORS[kind] for kind in type(error).__mro__ if kind in _OF_ERRORS)
    return Problem(kind, str(error))
