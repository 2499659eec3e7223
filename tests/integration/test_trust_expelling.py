"""Expelling users, workers and whoever joined by a token: what they have open is cut, nothing lets them in again, and
nobody else notices. Real connections, and certificates that were got by joining."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.domain.base.errors import ClusterError, Conflict, Exhausted, NotAuthenticated, NotFound, Unreachable
from cluster.domain.session.messages import Assign, Attempts
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Role, scheduler_server_name
from cluster.domain.trust.members import ExpelledUser
from cluster.domain.trust.tokens import JoinToken, parse_join_token
from cluster.pki.files import load_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling, error_of
from cluster.rpc.join_client import join_by_token, renew
from cluster.rpc.roles import ROLES, allowed
from cluster.v1 import admin_pb2, admin_pb2_grpc, job_pb2, jobs_pb2, scheduler_pb2
from cluster.worker.expelled_users import ExpelledUsers
from tests.integration.schedulers import Cluster, User, Worker, in_cluster
from tests.integration.workers import Site, at_site

CUT = 5.0  # seconds in which everything of who is expelled has ended: what the project promises
ON_THE_SCHEDULER = [m for m in ROLES if not m.startswith(("/cluster.v1.Worker/", "/grpc.health.v1.Health/List"))]
STREAMING = {"/cluster.v1.Scheduler/Session", "/cluster.v1.Scheduler/PushOutput"}  # whose requests are streams
BREAKS = 3  # in a row, of calls that are refused


class Member:
    """A user or worker that has joined by a token of its own, on one connection that stays open."""

    def __init__(self, cluster: Cluster, credentials: Credentials, token: str) -> None:
        self.cluster = cluster
        self.credentials = credentials
        self.token = token
        self.role = Role.WORKER
        self.channel = self.dial()

    def dial(self) -> grpc.aio.Channel:
        name = scheduler_server_name(self.cluster.authority.cluster_id)
        channel = dial(self.cluster.service.address, self.credentials, name)
        self.cluster._channels.append(channel)
        return channel

    @property
    def user(self) -> User:
        return User(self.channel, self.cluster.service.address)

    def worker(self, name: str) -> Worker:
        return Worker(self.channel, self.cluster.service.address, name, 2000)

    @property
    def name(self) -> str:
        return self.credentials.identity.name


async def join(
    cluster: Cluster, role: Role = Role.WORKER, user: str = "", token: Any = None, key: KeyRequest | None = None
) -> Member:
    """Joins by that token, else by one of its own."""
    if token is None:
        token, record = cluster.service.new_token(role, 3600.0, None, user)
        await cluster.service.admission.add(record)
    request = key or KeyRequest()
    joined = await join_by_token(token, request.request, "box", check_pinned_chain)
    credentials = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
    tokens = cluster.service.admission.members.tokens()
    member = Member(cluster, credentials, tokens[-1].id)
    member.role = role
    return member


class Admin:
    """Expels, by the calls that the command line makes."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.channel = cluster.channel(IdentityKind.USER, "admin")

    async def _call(self, service: str, method: str, request: Any) -> Any:
        with calling(self.cluster.service.address):
            return await getattr(getattr(admin_pb2_grpc, f"{service}Stub")(self.channel), method)(request)

    async def revoke_user(self, name: str, keep_jobs: bool = False, and_joined: bool = False) -> Any:
        request = admin_pb2.RevokeUserRequest(name=name, keep_jobs=keep_jobs, and_joined=and_joined)
        return await self._call("Users", "RevokeUser", request)

    async def users(self) -> dict[str, Any]:
        return {u.name: u for u in (await self._call("Users", "ListUsers", admin_pb2.ListUsersRequest())).users}

    async def remove_worker(self, worker: str, revoke: bool = True) -> Any:
        return await self._call("Workers", "RemoveWorker", admin_pb2.RemoveWorkerRequest(worker=worker, revoke=revoke))

    async def revoke_token(self, token: str, and_joined: bool = True) -> Any:
        return await self._call("Tokens", "RevokeToken", admin_pb2.RevokeTokenRequest(id=token, and_joined=and_joined))

    async def tokens(self) -> dict[str, Any]:
        return {t.id: t for t in (await self._call("Tokens", "ListTokens", admin_pb2.ListTokensRequest())).tokens}


