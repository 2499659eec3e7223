"""Fetches what attempts use into this worker's cache, through the session's channel; what is decided about the cache
stands in `cluster.domain.worker.cached_contents`.

Files are looked at in one lane, so that nothing is written twice. A call that breaks is made again until whoever waits
has gone, and goes on where it broke off: small contents that have come are not asked for again, and of a large one only
the rest is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import TypeVar
from weakref import WeakValueDictionary

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, Unreachable
from cluster.domain.base.quantities import format_size
from cluster.domain.files.tree import Entry
from cluster.domain.worker.cached_contents import CachedContents, limit_of
from cluster.domain.worker.messages import ContentsFetched, FetchContents
from cluster.domain.worker.room import reserve_of
from cluster.rpc.errors import calling
from cluster.v1 import files_pb2, scheduler_pb2
from cluster.worker.contents.files import SMALL, CacheFiles, ComingContent, DamagedContent
from cluster.worker.disk_space import space_of
from cluster.worker.output.lanes import Lanes
from cluster.worker.session import Session

logger = logging.getLogger(__name__)

RETRY = 1.0  # seconds after which a call that has failed is made again
TRIES = 3  # of what the scheduler says not to have, or that comes damaged, before it counts as never to be had
AT_ONCE = 20_000  # contents of one call
PATIENCE = 3600.0  # seconds: a large cache may be read after a reboot
VIEWS_STAY = 10.0  # seconds that what attempts have left of an upload is kept for others of their job
LIFE = 24 * 3600.0  # seconds that a large content stays which has not come whole
_LANE = "contents"
T = TypeVar("T")


class Shortage(Exception):
    """There is no room for it on this worker's disk."""


@dataclass(slots=True, eq=False)
class _FetchTask:
    """`contents`: what it needs by now, with the bytes of each. `units`: those that it uses."""

    wanted: FetchContents
    contents: dict[bytes, int] = field(default_factory=dict)
    units: list[str] = field(default_factory=list)
    done: int = 0  # bytes that have come
    total: int = 0
    task: "asyncio.Task[None] | None" = None


