"""The verbs about what is kept as calls of a scheduler's services."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from cluster.client.messages import selectors_of
from cluster.client.types import Deleted, Pruned, RoomStatus, SpaceUsed, WorkerRoom


class KeepingCalls(ABC):
    """As KeepingBackend."""

    _jobs: Any

    async def delete(self, selectors: Sequence[str]) -> Deleted:
        from cluster.v1 import jobs_pb2

        with self._calling():
            answer = await self._jobs.Delete(jobs_pb2.DeleteRequest(selectors=selectors_of(selectors)))
        return Deleted(tuple(answer.jobs), answer.deleted, answer.kept)

    async def pin(self, selectors: Sequence[str], *, pinned: bool) -> tuple[tuple[int, ...], int]:
        from cluster.v1 import jobs_pb2

        with self._calling():
            if pinned:
                answer = await self._jobs.Pin(jobs_pb2.PinRequest(selectors=selectors_of(selectors)))
                return tuple(answer.jobs), answer.pinned
            undone = await self._jobs.Unpin(jobs_pb2.UnpinRequest(selectors=selectors_of(selectors)))
            return tuple(undone.jobs), undone.unpinned

    async def room(self) -> RoomStatus:
        from cluster.v1 import room_pb2

        with self._calling():
            answer = await self._beside("Room").ShowRoom(room_pb2.ShowRoomRequest())
        workers = tuple(WorkerRoom(w.id, w.name, _spaces(w.spaces), w.free, w.size, w.reserve) for w in answer.workers)
        limits = answer.keep_jobs, answer.keep_output
        return RoomStatus(
            _spaces(answer.spaces),
            answer.free,
            answer.size,
            *limits,
            workers,
            answer.reserve,
            answer.keep_files,
            answer.user_files,
            tuple((each.user, each.bytes) for each in answer.users),
            answer.keep_usage,
            answer.user_output,
            tuple((each.user, each.bytes) for each in answer.outputs),
        )

    async def prune(
        self, keep_jobs: str, keep_output: str, keep_files: str, keep_usage: str, *, dry_run: bool
    ) -> Pruned:
        from cluster.v1 import room_pb2

        limits = {"keep_jobs": keep_jobs, "keep_output": keep_output, "keep_files": keep_files}
        limits["keep_usage"] = keep_usage
        request = room_pb2.PruneRequest(dry_run=dry_run, **limits)
        with self._calling():
            answer = await self._beside("Room").Prune(request)
        return Pruned(**{name: getattr(answer, name) for name in Pruned._fields})

    @abstractmethod
    def _calling(self) -> AbstractContextManager[None]:
        """As of JobsServiceBackend."""

    @abstractmethod
    def _beside(self, service: str) -> Any:
        """As of JobsServiceBackend."""


def _spaces(messages: Any) -> tuple[SpaceUsed, ...]:
    return tuple(SpaceUsed(space.name, space.bytes, space.free) for space in messages)
