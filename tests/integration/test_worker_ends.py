"""Workers that are told to end while something else happens to them: nothing hangs, and nothing is told wrongly."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cluster.domain.base.errors import Unreachable
from cluster.worker.own.store import OwnStoreFailed
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.launchers import Watched
from tests.integration.test_worker_own_api import Own
from tests.integration.workers import Site, at_site

pytestmark = pytest.mark.slow


def stubborn(began: Path, stopped: Path, pid: Path) -> str:
    """A script that says when it runs and when it is asked to stop, and does not."""
    return (
        f"echo runs; echo $$ > {pid}; trap 'echo > {stopped}' TERM; echo > {began}; while :; do sleep 1000 & wait; done"
    )


def test_jobs_that_are_being_stopped_do_not_outlive_a_launcher_that_dies(tmp_path: Path) -> None:
    began, stopped, pid = fifo(tmp_path / "began"), fifo(tmp_path / "stopped"), tmp_path / "pid"

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        job = await site.user.submit("sh", "-c", stubborn(began, stopped, pid), grace=1000.0)
        await reach(began)
        leader = Watched(pid.read_text())
        worker.process.send_signal(signal.SIGTERM)
        await reach(stopped)
        os.kill(worker.launcher_pid, signal.SIGKILL)
        assert await worker.process.wait() == 0
        assert leader.is_gone()
        assert not (worker.directory / "launcher" / "launcher.sock").exists()  # the next launcher has quit
        await worker.started()
        [ended] = await site.user.wait(str(job.number))
        assert ended.reason == "lost"

    at_site(tmp_path, body)


def test_own_jobs_that_are_being_stopped_do_not_outlive_a_launcher_that_dies(tmp_path: Path) -> None:
    began, stopped, pid = fifo(tmp_path / "began"), fifo(tmp_path / "stopped"), tmp_path / "pid"

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        async with site.own_api(worker) as stub:
            await Own(stub).start("sh", "-c", stubborn(began, stopped, pid), grace=1000.0)
            await reach(began)
            leader = Watched(pid.read_text())
            worker.process.send_signal(signal.SIGTERM)
            await reach(stopped)
            os.kill(worker.launcher_pid, signal.SIGKILL)
            assert await worker.process.wait() == 0
        assert leader.is_gone()
        assert not (worker.directory / "launcher" / "launcher.sock").exists()  # the next launcher has quit
        await worker.started()
        async with site.own_api(worker) as stub:
            assert (await Own(stub).wait("1")).job.reason == "lost"

    at_site(tmp_path, body)


def test_a_worker_with_own_jobs_to_stop_ends_where_no_launcher_can_be_had(tmp_path: Path) -> None:
    began, stopped, pid = fifo(tmp_path / "began"), fifo(tmp_path / "stopped"), tmp_path / "pid"

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        async with site.own_api(worker) as stub:
            await Own(stub).start("sh", "-c", stubborn(began, stopped, pid), grace=1000.0)
            await reach(began)
        (worker.directory / "launcher").chmod(0o755)  # the next one refuses to start
        os.kill(worker.launcher_pid, signal.SIGKILL)
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.process.wait() == 0
        assert "what runs goes on: the launcher did not start" in worker.log()
        (worker.directory / "launcher").chmod(0o700)

    at_site(tmp_path, body)


def test_a_worker_that_ends_accepts_no_job_that_it_would_not_run(tmp_path: Path) -> None:
    began, stopped, pid = fifo(tmp_path / "began"), fifo(tmp_path / "stopped"), tmp_path / "pid"

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            known = await own.start("sh", "-c", stubborn(began, stopped, pid), grace=1000.0)
            await reach(began)
            worker.process.send_signal(signal.SIGTERM)
            await reach(stopped)
            with pytest.raises(Unreachable, match="is being stopped"):
                await own.start("true")
            assert (await own.start("true", job_id=known.id)).number == known.number  # accepted before
            await own.stop("1", grace=0.0)
            assert await worker.process.wait() == 0

    at_site(tmp_path, body)


def test_a_worker_whose_disk_fails_as_it_ends_does_not_hang(tmp_path: Path) -> None:
    began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")
    another, stopped, pid = fifo(tmp_path / "another"), fifo(tmp_path / "stopped"), tmp_path / "pid"
    script = f"trap 'read x < {gate}; exit' TERM; echo runs; echo > {began}; while :; do sleep 1000 & wait; done"

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            await own.start("sh", "-c", script, grace=1000.0)
            await reach(began)
            await own.first_of("1")  # the worker has it on disk that it runs
            await own.start("sh", "-c", stubborn(another, stopped, pid), grace=1000.0)
            await reach(another)
            await own.first_of("2")
            leader = Watched(pid.read_text())
        worker.process.send_signal(signal.SIGTERM)
        with closing(sqlite3.connect(worker.directory / "worker.db", isolation_level=None)) as database:
            database.execute("begin immediate")  # the end of the job cannot be saved
            await let_go(gate)
            assert await worker.process.wait() == OwnStoreFailed.exit_code
        assert "the ends of this worker's own jobs could not be written" in worker.log()
        assert leader.is_gone()  # all the same

    at_site(tmp_path, body)
