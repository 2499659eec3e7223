"""Copies of a worker's directory, each started as a worker: one is refused, and nothing runs twice."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from cluster.domain.job.numbering import ArraySegment
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.workers import Site, WorkerProcess, at_site

pytestmark = pytest.mark.slow


def _copy(worker: WorkerProcess, to: Path) -> None:
    """As an administrator would: times, sockets, locks and all."""
    subprocess.run(["cp", "-a", str(worker.directory), str(to)], check=True)


def test_a_copy_of_a_worker_that_lives_is_refused_and_touches_nothing_of_it(tmp_path: Path) -> None:
    """Its journal names the processes of the first one's jobs, and its identity the first one's work."""

    async def body(site: Site) -> None:
        first = await site.worker(millicpus=3000).started()
        began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")
        ran = tmp_path / "ran"
        script = f"echo $CLUSTER_TASK >> {ran}; test $CLUSTER_TASK != 1 || {{ echo > {began}; read x < {gate}; }}"
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(1, 1),))
        await reach(began)
        _copy(first, tmp_path / "copy")
        code, why = await site.worker("copy").refused()
        assert code == 77
        assert f"worker {first.ready['name']} ({first.ready['id']}) lives elsewhere at {first.ready['address']}" in why
        assert f"remove {tmp_path / 'copy'}, and start again with --join TOKEN" in why
        [still] = await site.user.jobs(str(job.number))
        assert still.counts.running == 1
        more = await site.user.submit("sh", "-c", f"echo more >> {ran}", array=(ArraySegment(1, 60),))
        [done] = await site.user.wait(str(more.number))
        assert done.counts.succeeded == 60
        await let_go(gate)
        [done] = await site.user.wait(str(job.number))
        assert (done.counts.succeeded, done.reason) == (1, "ok")
        assert sorted(ran.read_text().split()) == ["1"] + ["more"] * 60

    at_site(tmp_path, body)


def test_of_two_copies_of_a_worker_that_was_stopped_the_second_is_refused(tmp_path: Path) -> None:
    """The one that is started first is the worker from then on, whichever it is, also over its own restarts."""

    async def body(site: Site) -> None:
        first = await site.worker().started()
        await first.stop()
        _copy(first, tmp_path / "copy")
        copy = await site.worker("copy").started()
        assert copy.ready["id"] == first.ready["id"]
        code, why = await first.refused()
        assert (code, "lives elsewhere" in why) == (77, True)
        await copy.stop()
        await copy.started()
        ran = tmp_path / "ran"
        job = await site.user.submit("sh", "-c", f"echo >> {ran}", array=(ArraySegment(1, 60),))
        second = asyncio.create_task(first.refused())
        [done] = await site.user.wait(str(job.number))
        assert (done.counts.succeeded, ran.read_text().count("\n")) == (60, 60)
        assert (await second)[0] == 77

    at_site(tmp_path, body)


def test_a_directory_that_was_moved_is_the_worker_still(tmp_path: Path) -> None:
    """Under another name, and as a copy after the first one has gone for good."""

    async def body(site: Site) -> None:
        first = await site.worker().started()
        await first.stop()
        first.directory.rename(tmp_path / "renamed")
        renamed = await site.worker("renamed").started()
        job = await site.user.submit("true")
        assert (await site.user.wait(str(job.number)))[0].counts.succeeded == 1
        await renamed.stop()
        _copy(renamed, tmp_path / "restored")
        restored = await site.worker("restored").started()
        assert restored.ready["id"] == first.ready["id"]
        job = await site.user.submit("true")
        assert (await site.user.wait(str(job.number)))[0].counts.succeeded == 1

    at_site(tmp_path, body)
