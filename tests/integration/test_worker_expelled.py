"""A worker that is expelled ends by itself, with one line that says so, and leaves nothing running."""

import signal
from pathlib import Path

import pytest

from cluster.domain.base.errors import Unreachable
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.members import Admin
from tests.integration.test_worker_own_api import Own
from tests.integration.workers import Site, WorkerProcess, at_site

pytestmark = pytest.mark.slow


async def end_of(worker: WorkerProcess) -> int:
    """The exit code. It has said why, once, and has not tried again."""
    code = await worker.process.wait()
    assert "trying again" not in worker.log()
    last = worker.log().splitlines()[-1]
    assert last.startswith(f"cluster: the certificate of worker/{worker.ready['id']} was revoked")
    return code


def is_gone(pid: int) -> bool:
    """Or dead, and not reaped yet; which it may be between any two looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def start_again_and_again(own: Own) -> None:
    while True:
        await own.start("true")


@pytest.mark.parametrize("local", [True, False])
def test_a_worker_that_is_expelled_ends_by_itself_and_so_does_what_it_runs(tmp_path: Path, local: bool) -> None:
    """`local`: on the scheduler's own machine, where its next start may join anew."""
    began = fifo(tmp_path / "began")

    async def body(site: Site) -> None:
        options = {} if local else {"join": str(site.cluster.service.new_local_token()), "local_scheduler": None}
        worker = await site.worker().started(**options)
        launcher = worker.launcher_pid
        await site.user.submit("sh", "-c", f"echo $$ > {began}; sleep 600 & wait")
        job = int(await reach(began))
        await Admin(site.cluster).remove_worker(worker.ready["id"])
        assert await end_of(worker) == 77
        assert worker.log().count("was revoked") == 1
        assert is_gone(job)
        assert is_gone(launcher)
        if local:
            before = worker.ready["id"]
            await worker.started()
            assert worker.ready["id"] != before
        else:
            code, line = await worker.refused(local_scheduler=None)
            assert (code, "was revoked" in line) == (77, True)

    at_site(tmp_path, body)


@pytest.mark.parametrize("told", [False, True])
def test_jobs_of_its_own_api_go_on_to_their_end_first(tmp_path: Path, told: bool) -> None:
    """`told`: to end, meanwhile, which it does at once, and the job goes on."""
    began, gate, done = fifo(tmp_path / "began"), fifo(tmp_path / "gate"), tmp_path / "done"

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            await own.start("sh", "-c", f"echo > {began}; read x < {gate}; echo > {done}")
            await reach(began)
            await Admin(site.cluster).remove_worker(worker.ready["id"])
            with pytest.raises(Unreachable, match="takes no more jobs"):
                await start_again_and_again(own)
            assert worker.process.returncode is None
            if told:
                assert await worker.stop(signal.SIGTERM) == 0
                await let_go(gate)
                return
            await let_go(gate)
        assert await end_of(worker) == 77
        assert worker.log().count("this worker ends when the jobs of its own API have: 1") == 1
        assert done.exists()

    at_site(tmp_path, body)
