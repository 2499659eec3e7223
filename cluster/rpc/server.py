"""gRPC servers: mutual TLS, a gate before every method, errors in words. Nothing is served without them."""

import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import AsyncExitStack, aclosing
from typing import Any

import grpc
import grpc.aio

from cluster.domain.base.errors import ClusterError, Conflict
from cluster.domain.trust.request_permits import Permits
from cluster.domain.trust.tokens import split_address
from cluster.rpc.bounds import LARGEST
from cluster.rpc.channel import MAX_MESSAGE
from cluster.rpc.errors import Context, answering_errors
from cluster.rpc.gate import Gate, current_caller
from cluster.rpc.permits import RequestPermits
from cluster.rpc.process_limits import check_room
from cluster.rpc.request_intake import Intake, forget
from cluster.rpc.roles import ROLES

Handler = Callable[..., Any]
AddServices = Callable[[grpc.aio.Server], None]  # e.g. lambda server: add_JobsServicer_to_server(jobs, server)

MOST_STREAMS = 32  # calls of many requests, of which the first may be large and is being taken in

SERVER_OPTIONS: list[tuple[str, int]] = [
    # Two schedulers on one port would each get some of the connections, and nobody an error.
    ("grpc.so_reuseport", 0),
    # Clients ping every 3 s while a call is open (cluster.rpc.channel); gRPC's own limit of 5 min would cut them off.
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    # The other direction: forget clients that vanished without a word, with all that their calls hold.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Else each call's window grows to megabytes, and so much of its request is there before a handler has asked for it.
    ("grpc.http2.bdp_probe", 0),
    # Who connects and does not get through the handshake is dropped after 10 s instead of 2 min.
    ("grpc.server_handshake_timeout_ms", 10_000),
]


def mutual_tls_server(
    gate: Gate,
    services: Iterable[AddServices],
    handlers: dict[str, Any] | None = None,
    passed: dict[str, Any] | None = None,
) -> grpc.aio.Server:
    """A server of these services behind the gate. ClusterError when a method of theirs is missing in the role table.
    The guarded handlers of those that take one request are put into `handlers`, for cluster.rpc.local; of those that
    also give one answer into `passed`, for cluster.rpc.passed_calls.

    Handlers must be coroutines or async generators. Bind it with `listen`, then start it, in the
    event loop that it was made in.
    """
    check_room()
    size = [("grpc.max_send_message_length", MAX_MESSAGE), ("grpc.max_receive_message_length", LARGEST)]
    server = grpc.aio.server(options=[*SERVER_OPTIONS, *size])
    guarded = _Guarded(gate, server, {} if handlers is None else handlers, {} if passed is None else passed)
    for add in services:
        add(guarded)  # type: ignore[arg-type]
    return server


def listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials, option: str = "--listen") -> int:
    """Bind the server to `host:port` and answer the port (0 asks for a free one). Conflict says why it cannot, and by
    which `option` of the command line another address is chosen."""
    try:
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        why = _why_not(address, option) or "the port was taken for a moment; try again"
        raise Conflict(f"cannot listen on {address}: {why}") from None


def expect_free(address: str, option: str = "--listen") -> None:
    """Conflict, as `listen` has it, where nobody could listen now."""
    if not address.endswith(":0") and (why := _why_not(address, option)):
        raise Conflict(f"cannot listen on {address}: {why}")


def _why_not(address: str, option: str) -> str:
    """Why nobody can listen there. gRPC does not tell, so this binds once more. Empty when that succeeds."""
    try:
        host, port = split_address(address)
        family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen()
    except (OSError, ClusterError) as error:
        if isinstance(error, OSError):
            return f"{error.strerror}; choose another with {option} HOST:PORT"
        return str(error)
    return ""


