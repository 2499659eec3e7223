"""Where output is: in the store with its end, in the scheduler's files, or still on a worker.

Every generator here and in following.py is closed where it is used (aclosing), not when it happens to be collected: a
reader who leaves must give back its transfer at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NamedTuple

from cluster.domain.base.errors import NotFound, Unreachable
from cluster.domain.base.gap_line import gap_line
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.records import SmallOutput, TaskEnd
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.output.files import OutputFiles, tail_of
from cluster.scheduler.output.relay import Relay
from cluster.scheduler.sessions import Line, SessionLines
from cluster.v1 import scheduler_pb2

SOON = 2.0  # seconds that a worker gets to send the last bytes of an output
LEAST_LINE = 40  # bytes: lines are shorter only where the last bytes are fewer than were asked for
MOST_ASKED = 1024 * 1024  # bytes that a worker sends for them, at most

FROM_THE_START: Mapping[bool, int] = {False: 0, True: 0}  # bytes to skip of stdout and stderr


class Piece(NamedTuple):
    """Some bytes of one of an attempt's streams."""

    stderr: bool
    data: bytes
    end: int  # where they end in that stream, in bytes as they were written; means nothing with `tail_lines`
    note: str = ""  # instead of bytes: what is to be said about the output


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asked for. `tail_lines` None: from byte 0. `attempt`: of a task; 0: all, with `tail_lines` the last
    one."""

    stdout: bool
    stderr: bool
    follow: bool
    tail_lines: int | None
    attempt: int = 0

    @property
    def is_all(self) -> bool:
        return self.stdout and self.stderr and self.tail_lines is None

    def streams(self) -> list[bool]:
        """The wanted streams, as `stderr` flags."""
        return [flag for flag, wanted in ((False, self.stdout), (True, self.stderr)) if wanted]


class Sources:
    """Reads the output of one attempt. One for all readers."""

    def __init__(self, driver: Driver, files: OutputFiles, relay: Relay, sessions: SessionLines) -> None:
        self._driver = driver
        self._files = files
        self._relay = relay
        self._sessions = sessions

    def small(self, output: SmallOutput, wish: Wish, skip: Mapping[bool, int] = FROM_THE_START) -> list[Piece]:
        """What is wanted of it, without the first `skip` bytes of each stream."""
        pieces = []
        for stderr in wish.streams():
            written = output.stderr if stderr else output.stdout
            if data := tail_of(written, wish.tail_lines)[skip[stderr] :]:
                pieces.append(Piece(stderr, data, len(written)))
        return pieces

    async def large(
        self, end: TaskEnd, wish: Wish, skip: Mapping[bool, int] = FROM_THE_START
    ) -> AsyncGenerator[Piece, None]:
        """The output of an attempt that has ended, from the files here; until it is there, from its worker. Says what
        is missing."""
        key = AttemptKey(end.job, end.index, end.attempt)
        if not self._files.has(key):
            given = dict(skip)
            try:
                async with aclosing(self.live(key, end.worker_id, wish, skip)) as pieces:
                    async for piece in pieces:
                        given[piece.stderr] = piece.end
                        yield piece
                if wish.is_all and (note := _missing(end, sum(given.values()))):
                    yield note
                return
            except NotFound as error:
                if not self._files.has(key):  # else it was taken in at this very moment
                    if note := _missing(end, 0, str(error)):
                        yield note
                    return
            except Unreachable as error:
                if end.reason != endings.LOST:
                    raise
                yield Piece(False, b"", 0, f"it was lost, and {error}")
                return
        for stderr in wish.streams():
            stored = self._files.read(key, stderr, wish.tail_lines, skip[stderr])
            while (part := await asyncio.to_thread(next, stored, None)) is not None:
                yield Piece(stderr, *part)
        if note := _missing(end, await asyncio.to_thread(self._files.written, key)):
            yield note

    async def last_bytes(self, end: TaskEnd, stderr: bool, most: int) -> bytes:
        """The end of a stream of an attempt that has ended: nothing where it cannot be had soon."""
        key = AttemptKey(end.job, end.index, end.attempt)
        small = await self._driver.fetch(lambda store: store.small_outputs(end.job, end.index, end.index + 1))
        for output in small:
            if output.attempt == end.attempt:
                return (output.stderr if stderr else output.stdout)[-most:]
        if end.output_bytes and not self._files.has(key):
            with suppress(NotFound, Unreachable, TimeoutError):  # where it was taken in meanwhile it is in the files
                async with asyncio.timeout(SOON):
                    return await self._last_bytes_there(key, end.worker_id, stderr, most)
        return await asyncio.to_thread(self._files.last_bytes, key, stderr, most)

    async def _last_bytes_there(self, key: AttemptKey, worker_id: str, stderr: bool, most: int) -> bytes:
        """From its worker, of whose last lines not more is read than MOST_ASKED."""
        wish = Wish(stdout=not stderr, stderr=stderr, follow=False, tail_lines=most // LEAST_LINE)
        last, read = b"", 0
        async with aclosing(self.live(key, worker_id, wish)) as pieces:
            async for piece in pieces:
                last, read = (last + piece.data)[-most:], read + len(piece.data)
                if read > MOST_ASKED:
                    return b""
        return last

    def line_of(self, worker_id: str) -> Line | None:
        """The session of that worker; None: it has none."""
        return self._sessions.line_of(worker_id)

    async def live(
        self, key: AttemptKey, worker_id: str, wish: Wish, skip: Mapping[bool, int] = FROM_THE_START
    ) -> AsyncGenerator[Piece, None]:
        """The output as the worker sends it. NotFound when it has none, Unreachable when it cannot be asked."""
        line = self._sessions.line_of(worker_id)
        if line is None:
            number = (await JobReader(self._driver, key.job).spec()).number_of(key.index)
            worker = await self._driver.read(lambda core: core.workers.get(worker_id))
            if worker is None:
                raise NotFound(f"worker {worker_id}, which had the output of {key.shown(number)}, was removed")
            raise Unreachable(
                f"the output of {key.shown(number)} is on worker {worker.record.name}, which is not connected; try "
                "again when it is back"
            )
        wanted = scheduler_pb2.OpenOutput(
            job=key.job,
            index=key.index,
            attempt=key.attempt,
            stdout=wish.stdout,
            stderr=wish.stderr,
            follow=wish.follow,
            tail_lines=wish.tail_lines,
        )
        ends = dict(FROM_THE_START)
        with self._relay.transfer(line, wanted) as transfer:
            async for stderr, data, left_out in transfer.pieces():
                begin = max(ends[stderr], skip[stderr])
                ends[stderr] += left_out
                if begin < ends[stderr]:
                    yield Piece(stderr, gap_line(ends[stderr] - begin), ends[stderr])
                begin, ends[stderr] = ends[stderr], ends[stderr] + len(data)
                if ends[stderr] > skip[stderr]:
                    yield Piece(stderr, data[max(0, skip[stderr] - begin) :], ends[stderr])


def _missing(end: TaskEnd, written: int, why: str = "its worker did not have them any more") -> Piece | None:
    """What is to be said where less is here than the attempt has written, by the word of its worker."""
    if (missing := end.output_bytes - written) <= 0:
        return None
    return Piece(False, b"", 0, f"{missing} bytes of what it wrote are missing: {why}")
