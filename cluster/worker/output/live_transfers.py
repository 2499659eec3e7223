"""Sending output to the scheduler: to readers who follow it live. (For keeps: `cluster.worker.output.pushing`.)"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc.aio

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.ids import AttemptKey
from cluster.rpc.errors import calling
from cluster.v1 import scheduler_pb2
from cluster.worker.output.readers import Readers, Wanted
from cluster.worker.session import Session

logger = logging.getLogger(__name__)

Messages = AsyncGenerator[scheduler_pb2.PushOutputRequest, None]


class LivePushes:
    """Answers the scheduler's OpenOutput, each by a stream of its own."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, session: Session, asked: scheduler_pb2.OpenOutput) -> None:
        task = asyncio.create_task(self._push(session, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """The session is over, and so are its streams."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()

    async def _push(self, session: Session, asked: scheduler_pb2.OpenOutput) -> None:
        try:
            await push(session, self._messages(asked))
        except ClusterError as error:
            # The reader has gone, or will be told by the scheduler that the worker is.
            logger.debug("job %d: the output that somebody read was cut off: %s", asked.job, error)

    async def _messages(self, asked: scheduler_pb2.OpenOutput) -> Messages:
        key = AttemptKey(asked.job, asked.index, asked.attempt)
        tail = asked.tail_lines if asked.HasField("tail_lines") else None
        yield first_message(key, asked.transfer_id)
        try:
            async for chunk in self._readers.read(key, Wanted(asked.stdout, asked.stderr, asked.follow, tail)):
                if chunk.left_out:
                    yield scheduler_pb2.PushOutputRequest(stderr=chunk.stderr, left_out=chunk.left_out)
                else:
                    yield scheduler_pb2.PushOutputRequest(stderr=chunk.stderr, data=chunk.data)
            yield scheduler_pb2.PushOutputRequest(complete=True)
        except ClusterError as error:
            yield scheduler_pb2.PushOutputRequest(error=str(error))
        except OSError as error:
            yield scheduler_pb2.PushOutputRequest(
                error=f"the output of {key.in_words} cannot be read: {error.strerror}"
            )


async def push(session: Session, messages: Messages) -> None:
    """One call. We write the messages ourselves: had gRPC the iterator, it would leave it waiting for more output after
    the call has ended, with its files open, and an error in it would look as if we had cancelled the call."""
    with calling(session.address):
        call = session.stub.PushOutput()
        writing = asyncio.create_task(_write(call, messages))
        try:
            await call
        except asyncio.CancelledError:
            if writing.done() and not writing.cancelled() and (error := writing.exception()):
                raise error from None
            raise
        finally:
            writing.cancel()


async def _write(call: Any, messages: Messages) -> None:
    try:
        async with aclosing(messages):
            async for message in messages:
                await call.write(message)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return  # the call has ended, and says why
    except Exception:
        call.cancel()
        raise


def first_message(key: AttemptKey, transfer_id: str = "") -> scheduler_pb2.PushOutputRequest:
    return scheduler_pb2.PushOutputRequest(transfer_id=transfer_id, job=key.job, index=key.index, attempt=key.attempt)
