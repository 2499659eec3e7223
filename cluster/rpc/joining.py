"""The join listener: a server for those who have no certificate yet, which offers `Scheduler.Join` and nothing else.

It needs a port of its own, because a gRPC server in Python either demands a client certificate or never looks at one.
Its callers prove themselves by a token's secret, and it proves itself by the CA that the token pins.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

import grpc
import grpc.aio

from cluster.domain.errors import Exhausted, NotAuthenticated
from cluster.domain.throttle import FailureThrottle
from cluster.rpc.errors import Context, answering_errors
from cluster.rpc.intake import Intake
from cluster.rpc.server import SERVER_OPTIONS, guarded_handler
from cluster.v1 import scheduler_pb2

Join = Callable[[scheduler_pb2.JoinRequest], Awaitable[scheduler_pb2.JoinResponse]]

SERVICE, METHOD = "cluster.v1.Scheduler", "Join"

# Anybody may call this, so little is taken of each: a request is a secret, a key and a name. A connection has few calls
# and a short life: joining takes one, and milliseconds. Who says nothing is not waited for, and all of them together
# leave enough of what this process may open to those who come to the main port.
_MAX_REQUEST = 64 * 1024
_MAX_CONNECTIONS = 256
_MAX_CONCURRENT = 512
_PER_HOST = 16  # calls of one host at a time, so that none keeps those of others from joining
_BODY = 5.0  # seconds for a request to arrive, of which there are a few hundred bytes
_LIMITS = {
    "grpc.max_receive_message_length": _MAX_REQUEST,
    "grpc.max_allowed_incoming_connections": _MAX_CONNECTIONS,
    "grpc.max_concurrent_streams": 2,
    "grpc.server_handshake_timeout_ms": 5000,
    "grpc.max_connection_idle_ms": 5000,
    "grpc.max_connection_age_ms": 20_000,
    "grpc.max_connection_age_grace_ms": 10_000,
}


def join_server(join: Join, now: Callable[[], float]) -> grpc.aio.Server:
    """A server that answers each request with `join`, which raises NotAuthenticated for a wrong secret.

    `now` is a monotonic clock. Bind it with `cluster.rpc.server.listen` and `ServingCredentials.for_joining`.
    """
    throttle = FailureThrottle()

    async def answer(request: scheduler_pb2.JoinRequest, context: Context) -> scheduler_pb2.JoinResponse:
        try:
            return await join(request)
        except NotAuthenticated:
            # Only now: whoever shows a secret that is right gets in, whatever others at his address have tried.
            source = _host_of(context.peer())
            throttle.check(source, now())
            throttle.failed(source, now())
            raise

    shares = _Shares()

    async def enter(stack: AsyncExitStack, context: Context) -> None:
        await stack.enter_async_context(answering_errors(context, f"/{SERVICE}/{METHOD}"))
        stack.enter_context(shares.under_way(_host_of(context.peer())))

    handler = grpc.unary_unary_rpc_method_handler(
        answer, scheduler_pb2.JoinRequest.FromString, scheduler_pb2.JoinResponse.SerializeToString
    )
    server = grpc.aio.server(
        options=[*(dict(SERVER_OPTIONS) | _LIMITS).items()], maximum_concurrent_rpcs=_MAX_CONCURRENT
    )
    intake = Intake(f"/{SERVICE}/{METHOD}", scheduler_pb2.JoinRequest.FromString, _BODY)
    guarded = {METHOD: guarded_handler(handler, intake, enter)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, guarded),))
    return server


@dataclass(eq=False, slots=True)
class _Call:
    """One under way. `too_old` is set when its task is cancelled by us."""

    task: "asyncio.Task[object]"
    too_old: bool = False


class _Shares:
    """The calls of each host, oldest first. One that is too many ends the oldest: joining takes milliseconds, so that
    is one that says nothing."""

    def __init__(self) -> None:
        self._calls: defaultdict[str, list[_Call]] = defaultdict(list)

    @contextmanager
    def under_way(self, host: str) -> Iterator[None]:
        """Exhausted, out of the body, when the call is ended for others of its host."""
        task = asyncio.current_task()
        assert task is not None, "gRPC runs each call in a task of its own"
        call, calls = _Call(task), self._calls[host]
        calls.append(call)
        if len(calls) > _PER_HOST:
            calls[0].too_old = True
            calls.pop(0).task.cancel()
        try:
            yield
        except asyncio.CancelledError:
            if not call.too_old:
                raise
            task.uncancel()
            raise Exhausted(f"{host} has more than {_PER_HOST} calls under way; this was the oldest") from None
        finally:
            if call in calls:
                calls.remove(call)
            if not calls:
                self._calls.pop(host, None)


def _host_of(peer: str) -> str:
    """The host in gRPC's name for a peer, such as `ipv4:10.0.0.7:33210` or `ipv6:%5B::1%5D:33210`."""
    return peer.rpartition(":")[0]
