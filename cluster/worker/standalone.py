"""A worker with no scheduler: a cluster of one, with a CA of its own beside it.

authority/ca.pem   the CA
worker.pem         what the worker serves with
admin.pem          for `cluster job --direct HOST:PORT` on the same machine
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from cluster.domain.base.errors import Conflict, NotFound
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import ADMIN_NAME, IdentityKind
from cluster.domain.trust.renewal import EARLIEST, renewal_time
from cluster.pki.authority import Authority, open_authority
from cluster.pki.files import load_credentials, save_credentials
from cluster.pki.renewal_loop import keep_renewed
from cluster.worker.membership import (
    CREDENTIALS_FILE,
    Membership,
    MembershipRecord,
    load_state,
    save_state,
)

logger = logging.getLogger(__name__)

AUTHORITY_DIRECTORY, ADMIN_FILE = "authority", "admin.pem"


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
