"""Connections: TLS 1.3 with a client certificate or without, limits on time, on headers and on how many there are.

uvicorn reads HTTP/1.1 (by h11, which is strict) and has no limit on how long a request's head may take, nor a way from
a connection's certificate to the application: both are here.
"""

import asyncio
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cluster.domain.trust.connection_seats import Seats
from cluster.gateway.problems import HEADERS_TOO_LARGE, MALFORMED, MEDIA_TYPE, Problem
from cluster.gateway.proofs import CERTIFICATE

HEAD_PATIENCE = 10.0  # seconds for a request's line and headers, and for the handshake before them
IDLE_PATIENCE = 15  # seconds that a connection may wait for its next request
MOST_HEAD = 32 * 1024  # bytes of line and headers
MOST_CONNECTIONS = 2000
LAST_WORDS = 1  # seconds that requests under way get to end by themselves when we stop
BACKLOG = 512


class Connection(H11Protocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None

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
        """It has ended."""
        self._stop_timer()
        self._seats.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The timer runs while a head is there in part, or not at all; and while the rest of a body comes that was
        answered already: so long that is read and forgotten, else its sender would see a reset and not the answer."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_PATIENCE, self._too_slow)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP, or too large, is told so; uvicorn would say it in plain text."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        error = sys.exc_info()[1]
        too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        words = f"the request's head has more than {MOST_HEAD} bytes" if too_large else "this is no request of HTTP/1.1"
        problem = Problem(HEADERS_TOO_LARGE if too_large else MALFORMED, words)
        headers = [("content-type", MEDIA_TYPE), ("connection", "close")]
        said = self.conn.send(h11.Response(status_code=problem.kind.status, headers=headers))
        said = (said or b"") + (self.conn.send(h11.Data(data=json.dumps(problem.as_json()).encode())) or b"")
        self.transport.write(said + (self.conn.send(h11.EndOfMessage()) or b""))
        self.transport.close()

    def _too_slow(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _certificate_of(transport: asyncio.BaseTransport) -> bytes:
    """The client's, as PEM; empty: it has shown none. Its chain and its key were verified in the handshake."""
    tls = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return ssl.DER_cert_to_PEM_cert(der).encode() if der else b""


class TlsContext:
    """The gateway's TLS, by the credentials in a file that may be replaced."""

    def __init__(self, file: Path, ca_pem: bytes) -> None:
        self._file = file
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.context.load_verify_locations(cadata=ca_pem.decode())
        self.context.num_tickets = 0  # every connection shows its certificate anew
        self.context.set_alpn_protocols(["http/1.1"])
        self.reload()

    def reload(self) -> None:
        """From the next connection on what is in the file now is shown."""
        self.context.load_cert_chain(self._file)


class HttpServer(uvicorn.Server):
    """Serves one application on one socket that listens already."""

    def __init__(self, app: Any, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_PATIENCE,
            timeout_graceful_shutdown=LAST_WORDS,
            h11_max_incomplete_event_size=MOST_HEAD,
        )
        super().__init__(config)
        self._listening = listening
        self._tls = tls
        self._stopping = asyncio.Event()
        self._seats: Seats[Connection] = Seats(MOST_CONNECTIONS, MOST_CONNECTIONS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, but for the time that a handshake may take."""
        config, loop = self.config, asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return Connection(self._seats, config=config, server_state=self.server_state, app_state={}, _loop=loop)

        patience = HEAD_PATIENCE if self._tls else None
        server = await loop.create_server(
            connection, sock=self._listening, backlog=BACKLOG, ssl=self._tls, ssl_handshake_timeout=patience
        )
        self.servers = [server]
        self.started = True

    async def main_loop(self) -> None:
        """Until it is to stop: uvicorn's own looks ten times a second."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Takes no more connections, and ends."""
        self._stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the process's business (cluster.rpc.stop_signal)."""
        yield
