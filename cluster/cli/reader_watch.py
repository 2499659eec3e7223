"""Whoever reads our standard output may leave (`| head -1`) while there is nothing to write, so that no write fails."""

import asyncio
import errno
import os
import select
import stat
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from cluster.cli.process_environment import OUTPUT

T = TypeVar("T")
# Seconds: who has read the last line leaves before the end of the job is told, and that end is to count.
PATIENCE_WITH_THE_END = 1.0


async def while_read(output: int, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. BrokenPipeError, and the work is cancelled, when nobody can read standard output any more
    (that descriptor) and the work does not end at once."""
    task = asyncio.create_task(work)
    try:
        with _leaving(output) as left:
            either: list[asyncio.Future[Any]] = [task, left]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([task], timeout=PATIENCE_WITH_THE_END)
        if task.done():
            return task.result()
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE), OUTPUT)
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def _leaving(output: int) -> Iterator[asyncio.Future[None]]:
    """Is done when the reader has left; never of a file, nor of a terminal, whose end is a signal."""
    loop = asyncio.get_running_loop()
    left: asyncio.Future[None] = loop.create_future()
    kind = os.fstat(output).st_mode
    with select.epoll() as watched:
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            watched.register(output, 0)  # of no event but an error or the other side's end, which are always told
            loop.add_reader(watched.fileno(), _tell, left)
        try:
            yield left
        finally:
            loop.remove_reader(watched.fileno())


def _tell(left: asyncio.Future[None]) -> None:
    if not left.done():
        left.set_result(None)
