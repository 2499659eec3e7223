"""Workers whose disk is full: what they take, what they say, and that nothing fails for it."""

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import Exhausted
from cluster.rpc.errors import calling
from cluster.v1 import job_pb2, jobs_pb2, room_pb2, room_pb2_grpc, worker_pb2
from tests.integration.fifos import fifo, let_go
from tests.integration.launchers import Watched
from tests.integration.workers import Site, at_site
from tests.small_disk import small_disk

LEASE = 1.5  # seconds; with each heartbeat a worker looks how much room it has
MIB = 1 << 20
RUNNING = job_pb2.TASK_STATE_RUNNING

pytestmark = pytest.mark.slow


async def state_is(site: Site, state: int) -> jobs_pb2.WorkerInfo:
    while True:
        (worker,) = await site.user.workers()
        if worker.state == state:
            return worker
        await asyncio.sleep(0.05)


async def room_is_told(site: Site) -> room_pb2.WorkerRoom:
    while True:
        told = await room_pb2_grpc.RoomStub(site.user.channel).ShowRoom(room_pb2.ShowRoomRequest())
        assert 0 < told.reserve <= told.size
        if told.workers:
            room: room_pb2.WorkerRoom = told.workers[0]
            return room
        await asyncio.sleep(0.05)


def test_a_worker_takes_nothing_while_its_disk_is_full_and_says_why(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32) as disk:
            worker = await site.worker().started()
            await site.user.submit("sleep", "1000")
            disk.fill()
            full = await state_is(site, jobs_pb2.WORKER_STATE_FULL)
            # It may have looked while the last of it was written.
            told = re.escape(str(disk.path)) + r" has [0-9.]+ (B|KiB|MiB) free, and 1\.6 MiB are kept free"
            assert re.fullmatch(told, full.no_room)
            assert full.running == 1
            room = await room_is_told(site)
            assert (room.id, room.name) == (full.id, full.name)
            assert [space.name for space in room.spaces] == ["outputs", "cache"]
            assert 0 < room.reserve == room.size // 20
            assert room.free < room.size == 32 * MIB
            job = await site.user.submit("true")
            (job,) = await site.user.jobs(str(job.number))
            (because,) = job.pending_because
            assert re.fullmatch(f"worker {re.escape(full.name)} is full: {told}", because)
            async with site.own_api(worker) as own:
                request = worker_pb2.StartJobRequest(id=job.id, spec=job_pb2.JobSpec(argv=["true"], millicpus=1000))
                with pytest.raises(Exhausted, match="takes nothing until it has room"), calling("it"):
                    await own.StartJob(request)
            disk.free()
            assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
            assert not (await state_is(site, jobs_pb2.WORKER_STATE_ONLINE)).no_room
            assert (await site.user.cancel("1", grace=0.0)).cancelled == 1
            assert (await site.user.wait("1"))[0].exit_code == 137
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_a_worker_that_gets_no_launcher_says_why_it_takes_nothing(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        place, aside = worker.directory / "launcher", worker.directory / "aside"
        pid = worker.launcher_pid
        place.rename(aside)
        place.write_text("")
        os.kill(pid, signal.SIGKILL)
        while True:
            (there,) = await site.user.workers()
            if there.trouble:
                break
            await asyncio.sleep(0.05)
        assert there.state == jobs_pb2.WORKER_STATE_UNREACHABLE
        assert there.trouble == f"cannot use {place} for a launcher: Not a directory"
        job = await site.user.submit("true")
        (job,) = await site.user.jobs(str(job.number))
        assert list(job.pending_because) == [f"worker {there.name} is unreachable: {there.trouble}"]
        place.unlink()
        aside.rename(place)
        assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
        assert not (await state_is(site, jobs_pb2.WORKER_STATE_ONLINE)).trouble
        await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_the_operator_says_how_much_is_kept_free(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32) as disk:
            worker = await site.worker(reserve=1024 * MIB).started()
            full = await state_is(site, jobs_pb2.WORKER_STATE_FULL)
            assert full.no_room.endswith("1.0 GiB are kept free")
            await worker.stop()
            await worker.started(reserve=0)
            disk.fill(leave=MIB)
            job = await site.user.submit("true")
            assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_starts_that_find_no_room_are_returned_and_fail_nothing(tmp_path: Path) -> None:
    """As where a quota says no, which is not seen from outside."""

    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32, inodes=300) as disk:
            worker = await site.worker(reserve=0).started()
            disk.fill_inodes()
            job = await site.user.submit("sh", "-c", "echo done")
            full = await state_is(site, jobs_pb2.WORKER_STATE_FULL)
            assert full.no_room.endswith("No space left on device")
            disk.free()
            (ended,) = await site.user.wait(str(job.number))
            assert ended.state == job_pb2.TASK_STATE_SUCCEEDED
            assert (await site.user.get(str(job.number))).tasks[0].attempt == 1
            assert await site.user.text(str(job.number)) == b"done\n"
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_a_disk_without_inodes_is_full_too(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32, inodes=200) as disk:
            worker = await site.worker().started()
            disk.fill_inodes(leave=9)
            full = await state_is(site, jobs_pb2.WORKER_STATE_FULL)
            assert "more files, and 10 are kept free" in full.no_room
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def own_request(*argv: str) -> worker_pb2.StartJobRequest:
    return worker_pb2.StartJobRequest(id=str(uuid.uuid4()), spec=job_pb2.JobSpec(argv=argv, millicpus=1000))


