"""A worker with no scheduler: a cluster of one, with a CA of its own beside it.

authority/ca.pem   the CA
worker.pem         what the worker serves with
admin.pem          for `cluster job --direct HOST:PORT` on the same machine
http-token         the bearer token of its HTTP door, made when it has one for the first time; another one counts from
                   the next start on
gateway/           of the gateway that it keeps then
"""

import asyncio
import logging
import secrets
import time
import uuid
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path

from cluster.domain.base.errors import Conflict, NotAuthenticated, NotFound
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import ADMIN_NAME, IdentityKind, Peer
from cluster.domain.trust.renewal import EARLIEST, renewal_time
from cluster.domain.trust.tokens import BEARER_BYTES, BEARER_PREFIX
from cluster.pki.authority import Authority, open_authority
from cluster.pki.files import load_credentials, read_private, save_credentials, write_private
from cluster.pki.issuer import hash_secret
from cluster.pki.renewal_loop import keep_renewed
from cluster.rpc.on_behalf import Proof
from cluster.worker.membership import (
    CREDENTIALS_FILE,
    Membership,
    MembershipRecord,
    load_state,
    save_state,
)

logger = logging.getLogger(__name__)

FOR_EVER = 1 << 40  # Unix seconds

AUTHORITY_DIRECTORY, ADMIN_FILE, TOKEN_FILE = "authority", "admin.pem", "http-token"


class Standalone:
    """The CA of a worker that stands alone."""

    def __init__(self, directory: Path, name: str) -> None:
        """Opens it or makes it. Conflict when this worker has joined a cluster."""
        state = load_state(directory)
        if state is not None and not (directory / AUTHORITY_DIRECTORY).exists():
            raise Conflict(
                f"{directory} belongs to a worker of cluster {state.cluster_id}: it cannot stand alone as well; "
                "use another --directory"
            )
        self._directory = directory
        self._authority = open_authority(directory / AUTHORITY_DIRECTORY, time.time())
        state = state or MembershipRecord(str(uuid.uuid4()), name, self._authority.cluster_id)
        save_state(directory, state)
        self.membership = Membership(directory, state, self._issue(state.id))
        self._token_hash = ""  # of the bearer token; empty: there is none

    def open_http(self) -> None:
        """Lets in who shows the bearer token, which is made where there is none. ClusterError for a file that is no
        token's."""
        path = self._directory / TOKEN_FILE
        try:
            text = read_private(path).decode().strip()
        except NotFound:
            text = BEARER_PREFIX + secrets.token_urlsafe(BEARER_BYTES)
            write_private(path, f"{text}\n".encode())
        if not text.startswith(BEARER_PREFIX) or len(text) < BEARER_BYTES:
            raise Conflict(f"{path} holds no token: remove it, and the next start makes one")
        self._token_hash = hash_secret(text)

    def who_shows(self, shown: Proof) -> Peer:
        """The admin, who alone has rights here. NotAuthenticated for what is not this worker's token or its admin's
        certificate."""
        admin = self._authority.identity(IdentityKind.USER, ADMIN_NAME)
        if shown.token:
            if not (self._token_hash and compare_digest(hash_secret(shown.token), self._token_hash)):
                raise NotAuthenticated(f"the token is not that of this worker, which is in its {TOKEN_FILE}")
            return Peer(admin, 0, 0, FOR_EVER, token=TOKEN_FILE)
        peer = self._authority.recognise(shown.certificate)
        if peer is None or peer.identity != admin:
            raise NotAuthenticated("the certificate that was shown is not that of this worker's admin")
        return peer

    async def keep_renewing(self, renewed: Callable[[Credentials], None]) -> None:
        """Renews, for ever, when the present certificates are due."""

        async def renew(_: Credentials) -> Credentials:
            return await asyncio.to_thread(self.issue)

        await keep_renewed(lambda: self.membership.credentials, renew, renewed)

    def issue(self) -> Credentials:
        """The worker's credentials: new ones where they are due."""
        self.membership.credentials = self._issue(self.membership.state.id)
        return self.membership.credentials

    def _issue(self, worker_id: str) -> Credentials:
        """New credentials for both. The admin's are made with them, so that they too are always fresh."""
        _issue(self._authority, self._directory / ADMIN_FILE, IdentityKind.USER, ADMIN_NAME)
        return _issue(self._authority, self._directory / CREDENTIALS_FILE, IdentityKind.WORKER, worker_id)


def _issue(authority: Authority, path: Path, kind: IdentityKind, name: str) -> Credentials:
    identity = authority.identity(kind, name)
    try:
        present = load_credentials(path)
        if present.identity != identity:
            raise Conflict(f"{path} is of {present.identity.uri}, not of {identity.uri}: move it away")
        if present.not_before <= time.time() < renewal_time(present.not_before, present.not_after, EARLIEST):
            return present
    except NotFound:
        pass  # the first start
    fresh = authority.issue(identity, time.time())
    save_credentials(path, fresh)
    return fresh
