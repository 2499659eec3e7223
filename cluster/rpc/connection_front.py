"""The front of the joining port: accepts connections, and passes each on to the gRPC server behind it.

gRPC bounds the connections of a port as a whole. Anybody may connect to this one, so a single host could hold them all
and keep the others out. The front always lets a newcomer in: when MOST connections are open it closes the oldest one of
the host that has most. A connection that sends nothing never reaches gRPC, and is closed after SILENCE.

The front runs in a thread with an event loop of its own, so that a crowd at this port delays nothing else.
"""

import asyncio
import itertools
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from cluster.domain.base.errors import Conflict
from cluster.domain.trust.connection_seats import Seats

MOST = 256  # connections at a time
SILENCE = 5.0  # seconds that a newcomer may say nothing
SOCKET = "join.sock"  # where the server behind listens, in a directory that only we may enter
_BACKLOG = 1024
_AT_ONCE = 16  # connections that are taken before any of them has a seat
_HIGH = 64 * 1024  # bytes that wait to be written before no more are read


def host_of(address: str) -> str:
    """What counts as one host: an IPv4 address, or the /64 of an IPv6 address, as a host may take any in it."""
    found = ip_address(address.partition("%")[0])
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def bind(address: str, option: str) -> list[socket.socket]:
    """Sockets that listen on `host:port`, all on one port; on every address when the host is 0.0.0.0 or [::]. Conflict
    says why nobody can listen there, and which `option` of the command line chooses another address."""
    host, _, port = address.rpartition(":")
    try:
        return _everywhere(int(port)) if host in ("0.0.0.0", "[::]") else _at(host, int(port))
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise Conflict(f"cannot listen on {address}: {why}; choose another with {option} HOST:PORT") from None


def _everywhere(port: int) -> list[socket.socket]:
    if socket.has_dualstack_ipv6():
        with suppress(OSError):  # no IPv6 after all; when the port is taken the next line raises
            both = socket.AF_INET6
            return [socket.create_server(("::", port), family=both, backlog=_BACKLOG, dualstack_ipv6=True)]
    return [socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)]


def _at(host: str, port: int) -> list[socket.socket]:
    """Sockets on all addresses of the host."""
    sockets: list[socket.socket] = []
    for family, _, _, _, target in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        if not sockets:
            sockets.append(socket.create_server(target[:2], family=family, backlog=_BACKLOG))
            continue
        with suppress(OSError):
            where = (str(target[0]), int(sockets[0].getsockname()[1]))
            sockets.append(socket.create_server(where, family=family, backlog=_BACKLOG))
    return sockets


