"""Files go with jobs over real connections: once for each content, on from where it broke off, and all or nothing."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.client.files import sending
from cluster.client.files.job_files import job_files
from cluster.client.files.sending import LackingContent, SendingListener
from cluster.domain.base.errors import Conflict, Exhausted, InvalidInput, MissingContents, NotFound, Unreachable
from cluster.domain.files.tree import decode
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.events import JobsDeleted
from cluster.domain.scheduler.retention import Keep, Limits
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.pki.files import load_credentials
from cluster.rpc.errors import calling
from cluster.scheduler.collecting import Collecting
from cluster.store.contents.files import ContentFiles, NewFile
from cluster.v1 import files_pb2, files_pb2_grpc
from tests.integration.schedulers import W1, Cluster, in_cluster

BIG = random.Random(1).randbytes(3_000_000)


class Heard(SendingListener):
    """What was sent, in bytes, and how often sending began."""

    def __init__(self) -> None:
        self.count = self.begun = 0

    def begins(self, lacking: Any) -> None:
        self.begun += 1
        self.lacking: list[LackingContent] = list(lacking)

    def sent(self, count: int) -> None:
        self.count += count


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sending, "MOST_TOGETHER", 10_000)
    (tmp_path / "src" / "sub").mkdir(parents=True)
    (tmp_path / "src" / "big").write_bytes(BIG)
    for n in range(20):
        (tmp_path / "src" / "sub" / f"{n}\n").write_bytes(b"%d" % n * 1000)
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"


@asynccontextmanager
async def client_of(cluster: Cluster, user: str = "") -> AsyncIterator[AsyncClient]:
    """As the admin, or that user."""
    credentials = load_credentials(cluster.directory / "admin.pem")
    if user:
        credentials = cluster.credentials(IdentityKind.USER, user)
    async with AsyncClient(Endpoint(cluster.service.address, credentials)) as client:
        yield client


def with_client(directory: Path, body: Callable[[Cluster, AsyncClient], Awaitable[None]]) -> None:
    async def run(cluster: Cluster) -> None:
        async with client_of(cluster) as client:
            await body(cluster, client)

    in_cluster(directory / "scheduler", run)


async def upload(client: AsyncClient, *paths: str, stdin: Any = None) -> tuple[Any, Heard]:
    heard = Heard()
    uploaded = await client.upload([JobSpec(("true",))], [job_files(paths, stdin)], heard)
    return uploaded, heard


def tree_in(cluster: Cluster, digest: str) -> list[bytes]:
    return [entry.path for entry in cluster.service.contents.entries(bytes.fromhex(digest))]


def test_what_was_sent_once_is_not_sent_again(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        first, heard = await upload(client, ".", stdin=b"in")
        assert heard.count > len(BIG)
        job = await client.submit(first)
        assert (job.spec.upload, job.spec.stdin) == (first.specs[0].upload, sha256(b"in").hexdigest())
        assert tree_in(cluster, job.spec.upload)[:2] == [b"big", b"sub"]
        _, heard = await upload(client, ".", stdin=b"in")
        assert (heard.begun, heard.count) == (0, 0)
        (tmp_path / "src" / "sub" / "new").write_bytes(b"new")
        again, heard = await upload(client, ".")
        tree = bytes.fromhex(again.specs[0].upload)
        assert [each.source.size for each in heard.lacking if each.digest != tree] == [3]

    with_client(tmp_path, body)


def test_sending_goes_on_where_it_broke_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, real = 0, NewFile.write

    def write(self: NewFile, data: bytes) -> None:
        nonlocal written
        if written == 2 << 20:
            written += 1
            raise Unreachable("the scheduler is stopping")
        real(self, data)
        written += len(data)

    async def body(cluster: Cluster, client: AsyncClient) -> None:
        monkeypatch.setattr(NewFile, "write", write)
        await client.list()  # it has answered once: who never did is not waited for
        client._patience.renew()
        uploaded, heard = await upload(client, ".")
        job = await client.submit(uploaded)
        assert heard.begun == 2
        assert written == len(BIG) + 1, "it went on, and did not begin anew"
        assert b"".join(cluster.service.contents.read(sha256(BIG).digest())) == BIG
        assert job.number == 1

    with_client(tmp_path, body)


def test_what_breaks_off_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: NewFile, data: bytes) -> None:
        raise Unreachable("the scheduler is stopping")

    async def body(cluster: Cluster, client: AsyncClient) -> None:
        monkeypatch.setattr(NewFile, "write", write)
        monkeypatch.setattr("cluster.client.retrying.PAUSE", 0)
        monkeypatch.setattr("cluster.scheduler.operations.contents._SHARE_A_COMMIT", 1)  # the tree is there first
        with pytest.raises(Unreachable, match="is stopping"):
            await upload(client, ".")

    with_client(tmp_path, body)


def test_what_has_gone_before_the_job_came_is_sent_again(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        uploaded, heard = await upload(client, ".", stdin=b"in")
        cluster.service.contents._now = lambda: 1e11
        assert cluster.service.contents.collect(100) == 23
        job = await client.submit(uploaded)
        assert heard.begun == 2
        assert len(tree_in(cluster, job.spec.upload)) == 22
        assert cluster.service.contents.collect(100) == 0

    with_client(tmp_path, body)


def test_what_is_not_sent_is_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that change, disks that are full, and digests that are wrong."""

    async def body(cluster: Cluster, client: AsyncClient) -> None:
        real = sending._read

        def read(lacking: Any) -> Any:
            Path("sub/7\n").write_text("changed")
            return real(lacking)

        with monkeypatch.context() as patch:
            patch.setattr(sending, "_read", read)
            with pytest.raises(InvalidInput, match=r"sub/7\\n has changed while it was read"):
                await client.submit(["true"], upload=".")
        with monkeypatch.context() as patch:
            patch.setattr("cluster.client.files.outgoing._digest_of", lambda *_: sha256(b"other").digest())
            with pytest.raises(InvalidInput, match="not what its SHA-256 says"):
                await client.submit(["true"], upload="sub/1\n")
        with monkeypatch.context() as patch:
            patch.setattr(ContentFiles, "expect_room", lambda self, size=0: _full())
            with pytest.raises(Exhausted, match="no room for files"):
                await client.submit(["true"], upload=".")
        assert await client.list() == ()
        assert (await client.submit(["true"], upload=".")).number == 1

    with_client(tmp_path, body)