class _Guarded:
    """Stands in for the server where generated code adds its services, and adds them with every method guarded."""

    def __init__(self, gate: Gate, server: grpc.aio.Server, handlers: dict[str, Any], passed: dict[str, Any]) -> None:
        self._gate = gate
        self._server = server
        self._handlers = handlers
        self._passed = passed
        self._permits = RequestPermits()
        # Workers that come back all at once after a restart must not wait for each other's slow ones.
        self._stream_permits = RequestPermits(Permits(most=MOST_STREAMS))

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Does nothing: this would offer the same methods a second time, unguarded."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Adds the methods of one service, guarded. Generated code calls this."""
        missing = [f"/{service}/{name}" for name in handlers if f"/{service}/{name}" not in ROLES]
        if missing:
            raise ClusterError(f"nobody has said who may call {', '.join(missing)}; add it to cluster/rpc/roles.py")
        guarded = {name: self._guard(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))
        for name, handler in guarded.items():
            if not handlers[name].request_streaming:
                self._handlers[f"/{service}/{name}"] = handler
                if not handlers[name].response_streaming:
                    self._passed[f"/{service}/{name}"] = self._of_passed_call(f"/{service}/{name}", handlers[name])

    def _guard(self, method: str, handler: Any) -> Any:
        async def enter(stack: AsyncExitStack, context: Context) -> None:
            await stack.enter_async_context(answering_errors(context, method))
            passing = self._gate.passing(context, method, streams=handler.response_streaming)
            await stack.enter_async_context(passing)

        permits = self._stream_permits if handler.request_streaming else self._permits
        intake = Intake(method, handler.request_deserializer, permits=permits)
        return guarded_handler(handler, intake, enter, lambda: current_caller().identity)

    def _of_passed_call(self, method: str, handler: Any) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """The same for a request that is here already."""
        behaviour, intake = _behaviour(handler), Intake(method, handler.request_deserializer)

        async def answer(data: bytes, context: Any) -> bytes:
            async with answering_errors(context, method), self._gate.passing(context, method, streams=False):
                response: bytes = handler.response_serializer(await behaviour(await intake.message(data), context))
                return response

        return answer


def guarded_handler(
    handler: Any,
    intake: Intake,
    enter: Callable[[AsyncExitStack, Context], Awaitable[None]],
    who: Callable[[], Hashable] = lambda: None,
) -> Any:
    """The same gRPC method handler, run after `enter` has put what is to surround it on the stack; `who` then answers
    the caller.

    To gRPC its requests are a stream of bytes: of such a call it takes in nothing before the handler asks, and on the
    wire a stream of one request is the same."""
    behaviour = _behaviour(handler)
    if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
        raise TypeError(f"{behaviour} is neither a coroutine function nor an async generator function")

    async def argument(requests: AsyncIterator[bytes], stack: AsyncExitStack) -> Any:
        """What the handler takes: one request, or an iterator of requests."""
        stack.push_async_callback(forget, requests)
        return intake.each(requests, who()) if handler.request_streaming else await intake.one(requests, stack, who())

    async def single(requests: AsyncIterator[bytes], context: Context) -> object:
        async with AsyncExitStack() as stack:
            await enter(stack, context)
            return await behaviour(await argument(requests, stack), context)

    async def stream(requests: AsyncIterator[bytes], context: Context) -> None:
        async with AsyncExitStack() as stack:
            await enter(stack, context)
            request = await argument(requests, stack)
            if inspect.iscoroutinefunction(behaviour):
                await behaviour(request, context)
                return
            messages: AsyncIterator[object] = await stack.enter_async_context(aclosing(behaviour(request, context)))
            async for message in messages:
                await context.write(message)

    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)
    return grpc.stream_unary_rpc_method_handler(single, None, handler.response_serializer)


def _behaviour(handler: Any) -> Handler:
    behaviours = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    found: list[Handler] = [behaviour for behaviour in behaviours if behaviour is not None]
    if found[0].__module__.endswith("_pb2_grpc"):
        return _not_offered
    return found[0]


async def _not_offered(request: object, context: Context) -> None:
    """Answers for a method that the servicer does not have. (The answer of generated code is not asynchronous.)"""
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not offered here")
