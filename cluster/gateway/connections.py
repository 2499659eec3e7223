"""Connections: what of HTTP/1.1 is taken, limits on time and on headers.

uvicorn runs the requests, and llhttp (by httptools) reads them, strictly. Neither has a limit on a request's head or on
how long it may take, nor a way from a connection's certificate to the application; what cannot be read is answered
before the requests that came before it, and reset before its sender has read why. All that is here.
"""

import asyncio
import json
import ssl
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from cluster.domain.trust.connection_seats import Seats
from cluster.gateway.problems import HEADERS_TOO_LARGE, MALFORMED, MEDIA_TYPE, Problem
from cluster.gateway.proofs import CERTIFICATE

HEAD_PATIENCE = 10.0  # seconds for a request's line and headers, and for the handshake before them
MOST_HEAD = 32 * 1024  # bytes of line and headers
PIECE = 4096  # bytes that are read at a time: so few requests can be in them, when somebody sends many at once
MOST_UNREAD = 256 * 1024  # bytes of later requests that a connection holds while earlier ones are answered
LINGER = 1.0  # seconds that what follows on something bad is read and forgotten: else its sender would see a reset
VERSIONS = ("1.0", "1.1")


class Connection(HttpToolsProtocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _head: int | None = None  # bytes of a head that is there in part; None: there is none
    _in_body = False
    _unread = b""  # of later requests
    _refused: Problem | None = None  # why nothing more is read
    _answering: RequestResponseCycle | None = None  # the request that is being answered, or was answered last

    def __init__(self, seats: "Seats[Connection]", **others: Any) -> None:
        """`seats`: those of all connections of the server. `others`: as uvicorn's own."""
        super().__init__(**others)
        self._seats = seats

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has so long to ask for something. When there are too many, the oldest of whoever has most goes."""
        super().connection_made(transport)  # type: ignore[arg-type]
        oldest = self._seats.take(self, self.client[0] if self.client else "")
        if oldest is not None:
            oldest.transport.abort()
        self.app_state = {**self.app_state, CERTIFICATE: _certificate_of(transport)}
        self._head_timer = self.loop.call_later(HEAD_PATIENCE, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and whoever answers is told."""
        self._stop_timer()
        self._seats.leave(self)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The timer runs while a head is there in part, or not at all; and while the rest of a body comes that was
        answered already: so long that is read and forgotten, else its sender would see a reset and not the answer."""
        if self._refused is not None:
            return
        self._unset_keepalive_if_required()
        self._unread += data
        self._read_on()
        if self._refused is not None:
            return
        if len(self._unread) > MOST_UNREAD:
            self.flow.pause_reading()  # until what is answered has been
        if not self._is_idle:
            self._stop_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_PATIENCE, self._too_slow)

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self._answering is None or self._answering.response_complete

    def _read_on(self) -> None:
        """Reads until a request waits for those before it."""
        while self._unread and not self.pipeline and self._refused is None and not self.transport.is_closing():
            piece, self._unread = self._unread[:PIECE], self._unread[PIECE:]
            in_head = self._head is not None
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:  # which we do not: it is a request like any other
                self._unread = piece[upgrade.args[0] :] + self._unread
            except httptools.HttpParserError as error:
                why = error.__context__
                self._refuse(why if isinstance(why, Problem) else Problem(MALFORMED, "this is no request of HTTP/1.1"))
            else:
                if in_head and self._head is not None:
                    self._head += len(piece)
                    if self._head > MOST_HEAD:
                        self._refuse(_too_large())

    # ── what the parser finds ─────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Problem for what is not taken."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MOST_HEAD:
            raise _too_large()
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            raise Problem(MALFORMED, f"HTTP/{version} is not spoken here: use HTTP/1.1")
        if not self.url.startswith(b"/") or b"#" in self.url or not self.url.isascii():
            raise Problem(MALFORMED, "the request's target is no path of this server")
        super().on_headers_complete()
        self._head, self._in_body = None, True
        self.flow.resume_reading()  # uvicorn would not, where others are before it: then no hanging up is noticed
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # whoever sent it may go on with something else than HTTP

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The next one may be read."""
        super().on_response_complete()
        if self._is_idle and self._refused is not None:
            self._say_refused()
        elif self._is_idle and self._unread and not self.transport.is_closing():
            self.data_received(b"")

    # ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, problem: Problem) -> None:
        """Answers with the problem, after what was asked before. Nothing more is read."""
        self._refused, self._unread = problem, b""
        if self._in_body and self.cycle is not self._answering:
            self.pipeline.popleft()  # it waits, and never comes
        elif self._in_body and self.cycle.response_started:
            self.transport.close()
        elif self._in_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._say_refused()
        elif self._is_idle:
            self._say_refused()

    def _say_refused(self) -> None:
        assert self._refused is not None
        content = json.dumps(self._refused.as_json()).encode()
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(STATUS_LINE[self._refused.kind.status] + head + content)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._stop_timer()
        self._head_timer = self.loop.call_later(LINGER, self._too_slow)

    def _too_slow(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _too_large() -> Problem:
    return Problem(HEADERS_TOO_LARGE, f"the request's head has more than {MOST_HEAD} bytes")


def _certificate_of(transport: asyncio.BaseTransport) -> bytes:
    """The client's, as PEM; empty: it has shown none. Its chain and its key were verified in the handshake."""
    tls = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return ssl.DER_cert_to_PEM_cert(der).encode() if der else b""
