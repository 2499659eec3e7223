"""Following what an attempt writes, from its first byte (or its last lines) to its end. Any number at once.

A reader holds one chunk at a time: whoever takes it slowly is waited for, and nobody else is.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from cluster.domain.errors import NotFound
from cluster.domain.ids import AttemptKey
from cluster.worker.outputs import STREAMS, Outputs
from cluster.worker.watch import Watcher

CHUNK = 65536  # bytes; also about what gRPC takes for a reader that has stalled


class Phase(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Chunk(NamedTuple):
    stderr: bool
    data: bytes
    end: int  # where it ends in its stream, in bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for. `tail` None: from the byte of each stream that `start` says."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = True
    tail: int | None = None
    start: tuple[int, int] = (0, 0)  # of stdout and stderr


@dataclass(slots=True)
class _Stream:
    fd: int
    stderr: bool
    at: int = 0


@dataclass(slots=True)
class Readers:
    """All readers of one worker. `phase_of` says how far an attempt is."""

    outputs: Outputs
    watcher: Watcher
    phase_of: Callable[[AttemptKey], Phase]
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
            while wanted.follow and self.phase_of(key) is Phase.QUEUED:
                news.clear()
                await news.wait()
            with ExitStack() as stack:
                streams = self._open(key, wanted, stack)
                if wanted.follow and self.phase_of(key) is Phase.RUNNING:
                    for stream in streams:
                        stack.enter_context(self.watcher.growth(stream.fd, news))
                while True:
                    # Asked first, read then: nothing is written after the end.
                    ended = not wanted.follow or self.phase_of(key) is not Phase.RUNNING
                    news.clear()
                    found = False
                    for stream in streams:
                        if data := os.pread(stream.fd, CHUNK, stream.at):
                            stream.at += len(data)
                            found = True
                            yield Chunk(stream.stderr, data, stream.at)
                    if found:
                        continue
                    if ended:
                        return
                    await news.wait()
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(key, None)

    def _open(self, key: AttemptKey, wanted: Wanted, stack: ExitStack) -> list[_Stream]:
        """The files that are wanted. One that is not there was empty, as long as the attempt is known."""
        missing = NotFound(f"this worker has no output of {key.in_words}")
        if self.outputs.are_going(key):  # asked once: only this thread begins to remove anything
            raise missing
        streams = []
        for suffix, asked, first in zip(STREAMS, (wanted.stdout, wanted.stderr), wanted.start, strict=True):
            if not asked:
                continue
            try:
                fd = os.open(self.outputs.path(key, suffix), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            stack.callback(os.close, fd)
            start = first if wanted.tail is None else _start_of_tail(fd, wanted.tail)
            streams.append(_Stream(fd, suffix == ".err", start))
        if not streams and self.phase_of(key) is Phase.UNKNOWN:
            raise missing
        return streams


def _start_of_tail(fd: int, lines: int) -> int:
    """Where the last `lines` lines of a file begin. A last line without its end counts."""
    end = os.fstat(fd).st_size
    if lines == 0 or end == 0:
        return end
    wanted = lines + (os.pread(fd, 1, end - 1) == b"\n")
    at = end
    while at > 0:
        begin = max(0, at - CHUNK)
        block = os.pread(fd, at - begin, begin)
        breaks = block.count(b"\n")
        if breaks >= wanted:
            position = len(block)
            for _ in range(wanted):
                position = block.rindex(b"\n", 0, position)
            return begin + position + 1
        wanted -= breaks
        at = begin
    return 0