async def own_states(own: Any) -> dict[int, int]:
    """By the jobs' numbers."""
    return {job.number: job.state for job in (await own.GetJobs(worker_pb2.GetJobsRequest())).jobs}


def test_own_jobs_outlive_a_full_disk_and_are_stopped_on_it(tmp_path: Path) -> None:
    """What cannot be written about them waits; nobody is told of it before it is on disk."""

    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32) as disk:
            worker = await site.worker(millicpus=4000).started()
            async with site.own_api(worker) as own:
                with calling("it"):
                    await own.StartJob(own_request("sleep", "1000"))
                    await own.StartJob(own_request("sh", "-c", f"until [ -e {site.root}/go ]; do sleep 0.05; done"))
                    while True:
                        if await own_states(own) == {1: RUNNING, 2: RUNNING}:
                            break
                    store = disk.path / "worker.db"
                    with sqlite3.connect(store) as holder:  # as good as a disk that takes nothing
                        holder.execute("begin immediate")
                        (site.root / "go").touch()
                        with pytest.raises(Exhausted, match="is being stopped, but the disk"), calling("it"):
                            await own.StopJob(
                                worker_pb2.StopJobRequest(selector=jobs_pb2.Selector(text="1"), grace=0.0)
                            )
                        assert await own_states(own) == {1: RUNNING, 2: RUNNING}
                        holder.rollback()
                    holder.close()
                    for number, state in ((1, job_pb2.TASK_STATE_CANCELLED), (2, job_pb2.TASK_STATE_SUCCEEDED)):
                        request = worker_pb2.WaitJobRequest(selector=jobs_pb2.Selector(text=f"{number}"))
                        assert (await own.WaitJob(request)).job.state == state
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_a_worker_starts_on_a_full_disk_obeys_a_new_scheduler_and_works_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32) as disk:
            worker = await site.worker().started()
            first = await site.user.submit("true")
            await site.user.wait(str(first.number))
            disk.fill()
            await worker.stop(signal.SIGKILL)
            await site.cluster.restart()
            site.announce()
            site.user = site.cluster.user()
            await worker.started()
            assert (await state_is(site, jobs_pb2.WORKER_STATE_FULL)).no_room
            assert json.loads((disk.path / "worker.json").read_bytes())["epoch"] == 2
            job = await site.user.submit("true")
            disk.free()
            assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
            await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_a_worker_waits_for_room_when_no_launcher_can_be_started_for_want_of_it(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32, inodes=300) as disk:
            worker = await site.worker().started()
            await worker.stop()  # and its launcher, because nothing runs
            shutil.rmtree(disk.path / "launcher")  # whose files keep the room that the next one needs
            disk.fill()
            disk.fill_inodes()
            starting = asyncio.create_task(worker.start())
            while "no job can be started" not in worker.log():
                assert not starting.done(), worker.log()
                await asyncio.sleep(0.05)
            disk.free()
            await starting
            assert worker.ready, worker.log()
            job = await site.user.submit("true")
            assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
            await worker.stop()

    at_site(tmp_path, body, LEASE)


@pytest.mark.parametrize("killed", [False, True])
def test_a_worker_and_its_launcher_start_on_a_full_disk_and_free_it_by_what_they_push(
    tmp_path: Path, killed: bool
) -> None:
    """There is a session only with a launcher, and nothing is pushed without a session."""

    async def body(site: Site) -> None:
        with small_disk(site.root / "worker", 32, inodes=300) as disk:
            worker = await site.worker().started()
            go = fifo(tmp_path / "go")
            job = await site.user.submit("sh", "-c", f"head -c 4000000 /dev/zero; read x < {go}")
            await until((disk.path / "jobs" / "1" / "0.1.out").exists)
            await until(lambda: (disk.path / "jobs" / "1" / "0.1.out").stat().st_size == 4_000_000)
            await site.cluster.stop()
            launcher = Watched(worker.launcher_pid)
            await let_go(go)
            await until(lambda: b'"ended"' in (disk.path / "launcher" / "journal").read_bytes())
            await worker.stop(signal.SIGKILL)
            os.kill(launcher.pid, signal.SIGKILL if killed else signal.SIGTERM)
            assert await launcher.gone()
            disk.fill()
            disk.fill_inodes()
            await site.cluster.start()
            site.announce()
            site.user = site.cluster.user()
            await worker.started()
            assert (await site.user.wait(str(job.number)))[0].state == job_pb2.TASK_STATE_SUCCEEDED
            await until(lambda: disk.left >= 4_000_000)
            assert await site.user.text(str(job.number)) == bytes(4_000_000)
            await worker.stop()

    at_site(tmp_path, body, LEASE)


async def until(true: Callable[[], bool]) -> None:
    """Of which nobody tells."""
    while not await asyncio.to_thread(true):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
