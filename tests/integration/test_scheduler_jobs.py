"""Jobs from submit to end, over real connections with real certificates; the worker is played by hand."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound, NotPermitted
from cluster.domain.base.intervals import Range
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import SmallOutput
from cluster.domain.session.messages import Assign, Stop
from cluster.domain.trust.identity import Role
from cluster.store.interface import Store
from cluster.v1 import job_pb2
from tests.integration.schedulers import W2, Cluster, in_cluster, one

SUCCEEDED, FAILED = job_pb2.TASK_STATE_SUCCEEDED, job_pb2.TASK_STATE_FAILED
READY, RUNNING, CANCELLED = job_pb2.TASK_STATE_READY, job_pb2.TASK_STATE_RUNNING, job_pb2.TASK_STATE_CANCELLED


def test_a_job_runs_and_ends(tmp_path: Path) -> None:  # S2.1 S2.2
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        assert worker.welcome.epoch == 1
        job = await user.submit("echo", "hi", name="greeting")
        assert (job.number, job.owner, list(job.spec.argv)) == (1, "admin", ["echo", "hi"])
        waiting = asyncio.create_task(user.wait("1"))
        assign = await worker.hear(Assign)
        assert assign.spec.argv == ("echo", "hi")
        assert assign.attempts == one(1)
        await worker.report(started=(assign.attempts,))
        assert (await user.get("greeting")).job.state == RUNNING
        await worker.finish(assign, SmallOutput(1, 0, 1, b"hi\n", b""))
        (ended,) = await waiting
        assert (ended.state, ended.exit_code, ended.reason) == (SUCCEEDED, 0, "ok")
        (task,) = (await user.get("1")).tasks
        assert (task.state, task.reason, task.worker_name, task.ended_at) == (SUCCEEDED, "ok", "box", 1002.0)
        assert await user.text("1") == b"hi\n"

    in_cluster(tmp_path, body)


def test_a_job_that_ends_while_the_store_is_asked_is_shown_as_it_was_before(tmp_path: Path) -> None:
    """And not as one that has succeeded, of a task that is ready, for the reason ok."""

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await user.submit("true")
        driver, asked, committed = cluster.service.driver, asyncio.Event(), asyncio.Event()
        fetch = driver.fetch

        async def paused(query: Callable[[Store], Any]) -> Any:
            if "tasks_shown" in query.__module__:  # not the question which job is meant
                asked.set()
                await committed.wait()
            return await fetch(query)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "fetch", paused)
            shown = asyncio.create_task(user.get("1"))
            await asked.wait()
            await worker.connect()
            await worker.finish(await worker.hear(Assign))
            committed.set()
            answer = await shown
        (task,) = answer.tasks
        assert (answer.job.state, task.state) == (READY, READY)
        assert (task.attempt, task.reason, task.worker_name, task.ended_at) == (0, "", "", 0)
        (task,) = (await user.get("1")).tasks
        assert (task.state, task.attempt, task.reason) == (SUCCEEDED, 1, "ok")

    in_cluster(tmp_path, body)


def test_a_repeated_submit_answers_the_same_job(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, job_id = cluster.user(), str(uuid.uuid4())
        assert [(await user.submit(job_id=job_id)).number for _ in range(2)] == [1, 1]
        assert len(await user.jobs()) == 1

    in_cluster(tmp_path, body)


def test_a_failed_task_says_why(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("false")
        await worker.fail(await worker.hear(Assign), exit_code=143, reason="signal:SIGTERM", signal="SIGTERM")
        (job,) = await user.wait("1")
        assert (job.state, job.exit_code, job.reason) == (FAILED, 143, "signal:SIGTERM")
        (task,) = (await user.get("1")).tasks
        assert (task.state, task.reason, task.signal, task.exit_code) == (FAILED, "signal:SIGTERM", "SIGTERM", 143)

    in_cluster(tmp_path, body)


def test_lines_go_with_their_tasks(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=2000)
        await worker.connect()
        await user.submit("xz", "{}", lines=b"a\nb\nc")
        assign = await worker.hear(Assign)
        assert assign.lines == (b"a", b"b")
        await worker.finish(assign)
        again = await worker.hear(Assign)
        assert (again.spec, again.lines, again.attempts.ranges) == (None, (b"c",), (Range(2, 3),))
        await worker.finish(again)
        (job,) = await user.wait("1")
        assert job.counts.succeeded == 3
        assert [task.number for task in (await user.get("1.2-3")).tasks] == [2, 3]

    in_cluster(tmp_path, body)


def test_cancel_ends_what_waits_and_stops_what_runs(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=1000)
        await worker.connect()
        await user.submit("sleep", "9", array=(ArraySegment(1, 5),))
        assign = await worker.hear(Assign)
        answer = await user.cancel("1", grace=2.5, reason="enough")
        assert answer.cancelled == 5
        assert (await worker.hear(Stop)) == Stop(assign.attempts, 2.5)
        await worker.fail(assign, exit_code=143, reason="cancelled")
        (job,) = await user.wait("1")
        assert (job.state, job.counts.cancelled, job.cancelled_by, job.cancel_reason) == (
            CANCELLED,
            5,
            "admin",
            "enough",
        )
        assert (await user.cancel("1")).cancelled == 0  # S2.11: stopping what has ended succeeds

    in_cluster(tmp_path, body)


def test_a_job_that_no_worker_fits_waits_and_says_why(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assert "no worker has registered" in (await user.submit()).pending_because[0]
        await worker.connect()
        job = await user.submit(millicpus=64_000)
        assert "needs 64 cpus a task; the largest worker online, box, has 2" in job.pending_because[0]
        job = await user.submit(worker="nowhere")
        assert "no worker is called 'nowhere'" in job.pending_because[0]

    in_cluster(tmp_path, body)


def test_list_shows_the_newest_first_and_filters(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for name in ("a", "b", "a"):
            await user.submit(name=name)
        assert [job.number for job in await user.jobs()] == [3, 2, 1]
        assert [job.number for job in await user.jobs(limit=2)] == [3, 2]
        assert [job.number for job in await user.jobs("a", "2")] == [3, 2, 1]
        await user.cancel("2")
        assert [job.number for job in await user.jobs(states=[CANCELLED])] == [2]
        assert [job.number for job in await user.jobs(states=[READY])] == [3, 1]
        assert await user.wait("2")

    in_cluster(tmp_path, body)


def test_somebody_elses_job_answers_like_a_missing_one(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER, bob=Role.USER, eve=Role.VIEWER)
        ann, bob, eve = cluster.user("ann"), cluster.user("bob"), cluster.user("eve")
        job = await ann.submit(name="secret")
        for call in (
            bob.get,
            bob.cancel,
            bob.wait,
            bob.text,
            bob.jobs,
        ):
            messages = set()
            for selector in ("1", "2"):
                with pytest.raises(NotFound) as caught:
                    await call(selector)
                messages.add(str(caught.value).replace(selector, "N"))
            assert len(messages) == 1
            for selector in (job.id, "secret", "last"):
                with pytest.raises(NotFound):
                    await call(selector)
        assert await bob.jobs() == []
        assert await bob.jobs("all") == []
        assert [j.number for j in await eve.jobs()] == [j.number for j in await cluster.user().jobs()] == [1]
        with pytest.raises(NotPermitted):
            await eve.cancel("1")
        assert (await cluster.user().cancel("1")).cancelled == 1

    in_cluster(tmp_path, body)


def test_wrong_requests_get_one_clear_line(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        with pytest.raises(InvalidInput, match="the command is empty"):
            await user.submit("")
        with pytest.raises(InvalidInput, match="is no lower-case UUID"):
            await user.submit(job_id="5")
        with pytest.raises(InvalidInput, match=r"leaves the worker's scripts folder"):
            await user.submit(script="../x.sh")
        with pytest.raises(NotFound, match="there is no job 7"):
            await user.get("7")
        with pytest.raises(InvalidInput, match="which job"):
            await user.wait()
        await user.submit()
        await user.submit()
        with pytest.raises(InvalidInput, match="'all' selects 2 jobs"):
            await user.get("all")
        with pytest.raises(InvalidInput, match="a grace of nan"):
            await user.cancel("1", grace=float("nan"))
        with pytest.raises(NotFound, match="job 1 has no task 3"):
            await user.text("1.3")

    in_cluster(tmp_path, body)


def test_workers_register_with_names_of_their_own_and_deregister(tmp_path: Path) -> None:  # S2.2 S2.4 S2.6
    async def body(cluster: Cluster) -> None:
        first, second = cluster.worker(), cluster.worker(W2)
        assert (await first.register()).name == "box"
        answer = await second.register()
        assert (answer.worker_id, answer.name) == (W2, "box-2")
        assert (await first.register()).name == "box"
        await first.connect()
        states = [(w.name, w.state) for w in await cluster.user().workers()]
        assert states == [("box", 1), ("box-2", 2)]
        await first.deregister("SIGTERM")
        with pytest.raises(Conflict, match="SIGTERM"):
            await first.end_of_session()
        states = [(w.name, w.state) for w in await cluster.user().workers()]
        assert states == [("box", 3), ("box-2", 2)]

    in_cluster(tmp_path, body)
