"""Results on their way from a worker: whoever is killed, away or full meanwhile, they come whole, and nothing stays."""

import shutil
import signal
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from cluster.cli.results import still_missing
from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.domain.base.errors import ClusterError, Exhausted
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.results import ResultsState
from cluster.domain.trust.identity import IdentityKind
from cluster.store.contents.files import ContentFiles
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.schedulers import until
from tests.integration.workers import Site, WorkerProcess, at_site

pytestmark = pytest.mark.slow


def client_of(site: Site, user: str = "admin") -> AsyncClient:
    return AsyncClient(Endpoint(site.cluster.service.address, site.cluster.credentials(IdentityKind.USER, user)))


async def fetched(site: Site, selector: str, to: Path) -> list[ResultsState]:
    """Follows it to its end, and fetches all there is."""
    async with client_of(site) as client, aclosing(client.fetch(selector, to=to, follow=True)) as several:
        return [each.results.state async for each in several]


async def leaves_nothing(worker: WorkerProcess) -> None:
    """Once it has ended in good order."""
    await worker.stop()
    assert worker.files() == []


def test_a_killed_agent_loses_no_results(tmp_path: Path) -> None:
    """One attempt has ended and been reported, one ends while no agent is there, one has not begun yet."""

    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=1000).started()
        began, ended, gate = fifo(tmp_path / "began"), fifo(tmp_path / "ended"), fifo(tmp_path / "gate")
        script = f"""
            echo $CLUSTER_TASK > answer
            case $CLUSTER_TASK in 2) trap 'echo > {ended}' EXIT; echo > {began}; read x < {gate};; esac
        """
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(1, 3),), out=("answer",))
        await reach(began)
        await worker.stop(signal.SIGKILL)
        await let_go(gate)
        await reach(ended)
        await worker.started()
        assert await fetched(site, str(job.number), tmp_path / "to") == [ResultsState.KEPT] * 3
        assert [(tmp_path / "to" / str(n) / "answer").read_text() for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]
        await leaves_nothing(worker)

    at_site(tmp_path, body)


def test_what_ended_while_the_scheduler_was_away_comes_although_the_agent_was_killed_too(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began, ended, gate = fifo(tmp_path / "began"), fifo(tmp_path / "ended"), fifo(tmp_path / "gate")
        script = f"trap 'echo > {ended}' EXIT; echo > {began}; read x < {gate}; seq 100000 > large; echo a > small"
        job = await site.user.submit("sh", "-c", script, out=("*",))
        await reach(began)
        await site.cluster.stop()
        await let_go(gate)
        await reach(ended)
        await worker.stop(signal.SIGKILL)
        await site.cluster.start()
        site.user = site.cluster.user()
        site.announce()
        await worker.started()
        assert await fetched(site, str(job.number), tmp_path / "to") == [ResultsState.KEPT]
        assert (tmp_path / "to" / "large").read_text() == "".join(f"{n}\n" for n in range(1, 100001))
        assert (tmp_path / "to" / "small").read_text() == "a\n"
        await leaves_nothing(worker)

    at_site(tmp_path, body)


def test_results_of_a_lost_attempt_come_when_its_worker_is_back(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began = fifo(tmp_path / "began")
        script = f"echo so far > log; echo > {began}; exec sleep 1000"
        job = await site.user.submit("sh", "-c", script, lost_after=1.0, out=("log",))
        await reach(began)
        worker.process.send_signal(signal.SIGSTOP)
        [ended] = await site.user.wait(str(job.number))
        assert ended.reason == "lost"
        async with client_of(site) as client:
            [away] = [each async for each in client.fetch(job.number, to=tmp_path / "to")]
            assert (away.results.state, away.results.worker) == (ResultsState.AWAY, (await site.user.workers())[0].name)
            shown, _ = await client.get(job.number)
            assert shown.results is not None
            assert shown.results.missing == 1
            said = f"those of 1 on worker {away.results.worker}, which is not connected: they come when it is back"
            assert await still_missing(client, shown) == said
            worker.process.send_signal(signal.SIGCONT)
            while (await site.user.workers())[0].state != 1:
                pass
            await leaves_nothing(worker)  # which waits until all is sent
            [back] = [each async for each in client.fetch(job.number, to=tmp_path / "to")]
            assert back.results.state is ResultsState.KEPT
            assert await still_missing(client, (await client.get(job.number))[0]) == ""
        assert (tmp_path / "to" / "log").read_text() == "so far\n"

    at_site(tmp_path, body, lease=2.0)


def test_they_wait_while_the_schedulers_disk_is_full_and_what_vanishes_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True

    def expect_room(self: ContentFiles, size: int = 0) -> None:
        if full:
            raise Exhausted("the scheduler has no room for files: made up")

    monkeypatch.setattr(ContentFiles, "expect_room", expect_room)

    async def body(site: Site) -> None:
        nonlocal full
        worker = await site.worker().started()
        job = await site.user.submit("sh", "-c", "echo x > log", array=(ArraySegment(1, 2),), out=("log",))
        await site.user.wait(str(job.number))
        await until(lambda: "results stay here for now: the scheduler has no room for files" in worker.log())
        assert (await site.user.get(str(job.number))).results.missing == 2
        async with client_of(site) as client:
            shown, _ = await client.get(job.number)
            name = (await site.user.workers())[0].name
            assert await still_missing(client, shown) == f"those of 2 being collected and sent by worker {name}"
        await worker.stop(signal.SIGKILL)  # the next agent knows of what it finds alone
        shutil.rmtree(worker.directory / "work" / f"{job.number}.kept" / "1.1")
        full = False
        await worker.started()
        told = await fetched(site, str(job.number), tmp_path / "to")
        assert sorted(told) == [ResultsState.KEPT, ResultsState.GONE]
        assert (tmp_path / "to" / "1" / "log").read_text() == "x\n"
        assert (await site.user.get(str(job.number))).results.missing == 0
        await leaves_nothing(worker)

    at_site(tmp_path, body)


def test_nobody_sees_results_of_jobs_that_are_not_the_callers(tmp_path: Path) -> None:
    from cluster.domain.trust.identity import Role

    async def refused(site: Site, call: Any) -> str:
        try:
            await call
        except ClusterError as error:
            return str(error)
        return "it was not refused"

    async def body(site: Site) -> None:
        await site.cluster.people(ada=Role.USER, bob=Role.USER)
        worker = await site.worker().started()
        job = await site.cluster.user("ada").submit("sh", "-c", "echo x > log", out=("log",))
        async with client_of(site, "ada") as ada, client_of(site, "bob") as bob:
            [own] = [each async for each in ada.results(job.number, follow=True)]
            assert [entry.name for entry in await ada.entries(own)] == ["log"]
            said = await refused(site, bob.entries(own))
            assert said == await refused(site, anext(aiter(bob.results(job.number))))
            assert "there is no job" in said
            # Nor is another content of the store a result of the job.
            async with aclosing(ada._backend().read_results(own, [b"x" * 32], 0, 0.0)) as pieces:
                assert "not all of these contents are results" in await refused(site, anext(pieces))
        await leaves_nothing(worker)

    at_site(tmp_path, body)
