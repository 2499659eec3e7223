"""Writes bytes to a file descriptor without blocking the event loop."""

import asyncio
import os
import select
import sys
from contextlib import nullcontext

from cluster.cli.process_environment import naming_output

PIECE = select.PIPE_BUF  # a pipe that can be written takes at least so many bytes without blocking (POSIX)


class Writer:
    """A file descriptor to write to: standard output or standard error, unbuffered.

    A reader who stops reading (a pager) stops our reading too, and never our signals: we wait until the descriptor
    can be written. It is not made non-blocking, for it is shared with the processes beside us. BrokenPipeError when
    the reader is gone; other errors of standard output name it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not self._poll.poll(0):
                await self._writable()
            with naming_output() if self._fd == sys.stdout.fileno() else nullcontext():
                written = os.write(self._fd, view[:PIECE])
            view = view[written:]

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._fd)
