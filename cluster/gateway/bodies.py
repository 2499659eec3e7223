"""Taking in bodies: bounded in bytes, in time, and in what all of them take together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from cluster.gateway.problems import MALFORMED, TOO_LARGE, TOO_SLOW, UNAVAILABLE, Problem
from cluster.rpc.bounds import MIB, bound_of

MOST = 16 * MIB  # of one body
MOST_TOGETHER = 128 * MIB  # of all that are here at a time
PATIENCE, SLOWEST = 10.0, 256 * 1024  # seconds for any body, and as many more as it takes at so many bytes a second
SLOWEST_PIECES = 16 * 1024  # bytes a second of a body that is taken piece by piece: it holds little here


def most_of(method: str) -> int:
    """Bytes that the body of a call of this method may have: base64 makes four bytes of three."""
    return min(MOST, bound_of(method).size * 4 // 3)


class Bodies:
    """What all bodies take together is counted here."""

    def __init__(self, most_together: int = MOST_TOGETHER) -> None:
        self._left = most_together

    @asynccontextmanager
    async def read(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The body of so many bytes at most, which counts until the context is left. Problem when it is too large or
        too slow."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > most:
            raise _too_large(most)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(PATIENCE + most / SLOWEST):
                await self._take_in(request, most, pieces)
            yield b"".join(pieces)
        except TimeoutError:
            raise _too_slow() from None
        finally:
            self._left += sum(map(len, pieces))

    async def pieces(self, request: Request) -> AsyncGenerator[bytes, None]:
        """A body of any size, piece by piece, as they come and somebody takes them. Problem where it breaks off, or
        comes too slowly: what one waits for its sender counts, not what the sender waits for us."""
        loop, waited, taken = asyncio.get_running_loop(), 0.0, 0
        async with aclosing(request.stream()) as stream:
            while True:
                began = loop.time()
                try:
                    async with asyncio.timeout(max(0.0, PATIENCE + taken / SLOWEST_PIECES - waited)):
                        piece = await anext(stream, None)
                except TimeoutError:
                    raise _too_slow() from None
                except ClientDisconnect:
                    raise _broke_off() from None
                if piece is None:
                    return
                waited += loop.time() - began
                taken += len(piece)
                if piece:
                    yield piece

    async def _take_in(self, request: Request, most: int, pieces: list[bytes]) -> None:
        taken = 0
        try:
            async for piece in request.stream():
                pieces.append(piece)
                taken += len(piece)
                self._left -= len(piece)
                if taken > most:
                    raise _too_large(most)
                if self._left < 0:
                    raise Problem(UNAVAILABLE, "too many large requests are on their way; try again soon")
        except ClientDisconnect:
            raise _broke_off() from None


def _too_slow() -> Problem:
    return Problem(TOO_SLOW, "the body did not arrive in time")


def _broke_off() -> Problem:
    return Problem(MALFORMED, "the body broke off")


def _too_large(most: int) -> Problem:
    return Problem(TOO_LARGE, f"the body has more than {most} bytes, the most that this takes")
