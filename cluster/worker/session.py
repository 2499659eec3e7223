"""One session with the scheduler, from dialling to its end. Reconnecting is the core's business.

It owns the channel, over which output is pushed as well: each push is an HTTP/2 stream with a flow control of its own,
so a reader that has stalled holds up neither the session nor anybody else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import grpc.aio

from cluster.domain.base.errors import ClusterError, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.messages import Downward
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.domain.trust.members import ExpelledUser
from cluster.rpc.channel import dial
from cluster.rpc.convert import expelled_from_proto, keys_from_proto, messages_from_response
from cluster.rpc.errors import calling
from cluster.v1 import files_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc

logger = logging.getLogger(__name__)

REGISTER_TIMEOUT = 10.0  # seconds
# Seconds. A connection that is asked for while the network swallows everything, or the scheduler is stopped, may take
# long to find out that all is well again. So another is tried beside it soon; the first that is answered counts.
DIAL_AGAIN = 1.5
MOST_DIALS = 6


_Registered = tuple[grpc.aio.Channel, scheduler_pb2.RegisterResponse]


@dataclass(frozen=True, slots=True)
class SessionCallbacks:
    """What a session tells, each with the session's number."""

    ready: Callable[[int, str], Awaitable[None]]  # and the name that the worker has from now on
    received: Callable[[int, Sequence[Downward]], Awaitable[None]]
    asked_for_output: Callable[[scheduler_pb2.OpenOutput], None]
    asked_for_results: Callable[[Sequence[AttemptKey]], None]
    expelled: Callable[[Sequence[ExpelledUser]], None]  # all of them: whom our own API must not let in
    schedulers: Callable[[Sequence[str]], None]  # where each of them is
    closed: Callable[[int, ClusterError], None]


class Session:
    """Dials as soon as it is made. Says `closed` exactly once, whatever happens."""

    def __init__(
        self,
        number: int,
        address: str,
        credentials: Credentials,
        registration: scheduler_pb2.RegisterRequest,
        listener: SessionCallbacks,
    ) -> None:
        self.number = number
        self.address = address
        self._credentials = credentials
        self._registration = registration
        self._listener = listener
        self._out: asyncio.Queue[scheduler_pb2.SessionRequest] = asyncio.Queue()
        self._why: ClusterError | None = None
        self._channel: grpc.aio.Channel | None = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._done)

    def send(self, message: scheduler_pb2.SessionRequest) -> None:
        """Goes out in order. Nothing is dropped: the core has one report under way at a time."""
        self._out.put_nowait(message)

    @property
    def stub(self) -> scheduler_pb2_grpc.SchedulerStub:
        """The stub for other calls to the scheduler. Unreachable when the session is over."""
        if self._channel is None:
            raise Unreachable(f"the session with the scheduler at {self.address} is over")
        return scheduler_pb2_grpc.SchedulerStub(self._channel)

    @property
    def files(self) -> files_pb2_grpc.FilesStub:
        """The same, for contents."""
        if self._channel is None:
            raise Unreachable(f"the session with the scheduler at {self.address} is over")
        return files_pb2_grpc.FilesStub(self._channel)

    def close(self, why: str) -> None:
        """Hang up."""
        if self._why is None:
            self._why = Unreachable(why)
            self._task.cancel()

    async def finished(self) -> None:
        """Waits for its end."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        with calling(self.address):
            self._channel, answer = await self._register()
            try:
                await self._talk(self.stub, answer.name)
            finally:
                channel, self._channel = self._channel, None
                await channel.close()

    async def _register(self) -> _Registered:
        """Dials one scheduler after another until one answers, or says no, or nobody is at any of them."""
        dials: dict[asyncio.Task[_Registered], str] = {}
        addresses, count, absent = self.address.split(","), 0, set[str]()
        try:
            while True:
                if len(dials) < MOST_DIALS:
                    address, count = addresses[count % len(addresses)], count + 1
                    dials[asyncio.create_task(_dial(address, self._credentials, self._registration))] = address
                done, _ = await asyncio.wait(dials, timeout=DIAL_AGAIN, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    first = min(done, key=lambda dial: dial.exception() is not None)
                    address = dials.pop(first)
                    if isinstance(first.exception(), Unreachable) and len(absent | {address}) < len(addresses):
                        absent.add(address)
                        continue
                    registered = first.result()
                    self.address = address
                    return registered
        finally:
            await _hang_up(set(dials))

    def _done(self, task: "asyncio.Task[None]") -> None:
        """Says how it ended. A callback, because a task that is cancelled before its first step runs none of its own
        code."""
        why = self._why or Unreachable(f"the scheduler at {self.address} has ended the session")
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ClusterError):
            why = error
        elif error is not None:
            logger.error("the session ends by a fault of ours", exc_info=error)
        self._listener.closed(self.number, why)

    async def _talk(self, stub: scheduler_pb2_grpc.SchedulerStub, name: str) -> None:
        stream = stub.Session()
        writer = asyncio.create_task(self._write(stream))
        try:
            await self._listener.ready(self.number, name)
            while (response := await stream.read()) is not grpc.aio.EOF:
                if commands := messages_from_response(response):
                    await self._listener.received(self.number, commands)
                if response.HasField("expelled"):
                    self._listener.expelled(expelled_from_proto(response.expelled))
                if response.HasField("schedulers"):
                    self._listener.schedulers(response.schedulers.addresses)
                for wanted in response.open_output:
                    self._listener.asked_for_output(wanted)
                if response.ask_results:
                    self._listener.asked_for_results(keys_from_proto(response.ask_results))
        finally:
            writer.cancel()
            stream.cancel()

    async def _write(self, stream: "grpc.aio.StreamStreamCall[scheduler_pb2.SessionRequest, object]") -> None:
        try:
            while True:
                await stream.write(await self._out.get())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reading side meets the same end, and says why


async def _hang_up(dials: Iterable["asyncio.Task[_Registered]"]) -> None:
    """Ends those that are not needed: another was answered, even if at the same moment."""
    for each in dials:
        each.cancel()
    for outcome in await asyncio.gather(*dials, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            await outcome[0].close()


async def register(address: str, credentials: Credentials, registration: scheduler_pb2.RegisterRequest) -> None:
    """Says that without a session. ClusterError where nobody hears it."""
    with calling(address):
        channel, _ = await _dial(address, credentials, registration)
        await channel.close()


async def _dial(address: str, credentials: Credentials, registration: scheduler_pb2.RegisterRequest) -> _Registered:
    channel = dial(address, credentials, scheduler_server_name(credentials.identity.cluster_id))
    try:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        with calling(address):
            return channel, await stub.Register(registration, timeout=REGISTER_TIMEOUT)
    except BaseException:
        await channel.close()
        raise
