"""Lists come in pages, changes as changes, and the environment only where one job is shown."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.request import Request
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler import pending_in_words
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.users import UserRecord
from cluster.rpc.errors import calling
from cluster.scheduler import cancelling, listing, showing, tasks_shown
from cluster.scheduler.driver import Driver
from cluster.scheduler.operations import jobs as job_operations
from cluster.store.interface import Store
from cluster.v1 import admin_pb2, jobs_pb2
from tests.integration.schedulers import Cluster, User, in_cluster

LARGE = (("BIG", "x" * 100_000),)
SEVERAL = tuple((f"V{n}", "x" * 100_000) for n in range(14))


def backend(cluster: Cluster) -> SchedulerBackend:
    return SchedulerBackend(cluster.service.address, cluster.credentials(IdentityKind.USER, "admin"))


def small_pages(patch: pytest.MonkeyPatch, jobs: int = 2) -> None:
    """Some jobs on each page."""
    patch.setattr(showing, "PAGE_BYTES", jobs * 150)
    patch.setattr(showing, "PIECE_BYTES", 150)


def test_jobs_with_large_environments_break_no_list(tmp_path: Path) -> None:
    """35 of them made answers beyond what any client takes."""

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for _ in range(60):
            await user.submit("true", millicpus=10**6, env=SEVERAL)
        request = jobs_pb2.ListRequest()
        assert (await user.stub.List(request)).ByteSize() < 2**22
        assert len(await user.jobs()) == 60
        assert not (await user.jobs("5"))[0].spec.env
        assert len((await user.get("5")).job.spec.env) == len(SEVERAL)
        waiting = asyncio.create_task(user.wait("all"))
        answer = await user.cancel("all")
        assert (answer.cancelled, len(answer.jobs), answer.jobs[0].spec.env[:]) == (60, 60, [])
        assert [job.number for job in await waiting] == list(range(1, 61))

    in_cluster(tmp_path, body)


def test_a_list_goes_on_where_its_page_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for number in range(9):
            await user.submit("true", millicpus=10**6, name="odd" if number % 2 else "even")
        await user.cancel("3", "4", "5", "6", "7")
        first = await user.stub.List(jobs_pb2.ListRequest())
        assert [job.number for job in first.jobs] == [9, 8]
        assert first.next == 8
        rest = await user.stub.List(jobs_pb2.ListRequest(below=2))
        assert ([job.number for job in rest.jobs], rest.next) == ([1], 0)
        ours = backend(cluster)
        lists = {
            (("all",), (), 0): [9, 8, 7, 6, 5, 4, 3, 2, 1],
            ((), (), 5): [9, 8, 7, 6, 5],
            (("odd", "1"), (), 0): [8, 6, 4, 2, 1],
            ((), (TaskState.CANCELLED,), 0): [7, 6, 5, 4, 3],
            ((), (TaskState.READY,), 3): [9, 8, 2],
            (("even",), (TaskState.FAILED,), 0): [],
        }
        for (selectors, states, limit), expected in lists.items():
            assert [job.number for job in await ours.list(selectors, states, limit)] == expected
        await ours.close()

    in_cluster(tmp_path, body)


def test_states_that_nobody_is_in_are_looked_for_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "PIECE_JOBS", 2)

    async def body(cluster: Cluster) -> None:
        user, looks = cluster.user(), 0
        for _ in range(7):
            await user.submit("true", millicpus=10**6)
        real = showing._piece

        def piece(*args: object, **named: object) -> object:
            nonlocal looks
            looks += 1
            return real(*args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(showing, "_piece", piece)
        assert not await user.jobs(states=[TaskState.FAILED.value])
        assert looks == 4

    in_cluster(tmp_path, body)


def test_who_waits_is_told_of_what_has_changed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=1000)
        for _ in range(3):
            await user.submit("true", env=LARGE)
        call = user.stub.Wait(jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text="all")]))
        first, second = await call.read(), await call.read()
        assert ([job.number for job in first.jobs], first.more) == ([1, 2], True)
        assert ([job.number for job in second.jobs], second.more) == ([3], False)
        assert all(job.HasField("spec") and not job.spec.env for job in (*first.jobs, *second.jobs))
        await worker.connect()
        for number in (1, 2, 3):
            assign = await worker.hear(Assign)
            assert assign.attempts.job == number
            await worker.finish(assign)
        last: dict[int, int] = {}
        while (response := await call.read()) is not grpc.aio.EOF:
            for job in response.jobs:
                assert not job.HasField("spec")
                assert not TaskState(last.get(job.number, 1)).ended, "an end is told once"
                last[job.number] = job.state
        assert set(last.values()) == {TaskState.SUCCEEDED}

    in_cluster(tmp_path, body)


def test_the_client_puts_together_what_it_is_told_of_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)

    async def body(cluster: Cluster) -> None:
        user, ours = cluster.user(), backend(cluster)
        for number in range(5):
            await user.submit("echo", str(number), millicpus=10**6)
        seen = []
        async for jobs in ours.watch(["all"], 0.0):
            seen.append(jobs)
            if len(seen) == 1:
                await user.cancel("2")
            elif len(seen) == 2:
                await user.cancel("all")
        assert all([job.number for job in jobs] == [1, 2, 3, 4, 5] for jobs in seen)
        assert all(job.spec.argv == ("echo", str(job.number - 1)) for jobs in seen for job in jobs)
        assert [job.state.ended for job in seen[1]] == [False, True, False, False, False]
        assert all(job.state is TaskState.CANCELLED for job in seen[-1])
        await ours.close()

    in_cluster(tmp_path, body)


def test_many_jobs_are_cancelled_in_turns_and_all_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    for module in (job_operations, cancelling):
        monkeypatch.setattr(module, "JOBS_AT_ONCE", 3)

    async def body(cluster: Cluster) -> None:
        user, ours = cluster.user(), backend(cluster)
        for _ in range(10):
            await user.submit("true", millicpus=10**6)
        await user.cancel("4")
        jobs, cancelled = await ours.cancel(["all"], None, "", keep_children=False)
        assert cancelled == 9
        assert [(job.number, job.state) for job in jobs] == [(n, TaskState.CANCELLED) for n in range(1, 11)]
        await ours.close()

    in_cluster(tmp_path, body)


def test_tasks_are_shown_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_shown, "MOST", 4)

    async def body(cluster: Cluster) -> None:
        user, ours = cluster.user(), backend(cluster)
        await user.submit("true", millicpus=10**6, array=(ArraySegment(1, 10),))
        await user.cancel("1.3,5")
        order = [3, 5, 1, 2, 4, 6, 7, 8, 9, 10]
        for most in (0, 1, 4, 5, 9, 10, 11):
            _, tasks = await ours.get("1", most, ())
            assert [task.number for task in tasks] == order[:most]
            _, tasks = await ours.get("1.2-8", most, [TaskState.READY, TaskState.FAILED])
            assert [task.number for task in tasks] == [2, 4, 6, 7, 8][:most]
        with pytest.raises(InvalidInput, match="no state 99"):
            await user.get("1", states=[99])
        answer = await user.stub.Get(jobs_pb2.GetRequest(selector=jobs_pb2.Selector(text="1.1-3"), max_tasks=9, skip=2))
        assert ([task.number for task in answer.tasks], answer.more) == ([2], False)
        with pytest.raises(InvalidInput, match="first 100001 tasks cannot be left out"):
            await _get(user, 100_001)
        monkeypatch.setattr(tasks_shown, "MOST_BYTES", 160)
        _, tasks = await ours.get("1", 10, ())
        assert [task.number for task in tasks] == order
        await ours.close()

    in_cluster(tmp_path, body)


async def _get(user: User, skip: int) -> None:
    request = jobs_pb2.GetRequest(selector=jobs_pb2.Selector(text="1"), max_tasks=1, skip=skip)
    with calling(user.address):
        await user.stub.Get(request)


def test_a_job_is_not_crumbled_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_operations, "MOST_PIECES", 300)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit("true", millicpus=10**6, array=(ArraySegment(0, 9999),))
        assert (await user.cancel("1.0-999:2")).cancelled == 500
        with pytest.raises(Conflict, match="job 1 is in more than 300 pieces by now: cancel all of it"):
            await user.cancel("1.2000-2999:2")
        assert (await user.cancel("1.2000-2999")).cancelled == 1000
        assert (await user.cancel("1")).cancelled == 8500

    in_cluster(tmp_path, body)


def test_workers_tokens_and_users_come_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE_BYTES", 300)
    monkeypatch.setattr(listing, "AT_ONCE", 2)
    asked = Counter[str]()
    read_store = Driver.fetch

    async def counted(driver: Driver, query: Callable[[Store], Any]) -> Any:
        found = await read_store(driver, query)
        asked["most"] = max(asked["most"], len(found) if isinstance(found, list) else 0)
        return found

    async def body(cluster: Cluster) -> None:
        names = [f"w{n}" for n in range(7)]
        for name in reversed(names):
            await cluster.worker(f"{name[1]}0000000-0000-7000-8000-000000000000", name).register()
        ours = backend(cluster)
        made = [(await ours.create_token("user", 60.0, 1, f"user{n}", http=False))[0] for n in range(20)]
        driver = cluster.service.driver
        await driver.save(*(UserRecord(f"user{n}", Role.USER, 5.0 + n) for n in range(20)))
        monkeypatch.setattr(Driver, "fetch", counted)

        answer = await cluster.user().stub.ListWorkers(jobs_pb2.ListWorkersRequest())
        assert [worker.name for worker in answer.workers] == names[: len(answer.workers)]
        assert (answer.next, len(answer.workers) < 7) == (answer.workers[-1].name, True)
        assert [worker.name for worker in await ours.workers()] == names
        assert {token.id for token in made} <= {token.id for token in await ours.tokens()}
        assert [user.name for user in await ours.users()][:20] == [f"user{n}" for n in range(20)]
        assert asked["most"] == 2, "what one question to the store answers"

        tokens, users = (ours._beside(name) for name in ("Tokens", "Users"))
        answer = await tokens.ListTokens(admin_pb2.ListTokensRequest(limit=3))
        assert (len(answer.tokens), answer.next) == (3, answer.tokens[-1].id)
        answer = await tokens.ListTokens(admin_pb2.ListTokensRequest(limit=3, after=answer.next))
        assert len(answer.tokens) == 3
        answer = await users.ListUsers(admin_pb2.ListUsersRequest(limit=1, after="user18"))
        assert [user.name for user in answer.users] == ["user19"]
        assert not (await users.ListUsers(admin_pb2.ListUsersRequest(after="nobody"))).users
        await ours.close()

    in_cluster(tmp_path, body)


def test_a_list_looks_at_each_worker_once_for_jobs_that_ask_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait, and however few of them are looked at before somebody else is served."""
    looked = 0

    def counted(request: Request, worker: Worker) -> bool:
        nonlocal looked
        looked += 1
        return can_ever_run(request, worker)

    async def body(cluster: Cluster) -> None:
        await cluster.worker().connect()
        ada = cluster.user()
        for _ in range(3):
            await ada.submit(millicpus=4000)
        monkeypatch.setattr(pending_in_words, "can_ever_run", counted)
        monkeypatch.setattr(showing, "PIECE_JOBS", 1)  # before anybody else is served
        assert {job.waits_for for job in await ada.jobs()} == {"no worker can run it"}
        assert looked == 2  # of the lines, and whether it ever can

    in_cluster(tmp_path, body)
