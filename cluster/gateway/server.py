"""Serving connections on one socket: TLS 1.3 with a client certificate or without, a limit on how many there are."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from cluster.domain.trust.connection_seats import Seats
from cluster.gateway import connections
from cluster.gateway.connections import Connection

IDLE_PATIENCE = 15  # seconds that a connection may wait for its next request
MOST_CONNECTIONS = 2000
LAST_WORDS = 1  # seconds that requests under way get to end by themselves when we stop
BACKLOG = 512


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

        patience = connections.HEAD_PATIENCE if self._tls else None
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
