"""Agents that die, are stopped, or lose their scheduler: what runs goes on, and nothing is told wrongly."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from cluster.domain.job.numbering import ArraySegment
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.launchers import Watched
from tests.integration.workers import Site, at_site

pytestmark = pytest.mark.slow


def test_a_killed_agent_loses_nothing(tmp_path: Path) -> None:
    """Two attempts run, one waits in the backlog; one of the running ends while no agent is there."""

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began, ended, gate = fifo(tmp_path / "began"), fifo(tmp_path / "ended"), fifo(tmp_path / "gate")
        script = f"""
            echo before $CLUSTER_TASK
            echo >> {tmp_path}/ran-$CLUSTER_TASK
            case $CLUSTER_TASK in
              1) trap 'echo > {ended}' EXIT; echo > {began}; read x < {gate}; echo after; exit 7;;
              2) read x < {gate}.2; seq 3000; exit 0;;
            esac
        """
        gate2 = fifo(tmp_path / "gate.2")
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(1, 3),))
        await reach(began)
        await worker.stop(signal.SIGKILL)
        await let_go(gate)
        await reach(ended)
        await worker.started()
        assert f"job {job.number}: adopted " in worker.log()
        await let_go(gate2)
        [done] = await site.user.wait(str(job.number))
        assert (done.counts.succeeded, done.counts.failed, done.exit_code) == (2, 1, 7)
        assert await site.user.text(f"{job.number}.1") == b"before 1\nafter\n"
        second = "before 2\n" + "".join(f"{n}\n" for n in range(1, 3001))
        assert await site.user.text(f"{job.number}.2", follow=True) == second.encode()
        await worker.stop()
        assert worker.files() == []

    at_site(tmp_path, body)
    assert [path.read_text() for path in tmp_path.glob("ran-*")] == ["\n"] * 3  # each ran once


def test_a_stopped_agent_gives_back_what_has_not_started_and_adopts_the_rest_later(tmp_path: Path) -> None:  # S2.2
    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=1000).started()
        began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")
        script = f"test $CLUSTER_TASK != 1 || {{ echo > {began}; read x < {gate}; }}"
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(1, 3),))
        await reach(began)
        assert await worker.stop() == 0
        [info] = await site.user.workers()
        assert info.state == 3  # offline: it has said goodbye
        [stopped] = await site.user.jobs(str(job.number))
        assert (stopped.counts.running, stopped.counts.ready) == (1, 2)
        assert f"job {job.number}: 1 attempts go on without this worker" in worker.log()
        first = worker.ready
        await worker.started()
        assert (worker.ready["id"], worker.ready["name"]) == (first["id"], first["name"])  # S2.4, S2.6
        await let_go(gate)
        [done] = await site.user.wait(str(job.number))
        assert done.counts.succeeded == 3

    at_site(tmp_path, body)


def test_a_quiet_attempt_is_stopped_also_by_an_agent_that_did_not_start_it(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began = fifo(tmp_path / "began")
        job = await site.user.submit("sh", "-c", f"echo once; echo > {began}; exec sleep 1000", quiet_timeout=5.0)
        await reach(began)
        await worker.stop(signal.SIGKILL)
        await worker.started()
        [done] = await site.user.wait(str(job.number))
        assert (done.reason, done.exit_code) == ("timeout:quiet", 143)
        assert await site.user.text(str(job.number)) == b"once\n"

    at_site(tmp_path, body)


def test_a_worker_that_is_to_stop_its_jobs_leaves_nothing_running(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        began = fifo(tmp_path / "began")
        job = await site.user.submit("sh", "-c", f"echo > {began}; exec sleep 1000")
        await reach(began)
        launcher = Watched(worker.launcher_pid)
        assert await worker.stop(signal.SIGINT) == 0
        [ended] = await site.user.wait(str(job.number))
        assert (ended.reason, ended.exit_code) == ("stopped", 143)  # no user cancelled it, so a retry may follow
        assert await launcher.gone()

    at_site(tmp_path, body)


def test_a_worker_that_ends_leaves_nothing_assigned_to_it(tmp_path: Path) -> None:
    """It holds work in advance, and is the only one that what it gives back could go to."""

    async def body(site: Site) -> None:
        worker = await site.worker(stop_jobs=True).started()
        began = fifo(tmp_path / "began")
        script = f"test $CLUSTER_TASK -le 100 && exit; test $CLUSTER_TASK = 101 && echo > {began}; exec sleep 1000"
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(1, 300),))
        await reach(began)
        assert await worker.stop() == 0
        [left] = await site.user.jobs(str(job.number))
        assert (left.counts.assigned, left.counts.running) == (0, 0)
        assert left.counts.succeeded + left.counts.failed + left.counts.ready == 300
        tasks = (await site.user.get(str(job.number), max_tasks=300)).tasks
        ran = [(task.started_at, task.ended_at) for task in tasks if task.reason == "stopped"]
        assert len(ran) == left.counts.failed
        for begin, _ in ran:  # what was stopped had begun, and never more than one on each cpu
            assert 0 < sum(start <= begin < end for start, end in ran) <= 2

    at_site(tmp_path, body)


def test_a_worker_with_nothing_to_leave_behind_takes_its_launcher_along(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        job = await site.user.submit("true")
        await site.user.wait(str(job.number))
        launcher = Watched(worker.launcher_pid)
        assert await worker.stop() == 0
        assert await launcher.gone()

    at_site(tmp_path, body)


def test_a_scheduler_that_comes_back_finds_its_workers_and_their_ends(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began, ended, gate = fifo(tmp_path / "began"), fifo(tmp_path / "ended"), fifo(tmp_path / "gate")
        script = f"trap 'echo > {ended}' EXIT; echo > {began}; read x < {gate}; echo done"
        job = await site.user.submit("sh", "-c", script)
        await reach(began)
        await site.cluster.stop()
        await let_go(gate)
        await reach(ended)
        await site.cluster.start()
        site.announce()  # at another port
        user = site.cluster.user()
        [done] = await user.wait(str(job.number))
        assert done.reason == "ok"
        assert await user.text(str(job.number)) == b"done\n"
        told = [line for line in worker.log().splitlines() if "not connected" in line]
        assert 1 <= len(told) == len(set(told))  # each reason is told once, however often it was tried

    at_site(tmp_path, body)


def test_a_worker_that_can_write_nothing_just_when_its_scheduler_moves_goes_there_later(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        state, aside = worker.directory / "worker.json", worker.directory / "aside"
        spare = worker.directory / ".worker.json.spare"
        await site.cluster.stop()
        state.rename(aside)
        spare.unlink(missing_ok=True)
        for path in (state, spare):
            path.mkdir()  # as good as a full disk without any room left
        await site.cluster.start()
        site.announce()  # at another port
        while "worker.json cannot be written" not in worker.log():
            assert "stops by a fault" not in worker.log()
            await asyncio.sleep(0)
        for path in (state, spare):
            path.rmdir()
        aside.rename(state)
        user = site.cluster.user()
        job = await user.submit("true")
        [done] = await user.wait(str(job.number))
        assert done.reason == "ok"

    at_site(tmp_path, body)


def test_a_launcher_that_dies_takes_its_attempts_along_and_another_takes_over(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        began = fifo(tmp_path / "began")
        script = f"head -c 5000 /dev/zero; echo last words; echo > {began}; exec sleep 1000"
        job = await site.user.submit("sh", "-c", script)
        await reach(began)
        os.kill(worker.launcher_pid, signal.SIGKILL)
        [lost] = await site.user.wait(str(job.number))
        assert lost.reason == "lost"
        assert await site.user.text(str(job.number)) == bytes(5000) + b"last words\n"
        after = await site.user.submit("true")
        [ended] = await site.user.wait(str(after.number))
        assert ended.reason == "ok"

    at_site(tmp_path, body)


def test_what_a_lost_task_wrote_is_shown_when_its_worker_is_back(tmp_path: Path) -> None:
    """Both what ended meanwhile and what was killed for want of a lease; little and much."""

    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=3000).started()
        go = fifo(tmp_path / "go")
        scripts = [f"seq 9000; cat {go}", "seq 20000; exec sleep 1000", "echo little; exec sleep 1000"]
        jobs = [await site.user.submit("sh", "-c", script, lost_after=1.0) for script in scripts]
        for job, last in zip(jobs, (b"9000\n", b"20000\n", b"little\n"), strict=True):
            async for piece in site.user.output(str(job.number), follow=True):
                if piece.data.endswith(last):
                    break
        worker.process.send_signal(signal.SIGSTOP)
        await let_go(go)
        ended = await site.user.wait(*(str(job.number) for job in jobs))
        assert [job.reason for job in ended] == ["lost"] * 3
        worker.process.send_signal(signal.SIGCONT)
        while (await site.user.workers())[0].state != 1:
            pass
        await worker.stop()  # which waits until all is sent
        shown = [await site.user.text(str(job.number)) for job in jobs]
        assert [len(text) for text in shown] == [43896, 108894, 7]
        assert worker.files() == []

    at_site(tmp_path, body, lease=2.0)


def test_a_worker_whose_name_is_taken_says_how_it_is_called(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker("one").started(name="box")
        second = await site.worker("two").started(name="box")
        assert second.ready["name"] == "box-2"
        assert "another worker is called box, so this one is box-2" in second.log()

    at_site(tmp_path, body)


def test_two_workers_share_the_work(tmp_path: Path) -> None:  # S2.1
    async def body(site: Site) -> None:
        await asyncio.gather(site.worker("one").started(), site.worker("two").started())
        gates = [fifo(tmp_path / f"gate{n}") for n in range(4)]
        began = [fifo(tmp_path / f"began{n}") for n in range(4)]
        script = f"echo > {tmp_path}/began$CLUSTER_TASK; read x < {tmp_path}/gate$CLUSTER_TASK"
        job = await site.user.submit("sh", "-c", script, array=(ArraySegment(0, 3),))
        await asyncio.gather(*map(reach, began))  # all four at once: two on each
        assert {info.running + info.assigned for info in await site.user.workers()} == {2}
        await asyncio.gather(*map(let_go, gates))
        [ended] = await site.user.wait(str(job.number))
        assert ended.counts.succeeded == 4

    at_site(tmp_path, body)
