"""Tokens: made, listed, revoked."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput, NotPermitted
from cluster.domain.scheduler.view_sizes import size_of_texts
from cluster.domain.trust.enrolments import Enrolment, Maker
from cluster.domain.trust.identity import Caller, IdentityKind, Role
from cluster.domain.trust.tokens import GRANTABLE, JoinToken, TokenRecord
from cluster.pki import issuer
from cluster.scheduler.admission import Admission
from cluster.scheduler.driver import Driver
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.listing import listed
from cluster.scheduler.message_checks import check_seconds
from cluster.scheduler.operations.members import MOST_JOINED, MemberView, Revocation, member, revoked, worker_names
from cluster.store.interface import Store

MOST_LIFE_OF_POOLS = 86400.0  # seconds that a token lives which one has made who keeps pools
_NUMBERS = 60  # bytes of an answer that the numbers of a token take, about

# Makes a token: role, life in seconds, uses (None: without limit), user, who makes it.
NewToken = Callable[[Role, float, int | None, str, Maker], tuple[JoinToken, TokenRecord]]


class TokenView(NamedTuple):
    record: TokenRecord
    joined: Sequence[MemberView] = ()  # the first MOST_JOINED
    joined_total: int = 0


class TokenOperations:
    def __init__(self, driver: Driver, admission: Admission, expelling: Expelling, new_token: NewToken) -> None:
        self._driver = driver
        self._admission = admission
        self._expelling = expelling
        self._new_token = new_token

    async def create(
        self, caller: Caller, role: str, life: float, uses: int | None = None, user: str = ""
    ) -> tuple[TokenView, JoinToken]:
        """`life` in seconds; `uses` None: without limit; `user`: the name of who joins by it, "" for a worker. Conflict
        when it would make of a user somebody else. Who keeps pools gets tokens for one worker each, of an hour at
        most."""
        _check_reach(caller, role, life, uses)
        token, record = self._new_token(_role(role, life), life, uses, user, _maker(caller))
        await self._admission.add(record)
        return TokenView(record), token

    async def create_bearer(self, caller: Caller, role: str, life: float, user: str = "") -> tuple[TokenView, str]:
        """A token for HTTP, and its text. `life` in seconds; `user` empty: one of its own. Conflict, as of `create`."""
        _check_reach(caller, role, life, None)
        now = self._driver.clock().wall
        text, record = issuer.new_bearer(_role(role, life), now, life, user, _maker(caller))
        await self._admission.add(record)
        return TokenView(record), text

    async def list(self, after: str = "", limit: int = 0) -> tuple[Sequence[TokenView], str]:
        """Oldest first, those after the token of that id; as `WorkerOperations.list` in the rest."""
        return await listed(self._piece, lambda token: token.record.id, _size_of, after, limit)

    async def revoke(self, caller: Caller, token_id: str, and_joined: bool, keep_jobs: bool) -> Revocation:
        """Nobody joins by it any more. `and_joined`: who did is expelled, and their jobs are cancelled unless they are
        to be kept. NotFound."""
        names = await worker_names(self._driver)
        expelled, cancelled = await self._expelling.revoke_token(token_id, and_joined, keep_jobs, caller)
        return revoked(expelled, cancelled, names)

    async def _piece(self, after: str, most: int) -> Sequence[TokenView]:
        def ask(store: Store) -> list[tuple[TokenRecord, list[Enrolment], int]]:
            return [(token, *store.joined_by(token.id, MOST_JOINED)) for token in store.tokens(after, most)]

        found = await self._driver.fetch(ask)
        ids = {e.name for _, joined, _ in found for e in joined if e.kind is IdentityKind.WORKER}
        names = await worker_names(self._driver, ids)
        return [TokenView(token, [member(e.kind, e.name, names) for e in joined], n) for token, joined, n in found]


def _role(text: str, life: float) -> Role:
    if text not in GRANTABLE:
        raise InvalidInput(f"a token cannot grant the role {text!r}: use one of {', '.join(GRANTABLE)}")
    check_seconds("a life of", life)
    return Role(text)


def _check_reach(caller: Caller, role: str, life: float, uses: int | None) -> None:
    """NotPermitted."""
    if caller.keeps_pools and not (role == Role.WORKER and uses == 1 and life <= MOST_LIFE_OF_POOLS):
        raise NotPermitted("the role pools may make tokens for one worker each, of a day at most")


def _maker(caller: Caller) -> Maker:
    return Maker(caller.identity.kind, caller.identity.name, caller.enrolment)


def _size_of(token: TokenView) -> int:
    record = token.record
    texts = [record.id, record.role, record.user, str(record.maker or "")]
    return _NUMBERS + size_of_texts(texts) + sum(map(size_of_texts, token.joined))
