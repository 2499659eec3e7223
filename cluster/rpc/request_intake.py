"""Taking in requests: after the gate, within the method's bounds, and without holding up anybody else.

gRPC parses a message before it calls the handler. Here handlers get its bytes, and only when they ask for them: so
whoever may not call costs nothing, and what is too large is refused unparsed.
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

# The one request of a call has some seconds to arrive in, and as many more as the largest that its method lets in takes
# at the slowest rate. They count from when it is asked for, not from when it began to wait for a permit.
PATIENCE, SLOWEST = 10.0, 256 * 1024  # seconds, bytes a second
LARGE = 2 * 1024 * 1024  # bytes of a request of which only few are there at a time
_QUICK = 16 * 1024  # bytes that are counted and parsed at once; what is larger would hold the event loop

# One for all: large messages are parsed one after another, so what they take of memory does not add up.
_parser = ThreadPoolExecutor(1, "intake")


class Intake:
    """Takes in the requests of one method."""

    def __init__(
        self, method: str, parse: Parse, patience: float | None = None, permits: RequestPermits | None = None
    ) -> None:
        """`patience` in seconds, None: as usual for the method. `permits` bounds how many large requests are there at a
        time, if those of the method may be large."""
        self._name = method.rpartition("/")[2]
        self._bound = bound_of(method)
        self._parse = parse
        self._descriptor = parse.__self__.DESCRIPTOR  # type: ignore[attr-defined]  # FromString is the class's
        self._patience = PATIENCE + self._bound.size / SLOWEST if patience is None else patience
        self._permits = permits if self._bound.size > LARGE else None

    async def one(self, requests: AsyncIterator[bytes], stack: AsyncExitStack, caller: Hashable = None) -> Any:
        """The request of a call that has one. InvalidInput for one that is too large or no message.

        A large one keeps its permit until the stack is left."""
        async with AsyncExitStack() as permit:
            hold = HeldPermit()
            if self._permits is not None:
                hold = await permit.enter_async_context(self._permits.permit(caller))
            async with hold.receiving(self._patience):
                data = await anext(requests, None)
            if data is None:
                raise InvalidInput(f"{self._name} was called without a request")
            message = await self._message(data)
            if len(data) > LARGE:
                stack.push_async_exit(permit.pop_all())
        return message

    def each(self, requests: AsyncIterator[bytes], caller: Hashable = None) -> AsyncIterator[Any]:
        """The requests of a call that has many, as they come. Where they may be large the first needs a permit: one
        caller may have many such calls that have said nothing yet."""
        return _Each(requests, self._message, None if self._permits is None else partial(self._first, requests, caller))

    async def _first(self, requests: AsyncIterator[bytes], caller: Hashable) -> Any:
        """None: there is none."""
        assert self._permits is not None
        async with self._permits.permit(caller) as hold:
            async with hold.receiving(self._patience):
                data = await anext(requests, None)
            return None if data is None else await self._message(data)

    async def _message(self, data: bytes) -> Any:
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
    """Nobody asks for more of them: gRPC would keep the last one until the next full collection."""
    if isinstance(generator := aiter(requests), AsyncGenerator):
        with suppress(RuntimeError):  # somebody waits for the next, and is about to be told that there is none
            await generator.aclose()


class _Each:
    """No generator, which could not be closed while another task waits for its next."""

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
