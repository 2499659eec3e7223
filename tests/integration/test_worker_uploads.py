"""What jobs find and read on real workers: fetched once, kept within a limit, and the jobs' own to change."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cluster.domain.files.tree import Entry, EntryKind, encode, with_parents
from cluster.domain.job.numbering import ArraySegment
from cluster.v1 import files_pb2, files_pb2_grpc, job_pb2, jobs_pb2
from cluster.worker.contents.files import SMALL
from tests.integration.workers import Site, WorkerProcess, at_site
from tests.sandboxes import missing
from tests.small_disk import small_disk

pytestmark = pytest.mark.slow
extra = pytest.mark.extra_files

MIB = 1 << 20
SUCCEEDED = job_pb2.TASK_STATE_SUCCEEDED
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def root() -> Iterator[Path]:
    """Jobs of another user go through it, and pytest's own is closed to them."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


class Upload:
    """A tree, and all contents that its files have."""

    def __init__(self, files: dict[str, bytes], *others: Entry, modes: dict[str, int] | None = None) -> None:
        self.contents = {sha256(data).digest(): data for data in files.values()}
        entries = [
            Entry(path.encode(), EntryKind.FILE, (modes or {}).get(path, 0o644), len(data), sha256(data).digest())
            for path, data in files.items()
        ]
        tree = b"".join(encode(with_parents([*entries, *others])))
        self.digest = sha256(tree).hexdigest()
        self.contents[bytes.fromhex(self.digest)] = tree

    async def send(self, site: Site) -> str:
        """Answers its digest."""
        await send(site, *self.contents.values())
        return self.digest


async def send(site: Site, *contents: bytes) -> str:
    """The digest of the last."""
    requests = []
    for data in contents:
        digest = sha256(data).digest()
        for at in range(0, max(1, len(data)), MIB):
            head = {"digest": digest, "size": len(data)} if not at else {}
            piece = files_pb2.ContentPiece(**head, data=data[at : at + MIB])  # type: ignore[arg-type]
            requests.append(files_pb2.PutContentsRequest(pieces=[piece]))
    await files_pb2_grpc.FilesStub(site.user.channel).PutContents(iter(requests))
    return digest.hex()


def cache_of(worker: WorkerProcess) -> Path:
    state = json.loads((worker.directory / "worker.json").read_text())
    return Path(state.get("work") or worker.directory / "work") / "contents"


def contents_in(worker: WorkerProcess) -> set[str]:
    return {path.name for path in cache_of(worker).glob("??/*")}


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0.02)


async def succeeds(site: Site, *argv: str, **fields: Any) -> tuple[str, bytes]:
    """Its number and its output."""
    job = await site.user.submit(*argv, **fields)
    (ended,) = await site.user.wait(str(job.number))
    output = await site.user.text(str(job.number))
    told = await site.user.get(str(job.number))
    assert ended.state == SUCCEEDED, (told.tasks, output, [worker.log() for worker in site.workers])
    return str(job.number), output


LARGE = os.urandom(1000) * 3000  # 3 MB
PROJECT = {
    "run.sh": b"#!/bin/sh\ncat data/large | sha256sum\n",
    "data/large": LARGE,
    "data/s": b"s",
    "odd \n name": b"",
}