async def refusal(channel: grpc.aio.Channel, method: str) -> ClusterError | None:
    """What an empty request to the method is answered with; None: something else than an error, within a moment.

    Of a stream that is refused while its first message is being sent grpc.aio says once in some hundred times that it
    broke, and loses the status. Who calls tries again, and so does this.
    """
    for _ in range(BREAKS):
        if not isinstance(answer := await _one_answer(channel, method), Unreachable):
            break
    return answer


async def _one_answer(channel: grpc.aio.Channel, method: str) -> ClusterError | None:
    if method in STREAMING:
        multi: Any = channel.stream_stream(method)
        call = multi(iter([b""]))
    else:
        multi = channel.unary_stream(method)
        call = multi(b"")
    try:
        async with asyncio.timeout(1.0):
            await call.read()
    except grpc.aio.AioRpcError as error:
        return error_of(error, "scheduler")
    except TimeoutError:
        return None
    finally:
        call.cancel()
    with suppress(TimeoutError, grpc.aio.AioRpcError, asyncio.CancelledError):
        async with asyncio.timeout(1.0):
            code = await call.code()
            if code is grpc.StatusCode.UNAUTHENTICATED:
                return NotAuthenticated(await call.details())
    return None


async def ends_refused(call: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="was revoked"):
        await call


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


async def renewed(cluster: Cluster, member: Member) -> grpc.aio.Channel:
    """A connection with another certificate of the same joining."""
    request = KeyRequest()
    certificate = await renew(member.channel, cluster.service.address, request.request)
    member.credentials = request.complete(certificate, member.credentials.ca_pem, member.credentials.identity)
    return member.dial()


async def made_by(cluster: Cluster, member: Member, role: Role = Role.WORKER, user: str = "") -> Any:
    """A token that the member has made, by the call that the command line makes."""
    request = admin_pb2.CreateTokenRequest(role=role, life=3600.0, uses=0, user=user)
    with calling(cluster.service.address):
        answer = await admin_pb2_grpc.TokensStub(member.channel).CreateToken(request)
    return parse_join_token(answer.join_token)


@pytest.mark.parametrize("and_joined", [False, True])
def test_an_expelled_admin_does_not_come_back_by_what_it_has_made(tmp_path: Path, and_joined: bool) -> None:
    async def body(cluster: Cluster) -> None:
        admin, eve = Admin(cluster), await join(cluster, Role.ADMIN, "eve")
        tokens = [
            await made_by(cluster, eve, Role.ADMIN, "eve"),
            await made_by(cluster, eve, Role.ADMIN, "mallory"),
            await made_by(cluster, eve),
        ]
        assert {t.maker for t in (await admin.tokens()).values()} == {"scheduler/main", "user/eve"}
        joined = [await join(cluster, token=token) for token in tokens]
        deeper = await join(cluster, token=await made_by(cluster, joined[1]))
        answer = await admin.revoke_user("eve", and_joined=and_joined)
        assert len(answer.tokens) == (4 if and_joined else 3)
        assert [(m.kind, m.id) for m in answer.joined] == (
            [] if and_joined else [("user", "mallory"), ("worker", joined[2].name)]
        )
        assert [m.id for m in answer.expelled] == (
            [joined[2].name, deeper.name, "eve", "mallory"] if and_joined else ["eve"]
        )
        for _ in range(2):
            for token in tokens:
                with pytest.raises(NotAuthenticated, match="was revoked"):
                    await join(cluster, token=replace(token, address=cluster.service.join_address))
            for member, stays in zip((*joined, deeper), (False, True, True, True), strict=True):
                if stays and not and_joined:
                    await renew(member.dial(), cluster.service.address, KeyRequest().request)
                else:
                    await ends_refused(renew(member.dial(), cluster.service.address, KeyRequest().request))
            await cluster.restart()

    in_cluster(tmp_path, body)


