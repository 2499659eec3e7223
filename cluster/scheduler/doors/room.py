"""The door about the room that everything takes: the `Room` service."""

from collections.abc import Iterable

from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.operations.keeping import KeepingOperations
from cluster.scheduler.room import SpaceTaken
from cluster.v1 import room_pb2, room_pb2_grpc


class RoomDoor(room_pb2_grpc.RoomServicer):
    def __init__(self, keeping: KeepingOperations) -> None:
        self._keeping = keeping

    async def ShowRoom(self, request: room_pb2.ShowRoomRequest, context: Context) -> room_pb2.ShowRoomResponse:
        room = await self._keeping.room(current_caller())
        return room_pb2.ShowRoomResponse(
            spaces=_spaces(room.spaces),
            free=room.free,
            size=room.size,
            keep_jobs=str(room.limits.jobs),
            keep_output=str(room.limits.output),
            keep_files=str(room.limits.files),
            reserve=room.reserve,
            user_files=room.limits.user_files or 0,
            users=[room_pb2.UserFiles(user=user, bytes=size) for user, size in room.users],
            keep_usage=str(room.limits.usage),
            user_output=room.limits.user_output or 0,
            outputs=[room_pb2.UserFiles(user=user, bytes=size) for user, size in room.outputs],
            workers=[
                room_pb2.WorkerRoom(
                    id=worker_id,
                    name=name,
                    spaces=_spaces(said.spaces),
                    free=said.free,
                    size=said.size,
                    reserve=said.reserve,
                )
                for worker_id, name, said in room.workers
            ],
        )

    async def Prune(self, request: room_pb2.PruneRequest, context: Context) -> room_pb2.PruneResponse:
        wanted = request.keep_jobs, request.keep_output, request.keep_files, request.keep_usage
        found, limits = await self._keeping.prune(*wanted, dry=request.dry_run)
        return room_pb2.PruneResponse(
            jobs=found.jobs,
            outputs=found.outputs,
            job_bytes=found.job_bytes,
            output_bytes=found.output_bytes,
            keep_jobs=str(limits.jobs),
            keep_output=str(limits.output),
            files=found.files,
            file_bytes=found.file_bytes,
            keep_files=str(limits.files),
            usage_days=found.usage_days,
            keep_usage=str(limits.usage),
        )


def _spaces(spaces: Iterable[SpaceTaken]) -> list[room_pb2.Space]:
    return [room_pb2.Space(name=space.name, bytes=space.size, free=space.free) for space in spaces]