def _full() -> None:
    raise Exhausted("the scheduler has no room for files")


def test_a_job_finds_only_what_its_owner_has_sent(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        uploaded, _ = await upload(client, ".", stdin=BIG)
        await cluster.people(bob=Role.USER)
        bob = cluster.user("bob")
        with pytest.raises(MissingContents, match="has not been sent"):
            await bob.submit("true", upload=uploaded.specs[0].upload)
        with pytest.raises(MissingContents, match="has not been sent"):
            await bob.submit("true", stdin=uploaded.specs[0].stdin)
        with pytest.raises(InvalidInput, match="is no SHA-256"):
            await bob.submit("true", stdin="abc")
        job = await client.submit(uploaded)
        assert (await client.rerun(job.number)).spec.upload == job.spec.upload

    with_client(tmp_path, body)


def test_each_task_needs_a_file_of_its_own(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match="21 files uploaded for 3 tasks"):
            await client.submit(["true"], upload=".", each_line=["[0]"] * 3, rows=True, upload_each=True)
        with pytest.raises(InvalidInput, match="upload_each needs rows"):
            await client.submit(["true"], upload=".", array="1-21", upload_each=True)
        each_line = [f'{{"file": "{n}"}}' for n in range(21)]
        job = await client.submit(["true"], upload=".", each_line=each_line, rows=True, upload_each=True)
        assert job.counts.total == 21

    with_client(tmp_path, body)


def test_jobs_that_come_together_bring_their_files(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        first: dict[str, Any] = {"command": ["true"], "name": "a", "upload": "sub"}
        jobs: list[dict[str, Any]] = [first, {"command": ["true"], "after": ["a"], "stdin": b"x"}]
        assert await client.submit_many(jobs) == (1, 2)
        specs = [(await client.get(number))[0].spec for number in (1, 2)]
        assert len(tree_in(cluster, specs[0].upload)) == 21
        assert specs[1].stdin == sha256(b"x").hexdigest()

    with_client(tmp_path, body)


def test_a_worker_gets_what_its_attempts_find_and_nothing_else(tmp_path: Path) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        job = await client.submit(["true"], upload=".", stdin=b"in", array="1-2")
        other = await client.submit(["true"], stdin=b"other", cpus=64)
        worker = cluster.worker(millicpus=1000)
        files: Any = files_pb2_grpc.FilesStub(cluster.channel(IdentityKind.WORKER, W1))

        async def get(number: int, *digests: bytes, offset: int = 0) -> list[files_pb2.ContentPiece]:
            request = files_pb2.GetContentsRequest(job=number, digests=digests, offset=offset)
            with calling(cluster.service.address):
                return [piece async for answer in files.GetContents(request) for piece in answer.pieces]

        tree, stdin = bytes.fromhex(job.spec.upload), bytes.fromhex(job.spec.stdin)
        with pytest.raises(NotFound, match="no attempt of it is yours"):
            await get(1, tree)
        await worker.connect()
        await worker.hear(Assign)
        (piece,) = await get(1, stdin)
        assert (piece.digest, piece.size, piece.data) == (stdin, 2, b"in")
        listed = list(decode(each.data for each in await get(1, tree)))
        small = [entry.digest for entry in listed if entry.digest and entry.size < 65536]
        pieces = await get(1, sha256(BIG).digest(), *small, offset=1_000_000)
        assert (pieces[0].size, pieces[0].offset) == (len(BIG), 1_000_000)
        assert [piece.digest for piece in pieces if piece.digest] == [sha256(BIG).digest(), *small]
        big = b"".join(piece.data for piece in pieces[: -len(small)])
        assert big == BIG[1_000_000:]
        with pytest.raises(NotFound, match="not all of these contents"):
            await get(1, bytes.fromhex(other.spec.stdin))
        with pytest.raises(NotFound, match="no attempt of it is yours"):
            await get(other.number, bytes.fromhex(other.spec.stdin))

    with_client(tmp_path, body)


def test_what_was_to_be_used_by_a_job_that_never_came_is_collected_and_what_a_schedule_uses_stays(
    tmp_path: Path,
) -> None:
    async def body(cluster: Cluster, client: AsyncClient) -> None:
        contents = cluster.service.contents
        job = await client.submit(["true"], stdin=b"used", every="0 0 1 1 *")
        await upload(client, stdin=b"never used")
        contents.use("00000000-0000-7000-8000-000000000000", None, plain=[sha256(b"never used").digest()])
        contents._now = lambda: 1e11
        collecting = Collecting(cluster.service.driver, contents)
        await collecting.round()
        assert contents.space().contents == 2, "it may be about to come"
        clock = cluster.service.driver.clock
        cluster.service.driver.clock = lambda: clock()._replace(wall=1e11)
        await collecting.round()
        assert contents.users("", 1e12, 10) == [job.id]
        assert contents.space().contents == 1

    with_client(tmp_path, body)


def test_a_run_keeps_its_upload_when_its_schedule_is_deleted(tmp_path: Path) -> None:
    """No worker asked for it: each had it in its cache. Also when a crash came before the schedule let go."""

    async def body(cluster: Cluster, client: AsyncClient) -> None:
        contents, driver = cluster.service.contents, cluster.service.driver
        schedules = [await client.submit(["true"], stdin=data, every="* * * * *", cpus=64) for data in (b"a", b"b")]
        clock = driver.clock
        ahead = 60.5 - clock().wall % 60  # the next minute, which all are about to be due at
        driver.clock = driver._pipeline.clock = lambda: clock()._replace(wall=clock().wall + ahead)
        await client.submit(["true"], hold=True)
        runs = {job.schedule: job for job in (await client.list()) if job.schedule}
        await client.cancel(*(job.number for job in (*schedules, *runs.values())))
        await client.wait(*(job.number for job in (*schedules, *runs.values())))
        assert not any(contents.used_by(run.id) for run in runs.values())
        await client.delete(1)
        (ended,) = await driver.fetch(lambda store: store.keeping.ended_among([2]))
        await driver.ask(partial(JobsDeleted, jobs=(ended,), why="by admin", refuses=True))
        driver.clock = lambda: clock()._replace(wall=1e11)
        await Collecting(driver, contents).round()
        assert [contents.used_by(runs[n].id) for n in (1, 2)] == [{sha256(b).digest()} for b in (b"a", b"b")]
        assert contents.space().contents == 2
        await client.retry(runs[1].number)

    with_client(tmp_path, body)


def test_a_users_jobs_have_no_more_files_than_the_quota_says(tmp_path: Path) -> None:
    """What several have counts once; a job that is refused uses nothing, and one that is there may come again."""
    said = (
        r"^files of admin's jobs would take 2.9 KiB, and a user's may take 2.4 KiB \(--user-files of the scheduler\): "
        r"delete jobs whose uploads and results are not needed any more \(`cluster job delete`\), or ask an admin$"
    )

    async def body(cluster: Cluster) -> None:
        cluster.limits = Limits(user_files=2500)
        await cluster.restart()
        await cluster.people(bob=Role.USER)
        async with client_of(cluster) as client, client_of(cluster, "bob") as bob:
            jobs = [await client.submit(["true"], stdin=bytes([n % 2]) * 1000, cpus=64) for n in range(3)]
            for _ in range(2):
                with pytest.raises(Exhausted, match=said):
                    await client.submit(["true"], stdin=b"x" * 1000)
            with pytest.raises(Exhausted, match=said):
                await client.submit_many([{"command": ["true"], "stdin": b"y" * 1000}])
            assert (await client.submit(jobs[1].spec, id=jobs[1].id)).number == 2
            await client.submit(["true"], out=["x"], cpus=64)
            await bob.submit(["true"], stdin=b"z" * 2500, out=["x"], cpus=64)
            assert (await bob.room()).users == (("bob", 2500),), "of others it is told nothing"
            assert (await client.room()).users == (("bob", 2500), ("admin", 2000))
            await client.cancel(2)
            await client.wait(2)
            await client.delete(2)
            await client.submit(["true"], stdin=b"x" * 1500, cpus=64)

    in_cluster(tmp_path / "scheduler", body)


def test_files_go_by_themselves_and_say_when_and_why(tmp_path: Path) -> None:
    """Files of jobs that ended first go first, and those of one that goes on, or is pinned, stay."""

    async def body(cluster: Cluster, client: AsyncClient) -> None:
        contents, expiring = cluster.service.contents, cluster.service._expiring
        jobs = [await client.submit(["true"], stdin=bytes([n]) * 1000, cpus=64, out=["x"]) for n in range(4)]
        await client.cancel(*(job.number for job in jobs[:3]))
        await client.pin(1)
        assert (await client.prune(keep_files="1k", dry_run=True)).file_bytes == 2000
        done = await expiring.expire(Limits(files=Keep(size=3000)))
        assert (done.files, done.file_bytes, contents.space().bytes) == (1, 1000, 3000)
        pruned = await client.prune(keep_files="1k")
        assert (pruned.files, pruned.file_bytes, pruned.keep_files) == (1, 1000, "1.0 KiB")
        assert contents.space().bytes == 2000
        shown = [(await client.get(job.number))[0].results for job in jobs]
        assert [bool(each.deleted) for each in shown if each] == [False, True, True, False]
        said = r"job 3 cannot be tried again: its files were deleted on .*, as --keep-files 1.0 KiB says"
        with pytest.raises(Conflict, match=said):
            await client.retry(3)
        await client.retry(1)

    with_client(tmp_path, body)
