"""The doors for admins: the `Tokens`, `Users` and `Workers` services."""

from collections.abc import Callable, Mapping, Sequence

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.enrolments import Enrolment, Maker
from cluster.domain.trust.expulsion import Expelled
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import GRANTABLE, JoinToken, TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.admission import Admission
from cluster.scheduler.driver import Driver
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.listing import listed
from cluster.scheduler.message_checks import check_seconds, check_text
from cluster.store.interface import Store
from cluster.v1 import admin_pb2, admin_pb2_grpc

MOST_JOINED = 100  # members that a list names for each token

# Makes a token: role, life in seconds, uses (None: without limit), user, who makes it.
NewToken = Callable[[Role, float, int | None, str, Maker], tuple[JoinToken, TokenRecord]]


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
        caller = current_caller()
        maker = Maker(caller.identity.kind, caller.identity.name, caller.enrolment)
        token, record = self._new_token(Role(request.role), request.life, request.uses or None, request.user, maker)
        await self._admission.add(record)
        return admin_pb2.CreateTokenResponse(token=_token(record, (), 0, {}), join_token=str(token))

    async def ListTokens(self, request: admin_pb2.ListTokensRequest, context: Context) -> admin_pb2.ListTokensResponse:
        tokens, after = await listed(self._tokens, lambda token: token.id, request.after, request.limit)
        return admin_pb2.ListTokensResponse(tokens=tokens, next=after)

    async def _tokens(self, after: str, most: int) -> list[admin_pb2.Token]:
        def ask(store: Store) -> list[tuple[TokenRecord, list[Enrolment], int]]:
            return [(token, *store.joined_by(token.id, MOST_JOINED)) for token in store.tokens(after, most)]

        found = await self._driver.fetch(ask)
        ids = {e.name for _, joined, _ in found for e in joined if e.kind is IdentityKind.WORKER}
        names = await self._driver.read(lambda core: {i: core.workers[i].record.name for i in ids if i in core.workers})
        return [_token(token, joined, count, names) for token, joined, count in found]

    async def RevokeToken(
        self, request: admin_pb2.RevokeTokenRequest, context: Context
    ) -> admin_pb2.RevokeTokenResponse:
        names = await _worker_names(self._driver)
        expelled, cancelled = await self._expelling.revoke_token(
            request.id, request.and_joined, request.keep_jobs, current_caller()
        )
        return admin_pb2.RevokeTokenResponse(
            expelled=_expelled(expelled, names),
            cancelled=cancelled,
            tokens=expelled.tokens,
            joined=_left(expelled, names),
            joined_total=len(expelled.left),
        )


class UsersDoor(admin_pb2_grpc.UsersServicer):
    def __init__(self, driver: Driver, admission: Admission, expelling: Expelling) -> None:
        self._driver = driver
        self._admission = admission
        self._expelling = expelling

    async def ListUsers(self, request: admin_pb2.ListUsersRequest, context: Context) -> admin_pb2.ListUsersResponse:
        users, after = await listed(self._users, lambda user: user.name, request.after, request.limit)
        return admin_pb2.ListUsersResponse(users=users, next=after)

    async def _users(self, after: str, most: int) -> list[admin_pb2.User]:
        def ask(store: Store) -> list[tuple[UserRecord, int]]:
            return [(user, store.joinings_of(user.name)) for user in store.users(after, most)]

        return [
            admin_pb2.User(
                name=user.name,
                id=user.id,
                role=user.role,
                created_at=user.created,
                revoked_at=user.revoked or 0.0,
                joined=joined,
            )
            for user, joined in await self._driver.fetch(ask)
        ]

    async def RevokeUser(self, request: admin_pb2.RevokeUserRequest, context: Context) -> admin_pb2.RevokeUserResponse:
        check_text("the name", request.name)
        names = await _worker_names(self._driver)
        expelled, cancelled = await self._expelling.revoke_user(
            request.name, request.and_joined, request.keep_jobs, current_caller()
        )
        return admin_pb2.RevokeUserResponse(
            cancelled=cancelled,
            expelled=_expelled(expelled, names),
            tokens=expelled.tokens,
            joined=_left(expelled, names),
            joined_total=len(expelled.left),
        )


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


def _token(
    record: TokenRecord, joined: Sequence[Enrolment], count: int, worker_names: Mapping[str, str]
) -> admin_pb2.Token:
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
        joined=[_member(e.kind, e.name, worker_names) for e in joined],
        joined_total=count,
    )


async def _worker_names(driver: Driver) -> Mapping[str, str]:
    return await driver.read(lambda core: {w.id: w.record.name for w in core.workers.values()})


def _expelled(expelled: Expelled, worker_names: Mapping[str, str]) -> list[admin_pb2.Member]:
    workers = [_member(IdentityKind.WORKER, worker_id, worker_names) for worker_id in expelled.workers]
    return workers + [_member(IdentityKind.USER, user.name, worker_names) for user in expelled.users]


def _left(expelled: Expelled, worker_names: Mapping[str, str]) -> list[admin_pb2.Member]:
    """The first of those who joined by tokens of the expelled, and stay."""
    return [_member(e.kind, e.name, worker_names, e.token) for e in expelled.left[:MOST_JOINED]]


def _member(kind: IdentityKind, name: str, worker_names: Mapping[str, str], token: str = "") -> admin_pb2.Member:
    shown = name if kind is IdentityKind.USER else worker_names.get(name, "")
    return admin_pb2.Member(kind=kind, id=name, name=shown, token=token)
