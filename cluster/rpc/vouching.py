"""Calls that a worker forwards for processes of its attempts. Each arrives inside a call of the worker's own, and
passes the same gate to the same handlers as any call: this module is what gate and handler see of it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from cluster.domain.base.errors import NotPermitted
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Vouched
from cluster.domain.trust.users import name_of
from cluster.rpc.errors import Context
from cluster.v1 import scheduler_pb2

JOBS = "/cluster.v1.Jobs/"  # the only service that jobs may call
_ALWAYS = 1 << 62  # Unix seconds: the worker's certificate bounds the call that this one is inside of


class VouchedContext:
    """The context of a forwarded call for handler and gate, where gRPC would have its own."""

    def __init__(self, peer: Peer, outer: Context, serialize: Callable[[Any], bytes]) -> None:
        self.peer_here = peer
        self._outer = outer
        self._serialize = serialize

    async def send_initial_metadata(self, metadata: object) -> None:
        """Does nothing: the worker's own call has sent its headers."""

    async def write(self, message: object) -> None:
        """Sends one message of the answer, inside a message of the worker's call."""
        await self._outer.write(scheduler_pb2.VouchResponse(response=self._serialize(message)))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str], ...] = ()) -> None:
        """Ends the worker's call with that error. Raises AbortError, as gRPC's own context does."""
        await self._outer.abort(code, details, trailing)


class VouchedCalls:
    """`handlers` are gRPC's guarded handlers by method, of the methods that take one request."""

    def __init__(self, cluster_id: str, handlers: Mapping[str, Any]) -> None:
        self._cluster_id = cluster_id
        self._handlers = handlers

    async def answer(self, vouched: Vouched, method: str, request: bytes, outer: Context) -> None:
        """Calls the method in the name of that attempt's job; answers and errors go out by the worker's call."""
        handler = self._handlers.get(method) if method.startswith(JOBS) else None
        if handler is None:
            raise NotPermitted(f"a job may not call {method.rpartition('/')[2][:60]!r}: there is no such method here")
        identity = Identity(self._cluster_id, IdentityKind.USER, name_of(vouched.owner))
        context: Any = VouchedContext(
            Peer(identity, 0, 0, _ALWAYS, vouched=vouched), outer, handler.response_serializer
        )
        if handler.response_streaming:
            await handler.stream_stream(_alone(request), context)
        else:
            await context.write(await handler.stream_unary(_alone(request), context))


async def _alone(request: bytes) -> AsyncIterator[bytes]:
    yield request
