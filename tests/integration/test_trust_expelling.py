"""Expelling users, workers and whoever joined by a token: what they have open is cut, nothing lets them in again, and
nobody else notices. Real connections, and certificates that were got by joining."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import Conflict, NotAuthenticated, NotFound, Unreachable
from cluster.domain.session.messages import Assign, Attempts
from cluster.domain.trust.identity import Role
from cluster.pki.issuer import KeyRequest
from cluster.rpc.join_client import renew
from cluster.rpc.roles import ROLES, allowed
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2
from tests.integration.members import CUT, Admin, Member, ends_refused, join, refusal, renewed
from tests.integration.schedulers import Cluster, User, in_cluster, until

ON_THE_SCHEDULER = [m for m in ROLES if not m.startswith(("/cluster.v1.Worker/", "/grpc.health.v1.Health/List"))]


Expel = Callable[[Admin, Member], Coroutine[Any, Any, Any]]


WAYS: dict[str, tuple[Role, Expel]] = {
    "user": (Role.USER, lambda admin, member: admin.revoke_user(member.name)),
    "viewer": (Role.VIEWER, lambda admin, member: admin.revoke_user(member.name)),
    "admin": (Role.ADMIN, lambda admin, member: admin.revoke_user(member.name)),
    "worker": (Role.WORKER, lambda admin, member: admin.remove_worker(member.name)),
    "token of a user": (Role.USER, lambda admin, member: admin.revoke_token(member.token)),
    "token of a worker": (Role.WORKER, lambda admin, member: admin.revoke_token(member.token)),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_is_expelled_can_call_nothing_any_more_neither_on_the_old_connection_nor_on_a_new_one(
    tmp_path: Path, way: str
) -> None:
    role, expel = WAYS[way]

    async def body(cluster: Cluster) -> None:
        member = await join(cluster, role, "" if role is Role.WORKER else "ada")
        if role is Role.WORKER:
            await member.worker("box").register()
        for method in ON_THE_SCHEDULER:  # the control: before, it is never refused for who it is
            assert not isinstance(await refusal(member.channel, method), NotAuthenticated), method
        await expel(Admin(cluster), member)
        for channel in (member.channel, member.dial()):
            for method in ON_THE_SCHEDULER:
                assert isinstance(await refusal(channel, method), NotAuthenticated), method
        await cluster.restart()
        for method in ON_THE_SCHEDULER:
            assert isinstance(await refusal(member.dial(), method), NotAuthenticated), method

    in_cluster(tmp_path, body)


def test_every_method_that_a_certificate_could_open_is_tried(tmp_path: Path) -> None:
    """Else a new service would be left out above."""
    assert {method for method in ROLES if not method.startswith(("/cluster.v1.Worker/", "/grpc."))} == {
        method for method in ON_THE_SCHEDULER if not method.startswith("/grpc.")
    }
    assert any(allowed(method, Role.WORKER) for method in ON_THE_SCHEDULER)


@asynccontextmanager
async def load(cluster: Cluster) -> AsyncIterator[list[int]]:
    """Other callers: streams that stay open, a worker's session with heartbeats, and calls one after another. Each
    failure of theirs fails the test. Yields how many calls there were, one entry for each caller."""
    bob, other = await join(cluster, Role.USER, "bob"), await join(cluster)
    session = other.worker("other")
    await session.connect()
    job = await bob.user.submit("true", worker="nobody")  # which waits for ever
    calls = [0] * 8

    async def listing(caller: int) -> None:
        while True:
            await bob.user.jobs()
            calls[caller] += 1

    async def beating() -> None:
        for sequence in range(1, 1_000_000):
            await session.stream.write(scheduler_pb2.SessionRequest(heartbeat=sequence))
            while not (await session.stream.read()).heartbeat:
                pass
            await asyncio.sleep(0.01)

    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(listing(caller)) for caller in range(len(calls))]
    tasks += [asyncio.create_task(bob.user.wait(str(job.number))) for _ in range(20)]
    tasks.append(asyncio.create_task(beating()))
    while not all(calls):  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0.01)
    yield calls
    before = list(calls)
    while not all(now > then for now, then in zip(calls, before, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for task in tasks:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_revoked_user_loses_its_streams_at_once_under_load_and_its_jobs(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin = Admin(cluster)
        ada = await join(cluster, Role.USER, "ada")
        async with load(cluster):
            job = await ada.user.submit("true", worker="nobody")  # which waits for ever
            others = await ada.user.submit("true", worker="nobody")
            streams = [asyncio.create_task(ends_refused(ada.user.wait(str(job.number)))) for _ in range(50)]
            following = asyncio.create_task(ends_refused(ada.user.text(str(others.number), follow=True)))
            open_calls = cluster.service._gate._calls
            while sum(call.peer.identity.name == "ada" for call in open_calls) < 51:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            began = time.monotonic()
            answer = await admin.revoke_user("ada")
            await asyncio.gather(*streams, following)
            assert time.monotonic() - began < CUT
            assert answer.cancelled == 2
            await ends_refused(ada.user.jobs())
            with pytest.raises(NotAuthenticated):
                await renew(ada.channel, cluster.service.address, KeyRequest().request)
        by_admin = await User(admin.channel, cluster.service.address).jobs(str(job.number))
        assert [(j.state, j.cancelled_by, j.cancel_reason) for j in by_admin] == [
            (job_pb2.TASK_STATE_CANCELLED, "admin", "user ada was revoked")
        ]
        assert (await admin.users())["ada"].revoked_at

    in_cluster(tmp_path, body)


def test_an_expelled_worker_loses_its_session_at_once_under_load_and_its_tasks_only_when_they_are_dead(
    tmp_path: Path,
) -> None:
    async def body(cluster: Cluster) -> None:
        admin, machine = Admin(cluster), await join(cluster)
        box = machine.worker("box")
        await box.connect()
        user = User(admin.channel, cluster.service.address)
        await user.submit("sleep", worker="box")
        assign = await box.hear(Assign)
        await box.report(started=(Attempts(1, 1, assign.attempts.ranges),))
        async with load(cluster):
            session = asyncio.create_task(ends_refused(box.end_of_session()))
            began = time.monotonic()
            answer = await admin.remove_worker("box")
            await session
            assert time.monotonic() - began < CUT
            assert (answer.id, answer.held, list(answer.tokens)) == (machine.name, 1, [machine.token])
            await ends_refused(machine.worker("box").register())
        states = {w.id: w.state for w in await user.workers()}
        assert states[machine.name] == jobs_pb2.WORKER_STATE_REMOVED
        assert (await user.jobs("1"))[0].state == job_pb2.TASK_STATE_RUNNING

    in_cluster(tmp_path, body)


def test_revoking_a_token_expels_those_who_joined_by_it_and_says_whom(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin = Admin(cluster)
        token, record = cluster.service.new_token(Role.WORKER, 3600.0, None)
        await cluster.service.admission.add(record)
        machines = [await join(cluster, token=token) for _ in range(3)]
        workers = [machine.worker(f"box{n}") for n, machine in enumerate(machines)]
        for worker in workers[:2]:
            await worker.connect()
        other = await join(cluster)
        await other.worker("other").connect()
        joined = (await admin.tokens())[record.id].joined
        assert [(m.kind, m.id, m.name) for m in joined] == [
            ("worker", machines[0].name, "box0"),
            ("worker", machines[1].name, "box1"),
            ("worker", machines[2].name, ""),
        ]
        sessions = [asyncio.create_task(ends_refused(worker.end_of_session())) for worker in workers[:2]]
        answer = await admin.revoke_token(record.id)
        await asyncio.gather(*sessions)
        assert {m.id for m in answer.expelled} == {machine.name for machine in machines}
        user = User(admin.channel, cluster.service.address)
        assert [w.name for w in await user.workers()] == ["other"]
        await ends_refused(workers[2].register())
        with pytest.raises(NotAuthenticated, match="was revoked"):
            await join(cluster, token=token)

    in_cluster(tmp_path, body)


def test_who_has_joined_twice_stays_by_the_other_token_and_that_is_said(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin = Admin(cluster)
        first, second = [await join(cluster, Role.USER, "ada") for _ in range(2)]
        answer = await admin.revoke_token(first.token)
        assert (list(answer.expelled), [(m.kind, m.name, m.token) for m in answer.kept]) == (
            [],
            [("user", "ada", second.token)],
        )
        await ends_refused(first.user.jobs())
        assert await second.user.jobs() == []

    in_cluster(tmp_path, body)


def test_the_name_may_be_given_again_and_the_old_certificate_stays_refused(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin = Admin(cluster)
        old = await join(cluster, Role.USER, "ada")
        await admin.revoke_user("ada", keep_jobs=True)
        new = await join(cluster, Role.VIEWER, "ada")
        await new.user.jobs()
        await ends_refused(old.user.jobs())
        await cluster.restart()
        await User(new.dial(), cluster.service.address).jobs()
        await ends_refused(User(old.dial(), cluster.service.address).jobs())
        certificate = await renew(new.dial(), cluster.service.address, (request := KeyRequest()).request)
        new.credentials = request.complete(certificate, new.credentials.ca_pem, new.credentials.identity)
        await User(new.dial(), cluster.service.address).jobs()
        await Admin(cluster).revoke_user("ada")  # the renewed one belongs to the same joining
        await ends_refused(User(new.dial(), cluster.service.address).jobs())

    in_cluster(tmp_path, body)


def test_who_is_given_a_name_again_sees_nothing_of_who_had_it_before(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        first = await join(cluster, Role.USER, "ada")
        job = await first.user.submit("true", name="hers")
        await Admin(cluster).revoke_user("ada", keep_jobs=True)
        second = await join(cluster, Role.USER, "ada")
        for channel in (second.channel, await renewed(cluster, second), None):
            if channel is None:
                await cluster.restart()
            ada = User(channel or second.dial(), cluster.service.address)
            assert [j.number for j in await ada.jobs()] in ([], [2], [3, 2])
            for selector in ("1", "hers", job.id, "1.1"):
                for call in (ada.jobs(selector), ada.get(selector), ada.wait(selector), ada.cancel(selector)):
                    with pytest.raises(NotFound):
                        await call
                with pytest.raises(NotFound):
                    await ada.text(selector)
            with pytest.raises(Conflict, match="is taken"):
                await ada.submit("true", job_id=job.id)
            if channel is not None:
                await ada.submit("true")
        assert [(j.number, j.owner) for j in await ada.jobs()] == [(3, "ada~2"), (2, "ada~2")]
        assert [j.owner for j in await cluster.user().jobs("1")] == ["ada"]  # an admin tells them apart
        await Admin(cluster).revoke_user("ada")  # of the first one nothing is cancelled, since that was not asked
        states = {j.number: j.state for j in await cluster.user().jobs()}
        gone = job_pb2.TASK_STATE_CANCELLED
        assert states == {1: job_pb2.TASK_STATE_READY, 2: gone, 3: gone}

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("name", ["ada", "admin"])
def test_who_is_expelled_is_so_whole_although_nothing_can_be_read_or_written_meanwhile(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs went on of a user who was refused already, for a disk that failed when they were looked for."""

    async def body(cluster: Cluster) -> None:
        admin, ada = Admin(cluster), await join(cluster, Role.USER, "ada")
        users = {"ada": ada.user, "admin": User(admin.channel, cluster.service.address)}
        job = await users[name].submit("true", worker="nobody")  # which waits for ever
        service, expel = cluster.service, cluster.service.admission.expel

        async def expel_and_fail(decide: Any) -> Any:
            expelled = await expel(decide)
            monkeypatch.setattr(service.driver, "_read", fails)
            return expelled

        async def fails(*_: object) -> None:
            raise Unreachable("the disk reports an error")

        monkeypatch.setattr(service.admission, "expel", expel_and_fail)
        monkeypatch.setattr(service.expelling, "_renew_admin", fails)
        with suppress(Unreachable, NotAuthenticated):
            await admin.revoke_user(name)
        await until(lambda: not service.driver.patience.under_way)
        assert job.number not in service.driver.peek(lambda core: core.jobs)

    in_cluster(tmp_path, body)


def test_with_keep_jobs_they_go_on(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        ada = await join(cluster, Role.USER, "ada")
        await ada.user.submit("true")
        assert (await Admin(cluster).revoke_user("ada", keep_jobs=True)).cancelled == 0
        (job,) = await cluster.user().jobs("1")
        assert job.state == job_pb2.TASK_STATE_READY

    in_cluster(tmp_path, body)
