"""Many calls for others by one stream (PassOn): what comes while a message is on its way goes with the next.

So a call costs a share of a message, which is a tenth of what a call of gRPC's costs in Python. Those of them that read
the same for the same caller are one call: it begins after all of them came, so each is told what is true then.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from cluster.domain.base.errors import ClusterError, NotAuthenticated, Unreachable, Untrusted
from cluster.rpc.errors import error_named, error_of
from cluster.rpc.on_behalf import Proof
from cluster.v1 import gateways_pb2

PATH = "/cluster.v1.Gateways/PassOn"
MOST_OF_A_CALL = 8 * 1024  # bytes of a request that is passed on so
MOST_OF_A_MESSAGE = 12 * 1024  # of a message, but for one call more: what is larger is read beside the event loop

_Reading = tuple[str, bytes, Proof]  # method, request, and who asks


class PassingOn:
    """The calls of one connection. Make it inside the event loop; `close` it before the connection."""

    is_offered = True  # as far as anybody knows

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self._method = channel.stream_stream(
            PATH, gateways_pb2.PassOnRequest.SerializeToString, gateways_pb2.PassOnResponse.FromString
        )
        self._address = address
        self._stream: asyncio.Task[None] | None = None
        self._waiting: list[gateways_pb2.PassedCall] = []
        self._given_up: list[int] = []  # ids of calls that were sent, and whose answers nobody wants any more
        self._news = asyncio.Event()  # something is waiting
        self._futures: dict[int, list[asyncio.Future[bytes]]] = {}  # by the call's id
        self._readings: dict[_Reading, int] = {}  # calls that wait, and which others may join
        self._last = 0

    async def one(self, method: str, request: bytes, shown: Proof, patience: float, reads: bool = False) -> bytes:
        """The answer. Raises the scheduler's ClusterError, or Unreachable: also when there is none after `patience`
        seconds, or NotOffered: of this way, or of the call. When all are cancelled who wait for it, or wait no longer,
        the call ends at the scheduler, too. `reads`: nothing changes by the call."""
        with self._future(self._call(method, request, shown, reads)) as future:
            try:
                async with asyncio.timeout(patience):
                    return await future
            except TimeoutError:
                raise Unreachable(f"{self._address} did not answer in time") from None

    async def close(self) -> None:
        """Ends the calls."""
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.wait([self._stream])

    def _call(self, method: str, request: bytes, shown: Proof, reads: bool) -> int:
        """The id of a call that waits to be sent: of a new one, or of one that reads the same."""
        reading = method, request, shown
        if reads and reading in self._readings:
            return self._readings[reading]
        self._last += 1
        if reads:
            self._readings[reading] = self._last
        self._waiting.append(
            gateways_pb2.PassedCall(
                id=self._last, method=method, request=request, token=shown.token, certificate=shown.certificate
            )
        )
        self._news.set()
        if self._stream is None or self._stream.done():
            self._stream = asyncio.create_task(self._run())
        return self._last

    @contextmanager
    def _future(self, number: int) -> Iterator["asyncio.Future[bytes]"]:
        """What will be the answer of that call."""
        future = asyncio.get_running_loop().create_future()
        self._futures.setdefault(number, []).append(future)
        try:
            yield future
        finally:
            self._futures[number].remove(future)
            if not self._futures[number]:
                del self._futures[number]
                if future.cancelled():
                    self._give_up(number)

    def _give_up(self, number: int) -> None:
        self._readings = {reading: each for reading, each in self._readings.items() if each != number}
        others = [call for call in self._waiting if call.id != number]
        if len(others) == len(self._waiting):  # it was sent
            self._given_up.append(number)
            self._news.set()
        self._waiting = others

    # ── the stream ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """One stream, to its end. Whoever waits for an answer then hears why there is none."""
        stream = self._method()
        sending = asyncio.create_task(self._send(stream))
        why: ClusterError = Unreachable(f"{self._address} cannot be reached: the connection was closed")
        try:
            async for message in stream:
                for answer in message.answers:
                    self._answered(answer)
        except grpc.aio.AioRpcError as error:
            why = error_of(error, self._address)
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                self.is_offered = False
            if isinstance(why, NotAuthenticated):  # what the gateway has shown, not what its callers have
                why = Untrusted(f"the gateway is let in no more: {why}")
        finally:
            sending.cancel()
            stream.cancel()
            self._waiting.clear()
            self._readings.clear()
            self._given_up.clear()
            self._news.clear()
            for future in itertools.chain(*self._futures.values()):
                if not future.done():
                    future.set_exception(why)

    async def _send(self, stream: Any) -> None:
        try:
            while True:
                await self._news.wait()
                given_up, self._given_up = self._given_up, []
                await stream.write(gateways_pb2.PassOnRequest(calls=self._batch(), given_up=given_up))
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            pass  # the stream has ended, and its reader hears why

    def _batch(self) -> list[gateways_pb2.PassedCall]:
        size = count = 0
        while count < len(self._waiting) and size < MOST_OF_A_MESSAGE:
            size += len(self._waiting[count].request) + len(self._waiting[count].certificate) + 150
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._readings.clear()  # what comes from now on may read what those in the batch do not
        if not self._waiting:
            self._news.clear()
        return batch

    def _answered(self, answer: gateways_pb2.PassedAnswer) -> None:
        for future in self._futures.get(answer.id, ()):
            if future.done():
                continue
            if answer.error:
                future.set_exception(error_named(answer.error, answer.details))
            else:
                future.set_result(answer.response)
