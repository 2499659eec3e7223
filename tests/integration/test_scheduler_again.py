"""Tasks are tried again in their job when somebody wants that, and jobs as new ones."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, NotPermitted
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import Role
from cluster.rpc.errors import calling
from cluster.v1 import job_pb2, jobs_pb2
from tests.integration.schedulers import Cluster, User, in_cluster, one, packed


async def retry(user: User, *selectors: str) -> jobs_pb2.RetryResponse:
    request = jobs_pb2.RetryRequest(selectors=[jobs_pb2.Selector(text=text) for text in selectors])
    with calling(user.address):
        answer: jobs_pb2.RetryResponse = await user.stub.Retry(request)
    return answer


async def rerun(user: User, selector: str, job_id: str = "") -> job_pb2.Job:
    request = jobs_pb2.RerunRequest(selector=jobs_pb2.Selector(text=selector), id=job_id or str(uuid.uuid4()))
    with calling(user.address):
        answer: jobs_pb2.RerunResponse = await user.stub.Rerun(request)
    return answer.job


def test_a_job_that_has_ended_goes_on_with_its_numbers_lines_and_environment(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("cat", "{}", lines=b"a\nb\nc", env=(("WHO", "you"),))
        first = await worker.hear(Assign)
        ends = (TaskEnd(1, 1, 1, "exit:1", 1),)
        await worker.report(ok=(OkEnds(1, 1, 0, 1, packed(1)),), ended=ends)
        assert first.lines[:2] == (b"a", b"b")
        await worker.hear(Assign)
        await worker.report(ok=(OkEnds(1, 1, 2, 1, packed(1)),))
        (job,) = await user.wait("1")
        assert (job.state, job.exit_code) == (job_pb2.TASK_STATE_FAILED, 1)
        await cluster.restart()  # from now on the store alone has it
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        answer = await retry(user, "1")
        assert (answer.tasks, answer.jobs[0].counts.succeeded, answer.jobs[0].ended_at) == (1, 2, 0)
        again = await worker.hear(Assign)
        assert (again.attempts.attempt, again.lines, dict(again.spec.env)) == (2, (b"b",), {"WHO": "you"})
        assert not (await user.jobs(states=[job_pb2.TASK_STATE_FAILED]))
        output = SmallOutput(1, 1, 2, b"well\n", b"")
        await worker.report(ok=(OkEnds(1, 2, 1, 1, packed(1)),), outputs=(output,))
        (job,) = await user.wait("1")
        assert (job.state, job.exit_code, job.reason) == (job_pb2.TASK_STATE_SUCCEEDED, 0, "ok")
        assert await user.text("1.2") == b"well\n"
        (task,) = (await user.get("1.2", attempts=True)).tasks
        assert [(attempt.attempt, attempt.reason) for attempt in task.attempts] == [(1, "exit:1"), (2, "ok")]

    in_cluster(tmp_path, body)


def test_what_is_chosen_by_its_reason_is_tried_again_and_the_job_says_what_is_left(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=3000)
        await worker.connect()
        await user.submit("x", array=(ArraySegment(1, 3),))
        await worker.hear(Assign)
        ends = (TaskEnd(1, 0, 1, "lost", 70), TaskEnd(1, 1, 1, "exit:3", 3), TaskEnd(1, 2, 1, "exit:1", 1))
        await worker.report(ended=ends)
        (job,) = await user.wait("1")
        assert (job.reason, job.exit_code) == ("lost", 70)
        assert (await retry(user, "1:lost")).tasks == 1
        assert (await worker.hear(Assign)).attempts == one(1, attempt=2)
        await worker.report(ok=(OkEnds(1, 2, 0, 1, packed(1)),))
        (job,) = await user.wait("1")
        assert (job.reason, job.exit_code, job.counts.failed) == ("exit:3", 3, 2)

    in_cluster(tmp_path, body)


def test_what_runs_has_succeeded_or_is_not_ones_own_is_not_tried_again(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ada=Role.USER, vic=Role.VIEWER)
        ada, worker = cluster.user("ada"), cluster.worker()
        await worker.connect()
        await ada.submit("x")
        assign = await worker.hear(Assign)
        await worker.report(started=(assign.attempts,))
        refused: list[tuple[User, str, type[ClusterError], str]] = [
            (ada, "1", Conflict, "none of the selected tasks has failed; job 1 has 1 running; what has not ended is"),
            (ada, "1#1", InvalidInput, "an attempt of job 1 is selected"),
            (ada, "1:failed", NotFound, "1:failed: no task is so now"),
            (ada, "all", InvalidInput, "all: name the jobs"),
            (ada, "7", NotFound, "there is no job 7"),
            (cluster.user("vic"), "1", NotPermitted, "the role viewer, which may not use `cluster job retry`"),
        ]
        for user, selector, error, words in refused:
            with pytest.raises(error, match=words):
                await retry(user, selector)
        await worker.finish(assign)
        await ada.wait("1")
        with pytest.raises(Conflict, match="job 1 has 1 succeeded; `cluster job rerun 1` runs all of it again"):
            await retry(ada, "1")
        admins = await cluster.user().submit("mine")
        with pytest.raises(NotFound, match="there is no job 2"):
            await retry(ada, str(admins.number))
        with pytest.raises(NotFound, match="there is no job 2"):
            await rerun(ada, str(admins.number))
        with pytest.raises(NotPermitted, match="`cluster job rerun`"):
            await rerun(cluster.user("vic"), "1")

    in_cluster(tmp_path, body)


def test_a_job_is_run_again_as_a_new_one_that_says_so(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        fields: dict[str, Any] = {"lines": b"a\nb", "env": (("A", "1"),), "name": "sweep", "retries": 2}
        await user.submit("echo", "{}", at="2099-01-01T00:00:00Z", key="once", **fields)
        await user.cancel("1")
        job_id = str(uuid.uuid4())
        job = await rerun(user, "1", job_id)
        assert (job.number, job.rerun_of, job.spec.name, job.spec.retries) == (2, 1, "sweep", 2)
        assert job.spec.key == "", "else it would be the first one"
        assert (await rerun(user, "1", job_id)).number == 2
        with pytest.raises(InvalidInput, match="selects tasks: `cluster job retry`"):
            await rerun(user, "1.2")
        with pytest.raises(InvalidInput, match="selects 2 jobs"):
            await rerun(user, "all")
        await cluster.restart()
        user, worker = cluster.user(), cluster.worker()
        assert [job.rerun_of for job in await user.jobs()] == [1, 0]
        await worker.connect()
        past = await user.submit("echo", "{}", deadline="2099-01-01T00:00:00Z", **fields)
        assert (await rerun(user, str(past.number))).spec.deadline == "2099-01-01T00:00:00Z"
        assert (await worker.hear(Assign)).lines == (b"a", b"b")

    in_cluster(tmp_path, body)
