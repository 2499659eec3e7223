"""Sending contents to the scheduler: those of them that it lacks, many small ones in one message."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import grpc.aio

from cluster.rpc.errors import calling
from cluster.v1 import files_pb2
from cluster.worker.results.collecting import open_below
from cluster.worker.session import Session

ASKED_AT_ONCE = 10_000  # digests in one question
MESSAGE = 256 << 10  # bytes in one; the scheduler takes up to a megabyte
SMALL = 64 << 10  # bytes: a content of no more comes as one piece


class Content:
    """Bytes that are to be sent: those at hand, or a file's below a directory, at most so many."""

    def __init__(self, size: int, data: bytes | None = None, directory: str = "", path: bytes = b"") -> None:
        self.size, self._data, self._directory, self._path = size, data, directory, path

    def pieces(self, begin: int) -> Iterator[bytes]:
        """From that byte on. Blocks. OSError where it cannot be read."""
        if self._data is not None:
            for at in range(begin, max(self.size, begin + 1), MESSAGE):
                yield self._data[at : at + MESSAGE]
            return
        fd = open_below(self._directory, self._path)
        try:
            at = begin
            while at < self.size and (piece := os.pread(fd, min(MESSAGE, self.size - at), at)):
                at += len(piece)
                yield piece
        finally:
            os.close(fd)


def of_bytes(data: bytes) -> tuple[bytes, Content]:
    """A content at hand, with its digest."""
    return sha256(data).digest(), Content(len(data), data)


Run = Callable[[Callable[[], Any]], Any]  # calls what blocks elsewhere, and is awaited


async def send(session: Session, contents: Mapping[bytes, Content], run: Run) -> None:
    """All of these, by digest, are with the scheduler when this returns. `run` does what blocks. ClusterError, OSError;
    InvalidInput for what is not what its digest says any more."""
    digests = list(contents)
    for first in range(0, len(digests), ASKED_AT_ONCE):
        some = digests[first : first + ASKED_AT_ONCE]
        with calling(session.address):
            answer = await session.files.FindMissing(files_pb2.FindMissingRequest(digests=some))
        if answer.missing:
            begun = {each.place: each.bytes for each in answer.begun}
            missing = [(some[place], begun.get(place, 0)) for place in answer.missing]
            await _put(session, messages([(d, contents[d], begin) for d, begin in missing]), run)


async def _put(session: Session, made: "Iterator[files_pb2.PutContentsRequest]", run: Run) -> None:
    """One call. We write the messages ourselves, so that an error in making them is told as what it is."""
    with calling(session.address):
        call = session.files.PutContents()
        writing = asyncio.create_task(_write(call, made, run))
        try:
            await call
        except asyncio.CancelledError:
            if writing.done() and not writing.cancelled() and (error := writing.exception()):
                raise error from None
            raise
        finally:
            writing.cancel()
            await asyncio.wait([writing])


async def _write(call: Any, made: "Iterator[files_pb2.PutContentsRequest]", run: Run) -> None:
    try:
        while (message := await run(lambda: next(made, None))) is not None:
            await call.write(message)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return  # the call has ended, and says why
    except Exception:
        call.cancel()
        raise


def messages(contents: Sequence[tuple[bytes, Content, int]]) -> Iterator[files_pb2.PutContentsRequest]:
    """What says these contents, each with its digest and from which byte on it is sent. Blocks."""
    message, size = files_pb2.PutContentsRequest(), 0
    for digest, content, begin in contents:
        begin = begin if content.size > SMALL else 0
        is_first = True
        for data in content.pieces(begin):
            if message.pieces and size + len(data) > MESSAGE:
                yield message
                message, size = files_pb2.PutContentsRequest(), 0
            head = {"digest": digest, "size": content.size, "offset": begin} if is_first else {}
            message.pieces.add(data=data, **head)
            is_first, size = False, size + len(data) + 64
        if is_first:  # an empty one, or one that has become shorter
            message.pieces.add(digest=digest, size=content.size, offset=begin)
            size += 64
    if message.pieces:
        yield message
