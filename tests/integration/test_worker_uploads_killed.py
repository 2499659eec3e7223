"""Whoever is killed while uploads are fetched and put before tasks: no wrong byte, and nothing is left."""

import os
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster.domain.job.numbering import ArraySegment
from cluster.v1 import job_pb2
from tests.integration.test_worker_uploads import Upload, send
from tests.integration.workers import Site, WorkerProcess, at_site

pytestmark = pytest.mark.slow

FILES = {f"some/{n // 20}/{n}": b"%d" % n * n * 40 for n in range(120)} | {"large": os.urandom(1 << 20) * 8}
STDIN = os.urandom(1 << 20) * 2
# Says the hash of all that it finds and reads, and then spoils some of it.
SCRIPT = """
sha256sum
rm own
find . -type f | LC_ALL=C sort | xargs cat | sha256sum
echo x >> large
rm -r some/3
mkdir -p left/over
"""


def expected() -> str:
    """The hash of all files but its own, as SCRIPT says it."""
    hashed = sha256()
    for path in sorted(FILES, key=lambda path: path.encode()):
        hashed.update(FILES[path])
    return hashed.hexdigest()


Moment = Callable[[WorkerProcess], bool]


def work(worker: WorkerProcess) -> Path:
    return worker.directory / "work"


def fetching(worker: WorkerProcess) -> bool:
    return any(work(worker).glob("contents/new/*"))


def keeping(worker: WorkerProcess) -> bool:
    return any(work(worker).glob("contents/??/*"))


def unpacking(worker: WorkerProcess) -> bool:
    return any(work(worker).glob("[0-9]*/[0-9]*"))


def reusing(worker: WorkerProcess) -> bool:
    return any(work(worker).glob("[0-9]*/left/*"))


async def play(site: Site, worker: WorkerProcess, victim: str, moment: Moment) -> None:
    """One job, of which that process is killed at that moment; all comes right in the end."""
    upload = await Upload({**FILES, "own": os.urandom(70_000)}).send(site)
    stdin = await send(site, STDIN)
    fields: dict[str, Any] = {"array": (ArraySegment(1, 6),), "retries": 30, "lost_after": 2.0}
    job = await site.user.submit("sh", "-c", SCRIPT, upload=upload, stdin=stdin, **fields)
    while not moment(worker):
        (seen,) = await site.user.jobs(str(job.number))
        if seen.state == job_pb2.TASK_STATE_SUCCEEDED:
            break  # it was quicker
    if victim == "agent":
        await worker.stop(signal.SIGKILL)
        await worker.started()
    elif victim == "launcher":
        os.kill(worker.launcher_pid, signal.SIGKILL)
    else:
        await site.cluster.restart()
        site.announce()
        site.user = site.cluster.user()
    (ended,) = await site.user.wait(str(job.number))
    assert ended.state == job_pb2.TASK_STATE_SUCCEEDED, worker.log()
    output = (await site.user.text(str(job.number))).decode().split()
    assert set(output) == {expected(), sha256(STDIN).hexdigest(), "-"}
    assert output.count(expected()) >= 6, "once for each task, and for attempts that were lost after they said it"


async def check_nothing_is_left(worker: WorkerProcess) -> None:
    await worker.stop()
    await worker.started(stop_jobs=True)  # collects what a killed agent has left
    await worker.stop()
    assert [path.name for path in work(worker).glob("*") if path.name != "contents"] == []
    for path in work(worker).glob("contents/??/*"):
        assert sha256(path.read_bytes()).hexdigest() == path.name
    assert list(work(worker).glob("contents/new/*")) == []


@pytest.mark.parametrize(("victim", "moment"), [("agent", fetching)])
def test_what_a_killed_process_was_at_comes_right(tmp_path: Path, victim: str, moment: Moment) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        await play(site, worker, victim, moment)
        await check_nothing_is_left(worker)

    at_site(tmp_path, body)


@pytest.mark.extra_files
@pytest.mark.parametrize("seed", range(13))
def test_whoever_is_killed_and_when(tmp_path: Path, seed: int) -> None:
    """Fifty moments, with the two others."""

    async def body(site: Site) -> None:
        random = Random(seed)
        worker = await site.worker().started()
        for _ in range(4):
            victim = random.choice(("agent", "launcher", "scheduler"))
            await play(site, worker, victim, random.choice((fetching, keeping, unpacking, reusing)))
        await check_nothing_is_left(worker)

    at_site(tmp_path, body)
