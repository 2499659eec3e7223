"""The calls that send contents, which a backend of a scheduler makes."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any

from cluster.client.connection import hanging_up
from cluster.domain.files.pieces import ContentPiece


class ContentCalls:
    """Methods of JobsServiceBackend."""

    @abstractmethod
    def _calling(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    async def _ready(self, patience: float) -> None: ...

    @abstractmethod
    def _beside(self, service: str) -> Any: ...

    async def find_missing(self, digests: Sequence[bytes], patience: float) -> Sequence[tuple[int, int]]:
        from cluster.v1 import files_pb2

        files = self._beside("Files")
        with self._calling():
            await self._ready(patience)
            answer = await files.FindMissing(files_pb2.FindMissingRequest(digests=digests))
        begun = {each.place: each.bytes for each in answer.begun}
        return [(place, begun.get(place, 0)) for place in answer.missing]

    async def put_contents(self, messages: AsyncGenerator[Sequence[ContentPiece], None]) -> None:
        from cluster.v1 import files_pb2

        files = self._beside("Files")
        with self._calling(), hanging_up(files.PutContents()) as call:
            async with aclosing(messages):
                async for pieces in messages:
                    each = [files_pb2.ContentPiece(**piece._asdict()) for piece in pieces]
                    if call.done():
                        break  # its status says why
                    await call.write(files_pb2.PutContentsRequest(pieces=each))
                else:
                    await call.done_writing()
            await call
