"""Fetching results: which tasks' files go where, in how many calls, and how a fetch goes on that broke."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from cluster.client.backend import Backend
from cluster.client.landing import Arriving, Landing, clash_of
from cluster.client.results import DIGESTS_AT_ONCE, TaskResults
from cluster.client.retrying import RetryPatience
from cluster.domain.base.errors import Conflict, Internal, Unreachable
from cluster.domain.files.tree import Entry, EntryKind
from cluster.domain.job.results import ResultsState
from cluster.v1 import files_pb2

SMALL = 64 << 10  # bytes: files of no more come many at a time
TOGETHER = 32 << 20  # bytes of these, in one call
MOST_TRIES = 2  # for a file that does not come as what its SHA-256 says


@dataclass(frozen=True, slots=True)
class FetchedTask:
    """What was fetched of one task."""

    results: TaskResults
    directory: Path  # where it lies
    files: int = 0  # files and links
    came: int = 0  # bytes; what was there already did not come again


async def follow_results(
    backend: Backend, patience: RetryPatience, selectors: Sequence[str], *, follow: bool
) -> AsyncGenerator[TaskResults, None]:
    """As AsyncClient.results. After a break it goes on with what was not told."""
    told: set[tuple[int, int, int]] = set()
    while True:
        try:
            async with aclosing(backend.results(selectors, patience.left(), follow=follow)) as several:
                async for some in several:
                    patience.renew()
                    for each in some:
                        key = (each.job, each.index, each.attempt)
                        if key not in told:
                            told.add(key)
                            yield each
            return
        except Unreachable as error:
            await patience.pause(error)


class FetchListener:
    """Hears how a fetch goes. This one does nothing."""

    def expects(self, count: int) -> None:
        """So many more bytes are to come; fewer, where it is below 0: they were here already."""

    def came(self, count: int) -> None:
        """So many more bytes came."""


class Fetcher:
    """Fetches the results of one task after another into a directory: of arrays each into one of its own, called as its
    number, and so of several jobs; `flat`: all into the directory itself."""

    def __init__(
        self,
        backend: Backend,
        patience: RetryPatience,
        to: Path,
        listener: FetchListener,
        *,
        flat: bool = False,
        by_job: bool = False,
    ) -> None:
        self._backend, self._patience, self._listener = backend, patience, listener
        self._to, self._flat, self._by_job = to, flat, by_job
        self._paths: dict[bytes, tuple[EntryKind, str]] = {}  # flat: what is there, of which attempt

    async def plan(self, results: TaskResults) -> tuple[Entry, ...]:
        """What its files are. Conflict where they would go where another task's go."""
        entries = await self._repeated_entries(results)
        if self._flat:
            for entry in entries:
                if other := clash_of(self._paths, entry, results.name):
                    raise Conflict(
                        f"{entry.name} is a result of {other} and of {results.name}: `cluster job fetch --apart` "
                        "brings those of each into a directory of its own"
                    )
        return entries

    def directory_of(self, results: TaskResults) -> Path:
        parts = [str(results.job)] if self._by_job else []
        parts += [str(results.task_number)] if results.task_number else []
        return self._to if self._flat else self._to.joinpath(*parts)

    async def fetch(self, results: TaskResults, entries: Sequence[Entry] | None = None) -> FetchedTask:
        """All files of one task are there when this returns."""
        directory = self.directory_of(results)
        if results.state is not ResultsState.KEPT or not results.tree:
            return FetchedTask(results, directory)
        entries = await self.plan(results) if entries is None else entries
        came = 0
        landing = await asyncio.to_thread(Landing(directory).__enter__)
        try:
            wanted = await asyncio.to_thread(_begin, landing, entries)
            files_size = sum(entry.size for entry in entries if entry.kind is EntryKind.FILE)
            self._listener.expects(sum(entry.size for entry in wanted) - files_size)
            for some in _groups(wanted):
                came += await self._fetch_some(results, landing, some)
            await asyncio.to_thread(landing.finish)
        finally:
            landing.__exit__()
        files = sum(entry.kind is not EntryKind.DIRECTORY for entry in entries)
        return FetchedTask(results, directory, files, came)

    async def _repeated_entries(self, results: TaskResults) -> tuple[Entry, ...]:
        while True:
            try:
                entries = await self._backend.entries(results, self._patience.left())
                self._patience.renew()
                return entries
            except Unreachable as error:
                await self._patience.pause(error)

    async def _fetch_some(self, results: TaskResults, landing: Landing, entries: Sequence[Entry]) -> int:
        """Bytes that came."""
        came = 0
        tries = 0
        arriving = await asyncio.to_thread(landing.begin, entries[0])
        rest = list(entries)
        try:
            while rest:
                intake = _Arrivals(landing, rest, arriving)
                try:
                    digests = [entry.digest for entry in rest]
                    call = self._backend.read_results(results, digests, arriving.here, self._patience.left())
                    async with aclosing(call) as messages:
                        async for pieces in messages:
                            self._patience.renew()
                            before = intake.came
                            await asyncio.to_thread(intake.take, pieces)
                            self._listener.came(intake.came - before)
                    await asyncio.to_thread(intake.end)
                except Unreachable as error:
                    await self._patience.pause(error)
                finally:
                    arriving, rest, came = intake.arriving, intake.rest, came + intake.came
                if rest and intake.is_wrong:
                    tries += 1
                    if tries == MOST_TRIES:
                        raise Internal(f"{results.name}: {rest[0].name} does not come as what its SHA-256 says")
        finally:
            arriving.close()
        return came


class _Arrivals:
    """What one call brings: contents one after another, the first from where it broke off. Each method blocks."""

    def __init__(self, landing: Landing, entries: list[Entry], first: Arriving) -> None:
        self.arriving, self.rest = first, entries
        self.came = 0
        self.is_wrong = False  # the first of the rest has not come as it is
        self._landing = landing

    def take(self, pieces: Sequence[files_pb2.ContentPiece]) -> None:
        for piece in pieces:
            if self.is_wrong or not self.rest:
                return
            self.arriving.write(piece.data)
            self.came += len(piece.data)
            if self.arriving.here >= self.arriving.entry.size:
                self._landed()

    def end(self) -> None:
        """The call has ended: an empty file, or one of which all was here, came without bytes."""
        if self.rest and not self.is_wrong and self.arriving.here >= self.arriving.entry.size:
            self._landed()

    def _landed(self) -> None:
        if not self.arriving.land():
            self.is_wrong = True
            return
        self.rest = self.rest[1:]
        if self.rest:
            self.arriving.close()
            self.arriving = self._landing.begin(self.rest[0])
            if self.arriving.here:  # of a fetch that broke: this one comes from its first byte
                self.arriving.begin_anew()


def _begin(landing: Landing, entries: Sequence[Entry]) -> list[Entry]:
    """Makes directories and links. The files that are to come. Blocks."""
    wanted = []
    for entry in entries:
        if entry.kind is EntryKind.DIRECTORY:
            landing.make_directory(entry)
        elif entry.kind is EntryKind.LINK:
            landing.make_link(entry)
        elif not landing.has(entry):
            wanted.append(entry)
    return wanted


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    """What comes by one call each: a large file, or many small ones."""
    groups: list[list[Entry]] = []
    small: list[Entry] = []
    size = 0
    for entry in entries:
        if entry.size > SMALL:
            groups.append([entry])
            continue
        small.append(entry)
        size += entry.size
        if len(small) == DIGESTS_AT_ONCE or size >= TOGETHER:
            groups.append(small)
            small, size = [], 0
    return [*groups, small] if small else groups
