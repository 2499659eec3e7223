"""The door for contents: what users send, what workers fetch."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from cluster.domain.files.pieces import ContentPiece
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.doors.translating import piece_to_proto
from cluster.scheduler.operations.contents import ContentOperations
from cluster.v1 import files_pb2, files_pb2_grpc


class FilesDoor(files_pb2_grpc.FilesServicer):
    def __init__(self, contents: ContentOperations) -> None:
        self._contents = contents

    async def FindMissing(
        self, request: files_pb2.FindMissingRequest, context: Context
    ) -> files_pb2.FindMissingResponse:
        missing = await self._contents.missing(current_caller(), request.digests)
        begun = [files_pb2.BegunContent(place=each.place, bytes=each.begun) for each in missing if each.begun]
        return files_pb2.FindMissingResponse(missing=[each.place for each in missing], begun=begun)

    async def PutContents(
        self, requests: AsyncIterator[files_pb2.PutContentsRequest], context: Context
    ) -> files_pb2.PutContentsResponse:
        taken = await self._contents.put(current_caller(), (_pieces(request) async for request in requests))
        return files_pb2.PutContentsResponse(taken=taken)

    async def GetContents(
        self, request: files_pb2.GetContentsRequest, context: Context
    ) -> AsyncIterator[files_pb2.GetContentsResponse]:
        getting = self._contents.get(current_caller(), request.job, request.digests, request.offset)
        async with aclosing(getting) as messages:
            async for pieces in messages:
                yield files_pb2.GetContentsResponse(pieces=map(piece_to_proto, pieces))


def _pieces(request: files_pb2.PutContentsRequest) -> Sequence[ContentPiece]:
    return [ContentPiece(each.data, each.digest, each.size, each.offset) for each in request.pieces]
