"""Who belongs to the cluster: its users and join tokens, in memory as they are on disk. Few of each, so lists do."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cluster.domain.errors import Conflict, NotFound
from cluster.domain.identity import ADMIN_NAME, Identity, Kind, Peer, Role
from cluster.domain.tokens import TokenRecord, admit, check_kind
from cluster.domain.users import UserRecord
from cluster.pki import enrol
from cluster.pki.authority import Authority
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store
from cluster.v1 import scheduler_pb2


class Admission:
    """Made before the driver runs, from what the store holds."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        """`changed` is called after anybody's right has changed."""
        self._changed = changed
        self._users = {user.name: user for user in store.users()}
        self._tokens = {token.secret_hash: token for token in store.tokens()}
        self._ours: set[str] = set()  # hashes of tokens that live only as long as this process

    async def begin(self, driver: Driver) -> None:
        """To be called when the driver runs: makes the first user known, on the first start."""
        self._driver = driver
        if ADMIN_NAME not in self._users:
            await self._put_user(UserRecord(ADMIN_NAME, Role.ADMIN, driver.clock().wall))

    def role_of(self, identity: Identity) -> Role | None:
        """In what right it acts; None: in none."""
        match identity.kind:
            case Kind.SCHEDULER:
                return Role.SCHEDULER
            case Kind.WORKER:
                return Role.WORKER
            case Kind.USER:
                user = self._users.get(identity.name)
                return user.role if user else None

    def is_revoked(self, peer: Peer) -> bool:
        """Whether whoever shows this certificate is a user who was revoked."""
        user = self._users.get(peer.identity.name) if peer.identity.kind is Kind.USER else None
        return user is not None and user.revoked is not None

    async def join(
        self, authority: Authority, address: str, request: scheduler_pb2.JoinRequest
    ) -> scheduler_pb2.JoinResponse:
        """A certificate for the bearer of a token. `address` is where our main listener is, as JoinResponse says it."""
        admit = partial(self._admit, request.kind)
        issued = await enrol.join(authority, request.secret, request.csr, admit, self._driver.clock().wall)
        return scheduler_pb2.JoinResponse(
            certificate=issued.certificate_pem,
            ca_certificate=authority.ca_pem,
            cluster_id=authority.cluster_id,
            identity=issued.identity.uri,
            scheduler_address=address,
        )

    async def _admit(self, kind: str, secret_hash: str) -> TokenRecord:
        """Spends one use of a token, on disk before it returns; none if its bearer cannot become what it says."""
        now = self._driver.clock().wall
        record = admit(self._tokens, secret_hash, now)
        check_kind(record, kind)
        if record.role is not Role.WORKER:
            self._check_user(record.user, record.role)
        items: list[TokenRecord | UserRecord] = []  # in one commit: a use that is spent has made its user
        if secret_hash not in self._ours:
            self._tokens[secret_hash] = record  # first in memory: two uses at once must not both see the last one
            items.append(record)
        if record.role is not Role.WORKER:
            # Known already, it may still be on its way to the disk, by somebody who joins at the same time.
            self._users[record.user] = user = self._users.get(record.user) or UserRecord(record.user, record.role, now)
            self._changed()
            items.append(user)
        if items:
            await self._driver.save(*items)
        return record

    def add_ours(self, record: TokenRecord) -> None:
        """A token that ends with this process."""
        self._tokens[record.secret_hash] = record
        self._ours.add(record.secret_hash)

    async def add(self, record: TokenRecord) -> None:
        if record.role is not Role.WORKER:
            self._check_user(record.user, record.role)
        await self._put_token(record)

    def tokens(self) -> list[TokenRecord]:
        """Those that were made for people, oldest first."""
        return [token for token in self._tokens.values() if token.secret_hash not in self._ours]

    async def revoke(self, token_id: str) -> None:
        """NotFound when there is none; revoking it again changes nothing."""
        token = next((token for token in self.tokens() if token.id == token_id), None)
        if token is None:
            raise NotFound(f"there is no token {token_id!r}; `cluster token list` shows those there are")
        if token.revoked is None:
            token = replace(token, revoked=self._driver.clock().wall)
        await self._put_token(token)  # again, if need be: whoever revoked it before may still wait for the disk

    def _check_user(self, name: str, role: Role) -> None:
        """Whether a token may make someone this user."""
        user = self._users.get(name)
        if user and user.revoked is not None:
            raise Conflict(f"user {name!r} was revoked: choose another name")
        if user and user.role is not role:
            raise Conflict(f"user {name!r} has the role {user.role}, not {role}: choose another name")

    async def _put_user(self, user: UserRecord) -> None:
        self._users[user.name] = user
        self._changed()
        await self._driver.save(user)

    async def _put_token(self, token: TokenRecord) -> None:
        self._tokens[token.secret_hash] = token  # first in memory: two uses at once must not both see the last one
        await self._driver.save(token)
