"""The join listener: a server for those who have no certificate yet, which offers `Scheduler.Join` and nothing else.

It needs a port of its own, because a gRPC server in Python either demands a client certificate or never looks at one.
Its callers prove themselves by a token's secret, and it proves itself by the CA that the token pins.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from cluster.domain.base.errors import Conflict, Exhausted, NotAuthenticated
from cluster.domain.trust.connection_seats import Seats
from cluster.domain.trust.throttle import FailureThrottle
from cluster.rpc.connection_front import MOST, SOCKET, Front, bind
from cluster.rpc.errors import Context, answering_errors
from cluster.rpc.request_intake import Intake
from cluster.rpc.server import SERVER_OPTIONS, guarded_handler
from cluster.v1 import scheduler_pb2

Join = Callable[[scheduler_pb2.JoinRequest], Awaitable[scheduler_pb2.JoinResponse]]

SERVICE, METHOD = "cluster.v1.Scheduler", "Join"

# Anybody may call this, so little is taken of each: a request is a secret, a key and a name. A connection has few calls
# and a short life: joining takes one, and milliseconds. Who says nothing is not waited for, and all of them together
# leave enough of what this process may open to those who come to the main port: the front bounds them, and opens three
# descriptors for each (the newcomer's, and both ends of the connection to here).
_MAX_REQUEST = 64 * 1024
_MAX_CONCURRENT = 512
_PER_HOST = 16  # calls of one host at a time, so that no host keeps others from joining
_BODY = 5.0  # seconds for a request to arrive, of which there are a few hundred bytes
_LIMITS = {
    "grpc.max_receive_message_length": _MAX_REQUEST,
    "grpc.max_allowed_incoming_connections": 2 * MOST,  # twice, because connections that are being closed count too
    "grpc.max_concurrent_streams": 2,
    "grpc.server_handshake_timeout_ms": 5000,
    "grpc.max_connection_idle_ms": 5000,
    "grpc.max_connection_age_ms": 20_000,
    "grpc.max_connection_age_grace_ms": 10_000,
}


class JoinServer:
    """Answers each request with `join`, which raises NotAuthenticated for a wrong secret. Call `listen`, then `start`,
    in the event loop that it was made in, and `stop` in any case."""

    def __init__(self, join: Join, now: Callable[[], float], directory: Path) -> None:
        """`now` is a monotonic clock. `directory` is closed to others: its socket leads past the front."""
        self._join = join
        self._now = now
        self._throttle = FailureThrottle()
        self._front = Front(directory)
        self._sockets: list[socket.socket] = []
        self._calls = _Calls()
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer, scheduler_pb2.JoinRequest.FromString, scheduler_pb2.JoinResponse.SerializeToString
        )
        self._server = grpc.aio.server(
            options=[*(dict(SERVER_OPTIONS) | _LIMITS).items()], maximum_concurrent_rpcs=_MAX_CONCURRENT
        )
        intake = Intake(f"/{SERVICE}/{METHOD}", scheduler_pb2.JoinRequest.FromString, _BODY)
        guarded = {METHOD: guarded_handler(handler, intake, self._enter)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, guarded),))

    def listen(self, address: str, credentials: grpc.ServerCredentials, option: str = "--join-listen") -> int:
        """Listens as `cluster.rpc.server.listen` does."""
        self._sockets = bind(address, option)
        self._front.clear_place()
        try:
            self._server.add_secure_port(f"unix:{self._front.behind}", credentials)
        except RuntimeError:
            raise Conflict(f"no socket {SOCKET} can be made in the scheduler's directory; is its disk full?") from None
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        await self._server.start()
        self._front.start(self._sockets)

    async def stop(self, grace: float | None) -> None:
        """Calls under way have `grace` seconds to end."""
        await self._server.stop(grace)
        self._front.keep_place()
        await asyncio.to_thread(self._front.stop)
        for each in self._sockets:
            each.close()

    async def _enter(self, stack: AsyncExitStack, context: Context) -> None:
        await stack.enter_async_context(answering_errors(context, f"/{SERVICE}/{METHOD}"))
        stack.enter_context(self._calls.under_way(self._front.host_behind(context.peer())))

    async def _answer(self, request: scheduler_pb2.JoinRequest, context: Context) -> scheduler_pb2.JoinResponse:
        source = self._front.host_behind(context.peer())
        try:
            return await self._join(request)
        except NotAuthenticated:
            # Only now: whoever shows a secret that is right gets in, whatever others at his address have tried.
            self._throttle.check(source, self._now())
            self._throttle.failed(source, self._now())
            raise


@dataclass(eq=False, slots=True)
class _JoinCall:
    """A call under way. `too_old` is set when we cancel its task."""

    task: "asyncio.Task[object]"
    too_old: bool = False


class _Calls:
    """The calls under way, by host. A call over the bound ends the oldest one of its host: joining takes milliseconds,
    so the oldest one hangs."""

    def __init__(self) -> None:
        self._seats: Seats[_JoinCall] = Seats(_MAX_CONCURRENT, _PER_HOST)

    @contextmanager
    def under_way(self, host: str) -> Iterator[None]:
        """Exhausted, out of the body, when the call is ended for others of its host."""
        task = asyncio.current_task()
        assert task is not None, "gRPC runs each call in a task of its own"
        call = _JoinCall(task)
        if (oldest := self._seats.take(call, host)) is not None:
            oldest.too_old = True
            oldest.task.cancel()
        try:
            yield
        except asyncio.CancelledError:
            if not call.too_old:
                raise
            task.uncancel()
            raise Exhausted(f"{host} has more than {_PER_HOST} calls under way; this was the oldest") from None
        finally:
            self._seats.leave(call)
