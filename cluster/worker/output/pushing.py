"""Sending output to the scheduler for keeps, after the end of an attempt; then it is removed here.

What waits survives a restart as files. Nobody's output waits for ever behind somebody else's: jobs take turns, and for
what takes long to send (a large output, or many of them) each job has pushes of its own, besides those that all share.
"""

import asyncio
import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import aclosing
from enum import Enum
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.v1 import scheduler_pb2
from cluster.worker.output.files import STREAMS, Outputs
from cluster.worker.output.job_file import StreamFile
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.live_transfers import Messages, first_message, push
from cluster.worker.output.readers import lane_of
from cluster.worker.session import Session

logger = logging.getLogger(__name__)

AT_ONCE = 4  # that send; more would only share the same link
LONG = 1 << 20  # bytes: what is larger lets others go first now and then
TURN = 4 << 20  # bytes of it between two such moments
LONG_OF_A_JOB, MOST_LONG = 2, 64  # that are under way together
MESSAGE = 256 << 10  # bytes in one; the scheduler takes up to a megabyte
PATIENCE = 5.0  # seconds for a file to be opened
RETRY = 5.0  # seconds until a scheduler whose disk is full is asked again
REST = 60.0  # seconds until a job is looked at again whose files could not be read


# What we lack, or have to wait for: the output is still there. Whatever else keeps us from a file is its job's doing.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ETIMEDOUT, errno.EIO)


class Outcome(Enum):
    SETTLED = "settled"  # the scheduler has it, or will never want it
    LONG = "long"  # it needs one of the pushes for those
    UNREADABLE = "unreadable"  # for now
    REFUSED = "refused"  # for now, as any other would be


class Source(NamedTuple):
    """One stream of an attempt, open, and what is kept of it."""

    stderr: bool
    file: StreamFile
    parts: tuple[Range, Range]


