"""Calls that a gateway makes for others, many inside one call of its own. Each passes the same gate to the same
handlers as any call: this module is what gate and handler see of it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import partial
from typing import Any

import grpc
import grpc.aio

from cluster.domain.base.errors import ClusterError, Exhausted, NotAuthenticated, NotOffered
from cluster.domain.trust.identity import Peer
from cluster.rpc.errors import HEADER
from cluster.rpc.on_behalf import Proof
from cluster.v1 import gateways_pb2

MOST = 1000  # calls of one gateway that are under way at a time
MOST_OF_A_MESSAGE = 256 * 1024  # bytes of answers that go together: larger ones go by themselves


class PassedContext:
    """The context of such a call for handler and gate, where gRPC would have its own. `gateway` is who makes it,
    `shown` what it brings of whom it makes it for."""

    def __init__(self, gateway: Peer, shown: Proof) -> None:
        self.gateway_here = gateway
        self.shown_here = shown
        self.error = self.details = ""

    async def send_initial_metadata(self, metadata: object) -> None:
        """Does nothing: the gateway's own call has sent its headers."""

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str], ...] = ()) -> None:
        """Ends the call with an error. Raises AbortError, as gRPC's own context does."""
        self.error, self.details = dict(trailing).get(HEADER, ClusterError.__name__), details
        raise grpc.aio.AbortError(details)


class PassedCalls:
    """`handlers` are those of methods with one request and one answer, behind the gate: they take its bytes and a
    context."""

    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers
        self._streams: set[_Stream] = set()
        self._stopping = False

    def stop(self) -> None:
        """Takes no more calls: each stream ends once those that are under way have been answered."""
        self._stopping = True
        for stream in self._streams:
            stream.take_no_more()

    async def answers(
        self, gateway: Peer, requests: AsyncIterator[gateways_pb2.PassOnRequest]
    ) -> AsyncGenerator[gateways_pb2.PassOnResponse, None]:
        """The answers to all calls, as they are ready, until there are no more requests, or `stop`. What is under way
        when this is closed is cancelled."""
        stream = _Stream(self._handlers, gateway)
        reading = asyncio.create_task(stream.read(requests))
        self._streams.add(stream)
        if self._stopping:
            stream.take_no_more()
        try:
            while batch := await stream.ready():
                yield gateways_pb2.PassOnResponse(answers=batch)
            if reading.done():
                await reading  # it may have failed
        finally:
            self._streams.discard(stream)
            await stream.close(reading)


class _Stream:
    """The calls of one gateway."""

    def __init__(self, handlers: Mapping[str, Any], gateway: Peer) -> None:
        self._handlers = handlers
        self._gateway = gateway
        self._calls: set[asyncio.Task[None]] = set()
        self._by_id: dict[int, asyncio.Task[None]] = {}
        self._answers: list[gateways_pb2.PassedAnswer] = []
        self._news = asyncio.Event()
        self._ended = False  # no more requests come

    async def read(self, requests: AsyncIterator[gateways_pb2.PassOnRequest]) -> None:
        """Begins the calls."""
        try:
            async for request in requests:
                if self._ended:
                    return
                for call in request.calls:
                    task = asyncio.create_task(self._call(call))
                    self._calls.add(task)
                    self._by_id[call.id] = task
                    task.add_done_callback(partial(self._over, call.id))
                for number in request.given_up:
                    if number in self._by_id:
                        self._by_id[number].cancel()
        finally:
            self.take_no_more()

    def take_no_more(self) -> None:
        """What comes from now on is not begun."""
        self._ended = True
        self._news.set()

    async def ready(self) -> list[gateways_pb2.PassedAnswer]:
        """The next answers, as many as one message may bring. Empty: there are none to come."""
        while not self._answers:
            if self._ended and not self._calls:
                return []
            self._news.clear()
            await self._news.wait()
        size = count = 0
        while count < len(self._answers) and (not count or size < MOST_OF_A_MESSAGE):
            size += len(self._answers[count].response)
            count += 1
        batch, self._answers = self._answers[:count], self._answers[count:]
        return batch

    async def close(self, reading: "asyncio.Task[None]") -> None:
        """Nobody is there to be answered."""
        under_way = [reading, *self._calls]
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way)

    async def _call(self, call: gateways_pb2.PassedCall) -> None:
        answer = gateways_pb2.PassedAnswer(id=call.id)
        context = PassedContext(self._gateway, Proof(call.token, call.certificate))
        try:
            answer.response = await self._response(call, context)
        except grpc.aio.AbortError:
            answer.error, answer.details = context.error, context.details
        except ClusterError as error:
            answer.error, answer.details = type(error).__name__, str(error)
        self._answers.append(answer)

    async def _response(self, call: gateways_pb2.PassedCall, context: PassedContext) -> bytes:
        if len(self._calls) > MOST:
            raise Exhausted(f"more than {MOST} calls of this gateway are under way; try again soon")
        if bool(call.token) == bool(call.certificate):
            raise NotAuthenticated("a gateway brings one token or one certificate")
        handler = self._handlers.get(call.method)
        if handler is None:
            raise NotOffered(
                f"this scheduler offers no {call.method.rpartition('/')[2][:60]} to gateways; it may be older"
            )
        response: bytes = await handler(call.request, context)
        return response

    def _over(self, number: int, task: "asyncio.Task[None]") -> None:
        self._calls.discard(task)
        if self._by_id.get(number) is task:
            del self._by_id[number]
        self._news.set()
        if not task.cancelled():
            task.exception()  # of a fault of ours the gate has told
