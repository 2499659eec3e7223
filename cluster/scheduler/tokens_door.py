"""The door for admins: the `Tokens` service."""

from collections.abc import Callable

from cluster.domain.errors import InvalidInput
from cluster.domain.identity import Role
from cluster.domain.tokens import GRANTABLE, JoinToken, TokenRecord
from cluster.rpc.errors import Context
from cluster.scheduler.admission import Admission
from cluster.scheduler.checks import check_seconds
from cluster.v1 import admin_pb2, admin_pb2_grpc

# Makes a token: role, life in seconds, uses (None: without limit), user.
NewToken = Callable[[Role, float, int | None, str], tuple[JoinToken, TokenRecord]]


class TokensDoor(admin_pb2_grpc.TokensServicer):
    def __init__(self, admission: Admission, new_token: NewToken) -> None:
        self._admission = admission
        self._new_token = new_token

    async def CreateToken(
        self, request: admin_pb2.CreateTokenRequest, context: Context
    ) -> admin_pb2.CreateTokenResponse:
        if request.role not in GRANTABLE:
            raise InvalidInput(f"a token cannot grant the role {request.role!r}: use one of {', '.join(GRANTABLE)}")
        check_seconds("a life of", request.life)
        token, record = self._new_token(Role(request.role), request.life, request.uses or None, request.user)
        await self._admission.add(record)
        return admin_pb2.CreateTokenResponse(token=_to_proto(record), join_token=str(token))

    async def ListTokens(self, request: admin_pb2.ListTokensRequest, context: Context) -> admin_pb2.ListTokensResponse:
        return admin_pb2.ListTokensResponse(tokens=map(_to_proto, self._admission.tokens()))

    async def RevokeToken(
        self, request: admin_pb2.RevokeTokenRequest, context: Context
    ) -> admin_pb2.RevokeTokenResponse:
        await self._admission.revoke(request.id)
        return admin_pb2.RevokeTokenResponse()


def _to_proto(record: TokenRecord) -> admin_pb2.Token:
    return admin_pb2.Token(
        id=record.id,
        role=record.role,
        created_at=record.created,
        expires_at=record.expires,
        uses_left=record.uses_left or 0,
        unlimited=record.uses_left is None,
        revoked=record.revoked is not None,
        user=record.user,
    )
