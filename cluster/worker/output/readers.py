"""Following what an attempt writes, from its first byte (or its last lines) to its end. Any number at once.

A reader holds one chunk at a time: whoever takes it slowly is waited for, and nobody else is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import NotFound
from cluster.domain.base.gap_line import gap_line
from cluster.domain.base.ids import AttemptKey
from cluster.domain.worker.messages import OWN
from cluster.worker.output.files import STREAMS, Outputs
from cluster.worker.output.inotify import Watcher
from cluster.worker.output.job_file import Part, StreamFile
from cluster.worker.output.lanes import Lanes

# Seconds. A job may have a lease on its own file, and has lease-break-time (45 s, unless somebody changed it) to give
# it back after it was asked.
LEASE_RETRY, LEASE_PATIENCE = 0.5, 60.0
SOON = 2.0  # seconds that whoever asks for the last bytes waits for the disk
NOTHING = Part(b"", 0)


class OutputPhase(Enum):
    UNSTARTED = "unstarted"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Chunk(NamedTuple):
    stderr: bool
    data: bytes  # where something is left out, the line that says so
    end: int  # where it ends in its stream, in bytes as they were written; of that line: where what is left out ends
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for. `tail` None: from the byte of each stream that `start` says."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = True
    tail: int | None = None
    start: tuple[int, int] = (0, 0)  # of stdout and stderr


@dataclass(slots=True)
class _ReadStream:
    file: StreamFile
    stderr: bool
    at: int = 0


@dataclass(slots=True)
class Readers:
    """All readers of one worker. `phase_of` says how far an attempt is."""

    outputs: Outputs
    watcher: Watcher
    phase_of: Callable[[AttemptKey], OutputPhase]
    lanes: Lanes = field(default_factory=Lanes)
    _waiting: dict[AttemptKey, set[asyncio.Event]] = field(default_factory=dict)

    def changed(self, key: AttemptKey) -> None:
        """An attempt has started or ended. To be called after `phase_of` says so."""
        for event in self._waiting.get(key, ()):
            event.set()

    def all_changed(self) -> None:
        """Any attempt may have ended without a word: its launcher died, and has left no journal."""
        for key in self._waiting:
            self.changed(key)

    @property
    def any(self) -> bool:
        """Whether somebody reads at all."""
        return bool(self._waiting)

    async def read(self, key: AttemptKey, wanted: Wanted) -> AsyncIterator[Chunk]:
        """The attempt's output as it comes. NotFound when there is no such attempt here."""
        news = asyncio.Event()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(news)
        try:
            while wanted.follow and self.phase_of(key) is OutputPhase.UNSTARTED:
                news.clear()
                await news.wait()
            async with AsyncExitStack() as stack:
                streams = await self._open(key, wanted, stack)
                if wanted.follow and self.phase_of(key) is OutputPhase.RUNNING:
                    for stream in streams:
                        stack.enter_context(self.watcher.growth(stream.file.fd, news))
                while True:
                    # Asked first, read then: nothing is written after the end.
                    ended = not wanted.follow or self.phase_of(key) is not OutputPhase.RUNNING
                    news.clear()
                    found = False
                    for stream in streams:
                        part = await self.lanes.run(lane_of(key), partial(stream.file.read, stream.at))
                        if part != NOTHING:
                            found = True
                            stream.at += part.left_out + len(part.data)
                            data = gap_line(part.left_out) if part.left_out else part.data
                            yield Chunk(stream.stderr, data, stream.at, part.left_out)
                    if found:
                        continue
                    if ended:
                        return
                    await news.wait()
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(key, None)

    async def last_bytes(self, key: AttemptKey, stderr: bool, most: int) -> bytes:
        """The end of a stream of an attempt that has ended: nothing where it cannot be had soon."""
        file = StreamFile(self.outputs.path(key, STREAMS[stderr]))
        with suppress(OSError):
            return await self.lanes.run(lane_of(key), partial(_last_bytes, file, most), SOON)
        return b""

    async def _open(self, key: AttemptKey, wanted: Wanted, stack: AsyncExitStack) -> list[_ReadStream]:
        """The files that are wanted. One that is not there was empty, as long as the attempt is known."""
        with self.outputs.opening() as removed:
            were_going = self.outputs.are_going(key)  # which may be over when they are opened
            streams = await self._open_all(key, wanted, stack)
        # Of two streams one may have gone meanwhile.
        gone = were_going or self.outputs.are_going(key) or key in removed
        if gone or (not streams and self.phase_of(key) is OutputPhase.UNKNOWN):
            raise NotFound(f"this worker has no output of {key.in_words}")
        return streams

    async def _open_all(self, key: AttemptKey, wanted: Wanted, stack: AsyncExitStack) -> list[_ReadStream]:
        streams = []
        for suffix, asked, first in zip(STREAMS, (wanted.stdout, wanted.stderr), wanted.start, strict=True):
            if not asked:
                continue
            file = StreamFile(self.outputs.path(key, suffix))
            # In its lane: behind a read that goes on when its reader has gone.
            stack.callback(self.lanes.post, lane_of(key), file.close)
            if not await self._open_one(key, file):
                continue
            if wanted.tail is not None:
                first = await self.lanes.run(lane_of(key), partial(file.start_of_tail, wanted.tail))
            streams.append(_ReadStream(file, suffix == ".err", first))
        return streams

    async def _open_one(self, key: AttemptKey, file: StreamFile) -> bool:
        """False when it is not there."""
        until = asyncio.get_running_loop().time() + LEASE_PATIENCE
        while True:
            try:
                return await self.lanes.run(lane_of(key), file.open)
            except BlockingIOError:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(LEASE_RETRY)


def _last_bytes(file: StreamFile, most: int) -> bytes:
    try:
        return file.read(max(0, file.size() - most), most).data if file.open() else b""
    finally:
        file.close()


def lane_of(key: AttemptKey) -> tuple[int, int]:
    """Its job's: those of the worker's own API are numbered by index."""
    return (key.job, key.index if key.job == OWN else 0)