class ContentFetches:
    """`session`: the present one, once we are welcomed. `told`: hears how a fetch has ended; `unused`: of which
    job nothing is used any more, since a while."""

    def __init__(
        self,
        files: CacheFiles,
        limits: tuple[int | None, int | None],
        lanes: Lanes,
        session: Callable[[], Session | None],
        told: Callable[[ContentsFetched], None],
        unused: Callable[[int], None],
    ) -> None:
        """`limits`: bytes for the cache and bytes of its disk that are kept free, as the operator wants; None: as
        usual."""
        self._files, self._lanes, self._session, self._told, self._unused = files, lanes, session, told, unused
        self._limit, self._reserve = limits
        self._cached: CachedContents | None = None  # once it is known what is here
        self._fetches: dict[int, _FetchTask] = {}
        self._locks: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()
        self._coming: set[bytes] = set()  # large contents, perhaps
        self._released = asyncio.Event()
        self._was_short = False  # of room, at the last look

    def fetch(self, wanted: FetchContents) -> None:
        fetch = self._fetches[wanted.number] = _FetchTask(wanted)
        fetch.task = asyncio.create_task(self._run(fetch))

    def release(self, number: int) -> None:
        fetch = self._fetches.pop(number)
        assert fetch.task is not None
        fetch.task.cancel()
        if self._cached is not None:
            for unit in fetch.units:
                self._cached.release(unit)
                self._lanes.post(_LANE, partial(self._files.touch_unit, unit))
            self._cached.settle(number)
        self._released.set()
        self._released = asyncio.Event()
        asyncio.get_running_loop().call_later(VIEWS_STAY, self._look_after, fetch.wanted.job)

    def _look_after(self, job: int) -> None:
        if all(fetch.wanted.job != job for fetch in self._fetches.values()):
            self._unused(job)

    def progress(self) -> list[scheduler_pb2.Fetching]:
        """Of the fetches that go on."""
        going = (f for f in self._fetches.values() if f.task is not None and not f.task.done())
        return [scheduler_pb2.Fetching(job=f.wanted.job, done=f.done, total=f.total) for f in going]

    def total(self) -> int:
        """Bytes that all contents here count for, as far as it is known."""
        return self._cached.total if self._cached is not None else 0

    def look(self, short: bool) -> None:
        """After turns: when this worker comes to have no room, what is not in use goes."""
        if short and not self._was_short:
            self._give_way()
        self._was_short = short

    def _give_way(self) -> None:
        if self._cached is not None:
            self._remove(*self._cached.make_room(0))

    def close(self) -> None:
        for fetch in self._fetches.values():
            if fetch.task is not None:
                fetch.task.cancel()

    # -- one fetch

    async def _run(self, fetch: _FetchTask) -> None:
        number, left, why = fetch.wanted.number, TRIES, "it cannot be had"
        while left:
            try:
                await self._have(fetch)
                self._told(ContentsFetched(number))
                if fetch.done:
                    logger.info("job %d: fetched %d bytes that its tasks find", fetch.wanted.job, fetch.done)
                return
            except InvalidInput as error:
                why, left = str(error), 0
            except (NotFound, Conflict, DamagedContent) as error:
                why, left = str(error), left - 1
            except (Shortage, OSError) as error:
                text = error.strerror if isinstance(error, OSError) else str(error)
                why = f"what jobs find cannot be kept in {self._files.directory}: {text}"
                logger.warning("job %d: %s", fetch.wanted.job, why)
                if self._cached is not None:
                    self._cached.settle(number)
                self._give_way()  # half of something is of no use where there is no room for all of it
                self._told(ContentsFetched(number, shortage=why))
                return
            except ClusterError as error:
                logger.info("job %d: what its tasks find cannot be fetched now: %s", fetch.wanted.job, error)
            if self._cached is not None:
                self._cached.settle(number)
            if left:
                await asyncio.sleep(RETRY)
        logger.warning("job %d: what its tasks find cannot be fetched: %s", fetch.wanted.job, why)
        self._told(ContentsFetched(number, refusal=f"what it finds cannot be fetched: {why}"))

    async def _have(self, fetch: _FetchTask) -> None:
        """Returns when all of it is here, and in use."""
        cached, wanted = await self._opened(), fetch.wanted
        fetch.contents, fetch.done, fetch.total = {}, 0, 0
        while fetch.units:
            cached.release(fetch.units.pop())
        for tree, paths in ((wanted.upload, wanted.paths), (wanted.beside, None)):
            if tree:
                async with self._lock(tree):  # whoever needs the same finds it here
                    await self._have_tree(fetch, cached, bytes.fromhex(tree), paths)
        if wanted.stdin:
            async with self._lock(wanted.stdin):
                await self._have_stdin(fetch, cached, bytes.fromhex(wanted.stdin))
        cached.settle(wanted.number)

    async def _have_tree(
        self, fetch: _FetchTask, cached: CachedContents, tree: bytes, paths: tuple[bytes, ...] | None
    ) -> None:
        """The files at these paths of an upload; None: all of it."""
        name = tree.hex()
        units = [f"tree-{name}"] if paths is None else [f"file-{name}-{sha256(path).hexdigest()}" for path in paths]
        if self._used(fetch, cached, units):
            return
        await self._content(fetch, cached, tree)
        fetch.contents[tree] = await self._on_disk(partial(self._files.size, tree))
        files = await self._on_disk(partial(_files_of, self._files.entries(tree), paths))
        for each in files:
            fetch.contents.update(each)
        await self._admit(fetch, cached)
        lacking = [digest for digest in fetch.contents if not cached.has(digest)]
        small = iter([digest for digest in lacking if fetch.contents[digest] <= SMALL])
        while some := list(islice(small, AT_ONCE)):
            await self._get(fetch, cached, some, 0)
        for digest in lacking:
            await self._content(fetch, cached, digest)
        for unit, each in zip(units, files, strict=True):
            await self._keep(fetch, cached, unit, [tree, *each])
        self._used(fetch, cached, units)

    async def _have_stdin(self, fetch: _FetchTask, cached: CachedContents, digest: bytes) -> None:
        units = [f"stdin-{digest.hex()}"]
        while not self._used(fetch, cached, units):
            await self._content(fetch, cached, digest)
            fetch.contents[digest] = await self._on_disk(partial(self._files.size, digest))
            await self._admit(fetch, cached)
            if cached.has(digest):  # else it has gone before room was kept for it
                await self._keep(fetch, cached, units[0], [digest])

    async def _keep(self, fetch: _FetchTask, cached: CachedContents, unit: str, contents: Sequence[bytes]) -> None:
        if unit not in cached:
            sizes = {digest: fetch.contents[digest] for digest in contents}
            await self._on_disk(partial(self._files.keep_unit, unit, sizes))
            cached.add(unit, contents)

    def _used(self, fetch: _FetchTask, cached: CachedContents, units: Sequence[str]) -> bool:
        """Whether all of them are here; then they are used from now on."""
        if not all(unit in cached for unit in units):
            return False
        for unit in units:
            cached.use(unit)
        fetch.units += units
        return True

    # -- contents

    async def _content(self, fetch: _FetchTask, cached: CachedContents, digest: bytes) -> None:
        """One content, gone on with where something of it is here."""
        async with self._lock(digest):
            self._coming.add(digest)
            try:
                while not cached.has(digest):
                    begun = await self._on_disk(partial(self._files.begun, digest))
                    if await self._get(fetch, cached, [digest], begun) and not cached.has(digest):
                        raise Unreachable("fetching it broke off")
            finally:
                self._coming.discard(digest)

    async def _get(self, fetch: _FetchTask, cached: CachedContents, digests: Sequence[bytes], offset: int) -> bool:
        """These, of the first from `offset` on. False where there was no room for one whose size was not known, once
        there may be."""
        writer = _ContentWriter(self._files)
        try:
            async with aclosing(self._messages(fetch.wanted.job, digests, offset)) as messages:
                async for pieces in messages:
                    head = pieces[0]
                    if head.digest and head.digest not in fetch.contents:
                        fetch.contents[head.digest] = head.size
                        if not await self._admit(fetch, cached, at_once=True):
                            break
                    for digest, size in await self._on_disk(partial(writer.take, pieces)):
                        cached.came(digest, size)
                    fetch.done += sum(len(piece.data) for piece in pieces) + (head.offset if head.digest else 0)
                else:
                    return True
            await self._admit(fetch, cached)
            return False
        finally:
            self._lanes.post(_LANE, writer.close)

    async def _messages(
        self, job: int, digests: Sequence[bytes], offset: int
    ) -> AsyncGenerator[Sequence[files_pb2.ContentPiece], None]:
        session = self._session()
        if session is None:
            raise Unreachable("there is no session with the scheduler")
        request = files_pb2.GetContentsRequest(job=job, digests=digests, offset=offset)
        with calling(session.address):
            call = session.files.GetContents(request)
            try:
                async for message in call:
                    if message.pieces:
                        yield message.pieces
            finally:
                call.cancel()

    # -- room

    async def _admit(self, fetch: _FetchTask, cached: CachedContents, *, at_once: bool = False) -> bool:
        """Makes room for all that it needs, which may have to wait; not with `at_once`: then it answers whether there
        is. InvalidInput where there never is, Shortage where the disk is full."""
        while True:
            released = self._released
            fits, units, gone = cached.admit(fetch.wanted.number, fetch.contents)
            if units or gone:
                self._remove(units, gone)
            if fits:
                break
            if at_once:
                return False
            await released.wait()
        lacking = sum(size for digest, size in fetch.contents.items() if not cached.has(digest))
        fetch.total = fetch.done + lacking
        if (over := await self._on_disk(partial(self._over, lacking))) > 0:
            self._remove(*cached.make_room(cached.total - over))
            if (over := await self._on_disk(partial(self._over, lacking))) > 0:
                raise Shortage(f"it needs {format_size(lacking)}, {format_size(over)} more than there is room for")
        return True

    def _over(self, size: int) -> int:
        """By how many bytes so many more would be too many for the disk. Blocks."""
        space = space_of(self._files.directory)
        return size + reserve_of(space, self._reserve) - space.free

    def _remove(self, units: Sequence[str], contents: Sequence[bytes]) -> None:
        coming = frozenset(self._coming)

        def remove() -> None:
            try:
                self._files.remove_begun(coming)
                for unit in units:
                    self._files.remove_unit(unit)
                self._files.remove(contents)
            except OSError as error:
                logger.warning("the cache in %s cannot be made smaller: %s", self._files.directory, error.strerror)

        self._lanes.post(_LANE, remove)

    # -- the disk

    async def _opened(self) -> CachedContents:
        """What is here, as far as it is known; looked at once."""
        async with self._lock("open"):
            if self._cached is None:
                limit, units, loose = await self._on_disk(self._load)
                cached = CachedContents(limit)
                for contents in (loose, *units.values()):
                    for digest, size in contents.items():
                        cached.came(digest, size)
                for unit, contents in units.items():
                    cached.add(unit, contents)
                self._remove(*cached.make_room(limit))
                self._cached = cached
        return self._cached

    def _load(self) -> tuple[int, dict[str, dict[bytes, int]], dict[bytes, int]]:
        self._files.open()
        self._files.remove_old(time.time() - LIFE)
        return limit_of(space_of(self._files.directory).size, self._limit), *self._files.load()

    async def _on_disk(self, call: Callable[[], T]) -> T:
        return await self._lanes.run(_LANE, call, PATIENCE)

    def _lock(self, what: object) -> asyncio.Lock:
        return self._locks.setdefault(what, asyncio.Lock())  # for as long as anybody has it


