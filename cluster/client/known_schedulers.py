"""Where the schedulers of the cluster are that this user has logged in to: asked for again from time to time, as others
may have come."""

import json
import time
from pathlib import Path

from cluster.client.discovery import Endpoint
from cluster.client.paths import USER_CLUSTER_FILE
from cluster.client.types import Me
from cluster.domain.base.errors import ClusterError

EVERY = 600.0  # seconds


def are_due(endpoint: Endpoint) -> bool:
    """Whether somebody should ask: the answer may be another one by now."""
    file = _file(endpoint)
    try:
        return file is not None and "schedulers" in json.loads(file.read_bytes()) and _age(file) > EVERY
    except (OSError, ValueError):
        return False


def keep_schedulers(endpoint: Endpoint, me: Me) -> None:
    """Notes where they are, for the next call. Where that cannot be written the list of before goes on."""
    file = _file(endpoint)
    if file is None:
        return
    from cluster.pki.files import write_private

    try:
        said = json.loads(file.read_bytes())
        said["schedulers"] = [each.address for each in me.schedulers]
        write_private(file, json.dumps(said).encode())
    except (ClusterError, OSError, ValueError, TypeError):
        return


def _file(endpoint: Endpoint) -> Path | None:
    """Of whoever has logged in; None for any other."""
    file = endpoint.renewable.parent / USER_CLUSTER_FILE if endpoint.renewable else None
    return file if file and file.exists() else None


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime
