"""The application: each request passes the guards, finds its route, and is answered by one call of the scheduler's."""

import logging
import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from email.utils import formatdate
from functools import cache
from typing import Any, Protocol
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from cluster.client.calls_for_others import Method
from cluster.domain.base.errors import ClusterError
from cluster.domain.trust.tokens import BEARER_PREFIX
from cluster.gateway import event_streams, page_files
from cluster.gateway.binding import Binder
from cluster.gateway.bodies import Bodies
from cluster.gateway.documents import document_answer, message_answer
from cluster.gateway.guards import HEADERS, Guards
from cluster.gateway.handled_routes import Exchange, HandledRoute
from cluster.gateway.http_words import HttpWords
from cluster.gateway.metrics import IN_PROGRESS, count_request
from cluster.gateway.paths import Paths
from cluster.gateway.problems import EXHAUSTED, INTERNAL, NOT_FOUND, UNAVAILABLE, WRONG_METHOD, Problem, problem_of
from cluster.gateway.proofs import proof_of
from cluster.gateway.routes import Form, Route, check
from cluster.gateway.table import TABLE
from cluster.rpc.on_behalf import Proof

logger = logging.getLogger(__name__)

MOST_REQUESTS = 1000  # under way at a time, streams included
MOST_OF_ONE = 400  # of them those of one caller
PIECE = 64 * 1024  # bytes of an answer that are handed on at once

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

Answer = Callable[[Request], Awaitable[Response]]


class SchedulerCalls(Protocol):
    """What the application needs of a connection to a scheduler (client.calls_for_others.CallsForOthers)."""

    async def one(self, method: Method, request: Any, shown: Proof, reads: bool = False) -> Any:
        """One answer."""

    def several(self, method: Method, request: Any, shown: Proof) -> AsyncGenerator[Any, None]:
        """Answers as they come."""

    async def sending(self, method: Method, messages: AsyncGenerator[Any, None], shown: Proof) -> Any:
        """One answer to many messages."""

    async def expect_serving(self) -> None:
        """ClusterError when it does not."""


class App:
    """An ASGI application. ClusterError when a route has nobody who may call it."""

    def __init__(
        self, calls: SchedulerCalls, hosts: Collection[str], routes: Iterable[Route | HandledRoute] = TABLE
    ) -> None:
        routes = list(routes)
        check(routes)
        self._calls = calls
        self._guards = Guards(hosts)
        self._bodies = Bodies()
        self._binder = Binder(self._bodies)
        self._words = HttpWords(routes)
        answers: dict[str, dict[str, Answer]] = defaultdict(dict)
        for route in routes:
            answer = self._handled(route) if isinstance(route, HandledRoute) else self._answer_of(route)
            answers[route.path][route.verb] = answer
        if "/execute" in answers:
            answers["/"]["GET"] = _page
        for path, answer in page_files.answers().items():
            answers[path]["GET"] = answer
        answers["/healthz"]["GET"] = self._healthz
        answers["/readyz"]["GET"] = self._readyz
        answers["/v1/openapi.json"]["GET"], answers["/v1/docs"]["GET"] = _told(routes)
        self._without_head = {route.path for route in routes if isinstance(route, HandledRoute) and route.acts}
        self._paths: Paths[tuple[str, dict[str, Answer]]] = Paths()
        for path, by_verb in answers.items():
            self._paths.add(path, (path, by_verb))
        self._under_way = 0
        self._of_callers: Counter[Proof] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. (Of the life of the server, and of WebSockets, nothing is to be known here.)"""
        if scope["type"] != "http":
            return
        request, began, broke = Request(scope, receive), time.monotonic(), ""
        self._under_way += 1
        IN_PROGRESS.inc()
        try:
            response = await self._response(request)
            status = response.status_code
            count_request(request.method, scope.get("route", ""), status, time.monotonic() - began)
            if request.method == "HEAD":
                response = await _head_of(response)
            await response(scope, receive, _in_pieces(_with_headers(send)))
        except ClusterError as error:  # in the middle of an answer, which is left without its end
            broke = f", broken off: {error}"
        finally:
            self._under_way -= 1
            IN_PROGRESS.dec()
            self._left(request)
        told = logging.DEBUG if request.method in ("GET", "HEAD") and status < 400 and not broke else logging.INFO
        if logger.isEnabledFor(told):
            took = (time.monotonic() - began) * 1000
            where = f"{request.method} {_path(request)}"
            logger.log(told, "%s: %d in %.0f ms, from %s%s", where, status, took, _from(scope), broke)

    async def _response(self, request: Request) -> Response:
        try:
            if self._under_way > MOST_REQUESTS:
                raise Problem(UNAVAILABLE, f"more than {MOST_REQUESTS} requests are under way; try again soon")
            self._guards.check(request)
            return await self._found(request)(request)
        except Problem as problem:
            return self._told(request, problem)
        except ClusterError as error:
            return self._told(request, problem_of(error))
        except Exception:
            number = secrets.token_hex(4)
            logger.exception("%s %s failed by a fault of ours; id %s", request.method, _path(request), number)
            return Problem(INTERNAL, f"internal error {number}; the gateway's log says more under this id").response()

    def _told(self, request: Request, problem: Problem) -> Response:
        self._words.told(problem, request.scope.get("route", ""), request.method)
        return problem.response()

    def _found(self, request: Request) -> Answer:
        """What answers the request. Problem when nothing does."""
        found = self._paths.find(request.scope["raw_path"].decode("ascii", "replace"))
        if found is None:
            raise Problem(NOT_FOUND, f"there is nothing at {request.url.path[:200]!r}; /v1/docs tells what there is")
        (request.scope["route"], by_verb), request.scope["path_params"] = found
        has_head = "GET" in by_verb and request.scope["route"] not in self._without_head
        if answer := by_verb.get("GET" if request.method == "HEAD" and has_head else request.method):
            return answer
        allowed = ", ".join([*by_verb, *(["HEAD"] if has_head else [])])
        words = f"{request.url.path} has no {request.method[:20]}: it has {allowed}"
        raise Problem(WRONG_METHOD, words, headers={"Allow": allowed})

    def _handled(self, route: HandledRoute) -> Answer:
        async def answer(request: Request) -> Response:
            shown = self._entered(request)
            return await route.handle(Exchange(route, request, self._calls, shown, self._bodies))

        return answer

    def _answer_of(self, route: Route) -> Answer:
        async def answer(request: Request) -> Response:
            shown = self._entered(request)
            message = await self._binder.message(route, request, shown.token or shown.certificate.decode())
            match route.form:
                case Form.MESSAGE:
                    response = await self._calls.one(route.method, message, shown, reads=route.verb == "GET")
                    return message_answer(route, request, response)
                case Form.COLLECTED:
                    answers = self._calls.several(route.method, message, shown)
                    return document_answer(route, request, await event_streams.collected(answers))
                case Form.CHANGES:
                    changes = self._calls.several(route.method, message, shown)
                    if event_streams.wants_events(request):
                        return await event_streams.as_events(changes, event_streams.write_change)
                    return document_answer(route, request, await event_streams.ended_jobs(changes))
                case Form.OUTPUT:
                    event_streams.prepare_output(request, message)
                    pieces = self._calls.several(route.method, message, shown)
                    if event_streams.wants_events(request):
                        return await event_streams.as_events(pieces, event_streams.output_events())
                    return await event_streams.as_bytes(pieces)
                case Form.EVENTS:
                    event_streams.prepare_events(request, message)
                    pages = self._calls.several(route.method, message, shown)
                    if message.follow:
                        return await event_streams.as_events(pages, event_streams.write_happened)
                    return document_answer(route, request, await event_streams.collected(pages))

        return answer

    def _entered(self, request: Request) -> Proof:
        """What the caller shows. Problem where it has as many requests under way as one may have: a follower for each
        of its jobs must not leave others without."""
        shown = proof_of(request)
        if self._of_callers[shown] >= MOST_OF_ONE:
            raise Problem(EXHAUSTED, f"you have {MOST_OF_ONE} requests under way, the most that one caller may have")
        self._of_callers[shown] += 1
        request.state.caller = shown
        return shown

    def _left(self, request: Request) -> None:
        for act in getattr(request.state, "at_end", ()):
            act()
        if (shown := getattr(request.state, "caller", None)) is not None:
            self._of_callers[shown] -= 1
            if not self._of_callers[shown]:
                del self._of_callers[shown]

    async def _healthz(self, request: Request) -> Response:
        """This process answers."""
        return JSONResponse({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        """The scheduler serves, too."""
        try:
            await self._calls.expect_serving()
        except ClusterError as error:
            raise Problem(UNAVAILABLE, str(error)) from None
        return JSONResponse({"status": "ok"})


async def _page(request: Request) -> Response:
    """Where people run code."""
    from cluster.gateway.execute_page import CONTENT_SECURITY_POLICY, PAGE

    return HTMLResponse(PAGE, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


def _told(routes: Iterable[Route | HandledRoute]) -> tuple[Answer, Answer]:
    """What there is, for programs and for people. It is no secret: the same for every cluster of this version."""

    @cache
    def document() -> dict[str, Any]:
        from cluster.gateway.openapi import document_of

        return document_of(routes)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document())

    async def docs(request: Request) -> Response:
        from cluster.gateway.docs_page import CONTENT_SECURITY_POLICY, page

        return HTMLResponse(page(document()), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return openapi, docs


async def _head_of(response: Response) -> Response:
    """The same without its body, which may be one that has no end."""
    if isinstance(response, StreamingResponse):
        await event_streams.leave(response)
    head = Response(status_code=response.status_code)
    head.raw_headers = response.raw_headers
    return head


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            date = (b"date", formatdate(usegmt=True).encode())
            message["headers"] = [*message["headers"], date, *(each for each in _HEADERS if each[0] not in present)]
        await send(message)

    return sending


def _in_pieces(send: Send) -> Send:
    """A large answer goes in pieces, each when its reader has taken those before, all but a few: so as long as it is
    here its request is under way, and counts."""

    async def sending(message: Message) -> None:
        body = message.get("body", b"")
        for at in range(PIECE, len(body), PIECE):
            await send({**message, "body": body[at - PIECE : at], "more_body": True})
        last = max(0, len(body) - 1) // PIECE * PIECE
        await send({**message, "body": body[last:]} if last else message)

    return sending


def _path(request: Request) -> str:
    """For the log: without its query, which may hold a secret, without a token that somebody has put into it, and
    without anything that a terminal would act on."""
    path = unquote(request.scope["raw_path"].decode("ascii", "replace"))
    return repr(re.sub(rf"{re.escape(BEARER_PREFIX)}[\w-]+", f"{BEARER_PREFIX}…", path))[1:-1]


def _from(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "nowhere"
