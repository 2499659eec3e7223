"""Contents: taking them in from who sends them, giving them to the workers whose jobs find them, and collecting what
nobody uses."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from functools import partial

from cluster.domain.base.errors import Exhausted, InvalidInput, NotFound, Unreachable
from cluster.domain.files.pieces import AT_ONCE, MOST_PIECES, MOST_TOGETHER, SMALL, ContentPiece
from cluster.domain.files.tree import DIGEST_BYTES
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.quota import check_files
from cluster.domain.scheduler.retention import FilesExpired
from cluster.domain.trust.identity import Caller, IdentityKind
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.threads import to_its_end
from cluster.store.contents.interface import Contents, Missing, NewContent

_SHARE_A_COMMIT = 8 * 1024 * 1024  # bytes of small contents


class ContentOperations:
    def __init__(self, driver: Driver, contents: Contents, quota: int | None = None) -> None:
        """`quota`: bytes of files that the jobs of one user may have; None: as many as there is room for."""
        self._driver = driver
        self._contents = contents
        self._quota = quota

    async def missing(self, caller: Caller, digests: Sequence[bytes]) -> list[Missing]:
        """Those of the contents that the caller has to send."""
        check_digests(digests)
        return await asyncio.to_thread(self._contents.missing, sender_of(caller), digests)

    async def put(self, caller: Caller, messages: AsyncIterator[Sequence[ContentPiece]]) -> int:
        """Takes contents in, and returns how many when all are on disk. Unreachable where they break off."""
        intake, working = _Intake(self._contents, sender_of(caller)), None
        try:
            async for pieces in messages:
                if working is not None:  # the last ones were written while these came
                    await working
                working = asyncio.create_task(to_its_end(partial(intake.take, pieces)))
            if working is not None:
                await working
            await to_its_end(intake.end)
        finally:
            if working is not None:
                await asyncio.wait([working])
            await to_its_end(intake.close)
        return intake.count

    async def get(
        self, caller: Caller, number: int, digests: Sequence[bytes], offset: int
    ) -> AsyncGenerator[list[ContentPiece], None]:
        """Contents that a job finds, of which the calling worker holds an attempt now; of the first those from byte
        `offset` on. NotFound for any others."""
        check_digests(digests)
        if not self._driver.peek(partial(_holds, caller.identity.name, number)):
            raise NotFound(f"job {number}: no attempt of it is yours now")
        job = await JobReader(self._driver, number).read(lambda job: job.record)
        trees, stdin = _trees_of(job.spec), bytes.fromhex(job.spec.stdin)
        others = [digest for digest in digests if digest not in (*trees, stdin)]
        # A run of a schedule begins to use here what that uses.
        await asyncio.to_thread(self._use, job.id, None, job.spec, job.owner)
        if others and not [tree for tree in trees if await self._holds(tree, others)]:
            raise NotFound(f"job {number}: not all of these contents are what it finds")
        messages = messages_of(self._contents, digests, offset)
        while pieces := await asyncio.to_thread(next, messages, None):
            yield pieces

    async def _holds(self, tree: bytes, digests: Sequence[bytes]) -> bool:
        return await asyncio.to_thread(self._contents.is_held, tree, digests)

    async def use(self, caller: Caller, job_id: str, spec: JobSpec, *, anybodys: bool = False) -> None:
        """Before the job is accepted: what it finds stays here from now on. MissingContents unless its owner has sent
        all of that; with `anybodys`, somebody. Exhausted where its owner has no more room for files."""
        brings = spec.upload or spec.stdin
        quota = self._quota if brings or spec.out else None
        is_new = quota is not None and not await self._is_accepted(job_id)
        if brings:
            await to_its_end(partial(self._use, job_id, None if anybodys else sender_of(caller), spec, caller.user_id))
        if quota is not None and is_new:
            await to_its_end(partial(self._check_quota, job_id, caller.user_id, quota))

    async def _is_accepted(self, job_id: str) -> bool:
        if self._driver.peek(lambda core: core.job_of_id(job_id)) is not None:
            return True
        return await self._driver.fetch(lambda store: store.number_of_id(job_id)) is not None

    def _check_quota(self, job_id: str, owner: str, quota: int) -> None:
        try:
            check_files(owner, self._contents.owned_bytes(owner), quota)
        except Exhausted:
            self._contents.release(job_id)  # it will not be accepted
            raise

    async def expired(self, job_id: str) -> str:
        """When and why its files were deleted, in words; empty: they were not."""
        found = await asyncio.to_thread(self._contents.expired, job_id)
        return FilesExpired(*found).said if found else ""

    def _use(self, job_id: str, sender: str | None, spec: JobSpec, owner: str) -> None:
        tree, *beside = _trees_of(spec) or [b""]
        plain = [bytes.fromhex(spec.stdin)] if spec.stdin else []
        size = self._contents.use(job_id, sender, [tree] if tree else [], plain, owner)
        if beside:
            self._contents.use(job_id, sender, beside, (), owner)
        if spec.upload_each and size.files != spec.task_count:
            raise InvalidInput(
                f"{size.files} files uploaded for {spec.task_count} tasks, of which each finds one of them"
            )


def _trees_of(spec: JobSpec) -> list[bytes]:
    """The digests of what is uploaded for it: of what tasks find a file of each, and of what each finds beside it."""
    return [bytes.fromhex(digest) for digest in (spec.upload, spec.upload_beside) if digest]


def sender_of(caller: Caller) -> str:
    """Who counts as having sent what this caller sends: of a job its owner."""
    is_worker = caller.identity.kind is IdentityKind.WORKER
    return f"worker/{caller.identity.name}" if is_worker else f"user/{caller.user_id}"


class _Intake:
    """Contents as they come in. Each method blocks, one after another."""

    def __init__(self, contents: Contents, sender: str) -> None:
        self._contents, self._sender = contents, sender
        self._small: list[tuple[bytes, bytes]] = []  # that are not kept yet: many of them share a commit
        self._waiting = 0  # bytes of these
        self._new: NewContent | None = None  # a large one that has not come whole
        self._left = 0  # bytes of it
        self.count = 0

    def take(self, pieces: Sequence[ContentPiece]) -> None:
        for piece in pieces:
            if piece.digest and piece.size <= SMALL:
                self._expect_none()
                check_digests([piece.digest])
                if piece.offset or len(piece.data) != piece.size:
                    raise InvalidInput(f"content {piece.digest.hex()[:16]} is small: it must come as one piece")
                self._small.append((piece.digest, piece.data))
                self._waiting += len(piece.data)
            else:
                self._take_large(piece)
        if self._waiting >= _SHARE_A_COMMIT:
            self._keep_small()

    def _keep_small(self) -> None:
        if self._small:
            self._contents.add(self._sender, self._small)
            self.count += len(self._small)
            self._small, self._waiting = [], 0

    def _take_large(self, piece: ContentPiece) -> None:
        if piece.digest:
            self._expect_none()
            check_digests([piece.digest])
            self._new = self._contents.new(self._sender, piece.digest, piece.size, piece.offset)
            self._left = piece.size - piece.offset
        if self._new is None:
            raise InvalidInput("bytes that belong to no content: its first piece says which it is")
        self._new.write(piece.data)
        self._left -= len(piece.data)
        if not self._left:
            self._new.keep()
            self.close()
            self.count += 1

    def end(self) -> None:
        """A connection that breaks looks like a stream that ends."""
        self._keep_small()
        if self._new is not None:
            raise Unreachable("sending files broke off; what came is kept, to go on from there")

    def close(self) -> None:
        if self._new is not None:
            self._new.__exit__(None, None, None)
            self._new = None

    def _expect_none(self) -> None:
        if self._new is not None:
            raise InvalidInput(f"a content begins where {self._left} bytes of the last one have not come")


def messages_of(contents: Contents, digests: Sequence[bytes], offset: int) -> Iterator[list[ContentPiece]]:
    """Their pieces, as many as go together. NotFound for one that is not here. Blocks."""
    sizes = contents.sizes(digests)
    some: list[bytes] = []
    together = 0
    for place, digest in enumerate(digests):
        size, begin = sizes.get(digest), 0 if place else offset
        if size is None:
            raise NotFound(f"content {digest.hex()[:16]} is not here")
        if begin > size:
            raise InvalidInput(f"content {digest.hex()[:16]} has {size} bytes: none from {begin} on")
        if size <= SMALL and not begin:
            some.append(digest)
            together += size
            if together < MOST_TOGETHER and len(some) < MOST_PIECES:
                continue
        if some:
            yield _small_pieces(contents, some)
            some, together = [], 0
        if size > SMALL or begin:
            yield from _large_pieces(contents, digest, size, begin)
    if some:
        yield _small_pieces(contents, some)


def _small_pieces(contents: Contents, digests: Sequence[bytes]) -> list[ContentPiece]:
    data = contents.small(digests)
    if lacking := [digest for digest in digests if digest not in data]:
        raise NotFound(f"content {lacking[0].hex()[:16]} is not here")
    return [ContentPiece(data[digest], digest, len(data[digest])) for digest in digests]


def _large_pieces(contents: Contents, digest: bytes, size: int, begin: int) -> Iterator[list[ContentPiece]]:
    head = ContentPiece(b"", digest, size, begin)
    for data in contents.read(digest, begin):
        yield [head._replace(data=data)]
        head = ContentPiece(b"")
    if head.digest:  # there was nothing after `begin`
        yield [head]


def _holds(worker_id: str, number: int, core: SchedulerCore) -> bool:
    job = core.jobs.get(number)
    return job is not None and any(holder == worker_id and tasks for (holder, _), tasks in job.held.items())


def check_digests(digests: Sequence[bytes]) -> None:
    if len(digests) > AT_ONCE:
        raise InvalidInput(f"{len(digests)} contents in one call: the most are {AT_ONCE}")
    if wrong := [digest for digest in digests if len(digest) != DIGEST_BYTES]:
        raise InvalidInput(f"a digest of {len(wrong[0])} bytes: a SHA-256 has {DIGEST_BYTES}")
