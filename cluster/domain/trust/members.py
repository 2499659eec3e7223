"""Who belongs to the cluster: its users, join tokens and enrolments, who is let in, and who is expelled.

Pure: whoever calls keeps the records that a method answers, in one commit, before it lets anybody know.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.trust.enrolments import BY_HAND, Enrolment, EnrolmentForgotten
from cluster.domain.trust.expulsion import Expelled, Expulsion, Record
from cluster.domain.trust.identity import ADMIN_NAME, Identity, IdentityKind, Peer, Role, Standing
from cluster.domain.trust.tokens import TokenRecord, admit, borne, check_kind
from cluster.domain.trust.users import UserRecord


class ExpelledUser(NamedTuple):
    """One joining of a user, whose certificates are refused."""

    name: str
    enrolment: int


class Members:
    """The members in memory, as they are on disk. There are few of each kind, so lists are fast enough."""

    def __init__(
        self,
        users: Iterable[UserRecord] = (),
        tokens: Iterable[TokenRecord] = (),
        enrolments: Iterable[Enrolment] = (),
    ) -> None:
        self._users = {user.name: user for user in users}
        self._tokens = {token.secret_hash: token for token in tokens}
        self._enrolments: dict[tuple[IdentityKind, str], dict[int, Enrolment]] = {}
        for enrolment in enrolments:
            self._keep(enrolment)
        self._ours: set[str] = set()  # hashes of tokens that are not kept

    # ── who is it, and may it still come in ────────────────────────────────────────────────────────────────────

    def standing_of(self, identity: Identity) -> Standing | None:
        """The role and user id with which an identity acts; None: it has no role."""
        match identity.kind:
            case IdentityKind.SCHEDULER:
                return Standing(Role.SCHEDULER)
            case IdentityKind.WORKER:
                return Standing(Role.WORKER)
            case IdentityKind.GATEWAY:
                return Standing(Role.GATEWAY)
            case IdentityKind.USER:
                user = self._users.get(identity.name)
                return Standing(user.role, user.id) if user else None

    def is_expelled(self, peer: Peer) -> bool:
        """Whether this certificate is refused: its joining is not known, or was revoked, or its user was. Of a job,
        which shows none, its owner alone counts."""
        identity = peer.identity
        if identity.kind is IdentityKind.SCHEDULER:
            return False
        user = self._users.get(identity.name) if identity.kind is IdentityKind.USER else None
        if user is not None and user.revoked is not None:
            return True
        if peer.vouched is not None:
            return False
        enrolment = self._of(identity.kind, identity.name).get(peer.enrolment)
        return enrolment.revoked is not None if enrolment else peer.enrolment != BY_HAND

    def expelled_users(self) -> list[ExpelledUser]:
        """The list for workers, which cannot ask at each call."""
        return [
            ExpelledUser(e.name, e.id) for e in self._all() if e.kind is IdentityKind.USER and e.revoked is not None
        ]

    # ── coming in ──────────────────────────────────────────────────────────────────────────────────────────────

    def admit(
        self, secret_hash: str, kind: str, before: Peer | None, worker_id: str, enrolment_id: int, now: float
    ) -> tuple[Enrolment, list[Record]]:
        """Spends one use of a token for somebody who can only become a `kind` (empty: anything).

        A worker or gateway that was one `before`, and was not expelled, stays who it was; else it becomes `worker_id`.
        Raises
        NotAuthenticated, InvalidInput or Conflict, and has changed nothing then."""
        token = admit(self._tokens, secret_hash, now)
        check_kind(token, kind)
        records: list[Record] = []
        if secret_hash not in self._ours:
            records.append(token)
        if token.role in (Role.WORKER, Role.GATEWAY):
            of = IdentityKind(token.role)
            known = before is not None and before.identity.kind is of and not self.is_expelled(before)
            name = before.identity.name if before and known else worker_id
        else:
            self.check_user(token.user, token.role)
            name, of = token.user, IdentityKind.USER
            # Known already, it may still be on its way to the disk, by somebody who joins at the same time.
            records.append(self._holder(name, token.role, now))
        by = "" if secret_hash in self._ours else token.id
        enrolment = Enrolment(of, name, enrolment_id, by, now)
        # First in memory: two uses at once must not both see the last one.
        self._tokens[secret_hash] = token
        for record in (*records, enrolment):
            self._keep(record)
        return enrolment, [*records, enrolment]

    def _holder(self, name: str, role: Role, now: float) -> UserRecord:
        """Who joins as the user of that name: the one that there is, or the next after one who was revoked."""
        present = self._users.get(name)
        if present is None or present.revoked is None:
            return present or UserRecord(name, role, now)
        return UserRecord(name, role, now, holder=present.holder + 1)

    def enrol_admin(self, enrolment_id: int, now: float) -> list[Record]:
        """A new joining of the first user, whose certificate lies beside the CA: without any token."""
        enrolment = Enrolment(IdentityKind.USER, ADMIN_NAME, enrolment_id, "", now)
        self._keep(enrolment)
        return [enrolment]

    def begin(self, now: float) -> list[Record]:
        """Makes the first user known, on the first start."""
        return [] if ADMIN_NAME in self._users else self.keep([UserRecord(ADMIN_NAME, Role.ADMIN, now)])

    def add_ours(self, token: TokenRecord) -> None:
        """A token that is not kept: it ends with this process."""
        self._tokens[token.secret_hash] = token
        self._ours.add(token.secret_hash)

    def add(self, token: TokenRecord) -> list[Record]:
        """Conflict when it would make of a user somebody else. With a bearer token its user has joined."""
        if token.user:
            self.check_user(token.user, token.role)
        if not token.bearer:
            return self.keep([token])
        joined = Enrolment(IdentityKind.USER, token.user, token.bearer, token.id, token.created)
        return self.keep([token, self._holder(token.user, token.role, token.created), joined])

    def bearer(self, secret_hash: str, cluster_id: str, now: float) -> Peer:
        """Who shows a bearer token. NotAuthenticated when that says nothing (any more)."""
        token = borne(self._tokens, secret_hash, now)
        identity = Identity(cluster_id, IdentityKind.USER, token.user)
        return Peer(identity, 0, int(token.created), int(token.expires), token.bearer, token=token.id)

    def check_user(self, name: str, role: Role) -> None:
        """Whether a token may make someone this user; of one who was revoked somebody new may have the name."""
        user = self._users.get(name)
        if user and user.revoked is None and user.role is not role:
            raise Conflict(
                f"user {name!r} has the role {user.role}, not {role}: choose another name, or `cluster user revoke "
                f"{name}` first"
            )

    # ── lists ──────────────────────────────────────────────────────────────────────────────────────────────────

    def tokens(self) -> list[TokenRecord]:
        """Those that were made for people, oldest first."""
        return [token for token in self._tokens.values() if token.secret_hash not in self._ours]

    def user(self, name: str) -> UserRecord:
        """NotFound when there is none of the name."""
        if name not in self._users:
            raise NotFound(f"there is no user {name!r}; `cluster user list` shows those there are")
        return self._users[name]

    def enrolments(self) -> list[Enrolment]:
        """All there ever were."""
        return list(self._all())

    def enrolments_of(self, kind: IdentityKind, name: str) -> list[Enrolment]:
        """The enrolments of one worker, or of all who have had a user's name."""
        return list(self._of(kind, name).values())

    def live_enrolments(self, kind: IdentityKind, name: str) -> list[Enrolment]:
        """Those joinings of a worker or user that are not revoked."""
        return [e for e in self._of(kind, name).values() if e.revoked is None]

    def tokens_open_to(self, worker_id: str, now: float) -> tuple[str, ...]:
        """Ids of the tokens that the worker has joined by and that are still good: who knows them may join again."""
        joined_by = {enrolment.token for enrolment in self.live_enrolments(IdentityKind.WORKER, worker_id)}
        return tuple(token.id for token in self.tokens() if token.is_good(now) and token.id in joined_by)

    # ── expelling ──────────────────────────────────────────────────────────────────────────────────────────────

    def revoke_user(self, name: str, now: float, and_joined: bool = False) -> Expelled:
        """Every certificate of the user is refused from now on, and every token that makes somebody this user, or that
        it has made; with `and_joined` also who joined by those. NotFound when there is none of the name."""
        expulsion = Expulsion(self, and_joined, now)
        expulsion.user(name)
        return expulsion.done()

    def revoke_worker(self, worker_id: str, now: float) -> Expelled:
        """Every certificate of the worker is refused from now on."""
        expulsion = Expulsion(self, and_joined=False, now=now)
        expulsion.worker(worker_id)
        return expulsion.done()

    def revoke_token(self, token_id: str, and_joined: bool, now: float) -> Expelled:
        """Nobody joins by the token any more; with `and_joined`, who has is expelled, and who has joined by what
        those made. NotFound when there is no such token."""
        token = next((token for token in self.tokens() if token.id == token_id), None)
        if token is None:
            raise NotFound(f"there is no token {token_id!r}; `cluster token list` shows those there are")
        expulsion = Expulsion(self, and_joined, now)
        expulsion.token(token)
        return expulsion.done()

    def let_go(self, revoked_before: float) -> list[EnrolmentForgotten]:
        """Forgets the joinings of workers that were revoked before that time (Unix seconds), when their last
        certificates have ended: who is not known is refused as they are. Other joinings stay: a worker that was not
        expelled stays who it was by a certificate of any age, what was made by hand would be believed if it were not
        known, and users are the makers of tokens."""
        gone = [
            EnrolmentForgotten(e.kind, e.name, e.id)
            for e in self._all()
            if e.kind is IdentityKind.WORKER
            and e.id != BY_HAND
            and e.revoked is not None
            and e.revoked < revoked_before
        ]
        for each in gone:
            joinings = self._enrolments[each.kind, each.name]
            del joinings[each.id]
            if not joinings:
                del self._enrolments[each.kind, each.name]
        return gone

    # ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, kind: IdentityKind, name: str) -> dict[int, Enrolment]:
        return self._enrolments.get((kind, name), {})

    def _all(self) -> Iterator[Enrolment]:
        return (enrolment for several in self._enrolments.values() for enrolment in several.values())

    def keep(self, records: list[Record]) -> list[Record]:
        """Keeps records in memory, and answers them: the caller keeps them on disk."""
        for record in records:
            self._keep(record)
        return records

    def _keep(self, record: Record) -> None:
        match record:
            case UserRecord():
                self._users[record.name] = record
            case TokenRecord():
                self._tokens[record.secret_hash] = record
            case Enrolment():
                self._enrolments.setdefault((record.kind, record.name), {})[record.id] = record
