"""Users and workers that have joined by a token, and the admin who expels them. Real connections."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from cluster.domain.base.errors import ClusterError, NotAuthenticated, Unreachable
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, Role, scheduler_server_name
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling, error_of
from cluster.rpc.join_client import join_by_token, renew
from cluster.v1 import admin_pb2, admin_pb2_grpc
from tests.integration.schedulers import Cluster, User, Worker

CUT = 5.0  # seconds in which everything of who is expelled has ended: what the project promises


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


async def renewed(cluster: Cluster, member: Member) -> grpc.aio.Channel:
    """A connection with another certificate of the same joining."""
    request = KeyRequest()
    certificate = await renew(member.channel, cluster.service.address, request.request)
    member.credentials = request.complete(certificate, member.credentials.ca_pem, member.credentials.identity)
    return member.dial()
