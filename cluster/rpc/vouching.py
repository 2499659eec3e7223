"""Calls that a worker makes for what its attempts have started. They come within a call of the worker's own, and pass
the same gate to the same handlers as everybody's: here is what the gate and a handler see of such a call.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from cluster.domain.base.errors import NotPermitted
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Vouched
from cluster.domain.trust.users import name_of
from cluster.rpc.errors import Context
from cluster.v1 import scheduler_pb2

JOBS = "/cluster.v1.Jobs/"  # the one service of which jobs may call anything
_ALWAYS = 1 << 62  # Unix seconds: the worker's own certificate says how long its calls may go on


class VouchedContext:
    """In the place of gRPC's own context."""

    def __init__(self, peer: Peer, outer: Context, serialize: Callable[[Any], bytes]) -> None:
        self.peer_here = peer
        self._outer = outer
        self._serialize = serialize

    async def send_initial_metadata(self, metadata: object) -> None:
        """The worker's call has sent its own."""

    async def write(self, message: object) -> None:
        """One message of the answer."""
        await self._outer.write(scheduler_pb2.VouchResponse(response=self._serialize(message)))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str], ...] = ()) -> None:
        """Ends the worker's call with that error, and raises what gRPC's own raises."""
        await self._outer.abort(code, details, trailing)


class VouchedCalls:
    """`handlers` are gRPC's, guarded, by method: of those methods that take one request."""

    def __init__(self, cluster_id: str, handlers: Mapping[str, Any]) -> None:
        self._cluster_id = cluster_id
        self._handlers = handlers

    async def answer(self, vouched: Vouched, method: str, request: bytes, outer: Context) -> None:
        """Calls the method for that attempt; what is answered, errors too, goes to the worker's call."""
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
