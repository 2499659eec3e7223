"""Who this worker is and which cluster it belongs to, kept in its directory:

worker.json   UUID, name, cluster, addresses, the highest scheduler epoch it has obeyed
worker.pem    its key and certificate
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from cluster.domain.credentials import Credentials
from cluster.domain.errors import ClusterError, NotFound, Unreachable, Untrusted
from cluster.domain.identity import Kind, scheduler_server_name
from cluster.domain.renewal import EARLIEST, LATEST, renewal_time
from cluster.domain.tokens import JoinToken, parse_join_token
from cluster.pki.certificates import pin_of_pem
from cluster.pki.enrol import KeyRequest
from cluster.pki.files import load_credentials, read_private, save_credentials, write_private
from cluster.pki.peers import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.join import join_by_token, renew

logger = logging.getLogger(__name__)

STATE_FILE, CREDENTIALS_FILE = "worker.json", "worker.pem"
SCHEDULER_FILE, TOKEN_FILE = "scheduler.json", "join-token"  # in the directory of a scheduler on the same machine
RETRY = 60.0  # seconds until a renewal that failed is tried again: hours are left
LONGEST_NAP = 3600.0  # seconds; timers run on the monotonic clock, and the wall clock may be set meanwhile


@dataclass(frozen=True, slots=True)
class State:
    """What worker.json holds. Addresses are host:port, "" when there is none."""

    id: str
    name: str
    cluster_id: str
    scheduler: str = ""
    api: str = ""
    epoch: int = 0
    pid: int = 0
    home: str = ""  # where it last worked (cluster.domain.homes)


class Membership:
    """The worker's state and credentials, both kept on disk."""

    def __init__(self, directory: Path, state: State, credentials: Credentials) -> None:
        self._directory = directory
        self.state = state
        self.credentials = credentials

    def amend(self, **changes: str | int) -> None:
        """Change the state, on disk first."""
        state = replace(self.state, **changes)  # type: ignore[arg-type]
        if state != self.state:
            save_state(self._directory, state)
            self.state = state

    def renewed(self, credentials: Credentials) -> None:
        """Use these from now on."""
        save_credentials(self._directory / CREDENTIALS_FILE, credentials)
        self.credentials = credentials


def load_state(directory: Path) -> State | None:
    """None when this worker has never been anything."""
    path = directory / STATE_FILE
    try:
        said = json.loads(read_private(path))
        return State(**{f.name: said[f.name] for f in fields(State) if f.name in said})
    except NotFound:
        return None
    except (ValueError, TypeError) as error:
        raise ClusterError(f"{path} cannot be understood: {error}; remove it, and join again") from None


def save_state(directory: Path, state: State) -> None:
    write_private(directory / STATE_FILE, json.dumps(asdict(state), indent=2).encode())


async def enter_cluster(
    directory: Path, name: str, host_name: str, token: str, local_scheduler: Path | None
) -> Membership:
    """The membership that the directory holds, or a new one: by a token, or of the scheduler on this machine.

    `name` is the wished one; "": as it was, at first `host_name`.
    ClusterError says what is missing, or which two clusters do not go together.
    """
    given = parse_join_token(token) if token else None
    try:
        credentials = load_credentials(directory / CREDENTIALS_FILE)
    except NotFound:
        if given is None:
            given = _local_token(local_scheduler)
        return await _join(directory, name or host_name, given)
    if given is not None and given.pin != pin_of_pem(credentials.ca_pem):
        raise Untrusted(
            f"{directory} belongs to a worker of cluster {credentials.identity.cluster_id}, and the join token is of "
            "another cluster: use another --directory, or remove this one to leave its cluster"
        )
    state = load_state(directory) or _new_state(credentials, name or host_name)
    return Membership(directory, replace(state, name=name or state.name), credentials)


def local_address(local_scheduler: Path | None, cluster_id: str) -> str | None:
    """Where the scheduler of this machine listens, if it is of our cluster."""
    if local_scheduler is None:
        return None
    try:
        said = json.loads((local_scheduler / SCHEDULER_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return str(said["address"]) if said.get("cluster_id") == cluster_id and said.get("address") else None


async def _join(directory: Path, name: str, token: JoinToken) -> Membership:
    request = KeyRequest()
    joined = await join_by_token(token, request.request, name, check_pinned_chain, Kind.WORKER)
    credentials = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
    save_credentials(directory / CREDENTIALS_FILE, credentials)
    state = replace(_new_state(credentials, name), scheduler=joined.scheduler_address)
    save_state(directory, state)
    logger.info("joined cluster %s as worker %s", state.cluster_id, state.id)
    return Membership(directory, state, credentials)


def _new_state(credentials: Credentials, name: str) -> State:
    return State(credentials.identity.name, name, credentials.identity.cluster_id)


def _local_token(local_scheduler: Path | None) -> JoinToken:
    try:
        if local_scheduler is not None:
            return parse_join_token(read_private(local_scheduler / TOKEN_FILE).decode())
    except NotFound:
        if local_scheduler is not None and local_scheduler.is_dir():
            raise Unreachable(
                f"the scheduler of this machine, in {local_scheduler}, is not running: start it first; or join another "
                "cluster with --join TOKEN"
            ) from None
    raise NotFound(
        "this worker belongs to no cluster: start it once with --join TOKEN (`cluster token create` on the scheduler's "
        "machine prints one), or with --standalone"
    )


async def keep_renewing(
    membership: Membership, address: Callable[[], str], renewed: Callable[[Credentials], None]
) -> None:
    """For ever: a new certificate each time the present one is due."""
    fraction = random.uniform(EARLIEST, LATEST)  # noqa: S311 (spreads renewals, keeps no secret)
    while True:
        present = membership.credentials
        wait = renewal_time(present.not_before, present.not_after, fraction) - time.time()
        if wait > 0:
            await asyncio.sleep(min(wait, LONGEST_NAP))
            continue
        try:
            fresh = await _renew(present, address())
            membership.renewed(fresh)
        except ClusterError as error:
            left = max(0.0, present.not_after - time.time()) / 3600
            logger.warning("the certificate was not renewed, %.0f h are left: %s", left, error)
            await asyncio.sleep(RETRY)
            continue
        renewed(fresh)
        logger.info("the certificate was renewed")


async def _renew(present: Credentials, address: str) -> Credentials:
    request = KeyRequest()
    async with dial(address, present, scheduler_server_name(present.identity.cluster_id)) as channel:
        certificate = await renew(channel, address, request.request)
    return request.complete(certificate, present.ca_pem, present.identity)
