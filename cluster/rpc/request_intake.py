"""Receiving requests: after the gate, within the method's bounds, and without delaying anybody else.

gRPC parses a message before it calls the handler. Handlers here ask for a message's bytes and parse them themselves: a
caller who is not permitted costs nothing, and a message that is too large is refused unparsed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from cluster.domain.base.errors import InvalidInput
from cluster.rpc.bounds import LONGER, LONGEST_TEXT, bound_of
from cluster.rpc.permits import HeldPermit, RequestPermits
from cluster.rpc.wire import TooMuch, check_fields

Parse = Callable[[bytes], Any]  # a message class's FromString

# A call's one request must arrive within PATIENCE, and the seconds that the largest request of its method takes at the
# rate SLOWEST. They count from the moment the request is asked for, after its permit.
PATIENCE, SLOWEST = 10.0, 256 * 1024  # seconds, bytes a second
LARGE = 2 * 1024 * 1024  # bytes; of larger requests only few are received at a time
_QUICK = 16 * 1024  # bytes that are parsed in the event loop; larger requests would hold it, and go to a thread

# One thread for all: large messages are parsed one after another, so that their memory does not add up.
_parser = ThreadPoolExecutor(1, "intake")


class Intake:
    """Receives the requests of one method."""

    def __init__(
        self, method: str, parse: Parse, patience: float | None = None, permits: RequestPermits | None = None
    ) -> None:
        """`patience` in seconds; None: what the method's bound gives. `permits` bounds the large requests at a time; it
        is ignored for a method whose requests are never large."""
        self._name = method.rpartition("/")[2]
        self._bound = bound_of(method)
        self._parse = parse
        self._descriptor = parse.__self__.DESCRIPTOR  # type: ignore[attr-defined]  # FromString is the class's
        self._patience = PATIENCE + self._bound.size / SLOWEST if patience is None else patience
        self._permits = permits if self._bound.size > LARGE else None

    async def one(self, requests: AsyncIterator[bytes], stack: AsyncExitStack, caller: Hashable = None) -> Any:
        """The one request of a call. InvalidInput when it is too large or no message.

        A large request keeps its permit until the stack is closed."""
        async with AsyncExitStack() as permit:
            hold = HeldPermit()
            if self._permits is not None:
                hold = await permit.enter_async_context(self._permits.permit(caller))
            async with hold.receiving(self._patience):
                data = await anext(requests, None)
            if data is None:
                raise InvalidInput(f"{self._name} was called without a request")
            message = await self.message(data)
            if len(data) > LARGE:
                stack.push_async_exit(permit.pop_all())
        return message

    def each(self, requests: AsyncIterator[bytes], caller: Hashable = None) -> AsyncIterator[Any]:
        """The requests of a call that streams them, as they come. When they may be large the first one needs a permit,
        because a caller may open many such calls and send nothing yet."""
        return _Each(requests, self.message, None if self._permits is None else partial(self._first, requests, caller))

    async def _first(self, requests: AsyncIterator[bytes], caller: Hashable) -> Any:
        """The first request; None when the stream ended before it."""
        assert self._permits is not None
        async with self._permits.permit(caller) as hold:
            async with hold.receiving(self._patience):
                data = await anext(requests, None)
            return None if data is None else await self.message(data)

    async def message(self, data: bytes) -> Any:
        """What is here already, as a message. InvalidInput as from `one`."""
        if len(data) > self._bound.size:
            raise InvalidInput(f"{self._name}: a request of {len(data)} bytes; the limit is {self._bound.size}")
        if len(data) <= _QUICK:
            return self._checked(data)
        return await asyncio.get_running_loop().run_in_executor(_parser, self._checked, data)

    def _checked(self, data: bytes) -> Any:
        try:
            if len(data) > min(
                self._bound.fields, LONGEST_TEXT
            ):  # each field, and each entry of one, has a byte at least
                check_fields(data, self._descriptor, self._bound.fields, LONGEST_TEXT, LONGER)
            return self._parse(data)
        except TooMuch as error:
            raise InvalidInput(f"{self._name}: a request with {error}") from None
        except DecodeError:
            raise InvalidInput(f"{self._name}: the request is damaged, or text in it is not UTF-8") from None


async def forget(requests: AsyncIterator[bytes]) -> None:
    """Close the stream of requests. Left open, it keeps the last one in memory until the next full collection."""
    if isinstance(generator := aiter(requests), AsyncGenerator):
        with suppress(RuntimeError):  # another task waits for the next one, and is about to hear of the end
            await generator.aclose()


class _Each:
    """An iterator, because a generator cannot be closed while another task waits for its next item."""

    def __init__(
        self,
        requests: AsyncIterator[bytes],
        message: Callable[[bytes], Awaitable[Any]],
        first: Callable[[], Awaitable[Any]] | None,
    ) -> None:
        self._requests = requests
        self._message = message
        self._first = first

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._first is not None:
            first, self._first = await self._first(), None
            if first is None:
                raise StopAsyncIteration
            return first
        return await self._message(await anext(self._requests))
