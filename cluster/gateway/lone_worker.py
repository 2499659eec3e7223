"""A worker that stands alone on this machine, as its gateway knows it: by its directory, which both may read."""

import json
from pathlib import Path

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.identity import Identity, IdentityKind

FILE, AUTHORITY = "worker.json", "authority"


class LoneWorker:
    """authority: the directory of its CA. address: host:port of its own API; empty: it does not run. server_name: the
    DNS name that it proves there."""

    def __init__(self, directory: Path) -> None:
        """InvalidInput where no worker stands alone there."""
        self.authority = directory / AUTHORITY
        try:
            said = json.loads((directory / FILE).read_bytes())
            self.address = str(said["api"])
            identity = Identity(said["cluster_id"], IdentityKind.WORKER, said["id"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidInput(f"there is no worker in {directory}") from None
        if not self.authority.is_dir():
            raise InvalidInput(f"the worker in {directory} belongs to a cluster: its scheduler has the gateway")
        self.server_name = identity.server_name or ""
