"""Sending output to the scheduler: to readers who follow it live, and for keeps after the end of an attempt."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, cast

import grpc.aio

from cluster.domain.errors import ClusterError, Conflict, InvalidInput, NotFound, Unreachable
from cluster.domain.ids import AttemptKey
from cluster.rpc.errors import calling
from cluster.v1 import scheduler_pb2
from cluster.worker.outputs import Outputs
from cluster.worker.readers import Readers, Wanted
from cluster.worker.session import Session

logger = logging.getLogger(__name__)

Messages = AsyncGenerator[scheduler_pb2.PushOutputRequest, None]

AT_ONCE = 4  # pushes for keeps; more would only share the same link
RETRY = 5.0  # seconds until a scheduler whose disk is full is asked again


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
            await _push(session, self._messages(asked))
        except ClusterError as error:
            # The reader has gone, or will be told by the scheduler that the worker is.
            logger.debug("job %d: the output that somebody read was cut off: %s", asked.job, error)

    async def _messages(self, asked: scheduler_pb2.OpenOutput) -> Messages:
        key = AttemptKey(asked.job, asked.index, asked.attempt)
        tail = asked.tail_lines if asked.HasField("tail_lines") else None
        yield _first(key, asked.transfer_id)
        try:
            async for chunk in self._readers.read(key, Wanted(asked.stdout, asked.stderr, asked.follow, tail)):
                yield scheduler_pb2.PushOutputRequest(stderr=chunk.stderr, data=chunk.data)
            yield scheduler_pb2.PushOutputRequest(complete=True)
        except ClusterError as error:
            yield scheduler_pb2.PushOutputRequest(error=str(error))
        except OSError as error:
            yield scheduler_pb2.PushOutputRequest(error=f"the output of {key} cannot be read: {error.strerror}")


class Keeping:
    """Pushes the output of ended attempts for keeps, then removes it here. What waits survives a restart as files."""

    def __init__(self, readers: Readers, outputs: Outputs, session: Callable[[], Session | None]) -> None:
        """`session` answers the open session, None when there is none."""
        self._readers = readers
        self._outputs = outputs
        self._session = session
        self._waiting: dict[AttemptKey, None] = {}
        self._pushing: set[AttemptKey] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, keys: Iterable[AttemptKey]) -> None:
        """Said twice is pushed once."""
        self._waiting.update(dict.fromkeys(key for key in keys if key not in self._pushing))
        self.resume()

    def resume(self) -> None:
        """To be called when a session has opened."""
        while self._session() is not None and len(self._tasks) < min(AT_ONCE, len(self._waiting)):
            self._tasks.add(asyncio.create_task(self._work()))

    async def settle(self, patience: float) -> None:
        """Waits until all has been pushed, if the scheduler takes it, but not for ever."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        if left := len(self._waiting) + len(self._pushing):
            logger.info("the output of %d attempts waits here until this worker is back", left)

    def cancel(self) -> None:
        """The session is over; `resume` goes on in the next."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()

    async def _work(self) -> None:
        try:
            await self._push_what_waits()
        finally:
            # Not by a callback, which comes a moment after the last look: what was added then would wait for ever.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _push_what_waits(self) -> None:
        while self._waiting and (session := self._session()) is not None:
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._pushing.add(key)
            settled = False
            try:
                settled = not self._outputs.exist(key) or await self._push(session, key)
            finally:
                self._pushing.discard(key)
                if settled:
                    self._outputs.remove((key,))
                else:
                    self._waiting[key] = None
            if not settled:
                await asyncio.sleep(RETRY)

    async def _push(self, session: Session, key: AttemptKey) -> bool:
        """Whether the files may go: the scheduler has them, or will never want them."""
        try:
            await _push(session, self._messages(key))
        except (NotFound, Conflict, InvalidInput) as error:
            if self._outputs.exist(key):  # else its report came meanwhile and took it along, being small
                logger.warning(
                    "job %d: the scheduler refused the output of %s, which is gone now: %s",
                    key.job,
                    key.in_words,
                    error,
                )
        except Unreachable:
            return False  # the session says why
        except ClusterError as error:
            logger.warning("job %d: the output of %s stays here for now: %s", key.job, key.in_words, error)
            return False
        except OSError as error:
            logger.warning("job %d: the output of %s cannot be read now: %s", key.job, key.in_words, error.strerror)
            return False
        return True

    async def _messages(self, key: AttemptKey) -> Messages:
        """Each message waits for the next piece of output, because the last one says that it is the last: so most
        outputs are one message."""
        message = _first(key)
        async for chunk in self._readers.read(key, Wanted(follow=False)):
            if message.data:
                yield message
                message = scheduler_pb2.PushOutputRequest()
            message.stderr, message.data = chunk.stderr, chunk.data
        message.complete = True
        yield message


async def _push(session: Session, messages: Messages) -> None:
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


def _first(key: AttemptKey, transfer_id: str = "") -> scheduler_pb2.PushOutputRequest:
    return scheduler_pb2.PushOutputRequest(transfer_id=transfer_id, job=key.job, index=key.index, attempt=key.attempt)
