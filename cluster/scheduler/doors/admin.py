"""The doors for admins: the `Tokens`, `Users`, `Workers` and `Queue` services."""

from collections.abc import Iterable
from typing import Any

from cluster.domain.job.states import RUN
from cluster.domain.trust.tokens import HTTP
from cluster.rpc.convert import pause_to_proto, workers_to_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.driver import system_clock
from cluster.scheduler.operations.members import MemberView, Revocation
from cluster.scheduler.operations.queue import QueueOperations, QueueView
from cluster.scheduler.operations.tokens import TokenOperations, TokenView
from cluster.scheduler.operations.users import UserOperations, UserView
from cluster.scheduler.operations.workers import WorkerOperations
from cluster.v1 import admin_pb2, admin_pb2_grpc, job_pb2


class TokensDoor(admin_pb2_grpc.TokensServicer):
    def __init__(self, tokens: TokenOperations) -> None:
        self._tokens = tokens

    async def CreateToken(
        self, request: admin_pb2.CreateTokenRequest, context: Context
    ) -> admin_pb2.CreateTokenResponse:
        if request.http:
            made, text = await self._tokens.create_bearer(current_caller(), request.role, request.life, request.user)
        else:
            made, token = await self._tokens.create(
                current_caller(), request.role, request.life, request.uses or None, request.user
            )
            text = str(token)
        return admin_pb2.CreateTokenResponse(token=_token(made), join_token=text)

    async def ListTokens(self, request: admin_pb2.ListTokensRequest, context: Context) -> admin_pb2.ListTokensResponse:
        tokens, after = await self._tokens.list(request.after, request.limit)
        return admin_pb2.ListTokensResponse(tokens=map(_token, tokens), next=after)

    async def RevokeToken(
        self, request: admin_pb2.RevokeTokenRequest, context: Context
    ) -> admin_pb2.RevokeTokenResponse:
        done = await self._tokens.revoke(current_caller(), request.id, request.and_joined, request.keep_jobs)
        return admin_pb2.RevokeTokenResponse(**_fields(done))


class UsersDoor(admin_pb2_grpc.UsersServicer):
    def __init__(self, users: UserOperations) -> None:
        self._users = users

    async def WhoAmI(self, request: admin_pb2.WhoAmIRequest, context: Context) -> admin_pb2.WhoAmIResponse:
        caller = current_caller()
        schedulers = [admin_pb2.SchedulerInfo(**each._asdict()) for each in self._users.schedulers()]
        return admin_pb2.WhoAmIResponse(
            name=caller.identity.name, role=caller.role, id=caller.user_id, schedulers=schedulers
        )

    async def ListUsers(self, request: admin_pb2.ListUsersRequest, context: Context) -> admin_pb2.ListUsersResponse:
        users, after = await self._users.list(request.after, request.limit)
        return admin_pb2.ListUsersResponse(users=map(_user, users), next=after)

    async def RevokeUser(self, request: admin_pb2.RevokeUserRequest, context: Context) -> admin_pb2.RevokeUserResponse:
        done = await self._users.revoke(current_caller(), request.name, request.and_joined, request.keep_jobs)
        return admin_pb2.RevokeUserResponse(**_fields(done))


class WorkersDoor(admin_pb2_grpc.WorkersServicer):
    def __init__(self, workers: WorkerOperations) -> None:
        self._workers = workers

    async def RemoveWorker(
        self, request: admin_pb2.RemoveWorkerRequest, context: Context
    ) -> admin_pb2.RemoveWorkerResponse:
        removed = await self._workers.remove(current_caller(), request.worker, request.revoke)
        return admin_pb2.RemoveWorkerResponse(**removed._asdict())

    async def DrainWorkers(
        self, request: admin_pb2.DrainWorkersRequest, context: Context
    ) -> admin_pb2.DrainWorkersResponse:
        within = request.within if request.HasField("within") else None
        workers = await self._workers.drain(current_caller(), request.workers, request.reason, within)
        return admin_pb2.DrainWorkersResponse(workers=workers_to_proto(workers, system_clock().wall))

    async def ResumeWorkers(
        self, request: admin_pb2.ResumeWorkersRequest, context: Context
    ) -> admin_pb2.ResumeWorkersResponse:
        workers = await self._workers.resume(request.workers)
        return admin_pb2.ResumeWorkersResponse(workers=workers_to_proto(workers, system_clock().wall))


class QueueDoor(admin_pb2_grpc.QueueServicer):
    def __init__(self, queue: QueueOperations) -> None:
        self._queue = queue

    async def PauseQueue(self, request: admin_pb2.PauseQueueRequest, context: Context) -> admin_pb2.PauseQueueResponse:
        return admin_pb2.PauseQueueResponse(queue=_info(await self._queue.pause(current_caller(), request.reason)))

    async def ResumeQueue(
        self, request: admin_pb2.ResumeQueueRequest, context: Context
    ) -> admin_pb2.ResumeQueueResponse:
        return admin_pb2.ResumeQueueResponse(queue=_info(await self._queue.resume()))

    async def SetShare(self, request: admin_pb2.SetShareRequest, context: Context) -> admin_pb2.SetShareResponse:
        return admin_pb2.SetShareResponse(queue=_info(await self._queue.set_share(request.user, request.weight)))

    async def ShowQueue(self, request: admin_pb2.ShowQueueRequest, context: Context) -> admin_pb2.ShowQueueResponse:
        return admin_pb2.ShowQueueResponse(queue=_info(await self._queue.show()))


def _info(queue: QueueView) -> admin_pb2.QueueInfo:
    shares = [
        admin_pb2.Share(user=s.owner, weight=s.weight, used_cpu_seconds=s.used, held_millicpus=s.held)
        for s in queue.shares
    ]
    info = admin_pb2.QueueInfo(
        pause=pause_to_proto(queue.pause), jobs=queue.jobs, paused_jobs=queue.paused_jobs, shares=shares
    )
    if queue.counts is not None:
        info.running_jobs = sum(queue.counts.jobs[state] for state in RUN)
        info.tasks.CopyFrom(job_pb2.TaskCounts(**{state.word: n for state, n in queue.counts.tasks.items()}))
    return info


def _token(token: TokenView) -> admin_pb2.Token:
    record = token.record
    return admin_pb2.Token(
        id=record.id,
        role=record.role,
        created_at=record.created,
        expires_at=record.expires,
        uses_left=record.uses_left or 0,
        unlimited=record.uses_left is None,
        revoked=record.revoked is not None,
        user=record.user,
        maker=str(record.maker or ""),
        http=record.purpose == HTTP,
        joined=_members(token.joined),
        joined_total=token.joined_total,
    )


def _user(user: UserView) -> admin_pb2.User:
    record = user.record
    return admin_pb2.User(
        name=record.name,
        id=record.id,
        role=record.role,
        created_at=record.created,
        revoked_at=record.revoked or 0.0,
        joined=user.joined,
    )


def _fields(done: Revocation) -> dict[str, Any]:
    """Of the answer, which is the same for a token and a user."""
    return done._asdict() | {name: _members(getattr(done, name)) for name in ("expelled", "joined", "kept")}


def _members(members: Iterable[MemberView]) -> list[admin_pb2.Member]:
    return [admin_pb2.Member(kind=m.kind, id=m.id, name=m.name, token=m.token) for m in members]
