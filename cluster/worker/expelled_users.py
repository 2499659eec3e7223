"""Whom this worker's own API must not let in: told by the scheduler in each session, and kept for the time without one.

expelled.json   a list of [name of a user, enrolment]
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.domain.base.errors import ClusterError, NotFound
from cluster.domain.trust.identity import IdentityKind, Peer
from cluster.domain.trust.members import ExpelledUser
from cluster.pki.files import read_private, write_private

logger = logging.getLogger(__name__)

FILE = "expelled.json"


class ExpelledUsers:
    """`changed` is called after there are others."""

    def __init__(self, directory: Path) -> None:
        """ClusterError for a file that cannot be read: to go on without it would let somebody in."""
        self._path = directory / FILE
        self._users = frozenset(_read(self._path))
        self.changed: Callable[[], None] = lambda: None

    def __contains__(self, peer: Peer) -> bool:
        """Whether whoever shows this certificate is one of them."""
        return peer.identity.kind is IdentityKind.USER and (peer.identity.name, peer.enrolment) in self._users

    def replace(self, users: Sequence[ExpelledUser]) -> None:
        """These it is from now on. A disk that is full keeps nobody in; the next session tells them again."""
        if self._users == frozenset(users):
            return
        self._users = frozenset(users)
        self.changed()
        try:
            write_private(self._path, json.dumps(sorted(users)).encode())
        except ClusterError as error:
            logger.error("whom the own API must not let in is not kept over a restart: %s", error)


def _read(path: Path) -> list[ExpelledUser]:
    try:
        return [ExpelledUser(str(name), int(enrolment)) for name, enrolment in json.loads(read_private(path))]
    except NotFound:
        return []
    except (ValueError, TypeError) as error:
        raise ClusterError(
            f"{path} cannot be understood: {error}; remove it, and the scheduler tells its content again"
        ) from None
