"""Live output: asking a worker to push the output of one attempt, and handing it on as fast as the reader reads.

Nothing is stored here. Between the worker's stream and the reader's lie a few messages at most: when the reader stalls,
the worker's stream stalls by HTTP/2 flow control, and nobody else's.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, Unreachable
from cluster.domain.session.report_checks import MAX_NUMBER
from cluster.scheduler.sessions import Line
from cluster.v1 import scheduler_pb2

QUEUED = 4  # messages between worker and reader
MAX_PIECE = 1024 * 1024  # bytes in one message
NOBODY = "nobody waits for this output any more"


class Pushed(NamedTuple):
    """What one message of a worker says about a stream: so many bytes are left out, then these come."""

    stderr: bool
    data: bytes
    left_out: int = 0


def pushed(request: scheduler_pb2.PushOutputRequest) -> Pushed | None:
    """None when it says nothing of the kind. InvalidInput for a message that is too large to be one of several in a
    queue, or for a stream that no file system has room for."""
    if len(request.data) > MAX_PIECE:
        raise InvalidInput(f"{len(request.data)} bytes of output in one message: the limit is {MAX_PIECE}")
    if request.left_out > MAX_NUMBER:
        raise InvalidInput(f"{request.left_out} bytes of output are left out: that is more than any file has")
    something = request.data or request.left_out
    return Pushed(request.stderr, request.data, request.left_out) if something else None


class Transfer:
    """One reader's wish for the output of one attempt, from one worker."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self._pieces: deque[Pushed] = deque()
        self._readable, self._writable = asyncio.Event(), asyncio.Event()
        self._begun = self._ended = False
        self._error: ClusterError | None = None
        self._filling = asyncio.timeout(None)

    async def fill(self, requests: AsyncIterator[scheduler_pb2.PushOutputRequest]) -> None:
        """Takes what the worker pushes, until it is complete or the reader has gone (NotFound)."""
        if self._begun:
            raise Conflict("this transfer has begun already")
        if self._ended:
            raise NotFound(NOBODY)
        self._begun = True
        try:
            async with self._filling:
                await self._fill(requests)
        except TimeoutError:
            raise NotFound(NOBODY) from None

    async def _fill(self, requests: AsyncIterator[scheduler_pb2.PushOutputRequest]) -> None:
        error: ClusterError | None = Unreachable("the connection to its worker broke")
        try:
            async for request in requests:
                if request.error:
                    error = NotFound(request.error)
                    return
                if piece := pushed(request):
                    await self._put(piece)
                if request.complete:
                    error = None
                    return
        finally:
            self._end(error)

    async def _put(self, piece: Pushed) -> None:
        """Waits for room."""
        while len(self._pieces) >= QUEUED:
            self._writable.clear()
            await self._writable.wait()
        self._pieces.append(piece)
        self._readable.set()

    async def pieces(self) -> AsyncIterator[Pushed]:
        """The pieces as they come. NotFound when the worker has no such output, Unreachable when it breaks off."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._writable.set()
                yield piece
            if self._ended:
                if self._error:
                    raise self._error
                return
            self._readable.clear()
            await self._readable.wait()

    def worker_gone(self) -> None:
        """Its session is over. What has begun goes on: it has a stream of its own."""
        if not self._begun:
            self._end(Unreachable("its worker is not connected"))

    def abandon(self) -> None:
        """The reader has gone. Nobody waits for what the worker would say next, which may be hours away."""
        if self._begun and not self._ended:
            self._filling.reschedule(0.0)
        self._end(NotFound(NOBODY))

    def _end(self, error: ClusterError | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            self._readable.set()


class Relay:
    """The transfers under way."""

    def __init__(self) -> None:
        self._transfers: dict[str, Transfer] = {}

    @contextmanager
    def transfer(self, line: Line, wanted: scheduler_pb2.OpenOutput) -> Iterator[Transfer]:
        """Asks the worker for `wanted`, whose transfer_id is filled in here; read it in the body."""
        transfer = Transfer(line.worker_id)
        wanted.transfer_id = secrets.token_hex(16)
        self._transfers[wanted.transfer_id] = transfer
        line.transfers.add(transfer)
        try:
            line.open_output(wanted)
            yield transfer
        finally:
            transfer.abandon()
            line.transfers.discard(transfer)
            del self._transfers[wanted.transfer_id]

    def find(self, transfer_id: str, worker_id: str) -> Transfer:
        """NotFound when nobody waits for it, or it is another worker's."""
        transfer = self._transfers.get(transfer_id)
        if transfer is None or transfer.worker_id != worker_id:
            raise NotFound(NOBODY)
        return transfer
