"""Expelling: whose certificates are refused from now on, and what of theirs must not let anybody in either.

Tokens that they had made are dead with them: else they came back by one. Who has joined by such a token is told, so
that an admin may judge; with `and_joined` all that came of them is expelled as well, through any number of steps.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from cluster.domain.enrolments import BY_HAND, Enrolment, Maker
from cluster.domain.identity import ADMIN_NAME, Kind, Role
from cluster.domain.tokens import TokenRecord
from cluster.domain.users import UserRecord

Record = UserRecord | TokenRecord | Enrolment


class Known(Protocol):
    """What of `cluster.domain.members.Members` is needed."""

    def user(self, name: str) -> UserRecord: ...
    def tokens(self) -> list[TokenRecord]: ...
    def enrolments(self) -> list[Enrolment]: ...
    def enrolments_of(self, kind: Kind, name: str) -> list[Enrolment]: ...
    def live_enrolments(self, kind: Kind, name: str) -> list[Enrolment]: ...
    def keep(self, records: list[Record]) -> list[Record]: ...


@dataclass(frozen=True, slots=True)
class Expelled:
    """What an expulsion changes, and whom it leaves without any valid certificate."""

    records: tuple[Record, ...]
    users: tuple[UserRecord, ...] = ()
    workers: tuple[str, ...] = ()  # ids
    tokens: tuple[str, ...] = ()  # ids of those that they had made and that were good until now
    left: tuple[Enrolment, ...] = ()  # who has joined by tokens that they had made, and stays


class Expulsion:
    """One decision of an admin. Doing it again changes nothing, and answers the same but for the tokens."""

    def __init__(self, known: Known, and_joined: bool, now: float) -> None:
        self._known = known
        self._and_joined = and_joined
        self._now = now
        self._records: list[Record] = []
        self._users: dict[str, UserRecord] = {}
        self._workers: dict[str, None] = {}
        self._gone: set[Maker] = set()  # the joinings that are refused, by this or before
        self._theirs: set[str] = set()  # ids of the tokens that those have made
        self._good = {token.id for token in known.tokens() if token.is_good(now)}

    def user(self, name: str) -> None:
        """All certificates of the name's present holder, and all tokens that make somebody this user.

        Of the first user, whose certificate lies beside the CA, too; but that one is given a new one."""
        user = self._known.user(name)
        if name in self._users:
            return
        self._users[name] = user
        if name != ADMIN_NAME and user.revoked is None:
            self._keep(replace(user, revoked=self._now))
        elif name != ADMIN_NAME:
            self._keep(user)
        for enrolment in self._all_of(Kind.USER, name):
            if enrolment.revoked is None or enrolment.revoked >= user.created:  # else of who had the name before
                self._joining(enrolment)
        for token in self._known.tokens():
            if token.user == name and token.revoked is None:
                self._keep(replace(token, revoked=self._now))

    def worker(self, worker_id: str) -> None:
        """All certificates of the worker."""
        self._workers[worker_id] = None
        for enrolment in self._all_of(Kind.WORKER, worker_id):
            self._joining(enrolment)

    def token(self, token: TokenRecord) -> None:
        """Nobody joins by it any more; with `and_joined`, who has is expelled. A user who has joined by another one as
        well keeps that."""
        self._keep(token if token.revoked is not None else replace(token, revoked=self._now))
        for enrolment in self._known.enrolments() if self._and_joined else ():
            if enrolment.token != token.id:
                continue
            if enrolment.kind is Kind.WORKER:
                self.worker(enrolment.name)
                continue
            self._joining(enrolment)
            if enrolment.name != ADMIN_NAME and not self._known.live_enrolments(Kind.USER, enrolment.name):
                self.user(enrolment.name)

    def done(self) -> Expelled:
        """Goes on to what those who are expelled have made, and so on; then says what came of all of it."""
        while theirs := [t for t in self._known.tokens() if t.maker in self._gone and t.id not in self._theirs]:
            for token in theirs:
                self._theirs.add(token.id)
                self.token(token)
        perhaps = set[str]()
        if any(m.kind is Kind.USER and self._known.user(m.name).role is Role.ADMIN for m in self._gone):
            for token in self._known.tokens():
                if token.maker is None and token.revoked is None:  # it may be theirs, and nobody knows better
                    perhaps.add(token.id)
                    self._keep(replace(token, revoked=self._now))
        left = [e for e in self._known.enrolments() if e.token in self._theirs and e.revoked is None]
        users, workers = tuple(self._users.values()), tuple(self._workers)
        dead = tuple(t.id for t in self._known.tokens() if t.id in self._good & (self._theirs | perhaps))
        return Expelled(tuple(self._records), users, workers, dead, tuple(left))

    def _all_of(self, kind: Kind, name: str) -> list[Enrolment]:
        """Its joinings, and what was made by hand."""
        present = self._known.enrolments_of(kind, name)
        by_hand = any(enrolment.id == BY_HAND for enrolment in present)
        return present if by_hand else [Enrolment(kind, name, BY_HAND, "", self._now), *present]

    def _joining(self, enrolment: Enrolment) -> None:
        self._gone.add(enrolment.as_maker)
        self._keep(enrolment if enrolment.revoked is not None else replace(enrolment, revoked=self._now))

    def _keep(self, record: Record) -> None:
        """At once, so that what follows sees it."""
        self._records += self._known.keep([record])
