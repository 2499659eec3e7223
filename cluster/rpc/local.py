"""The same methods on a Unix socket, for commands on the scheduler's own machine: no TLS, no HTTP/2, no gRPC to load.

Whoever can read the scheduler's private directory has the key of its first user, and with it all rights. A process that
connects to a socket there as the scheduler's own user therefore gets that identity, and passes the same gate: the role,
dates and revocation of the first user's certificate count here as well. Who connects is the kernel's word
(SO_PEERCRED), not the client's.
"""

import asyncio
import logging
import os
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from cluster.domain.base.errors import ClusterError, InvalidInput, NotAuthenticated
from cluster.domain.trust.identity import Peer
from cluster.rpc.bounds import LARGEST
from cluster.rpc.errors import HEADER
from cluster.rpc.frames import CALL, END, ERROR, HEAD, LONGEST_METHOD, MESSAGE, frame

logger = logging.getLogger(__name__)

MOST = 256  # connections at a time; the next client is refused, and calls by TLS instead
PATIENCE = 10.0  # seconds within which a connection names its method
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid: Linux's struct ucred


class LocalContext:
    """The context of a call for handler and gate, where gRPC would have its own."""

    def __init__(self, peer: Peer, writer: asyncio.StreamWriter, serialize: Callable[[Any], bytes]) -> None:
        self.peer_here = peer
        self._writer = writer
        self._serialize = serialize

    async def send_initial_metadata(self, metadata: object) -> None:
        """Does nothing: frames have no headers."""

    async def write(self, message: object) -> None:
        """Sends one message. Waits while the client has much to read already."""
        await send(self._writer, MESSAGE, self._serialize(message))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str], ...] = ()) -> None:
        """Ends the call with an error. Raises AbortError, as gRPC's own context does."""
        kind = dict(trailing).get(HEADER, ClusterError.__name__)
        await send(self._writer, ERROR, f"{kind}\0{details}".encode(errors="replace"))
        raise grpc.aio.AbortError(details)


class LocalServer:
    """Listens on a socket in a private directory. `handlers` are gRPC's guarded handlers by method. Each call asks
    `who`, in a thread, for the holder of the first user's certificate; None when this cluster has issued none."""

    def __init__(self, path: Path, handlers: Mapping[str, Any], who: Callable[[], Peer | None]) -> None:
        self._path = path
        self._handlers = handlers
        self._who = who
        self._uid = os.geteuid()
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Begins to listen. That no socket can be made is no error: commands then call by TLS."""
        if self._uid == _overflow_uid():
            return  # in a container all unknown users have this number, so it proves nothing
        listening = socket.socket(socket.AF_UNIX)
        try:
            self._path.unlink(missing_ok=True)  # left by a scheduler that was killed
            listening.bind(os.fspath(self._path))
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._serve, sock=listening)
        except OSError as error:
            listening.close()
            logger.info("commands on this machine come by TLS: no socket %s: %s", self._path, error.strerror or error)

    async def stop(self, grace: float) -> None:
        """Calls under way have `grace` seconds to end."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None, "asyncio runs each connection in a task of its own"
        self._calls.add(task)
        try:
            if len(self._calls) <= MOST and uid_of(writer) == self._uid:
                await self._call(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, grpc.aio.AbortError, TimeoutError, OSError):
            pass  # the client hung up, this server stops, or the client was told what is wrong
        finally:
            self._calls.discard(task)
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE):
            kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
            if kind != CALL or length > LONGEST_METHOD:
                return
            method = (await reader.readexactly(length)).decode(errors="replace")
        handler = self._handlers.get(method)
        if handler is None:
            return
        peer = await asyncio.to_thread(self._known)
        context: Any = LocalContext(peer, writer, handler.response_serializer) if peer else None
        if context is None:
            text = f"{NotAuthenticated.__name__}\0no certificate of this cluster's first user is there"
            await send(writer, ERROR, text.encode())
            return
        requests = _Requests(reader, writer, method)
        try:
            if handler.response_streaming:
                await handler.stream_stream(requests.all(), context)
            else:
                await context.write(await handler.stream_unary(requests.all(), context))
            await send(writer, END)
        finally:
            requests.close()

    def _known(self) -> Peer | None:
        with suppress(ClusterError):
            return self._who()
        return None


class _Requests:
    """The one request of a call. Once it has arrived, a client that hangs up cancels the task that handles the call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        self._reader = reader
        self._writer = writer
        self._name = method.rpartition("/")[2]
        self._call = asyncio.current_task()
        self._watch: asyncio.Task[None] | None = None

    async def all(self) -> AsyncIterator[bytes]:
        kind, length = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        if kind != MESSAGE:
            return
        if length > LARGEST:
            raise InvalidInput(f"{self._name}: a request of {length} bytes; the limit is {LARGEST}")
        request = await self._reader.readexactly(length)
        if has_hung_up(self._writer):  # it may have called by TLS since, and must not be served twice
            raise asyncio.CancelledError
        self._watch = asyncio.create_task(self._until_it_hangs_up())
        yield request

    def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def _until_it_hangs_up(self) -> None:
        with suppress(OSError):
            await self._reader.read(1)
        if self._call is not None:
            self._call.cancel()


async def send(writer: asyncio.StreamWriter, kind: bytes, content: bytes = b"") -> None:
    """Sends one frame. Waits while the other side has much to read already; CancelledError once it has hung up."""
    try:
        writer.write(frame(kind, content))
        await writer.drain()
    except OSError:  # the client has hung up, which is not an error of ours
        raise asyncio.CancelledError from None


def has_hung_up(writer: asyncio.StreamWriter) -> bool:
    """Whether the caller has hung up. Asks the kernel, since the event loop may not know it yet."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def uid_of(writer: asyncio.StreamWriter) -> int:
    """The user id of the process that connected, as the kernel tells it."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _overflow_uid() -> int:
    """The user id by which a user namespace shows all users that it does not know."""
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534
