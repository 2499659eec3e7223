"""What keeps a worker from working: one clear line, the right exit code, nothing lost."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.worker.process import WorkerOptions, serve
from tests.integration.schedulers import running
from tests.integration.workers import Site, at_site

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"local_scheduler": None}, NotFound, "this worker belongs to no cluster: start it once with --join TOKEN"),
        ({"join": "C1.nonsense"}, InvalidInput, "the join token is incomplete"),
        ({"scripts": Path("/nonexistent")}, InvalidInput, "--scripts '/nonexistent' is no folder"),
        ({"run_as": "no-such-user"}, InvalidInput, "--run-as 'no-such-user': this machine has no such user"),
        ({"name": "no spaces"}, InvalidInput, "may hold only letters, digits"),
        ({"scheduler": "nowhere"}, InvalidInput, "the address 'nowhere' has no port"),
        ({"standalone": True, "listen": "none"}, InvalidInput, "nobody could give it jobs"),
        ({"listen": "here"}, InvalidInput, "the address 'here' has no port"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    tmp_path: Path, options: dict[str, Any], error: type[ClusterError], words: str
) -> None:
    async def body(site: Site) -> None:
        fields = {"directory": tmp_path / "worker", "local_scheduler": site.cluster.directory, **options}
        with pytest.raises(error, match=words):
            await serve(WorkerOptions(**fields), lambda ready: None)

    at_site(tmp_path, body)


@pytest.mark.parametrize(
    ("option", "words"), [({"run_as": "nosuchuser"}, "no such user"), ({"scripts": "/no/such/folder"}, "is no folder")]
)
def test_a_worker_that_could_run_no_jobs_spends_no_token(tmp_path: Path, option: dict[str, Any], words: str) -> None:
    async def body(site: Site) -> None:
        worker = site.worker(runner="null")
        code, line = await worker.refused(**option)
        assert (code, words in line) == (2, True), line
        assert not (worker.directory / "worker.pem").exists()  # it did not join

    at_site(tmp_path, body)


def test_one_directory_is_for_one_worker(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first = await site.worker(runner="null").started()
        code, line = await site.worker().refused()
        assert (code, f"a worker (pid {first.process.pid}) already uses" in line) == (1, True)

    at_site(tmp_path, body)


def test_a_port_that_is_taken_gives_way_to_the_next_unless_somebody_named_it(tmp_path: Path) -> None:  # S2.5
    async def body(site: Site) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            worker = site.worker(runner="null", listen=f"127.0.0.1:{port}")
            code, line = await worker.refused()
            assert (code, f"cannot listen on 127.0.0.1:{port}: Address already in use" in line) == (1, True)
            assert line.endswith("choose another with --listen HOST:PORT, or leave --listen out")
            await worker.started(or_next_port=True)
            assert int(worker.ready["address"].rpartition(":")[2]) > port
            await worker.stop()
        await worker.started(listen="none")
        assert worker.ready["address"] == ""

    at_site(tmp_path, body)


def test_a_worker_that_was_killed_just_after_it_had_joined_knows_where(tmp_path: Path) -> None:
    """Its key was there and its scheduler's address not yet, while the token was spent."""

    async def body(site: Site) -> None:
        token = str(site.cluster.service.new_local_token())
        worker = await site.worker(runner="null", local_scheduler=None).started(join=token)
        await worker.stop(signal.SIGKILL)
        (worker.directory / "worker.json").unlink()  # what it writes next
        before = worker.ready["id"]
        await worker.started()
        assert worker.ready["id"] == before

    at_site(tmp_path, body)


def test_a_worker_of_another_cluster_is_told_so(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(runner="null").started()
        await worker.stop()
        async with running(tmp_path / "other") as other:
            token = str(other.service.new_local_token())
            code, line = await worker.refused(join=token)
            assert code == 77
            assert "the join token is of another cluster" in line
            code, line = await worker.refused(scheduler=other.service.address)
            assert code == 77
            assert "is of another cluster" in line
            assert "starting another" not in worker.log()  # its launcher went because it was told to

    at_site(tmp_path, body)