@pytest.mark.parametrize("run_as", [pytest.param(None, marks=extra), pytest.param("nobody", marks=needs_root)])
def test_a_job_finds_its_upload_and_reads_its_stdin_and_nothing_is_left(root: Path, run_as: str | None) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(**({"run_as": run_as} if run_as else {})).started()
        link = Entry(b"to data", EntryKind.LINK, target=b"data/s")
        empty = Entry(b"empty", EntryKind.DIRECTORY, 0o750)
        upload = await Upload(PROJECT, link, empty, modes={"run.sh": 0o755}).send(site)
        stdin = await send(site, LARGE + b"end")
        script = "./run.sh && sha256sum && cat 'to data' && stat -c %a empty run.sh && echo mine > data/s && id -un"
        _, output = await succeeds(site, "sh", "-c", script, upload=upload, stdin=stdin)
        lines = output.decode().split("\n")
        assert lines[0].split()[0] == sha256(LARGE).hexdigest()
        assert lines[1].split()[0] == sha256(LARGE + b"end").hexdigest()
        assert lines[2].removeprefix("s") == "750"
        assert lines[3] == "755"
        if run_as:
            assert lines[4] == run_as
        _, again = await succeeds(site, "sh", "-c", script, upload=upload, stdin=stdin)
        assert again == output, "another attempt finds it as it was sent"
        _, nothing = await succeeds(site, "sh", "-c", "wc -c", stdin=sha256(b"").hexdigest())
        assert nothing == b"0\n"
        await worker.stop()
        work = cache_of(worker).parent
        assert [path for path in work.glob("*") if path.name.isdigit()] == []

    at_site(root, body)


def test_many_tasks_share_one_fetch_and_few_copies(root: Path) -> None:
    """Their directories are used again, and gone when nobody needs them."""

    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=2000).started()
        upload = Upload(PROJECT)
        script = '[ "$(cat data/s)" = s ] && stat -c %i data/large && echo x >> data/s'
        fields = {"upload": await upload.send(site), "array": (ArraySegment(1, 40),)}
        number, output = await succeeds(site, "sh", "-c", script, **fields)
        assert len(output.split()) == 40
        assert len(set(output.split())) <= 8, "at most some for each cpu"
        assert contents_in(worker) >= {digest.hex() for digest in upload.contents if upload.contents[digest]}
        assert (worker.directory / "work" / number / "left").exists()
        await worker.stop()
        assert not (worker.directory / "work" / number).exists()

    at_site(root, body)


