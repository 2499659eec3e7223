"""Looks how much room the disks have, and tells the core. In a lane: where a disk hangs, nothing more is known of any
until it answers."""

import asyncio
import logging
from collections.abc import Callable

from cluster.domain.base.errors import Exhausted
from cluster.domain.worker.messages import RoomMeasured
from cluster.domain.worker.room import Room, Space, shortage
from cluster.worker.disk_space import Disks
from cluster.worker.output.lanes import Lanes

logger = logging.getLogger(__name__)

MEASURE_EVERY = 0.1  # seconds, at least, between two looks


class RoomWatch:
    def __init__(self, disks: Disks, lanes: Lanes, room: Room, put: Callable[[RoomMeasured], None]) -> None:
        self._disks, self._lanes, self._room, self._put = disks, lanes, room, put
        self._next_look = 0.0
        self._looking: asyncio.Task[None] | None = None

    def after_turn(self, now: float) -> None:
        """Looks after turns that there are anyway: at each heartbeat at least. `now`: boot clock, seconds."""
        if now >= self._next_look and (self._looking is None or self._looking.done()):
            self._next_look = now + MEASURE_EVERY
            self._looking = asyncio.create_task(self._look())

    async def is_short(self) -> bool:
        """Whether what does not work now may do so once there is room."""
        return bool(shortage(await self._spaces(), self._room.reserve))

    async def expect_room(self) -> None:
        """Exhausted when there is none for another job."""
        if why := shortage(await self._spaces(), self._room.reserve, had_room=not self._room.shortage):
            raise Exhausted(f"this worker takes nothing until it has room: {why}; try again later")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        try:
            self._put(RoomMeasured(await self._spaces()))
        except OSError as error:
            logger.warning("it cannot be known how much room there is: %s", error.strerror)

    async def _spaces(self) -> tuple[Space, ...]:
        return await self._lanes.run(self._disks, self._disks.measure)
