"""Routes whose requests and answers have a form of their own, as somebody else has thought of it.

A handler makes calls of the scheduler's for each, and none but those that its route names: so the table of roles says
who may use it, as of every other route.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from cluster.client.calls_for_others import Method, method
from cluster.domain.trust.identity import Role
from cluster.gateway.bodies import Bodies, most_of
from cluster.gateway.problems import WrongPlace, invalid
from cluster.gateway.routes import roles_of
from cluster.rpc.on_behalf import Proof

Schema = Mapping[str, Any]  # of JSON


class Calls(Protocol):
    """What a handler needs of a connection to a scheduler (client.calls_for_others.CallsForOthers)."""

    async def one(self, method: Method, request: Any, shown: Proof) -> Any:
        """One answer."""

    def several(self, method: Method, request: Any, shown: Proof) -> AsyncGenerator[Any, None]:
        """Answers as they come."""

    async def sending(self, method: Method, messages: AsyncGenerator[Any, None], shown: Proof) -> Any:
        """One answer to many messages."""


@dataclass(frozen=True)
class HandledRoute:
    """One method of one path, and what answers it."""

    verb: str  # POST
    path: str  # /scheduler/jobs/{job}/kill
    calls: Sequence[str]  # all that it may make: Jobs.Get. A body is bounded as a request of the first
    summary: str  # one sentence
    handle: "Callable[[Exchange], Awaitable[Response]]"
    query: Mapping[str, str] = field(default_factory=dict)  # its parameters, and what each says
    bodies: Mapping[str, Schema] = field(default_factory=dict)  # schemas, by media type; none: it has no body
    answers: Mapping[str, Schema] = field(default_factory=dict)  # the same of what it answers
    status: int = 200
    acts: bool = False  # also GET does something, so nobody asks for its head alone

    @cached_property
    def methods(self) -> Sequence[Method]:
        """The methods of its calls."""
        return tuple(method(f"/cluster.v1.{call.replace('.', '/')}") for call in self.calls)

    @property
    def roles(self) -> list[Role]:
        """The roles of people that may use it: those that may make all its calls."""
        return roles_of(self.methods)

    @property
    def name(self) -> str:
        """A name of its own: what OpenAPI calls operationId."""
        words = (part.strip("{}") for part in self.path.split("/") if part)
        return "-".join((self.verb.lower(), *words))


def in_both_forms(*routes: HandledRoute) -> tuple[HandledRoute, ...]:
    """These routes, and each again by its path in the singular: /scheduler/job/5 beside /scheduler/jobs/5. Of a node's
    jobs that is said of the jobs: the node's uri says what comes before."""

    def singular(path: str) -> str:
        return path.replace("/jobs", "/job") if "/jobs" in path else path.replace("/nodes", "/node")

    return (*routes, *(replace(route, path=singular(route.path)) for route in routes))


class Exchange:
    """One request to such a route, and the calls that are made for it in its caller's right."""

    def __init__(self, route: HandledRoute, request: Request, calls: Calls, shown: Proof, bodies: Bodies) -> None:
        """Problem for a parameter that the route has not."""
        self.request = request
        self.shown = shown
        self._route = route
        self.calls = calls
        self._bodies = bodies
        self._methods = dict(zip(route.calls, route.methods, strict=True))
        unknown = [name for name in request.query_params if name not in route.query]
        if unknown:
            known = f"it has {', '.join(route.query)}" if route.query else "it has none"
            raise invalid([WrongPlace(f"there is no such parameter; {known}", parameter=name[:60]) for name in unknown])

    def message(self, call: str, **fields: Any) -> Any:
        """The request of a call."""
        return self._methods[call].request(**fields)

    async def one(self, call: str, **fields: Any) -> Any:
        """The answer of a call that has one. Raises the scheduler's ClusterError."""
        return await self.calls.one(self._methods[call], self.message(call, **fields), self.shown)

    def several(self, call: str, message: Any) -> AsyncGenerator[Any, None]:
        """The answers of one that streams them, as they come."""
        return self.calls.several(self._methods[call], message, self.shown)

    async def sending(self, call: str, messages: AsyncGenerator[Any, None]) -> Any:
        """The answer of a call to which messages are streamed, which are asked for as they go."""
        return await self.calls.sending(self._methods[call], messages, self.shown)

    def body(self, most: int = 0) -> AbstractAsyncContextManager[bytes]:
        """The body, which counts among all bodies until the context is left. Problem when it is too large or slow.
        `most`: bytes that it may have, 0: as a request of the route's first call."""
        return self._bodies.read(self.request, most or most_of(self._route.methods[0].path))

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body, of any size, piece by piece. Problem where it breaks off or comes too slowly."""
        return self._bodies.pieces(self.request)

    def at_end(self, act: Callable[[], None]) -> None:
        """Does that when all of the answer has gone, or nobody takes it any more."""
        self.request.state.at_end = [*getattr(self.request.state, "at_end", ()), act]

    def parameter(self, name: str) -> str:
        """Its one value in the query; empty: it is not there. Problem where it comes twice."""
        values = self.request.query_params.getlist(name)
        if len(values) > 1:
            raise invalid([WrongPlace("it comes twice, and may come once", parameter=name)])
        return values[0] if values else ""

    def number(self, name: str) -> int:
        """The same as a number of 32 bits; 0: it is not there."""
        text = self.parameter(name) or "0"
        if not (text.isascii() and text.isdigit() and int(text[:20]) < 1 << 32):
            raise invalid([WrongPlace(f"{text[:60]!r} is no number from 0 to 4294967295", parameter=name)])
        return int(text)
