"""The doors for admins: the `Tokens`, `Users` and `Workers` services."""

from collections.abc import Callable, Mapping, Sequence

from cluster.domain.enrolments import Enrolment
from cluster.domain.errors import InvalidInput
from cluster.domain.identity import Kind, Role
from cluster.domain.tokens import GRANTABLE, JoinToken, TokenRecord
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.admission import Admission
from cluster.scheduler.checks import check_seconds, check_text
from cluster.scheduler.driver import Driver
from cluster.scheduler.expelling import Expelling
from cluster.v1 import admin_pb2, admin_pb2_grpc

MOST_JOINED = 100  # members that a list names for each token

# Makes a token: role, life in seconds, uses (None: without limit), user.
NewToken = Callable[[Role, float, int | None, str], tuple[JoinToken, TokenRecord]]


class TokensDoor(admin_pb2_grpc.TokensServicer):
    def __init__(self, driver: Driver, admission: Admission, expelling: Expelling, new_token: NewToken) -> None:
        self._driver = driver
        self._admission = admission
        self._expelling = expelling
        self._new_token = new_token

    async def CreateToken(
        self, request: admin_pb2.CreateTokenRequest, context: Context
    ) -> admin_pb2.CreateTokenResponse:
        if request.role not in GRANTABLE:
            raise InvalidInput(f"a token cannot grant the role {request.role!r}: use one of {', '.join(GRANTABLE)}")
        check_seconds("a life of", request.life)
        token, record = self._new_token(Role(request.role), request.life, request.uses or None, request.user)
        await self._admission.add(record)
        return admin_pb2.CreateTokenResponse(token=_token(record, (), {}), join_token=str(token))

    async def ListTokens(self, request: admin_pb2.ListTokensRequest, context: Context) -> admin_pb2.ListTokensResponse:
        names, members = await self._worker_names(), self._admission.members
        joined = members.joined_by()
        tokens = [_token(token, joined.get(token.id, ()), names) for token in members.tokens()]
        return admin_pb2.ListTokensResponse(tokens=tokens)

    async def RevokeToken(
        self, request: admin_pb2.RevokeTokenRequest, context: Context
    ) -> admin_pb2.RevokeTokenResponse:
        names = await self._worker_names()
        expelled, cancelled = await self._expelling.revoke_token(
            request.id, request.and_joined, request.keep_jobs, current_caller()
        )
        members = [_member(Kind.WORKER, worker_id, names) for worker_id in expelled.workers]
        members += [_member(Kind.USER, name, names) for name in expelled.users]
        return admin_pb2.RevokeTokenResponse(expelled=members, cancelled=cancelled)

    async def _worker_names(self) -> Mapping[str, str]:
        return await self._driver.read(lambda core: {w.id: w.record.name for w in core.workers.values()})


class UsersDoor(admin_pb2_grpc.UsersServicer):
    def __init__(self, admission: Admission, expelling: Expelling) -> None:
        self._admission = admission
        self._expelling = expelling

    async def ListUsers(self, request: admin_pb2.ListUsersRequest, context: Context) -> admin_pb2.ListUsersResponse:
        members = self._admission.members
        users = [
            admin_pb2.User(
                name=user.name,
                role=user.role,
                created_at=user.created,
                revoked_at=user.revoked or 0.0,
                joined=sum(1 for e in members.live_enrolments(Kind.USER, user.name) if e.token),
            )
            for user in members.users()
        ]
        return admin_pb2.ListUsersResponse(users=users)

    async def RevokeUser(self, request: admin_pb2.RevokeUserRequest, context: Context) -> admin_pb2.RevokeUserResponse:
        check_text("the name", request.name)
        cancelled = await self._expelling.revoke_user(request.name, request.keep_jobs, current_caller())
        return admin_pb2.RevokeUserResponse(cancelled=cancelled)


class WorkersDoor(admin_pb2_grpc.WorkersServicer):
    def __init__(self, admission: Admission, expelling: Expelling) -> None:
        self._admission = admission
        self._expelling = expelling

    async def RemoveWorker(
        self, request: admin_pb2.RemoveWorkerRequest, context: Context
    ) -> admin_pb2.RemoveWorkerResponse:
        check_text("the worker", request.worker)
        removed = await self._expelling.remove_worker(request.worker, request.revoke)
        return admin_pb2.RemoveWorkerResponse(**removed._asdict())


def _token(record: TokenRecord, joined: Sequence[Enrolment], worker_names: Mapping[str, str]) -> admin_pb2.Token:
    return admin_pb2.Token(
        id=record.id,
        role=record.role,
        created_at=record.created,
        expires_at=record.expires,
        uses_left=record.uses_left or 0,
        unlimited=record.uses_left is None,
        revoked=record.revoked is not None,
        user=record.user,
        joined=[_member(e.kind, e.name, worker_names) for e in joined[:MOST_JOINED]],
        joined_total=len(joined),
    )


def _member(kind: Kind, name: str, worker_names: Mapping[str, str]) -> admin_pb2.Member:
    return admin_pb2.Member(kind=kind, id=name, name=name if kind is Kind.USER else worker_names.get(name, ""))
