"""Expelling: whose certificates are refused from now on, and what of theirs must not let anybody in either.

Tokens that they had made are dead with them: else they came back by one. Who has joined by such a token is told, so
that an admin may judge; with `and_joined` all that came of them is expelled as well, through any number of steps.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Protocol

from cluster.domain.trust.enrolments import BY_HAND, Enrolment, Maker
from cluster.domain.trust.identity import ADMIN_NAME, IdentityKind, Role
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord

Record = UserRecord | TokenRecord | Enrolment


class Known(Protocol):
    """What of `cluster.domain.trust.members.Members` is needed."""

    def user(self, name: str) -> UserRecord: ...
    def tokens(self) -> list[TokenRecord]: ...
    def enrolments(self) -> list[Enrolment]: ...
    def enrolments_of(self, kind: IdentityKind, name: str) -> list[Enrolment]: ...
    def live_enrolments(self, kind: IdentityKind, name: str) -> list[Enrolment]: ...
    def keep(self, records: list[Record]) -> list[Record]: ...


@dataclass(frozen=True, slots=True)
class Expelled:
    """What an expulsion changes, and whom it leaves without any valid certificate."""

    records: tuple[Record, ...]
    users: tuple[UserRecord, ...] = ()
    workers: tuple[str, ...] = ()  # ids
    tokens: tuple[str, ...] = ()  # ids of those that they had made and that were good until now
    left: tuple[Enrolment, ...] = ()  # who has joined by tokens that they had made, and stays
    kept: tuple[Enrolment, ...] = ()  # other joinings, by which users stay of whom one is refused now


class Expulsion:
    """One decision of an admin. Doing it again changes nothing, and answers the same but for the tokens."""

    def __init__(self, known: Known, and_joined: bool, now: float) -> None:
        self._known = known
        self._and_joined = and_joined
        self._now = now
        self._records: list[Record] = []
        self._users: dict[str, UserRecord] = {}
        self._workers: dict[str, None] = {}
        self._partly: dict[str, None] = {}  # users of whom a joining is refused, and perhaps not all
        self._gone: dict[Maker, None] = {}  # the joinings that are refused, by this or before
        self._theirs: set[str] = set()  # ids of the tokens that those have made
        # As it was before. There may be many, and each of those that go leads to some of them.
        self._tokens = known.tokens()
        self._made: defaultdict[Maker | None, list[TokenRecord]] = defaultdict(list)
        self._for: defaultdict[str, list[TokenRecord]] = defaultdict(list)
        for token in self._tokens:
            self._made[token.maker].append(token)
            self._for[token.user].append(token)
        self._joined: defaultdict[str, list[Enrolment]] = defaultdict(list)
        self._token_of: dict[Maker, TokenRecord] = {}  # which each joining came by
        ids = {token.id: token for token in self._tokens}
        for enrolment in known.enrolments():
            self._joined[enrolment.token].append(enrolment)
            if enrolment.token in ids:
                self._token_of[enrolment.as_maker] = ids[enrolment.token]

    def user(self, name: str) -> None:
        """All certificates of the name's present holder, and all tokens that make somebody this user.

        Of the first user, whose certificate lies beside the CA, too; but that one is given a new one."""
        user = self._known.user(name)
        if name in self._users:
            return
        self._users[name] = user
        if name != ADMIN_NAME:
            self._keep(user if user.revoked is not None else replace(user, revoked=self._now))
        for enrolment in self._all_of(IdentityKind.USER, name):
            if enrolment.revoked is None or enrolment.revoked >= user.created:  # else of who had the name before
                self._joining(enrolment)
        for token in self._for[name]:
            self._close(token)

    def worker(self, worker_id: str) -> None:
        """All certificates of the worker."""
        if worker_id not in self._workers:
            self._workers[worker_id] = None
            for enrolment in self._all_of(IdentityKind.WORKER, worker_id):
                self._joining(enrolment)

    def token(self, token: TokenRecord) -> None:
        """Nobody joins by it any more, or shows it; with `and_joined`, who has joined is expelled. A user who has
        joined by another one as well keeps that."""
        self._close(token)
        for enrolment in self._joined[token.id] if self._and_joined or token.bearer else ():
            if enrolment.kind is IdentityKind.WORKER:
                self.worker(enrolment.name)
                continue
            self._joining(enrolment)
            if enrolment.kind is IdentityKind.GATEWAY or not self._and_joined:
                continue
            self._partly[enrolment.name] = None
            if enrolment.name != ADMIN_NAME and not self._known.live_enrolments(IdentityKind.USER, enrolment.name):
                self.user(enrolment.name)

    def done(self) -> Expelled:
        """Goes on to what those who are expelled have made, and so on; then says what came of all of it."""
        followed: set[Maker] = set()
        while makers := [maker for maker in self._gone if maker not in followed]:
            followed.update(makers)
            for token in [token for maker in makers for token in self._made[maker]]:
                self._theirs.add(token.id)
                self.token(token)
        dead = set(self._theirs)
        if any(maker.kind is IdentityKind.USER and self._role_of(maker) is Role.ADMIN for maker in self._gone):
            for token in self._made[None]:  # it may be theirs, and nobody knows better
                self._close(token)
                dead.add(token.id)
        left = [e for e in self._known.enrolments() if e.token in self._theirs and e.revoked is None]
        tokens = tuple(token.id for token in self._tokens if token.id in dead and token.is_good(self._now))
        partly = (name for name in self._partly if name not in self._users)
        kept = [e for name in partly for e in self._known.live_enrolments(IdentityKind.USER, name)]
        users, workers = tuple(self._users.values()), tuple(self._workers)
        return Expelled(tuple(self._records), users, workers, tokens, tuple(left), tuple(kept))

    def _role_of(self, user: Maker) -> Role:
        """The role in which that joining acted; the name's present holder may have another."""
        by = self._token_of.get(user)
        return by.role if by is not None else self._known.user(user.name).role  # the first user, or made by hand

    def _all_of(self, kind: IdentityKind, name: str) -> list[Enrolment]:
        """Its joinings, and what was made by hand."""
        present = self._known.enrolments_of(kind, name)
        by_hand = any(enrolment.id == BY_HAND for enrolment in present)
        return present if by_hand else [Enrolment(kind, name, BY_HAND, "", self._now), *present]

    def _joining(self, enrolment: Enrolment) -> None:
        self._gone[enrolment.as_maker] = None
        self._keep(enrolment if enrolment.revoked is not None else replace(enrolment, revoked=self._now))

    def _close(self, token: TokenRecord) -> None:
        self._keep(token if token.revoked is not None else replace(token, revoked=self._now))

    def _keep(self, record: Record) -> None:
        """At once, so that what follows sees it."""
        self._records += self._known.keep([record])