class Front:
    """Passes on the connections to its sockets, from `start` until `stop`."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds the socket of the server behind, at `behind`."""
        # Through the descriptor, because a socket address holds only 108 bytes of path.
        self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.behind = f"/proc/self/fd/{self._directory}/{SOCKET}"
        self._names = (f"cluster-{secrets.token_hex(8)}-{number}" for number in itertools.count())
        self._hosts: dict[str, str] = {}  # by the name under which the server behind knows the connection
        self._seats: Seats[_Connection] = Seats(MOST, MOST)
        self.others: set[_Behind] = set()  # open connections to the server behind
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None

    def host_behind(self, peer: str) -> str:
        """The host whose connection gRPC calls `peer`."""
        return self._hosts.get(peer.rpartition(":")[2], peer)

    def clear_place(self) -> None:
        """Removes whatever lies where the server behind will make its socket."""
        with suppress(FileNotFoundError):
            os.unlink(self.behind)

    def keep_place(self) -> None:
        """Puts a file where that socket was: it keeps a directory entry for the next start, whose disk may be full."""
        with suppress(OSError):
            os.close(os.open(self.behind, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Begins to accept; returns once it does."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(sockets, ready)), name="front", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Closes all connections and sockets. Blocks until the thread has ended."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
        os.close(self._directory)

    async def _run(self, sockets: Sequence[socket.socket], ready: threading.Event) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        servers = [await loop.create_server(lambda: _Connection(self), sock=s, backlog=_AT_ONCE) for s in sockets]
        for each in sockets:
            each.listen(_BACKLOG)  # the kernel's queue; asyncio has set it to _AT_ONCE
        ready.set()
        await stopped.wait()
        for each in sockets:
            loop.remove_reader(each)  # CPython 3.11 loses connections that a closing server is just accepting
        await self._close_all()
        for server in servers:
            server.close()

    async def _close_all(self) -> None:
        """Closes connections until none is left. Those just accepted become connections in a later round of the
        loop."""
        while True:
            await asyncio.sleep(0)
            making = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*making, return_exceptions=True)
            connections = [*self._seats, *self.others]
            for connection in connections:
                connection.close()
            if not making and not connections:
                return

    # -- called by connections

    def enter(self, connection: "_Connection", host: str) -> None:
        if (oldest := self._seats.take(connection, host)) is not None:
            oldest.close()

    def leave(self, connection: "_Connection", name: str) -> None:
        self._seats.leave(connection)
        self._hosts.pop(name, None)

    def call(self, host: str) -> tuple[str, socket.socket]:
        """A new connection to the server behind, and the name under which that server knows it."""
        name, behind = next(self._names), socket.socket(socket.AF_UNIX)
        self._hosts[name] = host
        try:
            behind.setblocking(False)
            behind.bind(f"\0{name}")
            behind.connect(self.behind)
        except OSError:
            behind.close()
            del self._hosts[name]
            raise
        return name, behind


class _Connection(asyncio.Protocol):
    """One newcomer's connection. Its other side, to the server behind, is made when the newcomer says something."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._name = self._host = ""
        self._transport: asyncio.Transport | None = None
        self._other: _Behind | None = None
        self._said: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_HIGH)
        self._silence = asyncio.get_running_loop().call_later(SILENCE, self.close)
        peer = transport.get_extra_info("peername")
        if not peer:  # the peer has hung up already
            self.close()
            return
        self._host = host_of(peer[0])
        self._front.enter(self, self._host)

    def data_received(self, data: bytes) -> None:
        self._silence.cancel()
        if self._other is not None and self._other.transport is not None:
            self._other.transport.write(data)
            return
        self._said.append(data)
        if not self._name:
            self._call()

    def _call(self) -> None:
        try:
            self._name, behind = self._front.call(self._host)
        except OSError:  # the queue of the server behind is full, or it is ending
            self.close()
            return
        loop = asyncio.get_running_loop()
        self._other = other = _Behind(self, self._front.others)
        self._calling = loop.create_task(loop.create_connection(lambda: other, sock=behind))

    def answered(self, behind: asyncio.Transport) -> None:
        for data in self._said:
            behind.write(data)
        self._said.clear()
        if self._transport is None or self._transport.is_closing():
            behind.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.resume_reading()

    def reading(self, *, paused: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def close(self) -> None:
        """Closes at once, and drops what was not sent."""
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Closes once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._silence.cancel()
        self._front.leave(self, self._name)
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


class _Behind(asyncio.Protocol):
    """The connection to the server behind that belongs to a newcomer's connection."""

    def __init__(self, newcomer: _Connection, others: "set[_Behind]") -> None:
        """`others` holds it while it is open."""
        self._newcomer = newcomer
        self._others = others
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._others.add(self)
        transport.set_write_buffer_limits(_HIGH)
        self._newcomer.answered(transport)

    def close(self) -> None:
        """Closes at once, and drops what was not sent."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._newcomer.write(data)

    def pause_writing(self) -> None:
        self._newcomer.reading(paused=True)

    def resume_writing(self) -> None:
        self._newcomer.reading(paused=False)

    def connection_lost(self, error: Exception | None) -> None:
        newcomer = self._newcomer
        del self._newcomer  # a cycle would never be freed (cluster.scheduler.garbage_collection)
        self._others.discard(self)
        newcomer.end()