class _ContentWriter:
    """Writes pieces as they come; each method blocks, one after another."""

    def __init__(self, files: CacheFiles) -> None:
        self._files = files
        self._coming: ComingContent | None = None
        self._head = files_pb2.ContentPiece()  # of what is coming
        self._left = 0  # bytes of it

    def take(self, pieces: Sequence[files_pb2.ContentPiece]) -> list[tuple[bytes, int]]:
        """The contents that are whole by that, with their sizes."""
        return [(whole.digest, whole.size) for whole in map(self._take, pieces) if whole is not None]

    def _take(self, piece: files_pb2.ContentPiece) -> files_pb2.ContentPiece | None:
        if piece.digest and piece.size <= SMALL:
            self._files.keep_small(piece.digest, piece.data)
            return piece
        if piece.digest:
            self.close()
            self._coming = self._files.new(piece.digest, piece.offset)
            self._head, self._left = piece, piece.size - piece.offset
        if self._coming is None or len(piece.data) > self._left:
            raise DamagedContent("more came than belongs to any content")
        self._coming.write(piece.data)
        self._left -= len(piece.data)
        if self._left:
            return None
        self._coming.keep()
        self.close()
        return self._head

    def close(self) -> None:
        if self._coming is not None:
            self._coming.close()
            self._coming = None


def _files_of(entries: Iterable[Entry], paths: Sequence[bytes] | None) -> list[dict[bytes, int]]:
    """Contents with their sizes: of all files, or of the one at each of these paths."""
    if paths is None:
        return [{entry.digest: entry.size for entry in entries if entry.size}]
    wanted = frozenset(paths)
    found = {entry.path: {entry.digest: entry.size} for entry in entries if entry.size and entry.path in wanted}
    return [found.get(path, {}) for path in paths]
