"""Who this worker is and which cluster it belongs to, kept in its directory:

worker.json   UUID, name, cluster, addresses, the highest scheduler epoch it has obeyed
worker.pem    its key and certificate
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from cluster.domain.base.errors import ClusterError, NotFound
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.pki.authority import CA_FILE, load_authority
from cluster.pki.files import check_room, read_private, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.renewal_loop import keep_renewed
from cluster.pki.spare_files import write_with_spare
from cluster.rpc.channel import dial
from cluster.rpc.join_client import renew
from cluster.worker.known_schedulers import KnownSchedulers

logger = logging.getLogger(__name__)

STATE_FILE, CREDENTIALS_FILE = "worker.json", "worker.pem"


@dataclass(frozen=True, slots=True)
class MembershipRecord:
    """What worker.json holds. Addresses are host:port, "" when there is none."""

    id: str
    name: str
    cluster_id: str
    scheduler: str = ""
    api: str = ""
    epoch: int = 0
    pid: int = 0
    home: str = ""  # where it last worked (cluster.domain.scheduler.clone_detection)
    work: str = ""  # where attempts of another user run (cluster.worker.work_directory)


class Membership:
    """The worker's state and credentials, both kept on disk."""

    def __init__(self, directory: Path, state: MembershipRecord, credentials: Credentials) -> None:
        self._directory = directory
        self.state = state
        self.credentials = credentials
        self.schedulers = KnownSchedulers(directory)
        self._refused = asyncio.Event()
        self._amending = threading.Lock()

    def check_room(self) -> None:
        """Unusable where nothing new could be kept."""
        check_room(self._directory)

    def refused(self) -> None:
        """Somebody did not take our certificate: `keep_renewing` looks at it now, not at the end of its nap."""
        self._refused.set()

    async def sleep(self, seconds: float) -> None:
        """Sleeps that long, or until it is refused. Timers run on the monotonic clock, which stands still while a
        machine         sleeps."""
        self._refused.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._refused.wait(), seconds)

    def amend(self, **changes: str | int) -> None:
        """Change the state, on disk first. Blocks; from any thread."""
        with self._amending:
            state = replace(self.state, **changes)  # type: ignore[arg-type]
            if state != self.state:
                save_state(self._directory, state)
                self.state = state

    def renewed(self, credentials: Credentials) -> None:
        """Use these from now on."""
        save_credentials(self._directory / CREDENTIALS_FILE, credentials)
        self.credentials = credentials


def load_state(directory: Path) -> MembershipRecord | None:
    """None when this worker has never been anything."""
    path = directory / STATE_FILE
    try:
        said = json.loads(read_private(path))
        return MembershipRecord(**{f.name: said[f.name] for f in fields(MembershipRecord) if f.name in said})
    except NotFound:
        return None
    except (ValueError, TypeError) as error:
        raise ClusterError(f"{path} cannot be understood: {error}; remove it, and join again") from None


def save_state(directory: Path, state: MembershipRecord) -> None:
    """Saves it, on a full disk too: before its epoch is on disk a scheduler must not be obeyed, and without a session
    no output could leave, so that there would never be room."""
    write_with_spare(directory / STATE_FILE, json.dumps(asdict(state), indent=2).encode())


async def keep_renewing(
    membership: Membership,
    address: Callable[[], str],
    renewed: Callable[[Credentials], None],
    local_scheduler: Path | None = None,
) -> None:
    """Renews, for ever, when the present certificate is due or was refused (`Membership.refused`)."""

    async def renew(present: Credentials) -> Credentials:
        own = None if present.valid_at(time.time()) else await asyncio.to_thread(reissued, present, local_scheduler)
        fresh = own or await new_credentials(present, address())
        await asyncio.to_thread(membership.renewed, fresh)
        return fresh

    await keep_renewed(lambda: membership.credentials, renew, renewed, membership.sleep)


async def new_credentials(present: Credentials, address: str) -> Credentials:
    """Renewed by the scheduler at that address, with a new key."""
    request = KeyRequest()
    async with dial(address, present, scheduler_server_name(present.identity.cluster_id)) as channel:
        certificate = await renew(channel, address, request.request)
    return request.complete(certificate, present.ca_pem, present.identity)


def reissued(present: Credentials, local_scheduler: Path | None) -> Credentials | None:
    """Renewed by whoever may read the CA of this machine's own scheduler, whether that runs or not; None where there is
    none of this cluster."""
    if local_scheduler is None:
        return None
    try:
        return load_authority(local_scheduler / CA_FILE).reissue(present, time.time())
    except ClusterError:
        return None
