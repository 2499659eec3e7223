"""The join listener: a server for those who have no certificate yet, which offers `Scheduler.Join` and nothing else.

It needs a port of its own, because a gRPC server in Python either demands a client certificate or never looks at one.
Its callers prove themselves by a token's secret, and it proves itself by the CA that the token pins.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import grpc
import grpc.aio

from cluster.domain.errors import NotAuthenticated
from cluster.domain.throttle import FailureThrottle
from cluster.rpc.errors import Context, answering_errors
from cluster.rpc.intake import Intake
from cluster.rpc.server import SERVER_OPTIONS, guarded_handler
from cluster.v1 import scheduler_pb2

Join = Callable[[scheduler_pb2.JoinRequest], Awaitable[scheduler_pb2.JoinResponse]]

SERVICE, METHOD = "cluster.v1.Scheduler", "Join"

# Anybody may call this, so little is taken of each: a request is a secret, a key and a name.
_MAX_REQUEST = 64 * 1024
_MAX_CONCURRENT = 512
_BODY = 5.0  # seconds for a request to arrive, of which there are a few hundred bytes
# A call that never sends its request counts as well, for as long as its connection lasts. So that nobody keeps others
# from joining by a few of these, a connection has few calls and a short life: joining takes one, and milliseconds.
_LIMITS = [
    ("grpc.max_receive_message_length", _MAX_REQUEST),
    ("grpc.max_concurrent_streams", 2),
    ("grpc.max_connection_age_ms", 20_000),
    ("grpc.max_connection_age_grace_ms", 10_000),
]


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

    async def enter(stack: AsyncExitStack, context: Context) -> None:
        await stack.enter_async_context(answering_errors(context, f"/{SERVICE}/{METHOD}"))

    handler = grpc.unary_unary_rpc_method_handler(
        answer, scheduler_pb2.JoinRequest.FromString, scheduler_pb2.JoinResponse.SerializeToString
    )
    server = grpc.aio.server(options=[*SERVER_OPTIONS, *_LIMITS], maximum_concurrent_rpcs=_MAX_CONCURRENT)
    intake = Intake(f"/{SERVICE}/{METHOD}", scheduler_pb2.JoinRequest.FromString, _BODY)
    guarded = {METHOD: guarded_handler(handler, intake, enter)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, guarded),))
    return server


def _host_of(peer: str) -> str:
    """The host in gRPC's name for a peer, such as `ipv4:10.0.0.7:33210` or `ipv6:%5B::1%5D:33210`."""
    return peer.rpartition(":")[0]