def test_with_keep_jobs_they_go_on(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        ada = await join(cluster, Role.USER, "ada")
        await ada.user.submit("true")
        assert (await Admin(cluster).revoke_user("ada", keep_jobs=True)).cancelled == 0
        (job,) = await cluster.user().jobs("1")
        assert job.state == job_pb2.TASK_STATE_READY

    in_cluster(tmp_path, body)


def test_the_first_user_is_given_another_certificate_and_copies_of_the_old_one_are_refused(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        server_name = scheduler_server_name(cluster.authority.cluster_id)

        async def check() -> None:
            credentials = load_credentials(cluster.directory / "admin.pem")
            async with dial(cluster.service.address, credentials, server_name) as channel:
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

        stolen = Admin(cluster)
        await check()
        await stolen.revoke_user("admin")  # whoever revokes itself is told that it is done
        await ends_refused(stolen.users())
        await check()
        await cluster.restart()
        await check()

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", ["ada", "admin"])
def test_an_expulsion_goes_on_to_its_end_when_its_call_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, cut: bool
) -> None:
    """Jobs of the expelled went on, and the first user was refused on its own machine until the next start. `cut`: the
    caller was expelled at the same time; else it has left."""

    async def body(cluster: Cluster) -> None:
        ada, eve = await join(cluster, Role.USER, "ada"), await join(cluster, Role.ADMIN, "eve")
        await ada.user.submit("true")
        admission, deciding, gate = cluster.service.admission, asyncio.Event(), asyncio.Event()
        real, admin = admission._save, cluster.directory / "admin.pem"
        before = admin.read_bytes()

        async def save(records: Any) -> None:
            deciding.set()
            await gate.wait()
            await real(records)

        monkeypatch.setattr(admission, "_save", save)
        call = admin_pb2_grpc.UsersStub(eve.channel).RevokeUser(admin_pb2.RevokeUserRequest(name=name))
        await deciding.wait()
        if cut:
            other = asyncio.create_task(admission.expel(lambda members, now: members.revoke_user("eve", now)))
        else:
            call.cancel()
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            await call
        gate.set()
        if cut:
            await other
        if under_way := set(cluster.service.driver.patience.under_way):
            await asyncio.wait(under_way)
        if name == "admin":
            assert admin.read_bytes() != before
        credentials, server_name = load_credentials(admin), scheduler_server_name(cluster.authority.cluster_id)
        async with dial(cluster.service.address, credentials, server_name) as channel:
            (job,) = await User(channel, cluster.service.address).jobs()
        assert (job.state == job_pb2.TASK_STATE_CANCELLED) == (name == "ada")

    in_cluster(tmp_path, body)


def test_who_joins_by_a_token_at_the_instant_of_its_revocation_is_refused(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        eve = await join(cluster, Role.ADMIN, "eve")
        token = await made_by(cluster, eve)
        joining = [asyncio.create_task(join(cluster, token=token)) for _ in range(60)]
        await asyncio.wait(joining, return_when=asyncio.FIRST_COMPLETED)
        more = [asyncio.create_task(made_by(cluster, eve)) for _ in range(20)]
        answer = await Admin(cluster).revoke_user("eve", and_joined=True)
        outcomes = await asyncio.gather(*joining, *more, return_exceptions=True)
        members = [outcome for outcome in outcomes if isinstance(outcome, Member)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, NotAuthenticated | Exhausted)]
        tokens = [outcome for outcome in outcomes if isinstance(outcome, JoinToken)]
        assert len(members) + len(refused) + len(tokens) == 80, outcomes
        assert members
        print(f"{len(members)} had joined, {len(refused)} calls were refused, {len(tokens)} tokens were made")
        assert {m.id for m in answer.expelled} >= {member.name for member in members}
        for _ in range(2):
            for member in members:
                await ends_refused(member.worker("box").register())
                await ends_refused(renew(member.dial(), cluster.service.address, KeyRequest().request))
            for made in [token, *tokens]:
                with pytest.raises((NotAuthenticated, Exhausted)):  # who is refused often has to wait
                    await join(cluster, token=replace(made, address=cluster.service.join_address))
            await cluster.restart()
            for member in members:
                member.channel = member.dial()

    in_cluster(tmp_path, body)


def test_a_start_that_ended_before_it_gave_the_first_user_another_certificate_is_made_up_for(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.service.admission.expel(lambda members, now: members.revoke_user("admin", now))
        await cluster.restart()
        credentials = load_credentials(cluster.directory / "admin.pem")
        name = scheduler_server_name(cluster.authority.cluster_id)
        async with dial(cluster.service.address, credentials, name) as channel:
            assert await User(channel, cluster.service.address).jobs() == []

    in_cluster(tmp_path, body)


def test_a_worker_that_is_gone_is_removed_and_one_that_is_connected_is_not(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admin, user = Admin(cluster), cluster.user()
        box = cluster.worker()
        await box.connect()
        with pytest.raises(Conflict, match="worker box is connected: stop it first, or expel it with --revoke"):
            await admin.remove_worker("box", revoke=False)
        await box.deregister("gone")
        await admin.remove_worker("box", revoke=False)
        assert await user.workers() == []
        with pytest.raises(NotFound, match="no worker 'box'"):
            await admin.remove_worker("box", revoke=False)
        await box.connect()  # it was not expelled
        assert [w.name for w in await user.workers()] == ["box"]

    in_cluster(tmp_path, body)


def test_a_worker_that_joins_again_with_its_key_stays_who_it_was(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        first = await join(cluster)
        token, record = cluster.service.new_token(Role.WORKER, 3600.0)
        await cluster.service.admission.add(record)

        async def again(key_of: Credentials, previous: Credentials) -> str:
            request = KeyRequest(key_of.key_pem).request
            admission, authority = cluster.service.admission, cluster.authority
            issued = await admission.join(authority, token.secret, request, "", previous.certificate_pem)
            return issued.identity.name

        expired = cluster.authority.issue(first.credentials.identity, time.time() - 400 * 86400)
        assert await again(first.credentials, first.credentials) == first.name
        assert await again(expired, expired) == first.name
        assert await again(expired, first.credentials) != first.name  # a certificate is no secret: the key counts
        await Admin(cluster).remove_worker(first.name)
        assert await again(first.credentials, first.credentials) != first.name

    in_cluster(tmp_path, body)


def test_a_worker_keeps_whom_its_own_port_must_refuse(tmp_path: Path) -> None:
    told, changes = ExpelledUsers(tmp_path), list[int]()
    told.changed = lambda: changes.append(1)
    for _ in range(2):
        told.replace([ExpelledUser("admin", 7), ExpelledUser("admin", 0)])
    assert changes == [1]
    identity = Identity("0123456789abcdef", IdentityKind.USER, "admin")
    for users in (told, ExpelledUsers(tmp_path)):
        assert [Peer(identity, 1, 0, 1, enrolment) in users for enrolment in (7, 0, 8)] == [True, True, False]
    told.replace([])
    assert Peer(identity, 1, 0, 1, 7) not in ExpelledUsers(tmp_path)
    (tmp_path / "expelled.json").write_text("nonsense")
    with pytest.raises(ClusterError, match="cannot be understood"):
        ExpelledUsers(tmp_path)


# ── the workers' own ports ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_own_port_of_a_worker_refuses_a_copy_of_the_admins_certificate_also_after_a_restart(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:  # a copy of admin.pem, as a thief has it
            from cluster.v1 import worker_pb2

            assert not (await stub.GetJobs(worker_pb2.GetJobsRequest())).jobs
            job = worker_pb2.StartJobRequest(
                id="0192f0c1-2d3e-7c4b-8a51-6d9f3e2b1a00", spec=job_pb2.JobSpec(argv=["sleep", "1000"], millicpus=1000)
            )
            await stub.StartJob(job)
            last = jobs_pb2.Selector(text="last")
            waiting = asyncio.create_task(_answer(stub.WaitJob(worker_pb2.WaitJobRequest(selector=last))))
            reading = stub.ReadJobOutput(worker_pb2.ReadJobOutputRequest(selector=last, stdout=True, follow=True))
            await reading.wait_for_connection()
            began = time.monotonic()
            await Admin(site.cluster).revoke_user("admin")
            for call in (waiting, reading.read()):
                with pytest.raises(NotAuthenticated, match="was revoked"), calling(worker.ready["address"]):
                    await call
            assert time.monotonic() - began < CUT
            for method in [m for m in ROLES if m.startswith("/cluster.v1.Worker/")]:
                async with _own_channel(site, worker) as channel:
                    assert isinstance(await refusal(channel, method), NotAuthenticated), method
        await worker.stop()
        await worker.started()
        async with site.own_api(worker) as stub:
            with pytest.raises(NotAuthenticated, match="was revoked"), calling(worker.ready["address"]):
                await stub.GetJobs(worker_pb2.GetJobsRequest())
        credentials = load_credentials(site.cluster.directory / "admin.pem")  # the new one is let in
        async with _own_channel(site, worker, credentials) as channel:
            assert not isinstance(await refusal(channel, "/cluster.v1.Worker/GetJobs"), NotAuthenticated)

    at_site(tmp_path, body)


async def _answer(call: Any) -> Any:
    return await call


def _own_channel(site: Site, worker: Any, credentials: Credentials | None = None) -> grpc.aio.Channel:
    identity = site.cluster.authority.identity(IdentityKind.WORKER, worker.ready["id"])
    assert identity.server_name is not None
    shown = credentials or site.cluster.credentials(IdentityKind.USER, "admin")
    return dial(worker.ready["address"], shown, identity.server_name)
