"""The client's verbs about results: what jobs have left for keeps."""

import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from cluster.client.arguments import selector_texts
from cluster.client.backend import Backend
from cluster.client.fetching import FetchedTask, Fetcher, FetchListener, follow_results
from cluster.client.results import TaskResults
from cluster.client.retrying import RetryPatience
from cluster.domain.files.tree import Entry
from cluster.domain.job.results import ResultsState


class ResultVerbs:
    """Methods of AsyncClient."""

    _patience: RetryPatience

    @abstractmethod
    def _backend(self) -> Backend: ...

    async def results(self, *selectors: str | int, follow: bool = False) -> AsyncGenerator[TaskResults, None]:
        """Yields what the selected tasks have left for keeps (`out`): of each its last attempt that has ended, or the
        one that was selected. With `follow` each once its task has ended and its files are with the scheduler; last
        come those that are out of reach. NotFound for jobs without `out`."""
        texts = selector_texts(selectors)
        async with aclosing(follow_results(self._backend(), self._patience, texts, follow=follow)) as several:
            async for results in several:
                yield results

    async def entries(self, results: TaskResults) -> tuple[Entry, ...]:
        """The files, directories and links of one task's results, in order of their paths."""
        return await self._backend().entries(results, self._patience.left())

    async def fetch(
        self,
        *selectors: str | int,
        to: str | os.PathLike[str] = ".",
        flat: bool | None = None,
        follow: bool = False,
        listener: FetchListener | None = None,
    ) -> AsyncGenerator[FetchedTask, None]:
        """Fetches the results of the selected tasks into the directory `to`, those of an array's tasks into one each,
        called as its number, or with `flat` all into `to` itself; None: flat for one job that is `cluster map`'s.
        Yields each task when its files are there.

        What is still coming is waited for; with `follow` also tasks that have not ended. Files that are there already
        are not fetched again, and what a broken fetch has left is gone on with. Conflict, before anything is written,
        where files of two tasks would go to one place. `listener` hears how many bytes are to come, and come."""
        listener = listener or FetchListener()
        if follow:
            flat = bool(flat if flat is not None else await self._is_map(selectors))
            fetcher = Fetcher(self._backend(), self._patience, Path(to), listener, flat=flat)
            async with aclosing(self.results(*selectors, follow=True)) as several:
                async for results in several:
                    listener.expects(results.size)
                    yield await fetcher.fetch(results)
            return
        found = [results async for results in self.results(*selectors)]
        jobs = {results.job for results in found}
        by_job = len(jobs) > 1
        flat = bool(flat if flat is not None else await self._is_map(tuple(jobs)))
        fetcher = Fetcher(self._backend(), self._patience, Path(to), listener, flat=flat, by_job=by_job)
        listener.expects(sum(results.size for results in found))
        coming = [results for results in found if results.state is ResultsState.COMING]
        there = [results for results in found if results.state is not ResultsState.COMING]
        if flat:
            there += [results async for results in self._awaited(coming)]
            planned = {results: await fetcher.plan(results) for results in there}
            for results, entries in planned.items():
                yield await fetcher.fetch(results, entries)
            return
        for results in there:
            yield await fetcher.fetch(results)
        async with aclosing(self._awaited(coming)) as several:
            async for results in several:
                yield await fetcher.fetch(results)

    async def _is_map(self, selectors: Sequence[str | int]) -> bool:
        """Whether they are those of one job, in which each task has a file of its own."""
        jobs = await self._backend().list(selector_texts(selectors), (), 2) if selectors else ()
        return len(jobs) == 1 and jobs[0].spec.upload_each

    async def _awaited(self, coming: list[TaskResults]) -> AsyncGenerator[TaskResults, None]:
        if coming:
            async with aclosing(self.results(*(results.name for results in coming), follow=True)) as several:
                async for results in several:
                    yield results
