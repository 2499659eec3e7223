"""Jobs that have ended are in the store alone, and everything about them is found at once all the same."""

import asyncio
import uuid
from pathlib import Path

import grpc.aio
import pytest

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import SmallOutput
from cluster.domain.job.states import TaskState
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import Role
from cluster.v1 import jobs_pb2
from tests.integration.schedulers import Cluster, User, Worker, in_cluster

READY, SUCCEEDED, FAILED, CANCELLED = 2, 6, 7, 8  # as messages have them
FIRST_ID = str(uuid.UUID(int=1 << 100))  # below all others
ARRAY = (ArraySegment(5, 7),)


async def some_past(user: User, worker: Worker) -> None:
    """Of an array that succeeded with output, one that failed, one that was cancelled, and one that waits."""
    await user.submit("print", job_id=FIRST_ID, name="sweep", array=ARRAY, env=(("A", "1"),))
    await worker.connect()
    await worker.finish(await worker.hear(Assign), *(SmallOutput(1, n, 1, b"out %d\n" % n, b"") for n in range(3)))
    await user.submit("false", name="sweep")
    await worker.fail(await worker.hear(Assign))
    for name in ("never", "waits"):
        await user.submit("true", name=name, millicpus=10**6)
    await user.cancel("3", reason="no more")


@pytest.mark.parametrize("restarted", [False, True])
def test_jobs_that_have_ended_are_not_in_memory_and_answer_every_question(tmp_path: Path, restarted: bool) -> None:
    async def body(cluster: Cluster) -> None:
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        if restarted:
            await cluster.restart()
        assert list(cluster.service.driver._core.jobs) == [4]
        user = cluster.user()
        assert [(job.number, job.state) for job in await user.jobs()] == [(4, 2), (3, 8), (2, 7), (1, 6)]
        assert [job.number for job in await user.jobs(states=[FAILED, CANCELLED])] == [3, 2]
        assert [job.number for job in await user.jobs(states=[READY])] == [4]
        assert [job.number for job in await user.jobs("sweep", limit=1)] == [2]
        assert [job.number for job in await user.jobs("sweep", below=2)] == [1]
        assert (await user.get("last")).job.number == 4
        shown = await user.get("1")
        assert (shown.job.spec.env[0].value, shown.job.counts.succeeded) == ("1", 3)
        assert [(task.number, task.state, task.reason) for task in shown.tasks] == [(n, 6, "ok") for n in (5, 6, 7)]
        (failed,) = (await user.get("2#1")).tasks
        assert (failed.exit_code, failed.reason, failed.worker_name) == (3, "exit:3", "box")
        assert (await user.get("never")).job.cancel_reason == "no more"
        assert sorted((j.number, j.state, j.exit_code) for j in await user.wait("1", "2", "never")) == [
            *((1, SUCCEEDED, 0), (2, FAILED, 3), (3, CANCELLED, 143))
        ]
        assert await user.text("1") == await user.text(FIRST_ID, follow=True) == b"out 0\nout 1\nout 2\n"
        assert (await user.text("sweep.6"), await user.text("1", tail=1)) == (b"out 1\n", b"out 0\nout 1\nout 2\n")
        position = jobs_pb2.Position(job=1, task_number=6, attempt=1, stdout=3)
        assert await user.text("1", follow=True, position=position) == b" 1\nout 2\n"
        assert (await user.cancel("1", "2")).cancelled == 0
        for wrong in ("1.9", "2#2", "nobody"):
            with pytest.raises(NotFound):
                await user.get(wrong)

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_uuid_that_is_submitted_again_is_the_job_that_has_ended(tmp_path: Path, restarted: bool) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER)
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        if restarted:
            await cluster.restart()
        user = cluster.user()
        again = await asyncio.gather(*(user.submit("print", job_id=FIRST_ID) for _ in range(5)))
        assert [(job.number, job.state, job.spec.argv[0]) for job in again] == [(1, SUCCEEDED, "print")] * 5
        with pytest.raises(Conflict, match="is taken"):
            await cluster.user("ann").submit("print", job_id=FIRST_ID)
        below = str(uuid.UUID(int=1))
        made = await asyncio.gather(*(user.submit("true", job_id=below, millicpus=10**6) for _ in range(5)))
        assert {job.number for job in made} == {5}

    in_cluster(tmp_path, body)


def test_others_jobs_that_have_ended_answer_like_missing_ones(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER)
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        ann = cluster.user("ann")
        assert await ann.jobs() == await ann.jobs("all") == []
        for selector in ("1", "1.5", "sweep", "last", FIRST_ID):
            for ask in (ann.get, ann.wait, ann.cancel, ann.text):
                with pytest.raises(NotFound):
                    await ask(selector)

    in_cluster(tmp_path, body)


def test_whoever_waits_is_told_of_the_end_of_a_job_that_leaves_memory(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=3000)
        await user.submit("print", array=ARRAY)
        waiting = user.stub.Wait(jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text="1")]))
        assert (await waiting.read()).jobs[0].state == READY
        await worker.connect()
        await worker.finish(await worker.hear(Assign))
        states = []
        while (response := await waiting.read()) is not grpc.aio.EOF:
            states += [TaskState(job.state) for job in response.jobs]
        assert states[-1] is TaskState.SUCCEEDED
        assert not cluster.service.driver._core.jobs

    in_cluster(tmp_path, body)
