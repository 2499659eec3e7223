"""Calls that a gateway makes for others: by the method's name, with messages in and out, and with what proves who asks.

The messages are the services' own. Nothing is tried again, and nothing is judged here: the scheduler does that.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.client.connection import hanging_up
from cluster.client.passing_on import MOST_OF_A_CALL, PassingOn
from cluster.domain.base.errors import ClusterError, NotFound, NotOffered
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.on_behalf import Proof
from cluster.v1 import admin_pb2, events_pb2, files_pb2, jobs_pb2, metrics_pb2, room_pb2, worker_pb2

PATIENCE = 60.0  # seconds for one answer; the scheduler itself says after 30 s that its disk does not answer
HEALTH_PATIENCE = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service, with the classes of its messages."""

    path: str  # /package.Service/Method
    request: Any
    response: Any
    streams: bool  # its answer is a stream


@cache
def method(path: str) -> Method:
    """The method of that path. NotFound for one that no service has."""
    service, _, name = path.removeprefix("/").rpartition("/")
    for file in (jobs_pb2, admin_pb2, events_pb2, files_pb2, metrics_pb2, room_pb2, worker_pb2):
        found = file.DESCRIPTOR.services_by_name.get(service.rpartition(".")[2])
        if found is not None and found.full_name == service and name in found.methods_by_name:
            descriptor = found.methods_by_name[name]
            classes = (descriptor.input_type._concrete_class, descriptor.output_type._concrete_class)
            return Method(path, *classes, descriptor.server_streaming)
    raise NotFound(f"there is no method {path}")


class _CallingChannel:
    """One channel, and how many calls are under way on it."""

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self.channel = channel
        self.passing_on = PassingOn(channel, address)
        self.calls = 0

    async def close(self) -> None:
        await self.passing_on.close()
        await self.channel.close()


class CallsForOthers:
    """A gateway's connection to its scheduler. Make it inside a running event loop, and `close` it."""

    def __init__(self, address: str, credentials: Credentials, name: str = "") -> None:
        """`name`: the DNS name that whoever is there has to prove; empty: a scheduler's."""
        self.address = address
        self._name = name or scheduler_server_name(credentials.identity.cluster_id)
        self._passes_on = not name  # a worker takes each call by itself
        self._present = self._dial(credentials)
        self._former: set[_CallingChannel] = set()  # of earlier certificates, on which calls are under way
        self._closing: set[asyncio.Task[None]] = set()

    def _dial(self, credentials: Credentials) -> _CallingChannel:
        return _CallingChannel(dial(self.address, credentials, self._name), self.address)

    async def one(self, method: Method, request: Any, shown: Proof, reads: bool = False) -> Any:
        """The answer of a method that has one. Raises the scheduler's ClusterError, Unreachable, or NotOffered.
        `reads`: nothing changes by the call, so others may get the same answer."""
        data = request.SerializeToString()
        with self._connection() as connection, calling(self.address):
            if self._passes_on and len(data) <= MOST_OF_A_CALL and connection.passing_on.is_offered:
                with suppress(NotOffered):
                    answer = await connection.passing_on.one(method.path, data, shown, PATIENCE, reads)
                    return method.response.FromString(answer)
            call: Any = connection.channel.unary_unary(method.path, None, method.response.FromString)
            return await call(data, metadata=shown.metadata(), timeout=PATIENCE)

    async def several(self, method: Method, request: Any, shown: Proof) -> AsyncGenerator[Any, None]:
        """The answers of a method that streams them, as they come, as long as somebody asks for the next."""
        with self._connection() as connection, calling(self.address):
            call = connection.channel.unary_stream(
                method.path, method.request.SerializeToString, method.response.FromString
            )
            with hanging_up(call(request, metadata=shown.metadata())) as answers:
                async for answer in answers:
                    yield answer

    async def sending(self, method: Method, messages: AsyncGenerator[Any, None], shown: Proof) -> Any:
        """The answer of a method to which messages are streamed. These are asked for one by one, as they can go; what
        they raise ends the call. Raises the scheduler's ClusterError, or Unreachable."""
        with self._connection() as connection, calling(self.address):
            call: Any = connection.channel.stream_unary(
                method.path, method.request.SerializeToString, method.response.FromString
            )
            with hanging_up(call(metadata=shown.metadata())) as answer:
                async with aclosing(messages):
                    async for message in messages:
                        if answer.done():
                            break  # its status says why
                        await answer.write(message)
                    else:
                        await answer.done_writing()
                return await answer

    async def expect_serving(self) -> None:
        """ClusterError when the scheduler cannot be reached, or does not serve."""
        with self._connection() as connection, calling(self.address):
            stub: Any = health_pb2_grpc.HealthStub(connection.channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_PATIENCE)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise ClusterError("the scheduler does not serve")

    def use(self, credentials: Credentials) -> None:
        """Connect with these from the next call on. Calls under way end on the connection that they have, which is
        closed after the last of them."""
        former, self._present = self._present, self._dial(credentials)
        self._former.add(former)
        self._close_if_idle(former)

    async def close(self) -> None:
        """Closes the connections, and ends the calls."""
        for connection in (*self._former, self._present):
            await connection.close()
        if self._closing:
            await asyncio.wait(self._closing)

    @contextmanager
    def _connection(self) -> Iterator[_CallingChannel]:
        """The present one, for a call in the body of this."""
        connection = self._present
        connection.calls += 1
        try:
            yield connection
        finally:
            connection.calls -= 1
            self._close_if_idle(connection)

    def _close_if_idle(self, connection: _CallingChannel) -> None:
        if connection in self._former and not connection.calls:
            self._former.discard(connection)
            closing = asyncio.create_task(connection.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
