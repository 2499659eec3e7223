"""The calls for results, as the scheduler's Jobs service has them."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from cluster.client.connection import hanging_up
from cluster.client.messages import selectors_of
from cluster.client.results import TaskResults
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import Entry, decode
from cluster.domain.job.results import ResultsState
from cluster.v1 import files_pb2, jobs_pb2


class ResultCalls:
    """Methods of JobsServiceBackend."""

    _jobs: Any

    async def results(
        self, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[Sequence[TaskResults], None]:
        request = jobs_pb2.ListResultsRequest(selectors=selectors_of(selectors), follow=follow)
        with self._calling():
            await self._ready(patience)
            with hanging_up(self._jobs.ListResults(request)) as call:
                async for answer in call:
                    yield list(map(_results_of, answer.tasks))

    async def read_results(
        self, results: TaskResults, digests: Sequence[bytes], offset: int, patience: float
    ) -> AsyncGenerator[Sequence[files_pb2.ContentPiece], None]:
        key = {"job": results.job, "index": results.index, "attempt": results.attempt}
        request = jobs_pb2.ReadResultsRequest(digests=digests, offset=offset, **key)
        with self._calling():
            await self._ready(patience)
            with hanging_up(self._jobs.ReadResults(request)) as call:
                async for answer in call:
                    yield answer.pieces

    async def entries(self, results: TaskResults, patience: float) -> tuple[Entry, ...]:
        """What they are. InvalidInput where the scheduler sends what is no tree."""
        if not results.tree:
            return ()
        data = [
            piece.data async for pieces in self.read_results(results, [results.tree], 0, patience) for piece in pieces
        ]
        try:
            return tuple(decode(data))
        except InvalidInput as error:
            raise InvalidInput(f"{results.name}: {error}") from None

    @abstractmethod
    def _calling(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    async def _ready(self, patience: float) -> None: ...


def _results_of(message: jobs_pb2.TaskResults) -> TaskResults:
    results = message.results
    return TaskResults(
        job=results.job,
        task_number=message.task_number,
        index=results.index,
        attempt=results.attempt,
        state=ResultsState(message.state),
        files=results.files,
        size=results.bytes,
        notes=tuple(results.notes),
        worker=message.worker,
        tree=results.tree,
    )