class Queue:
    """What waits, with the jobs taking turns."""

    def __init__(self) -> None:
        self._jobs: dict[int, dict[AttemptKey, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def add(self, key: AttemptKey) -> None:
        """Said twice it waits once."""
        self._jobs.setdefault(key.job, {})[key] = None

    def take(self, may: Callable[[int], bool]) -> AttemptKey | None:
        """The next of the first job that may; that job comes last now. None when there is none."""
        job = next(filter(may, self._jobs), None)
        if job is None:
            return None
        keys = self._jobs.pop(job)
        key = next(iter(keys))
        del keys[key]
        if keys:
            self._jobs[job] = keys
        return key


class OutputPushes:
    """All that one worker has to send for keeps."""

    def __init__(
        self, outputs: Outputs, lanes: Lanes, session: Callable[[], Session | None], limit: Callable[[int], int]
    ) -> None:
        """`session` answers the open session, None when there is none; `limit`, of a job, how many bytes of each
        stream are kept."""
        self._outputs = outputs
        self._lanes = lanes
        self._session = session
        self._limit = limit
        self._waiting = Queue()
        self._waiting_long = Queue()
        self._short: dict[AttemptKey, asyncio.Task[Outcome]] = {}  # what is under way
        self._long: dict[AttemptKey, asyncio.Task[Outcome]] = {}
        self._resting: set[int] = set()  # jobs whose files cannot be read for now
        self._pausing = False  # the scheduler takes nothing for now
        self._turns = asyncio.Semaphore(AT_ONCE)

    def add(self, keys: Iterable[AttemptKey]) -> None:
        """Said twice is pushed once."""
        for key in keys:
            if key not in self._short and key not in self._long:
                self._waiting.add(key)
        self.resume()

    @property
    def left(self) -> int:
        """How many attempts' outputs are still to be pushed."""
        return len(self._waiting) + len(self._waiting_long) + len(self._short) + len(self._long)

    def resume(self) -> None:
        """Call this when a session has opened."""
        if self._pausing or (session := self._session()) is None:
            return
        while len(self._short) < AT_ONCE and (key := self._waiting.take(self._may)) is not None:
            self._begin(key, session, self._short)
        while len(self._long) < MOST_LONG and (key := self._waiting_long.take(self._has_place)) is not None:
            self._begin(key, session, self._long)

    async def settle(self, patience: float) -> None:
        """Waits until all has been pushed, if the scheduler takes it, but not for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while (tasks := [*self._short.values(), *self._long.values()]) and (left := until - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if count := self.left:
            logger.info("the output of %d attempts waits here until this worker is back", count)

    def cancel(self) -> None:
        """The session is over; `resume` goes on in the next."""
        for task in (*self._short.values(), *self._long.values()):
            task.cancel()

    # -- who is next

    def _may(self, job: int) -> bool:
        return job not in self._resting

    def _has_place(self, job: int) -> bool:
        return self._may(job) and Counter(key.job for key in self._long)[job] < LONG_OF_A_JOB

    def _begin(self, key: AttemptKey, session: Session, pushes: dict[AttemptKey, asyncio.Task[Outcome]]) -> None:
        task = pushes[key] = asyncio.create_task(self._keep(key, session, may_be_long=pushes is self._long))
        task.add_done_callback(partial(self._done, key, session, pushes))

    def _done(
        self,
        key: AttemptKey,
        session: Session,
        pushes: dict[AttemptKey, asyncio.Task[Outcome]],
        task: asyncio.Task[Outcome],
    ) -> None:
        del pushes[key]
        outcome = None if task.cancelled() else task.result()
        if outcome is Outcome.SETTLED:
            self._outputs.remove((key,))
        elif outcome is Outcome.LONG:
            self._waiting_long.add(key)
        else:
            self._waiting.add(key)
        if outcome is Outcome.UNREADABLE:
            self._resting.add(key.job)
            asyncio.get_running_loop().call_later(REST, self._rested, key.job)
        elif outcome is Outcome.REFUSED and not self._pausing:
            self._pausing = True
            asyncio.get_running_loop().call_later(RETRY, self._paused)
        if outcome or self._session() is not session:
            self.resume()

    def _rested(self, job: int) -> None:
        self._resting.discard(job)
        self.resume()

    def _paused(self) -> None:
        self._pausing = False
        self.resume()

    # -- one attempt

    async def _keep(self, key: AttemptKey, session: Session, *, may_be_long: bool) -> Outcome:
        if self._outputs.are_going(key):
            return Outcome.SETTLED  # its report took it along
        files = [StreamFile(self._outputs.path(key, suffix)) for suffix in STREAMS]
        try:
            sources = await self._lanes.run(lane_of(key), partial(_open, files, self._limit(key.job)), PATIENCE)
            if not any(file.exists for file in files):
                return Outcome.SETTLED
            is_long = sum(part.size for source in sources for part in source.parts) > LONG
            if is_long and not may_be_long:
                return Outcome.LONG
            return await self._push(key, session, sources, is_long)
        except OSError as error:
            logger.warning("job %d: the output of %s cannot be read now: %s", key.job, key.in_words, error.strerror)
            return Outcome.UNREADABLE
        finally:
            for file in files:
                self._lanes.post(lane_of(key), file.close)

    async def _push(self, key: AttemptKey, session: Session, sources: list[Source], is_long: bool) -> Outcome:
        try:
            await push(session, self._messages(key, sources, is_long))
        except (NotFound, Conflict, InvalidInput) as error:
            # Unless its report came meanwhile and took it along, being small.
            if await self._lanes.run(lane_of(key), partial(self._outputs.exist, key)):
                logger.warning(
                    "job %d: the scheduler refused the output of %s, which is gone now: %s",
                    key.job,
                    key.in_words,
                    error,
                )
        except Unreachable:
            return Outcome.REFUSED  # the session says why
        except ClusterError as error:
            logger.warning("job %d: the output of %s stays here for now: %s", key.job, key.in_words, error)
            return Outcome.REFUSED
        return Outcome.SETTLED

    async def _messages(self, key: AttemptKey, sources: list[Source], is_long: bool) -> Messages:
        """Each message waits for the next piece of output, because the last one says that it is the last: so most
        outputs are one message."""
        message = first_message(key)
        async with aclosing(self._pieces(key, sources, is_long)) as pieces:
            async for piece in pieces:
                if message.data or message.left_out:
                    yield message
                    message = scheduler_pb2.PushOutputRequest()
                message.MergeFrom(piece)
        message.complete = True
        yield message

    async def _pieces(self, key: AttemptKey, sources: list[Source], is_long: bool) -> Messages:
        """A long one has to wait for its turn each time that it has sent so much."""
        left = TURN
        if is_long:
            await self._turns.acquire()
        try:
            for source in sources:
                async with aclosing(self._stream(key, source)) as pieces:
                    async for piece in pieces:
                        yield piece
                        left -= len(piece.data)
                        if is_long and left <= 0:
                            self._turns.release()
                            is_long = False  # for whoever ends us just now
                            await self._turns.acquire()
                            is_long, left = True, TURN
        finally:
            if is_long:
                self._turns.release()

    async def _stream(self, key: AttemptKey, source: Source) -> Messages:
        left_out = source.parts[1].start - source.parts[0].stop
        for part, gap in zip(source.parts, (0, left_out), strict=True):
            at = part.start
            while at < part.stop:
                size = min(MESSAGE, part.stop - at)
                data = await self._lanes.run(lane_of(key), partial(os.pread, source.file.fd, size, at))
                if not data:
                    break  # it has become shorter
                at += len(data)
                yield scheduler_pb2.PushOutputRequest(stderr=source.stderr, data=data, left_out=gap)
                gap = 0
            if gap:
                yield scheduler_pb2.PushOutputRequest(stderr=source.stderr, left_out=gap)


def _open(files: list[StreamFile], limit: int) -> list[Source]:
    """What is to be sent. Blocks."""
    sources = []
    for stderr, file in zip((False, True), files, strict=True):
        try:
            if file.open():
                sources.append(Source(stderr, file, file.parts(limit)))
        except OSError as error:
            if error.errno in _PASSING:
                raise
            logger.warning("%s cannot be read, and counts as empty: %s", file.path, error.strerror)
    return sources
