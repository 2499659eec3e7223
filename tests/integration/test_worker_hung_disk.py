"""Workers where the disk of their jobs does not answer: what they tell all the same, in time."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from cluster.launcher import tree
from cluster.rpc.errors import calling
from cluster.v1 import jobs_pb2, worker_pb2
from tests.integration.fifos import fifo, reach
from tests.integration.hung_mount import available, hung_mount
from tests.integration.workers import Site, at_site

LEASE = 1.5  # seconds
LONG = 5 * LEASE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="needs root and /dev/fuse")]


async def stays_online(site: Site, seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        (worker,) = await site.user.workers()
        assert worker.state == jobs_pb2.WORKER_STATE_ONLINE
        await asyncio.sleep(0.1)


def test_an_agent_holds_its_lease_and_answers_while_the_disk_of_its_jobs_hangs(tmp_path: Path) -> None:
    """Not even the end of an attempt whose slot was killed, and whose output it looks at, keeps it from that."""

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        pid = fifo(tmp_path / "pid")
        job = await site.user.submit("sh", "-c", f"echo $$ > {pid}; exec sleep 1000")
        runs = tree.read_process(int(await reach(pid)))
        assert runs is not None
        with hung_mount(worker.directory / "jobs"):
            os.kill(runs.parent, signal.SIGKILL)
            await stays_online(site, LONG)
            async with site.own_api(worker) as own:
                with calling("it"):
                    assert not (await own.GetJobs(worker_pb2.GetJobsRequest())).jobs
            (ended,) = await site.user.wait(str(job.number))
            assert ended.reason == "lost"
        await worker.stop()

    at_site(tmp_path, body, LEASE)


def test_an_agent_that_finds_the_disk_of_its_jobs_hung_adopts_what_runs(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        pid = fifo(tmp_path / "pid")
        job = await site.user.submit("sh", "-c", f"echo $$ > {pid}; exec sleep 1000")
        await reach(pid)
        await worker.stop(signal.SIGKILL)
        with hung_mount(worker.directory / "jobs"):
            await worker.started()
            await stays_online(site, LONG)
            assert (await site.user.cancel(str(job.number), grace=0.0)).cancelled == 1
        assert (await site.user.wait(str(job.number)))[0].exit_code == 137
        await worker.stop()

    at_site(tmp_path, body, LEASE)
