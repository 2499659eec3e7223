"""What a worker's things take on its disk, for whoever asks the scheduler: measured now and then, in a lane."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from cluster.domain.worker.room import reserve_of
from cluster.v1 import room_pb2
from cluster.worker.disk_space import space_of
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds, at least, between two looks
REST = 100  # times what a look took, at least, before the next


class TakenRoom:
    """To be used from one event loop."""

    def __init__(self, outputs: Outputs, lanes: Lanes, reserve: int | None, cache: Callable[[], int]) -> None:
        """`reserve` as in `reserve_of`; `cache`: bytes that contents take."""
        self._outputs, self._lanes, self._reserve, self._cache = outputs, lanes, reserve, cache
        self._measured: room_pb2.WorkerRoom | None = None
        self._next = 0.0
        self._looking: asyncio.Task[None] | None = None

    def said(self) -> room_pb2.WorkerRoom | None:
        """As of the last look; another may begin."""
        if time.monotonic() >= self._next and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        return self._measured

    async def _look(self) -> None:
        began, cache = time.monotonic(), self._cache()
        try:
            self._measured = await self._lanes.run(self, lambda: self.measure(cache))
        except OSError as error:
            logger.warning("it cannot be known what things take here: %s", error.strerror)
        self._next = time.monotonic() + max(EVERY, REST * (time.monotonic() - began))

    def measure(self, cache: int) -> room_pb2.WorkerRoom:
        """Blocks. A directory that is not there has nothing in it."""
        space = space_of(self._outputs.work if os.path.exists(self._outputs.work) else self._outputs.top)
        outputs = sum(_sizes(self._outputs.top))
        spaces = [room_pb2.Space(name=name, bytes=size) for name, size in (("outputs", outputs), ("cache", cache))]
        return room_pb2.WorkerRoom(
            spaces=spaces, free=max(0, space.free), size=space.size, reserve=reserve_of(space, self._reserve)
        )


def _sizes(directory: str) -> Iterator[int]:
    """Bytes on the disk of the files of each job: what was freed within one counts nothing."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_blocks * 512