@extra
def test_each_task_finds_its_file_and_a_worker_fetches_those_of_its_own_tasks(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        upload = Upload({f"in/{n}": b"%d" % n * 40_000 for n in range(1, 5)})
        script = "echo $CLUSTER_TASK $(ls in) $(cut -c1 in/*)"
        rows = b"\n".join(b'{"file": "in/%d"}' % n for n in (3, 1, 4, 2))
        fields = {"upload": await upload.send(site), "upload_each": True, "lines": rows, "rows": True}
        _, output = await succeeds(site, "sh", "-c", script, **fields)
        assert sorted(output.decode().splitlines()) == ["1 3 3", "2 1 1", "3 4 4", "4 2 2"]
        await worker.stop()

    at_site(root, body)


@extra
@needs_root
def test_shared_files_are_links_to_what_the_cache_has(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(run_as="nobody").started()
        upload = await Upload(PROJECT, modes={"run.sh": 0o755}).send(site)
        script = "stat -c %i data/large; (echo x >> data/large) 2>/dev/null || echo refused; ./run.sh"
        _, output = await succeeds(site, "sh", "-c", script, upload=upload, upload_shared=True)
        inode, refused, hashed = output.decode().splitlines()
        content = cache_of(worker) / sha256(LARGE).hexdigest()[:2] / sha256(LARGE).hexdigest()
        assert int(inode) == content.stat().st_ino
        assert refused == "refused"
        assert hashed.split()[0] == sha256(LARGE).hexdigest()
        await worker.stop()

    at_site(root, body)


@extra
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_job_that_is_shut_in_finds_its_upload_too(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(**({"run_as": "nobody"} if os.geteuid() == 0 else {})).started()
        upload = await Upload(PROJECT).send(site)
        stdin = await send(site, b"typed")
        _, output = await succeeds(
            site, "sh", "-c", "cat /job/data/s; cat", upload=upload, stdin=stdin, sandbox=True
        )  # fmt: skip
        assert output == b"styped"
        await worker.stop()

    at_site(root, body)


@extra
def test_what_does_not_fit_into_the_cache_is_refused_and_what_was_used_longest_ago_goes(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(cache_limit=8 * MIB).started()
        first, second = Upload({"a": b"1" * 5 * MIB}), Upload({"a": b"2" * 5 * MIB})
        await succeeds(site, "sh", "-c", "test -s a", upload=await first.send(site))
        await succeeds(site, "sh", "-c", "test -s a", upload=await second.send(site))
        assert contents_in(worker) == {digest.hex() for digest in second.contents}
        await worker.stop()
        await worker.started()
        await succeeds(site, "sh", "-c", "test -s a", upload=second.digest)
        job = await site.user.submit("true", upload=await Upload({"a": b"3" * 9 * MIB}).send(site))
        (ended,) = await site.user.wait(str(job.number))
        assert ended.reason == "launch_failed"
        (task,) = (await site.user.get(str(job.number))).tasks
        assert task.detail.startswith("what it finds cannot be fetched: it takes 9.0 MiB")
        assert "this worker's cache has 8.0 MiB (worker --cache)" in task.detail
        await worker.stop()

    at_site(root, body)


@extra
@needs_root
def test_a_full_disk_is_said_and_the_job_runs_once_there_is_room(root: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32) as disk:
            worker = await site.worker(reserve=0, cache_limit=100 * MIB).started()
            upload = await Upload({"a": LARGE}).send(site)
            disk.fill(leave=MIB)
            job = await site.user.submit("sha256sum", "a", upload=upload)
            while True:
                (there,) = await site.user.workers()
                if there.state == jobs_pb2.WORKER_STATE_FULL:
                    break
                await asyncio.sleep(0.05)
            assert "what jobs find cannot be kept in" in there.no_room
            disk.free()
            (ended,) = await site.user.wait(str(job.number))
            assert ended.state == SUCCEEDED
            assert (await site.user.get(str(job.number))).tasks[0].attempt == 1
            await worker.stop()

    at_site(root, body)


def test_a_fetch_that_broke_off_is_gone_on_with_and_half_a_content_is_no_content(root: Path) -> None:
    """As after kill -9 of an agent that was fetching: some of a large content is there, and a small one is cut."""

    async def body(site: Site) -> None:
        worker = site.worker()
        worker.directory.mkdir(mode=0o700)
        cache = worker.directory / "work" / "contents"
        upload = Upload(PROJECT)
        large, small = sha256(LARGE).hexdigest(), sha256(b"s").hexdigest()
        (cache / "new").mkdir(parents=True)
        (cache / "new" / large).write_bytes(LARGE[: 2 * MIB])
        (cache / small[:2]).mkdir()
        (cache / small[:2] / small).write_bytes(b"")
        await worker.started()
        digest = await upload.send(site)
        _, output = await succeeds(site, "sh", "-c", "cat data/s; sh run.sh", upload=digest)
        assert output.decode().split()[0] == "s" + sha256(LARGE).hexdigest()
        await worker.stop()

    at_site(root, body)


@extra
def test_what_came_damaged_is_fetched_anew(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = site.worker()
        worker.directory.mkdir(mode=0o700)
        new = worker.directory / "work" / "contents" / "new"
        new.mkdir(parents=True)
        (new / sha256(LARGE).hexdigest()).write_bytes(b"x" * (SMALL + 1))
        await worker.started()
        _, output = await succeeds(site, "sh", "run.sh", upload=await Upload(PROJECT).send(site))
        assert output.decode().split()[0] == sha256(LARGE).hexdigest()
        await worker.stop()

    at_site(root, body)


@extra
def test_directories_that_even_their_owner_may_not_write_are_removed(root: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        number, _ = await succeeds(site, "sh", "-c", "mkdir -p a/b && touch a/b/c && chmod 500 a/b a")
        await until(lambda: not (worker.directory / "work" / number / "0.1").exists())
        await worker.stop()

    at_site(root, body)
