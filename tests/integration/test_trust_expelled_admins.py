"""Who is expelled does not come back by what it has made, whatever breaks off in the midst of it. Real connections."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.domain.base.errors import Exhausted, NotAuthenticated
from cluster.domain.trust.identity import Role, scheduler_server_name
from cluster.domain.trust.tokens import JoinToken, parse_join_token
from cluster.pki.files import load_credentials
from cluster.pki.issuer import KeyRequest
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.join_client import renew
from cluster.v1 import admin_pb2, admin_pb2_grpc, job_pb2
from tests.integration.members import Admin, Member, ends_refused, join
from tests.integration.schedulers import Cluster, User, in_cluster


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
