"""Jobs that have ended are in the store alone, and everything about them is found at once all the same."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotFound, NotPermitted
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import SmallOutput
from cluster.domain.job.states import TaskState
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import Role
from cluster.rpc.errors import calling
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


async def history(caller: User, **wanted: Any) -> list[int]:
    with calling("the scheduler"):
        return [job.number for job in (await caller.stub.History(jobs_pb2.HistoryRequest(**wanted))).jobs]


@pytest.mark.parametrize("restarted", [False, True])
def test_the_history_is_told_in_pages_and_each_user_its_own(tmp_path: Path, restarted: bool) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER, eve=Role.VIEWER)
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        await cluster.user("ann").submit("true", name="sweep", millicpus=10**6)
        await cluster.user("ann").cancel("5")
        if restarted:
            await cluster.restart()
        user, ann, eve = cluster.user(), cluster.user("ann"), cluster.user("eve")
        assert await history(user) == await history(eve) == [5, 3, 2, 1]
        assert (await history(ann), await history(ann, user="ann")) == ([5], [5])
        assert await history(user, states=[FAILED, SUCCEEDED]) == [2, 1]
        assert (await history(user, name="sweep"), await history(user, name="sweep", user="admin")) == (
            [5, 2, 1],
            [2, 1],
        )
        pages, after = [], ""
        while True:
            page = await user.stub.History(jobs_pb2.HistoryRequest(limit=2, after=after))
            pages.append([job.number for job in page.jobs])
            if not (after := page.next):
                break
        assert pages[:2] == [[5, 3], [2, 1]]
        assert pages[2:] in ([], [[]])
        first = (await user.get("1")).job
        assert await history(user, until=first.ended_at) == []
        assert (await history(user, since=first.ended_at))[-1] == 1
        assert (first.used.tasks, first.used.attempts, first.used.failed, first.used.output_bytes) == (3, 3, 0, 18)
        assert not (await user.get("4")).job.HasField("used")

    in_cluster(tmp_path, body)


def test_what_the_history_cannot_be_asked_for_is_said(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER)
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        user, ann = cluster.user(), cluster.user("ann")
        for wanted, kind, message in (
            (
                {"states": [READY]},
                InvalidInput,
                "ready is no state in which a job has ended: use succeeded, failed, canc",
            ),
            ({"states": [99]}, InvalidInput, "there is no state 99"),
            ({"limit": 1001}, InvalidInput, "a limit of 1001 jobs: at most 1000 come in one answer"),
            ({"since": -1.0}, InvalidInput, "since -1 is no number of seconds"),
            ({"until": float("nan")}, InvalidInput, "until nan is no number of seconds"),
            ({"after": "yesterday"}, InvalidInput, "'yesterday' is no page of the history"),
            ({"after": "inf-3"}, InvalidInput, "'inf-3' is no page of the history"),
            ({"name": "a\0b"}, InvalidInput, "the name"),
            ({"user": "nobody"}, NotFound, "there is no user 'nobody', and none was"),
        ):
            with pytest.raises(kind, match=message):
                await history(user, **wanted)
        with pytest.raises(NotPermitted, match="--user admin: you see your own jobs alone"):
            await history(ann, user="admin")
        with pytest.raises(InvalidInput, match="a limit of 1001 rows"), calling("the scheduler"):
            await user.stub.Usage(jobs_pb2.UsageRequest(limit=1001))

    in_cluster(tmp_path, body)


def test_statistics_are_of_the_newest_jobs_of_a_name_or_of_one_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stats(user: User, selector: str) -> jobs_pb2.StatsResponse:
        with calling("the scheduler"):
            selected = jobs_pb2.Selector(text=selector)
            answer: jobs_pb2.StatsResponse = await user.stub.Stats(jobs_pb2.StatsRequest(selector=selected))
            return answer

    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER)
        await some_past(cluster.user(), cluster.worker(millicpus=3000))
        user, ann = cluster.user(), cluster.user("ann")
        both = await stats(user, "sweep")
        assert (both.first_job, both.last_job, both.jobs, both.attempts, both.more) == (1, 2, 2, 4, False)
        assert (both.failed, [(each.reason, each.attempts) for each in both.failures]) == (1, [("exit:3", 1)])
        assert (both.run_seconds.of, both.asked_millicpus) == (3, 1000)
        one = await stats(user, "2")
        assert (one.first_job, one.last_job, one.jobs, one.attempts) == (2, 2, 1, 1)
        for selector, message in (("none", "there is no job none"), ("waits", "nothing of waits has ended yet")):
            with pytest.raises(NotFound, match=message):
                await stats(user, selector)
        with pytest.raises(NotFound, match="there is no job sweep"):
            await stats(ann, "sweep")
        with pytest.raises(InvalidInput, match="'all' selects 4 jobs: give the number of one, or a name"):
            await stats(user, "all")
        with pytest.raises(InvalidInput, match="takes whole jobs"):
            await stats(user, "1.5")
        monkeypatch.setattr("cluster.scheduler.operations.history.MOST_ATTEMPTS", 2)
        few = await stats(user, "sweep")
        assert (few.attempts, few.more) == (2, True)
        monkeypatch.setattr("cluster.scheduler.operations.history.MOST_JOBS_MEASURED", 1)
        few = await stats(user, "sweep")
        assert (few.first_job, few.last_job, few.jobs, few.more) == (2, 2, 1, True)

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_used_is_told_by_users_names_and_workers(tmp_path: Path, restarted: bool) -> None:
    async def used(user: User, by: str, **wanted: Any) -> dict[str, tuple[int, int, int]]:
        answer = await user.stub.Usage(jobs_pb2.UsageRequest(by=f"USAGE_KIND_{by}", **wanted))
        return {row.worker_name or row.key: (row.used.tasks, row.used.attempts, row.used.failed) for row in answer.rows}

    async def body(cluster: Cluster) -> None:
        await cluster.people(ann=Role.USER)
        worker = cluster.worker(millicpus=3000)
        await some_past(cluster.user(), worker)
        await cluster.user("ann").submit("true")
        await worker.finish(await worker.hear(Assign))
        if restarted:
            await cluster.restart()
        user, ann = cluster.user(), cluster.user("ann")
        assert await used(user, "UNSPECIFIED") == await used(user, "USER") == {"admin": (4, 4, 1), "ann": (1, 1, 0)}
        assert await used(user, "NAME") == {"sweep": (4, 4, 1), "": (1, 1, 0)}
        assert await used(user, "WORKER") == {"box": (5, 5, 1)}
        assert (await used(ann, "WORKER"), await used(ann, "USER")) == ({"box": (1, 1, 0)}, {"ann": (1, 1, 0)})
        few = await user.stub.Usage(jobs_pb2.UsageRequest(limit=1))
        assert (len(few.rows), few.more, few.total.attempts, few.since) == (1, 1, 5, 0.0)
        today = await user.stub.Usage(jobs_pb2.UsageRequest(since=time.time()))
        assert today.since % 86_400 == 0
        assert not await used(user, "USER", since=time.time() + 2 * 86_400)

    in_cluster(tmp_path, body)
