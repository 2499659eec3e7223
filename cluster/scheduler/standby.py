"""What schedulers that stand by for each other share, and what must be so before one of them waits for the lead."""

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.domain.trust.renewal import EARLIEST
from cluster.pki.authority import CA_FILE, open_authority, refresh_credentials
from cluster.pki.files import locked, private_directory, read_private, write_private
from cluster.pki.spare_files import write_anyhow
from cluster.rpc.addresses import from_elsewhere, join_up, split_listen
from cluster.rpc.server import expect_free
from cluster.scheduler.leading import LEAST_LEASE, MOST_LEASE, Leading
from cluster.scheduler.service import Addresses
from cluster.scheduler.store_choice import cluster_in, remember

logger = logging.getLogger(__name__)

STATUS = "scheduler.json"  # where the scheduler that leads is
SHARED_ID = "shared-id"  # by which schedulers find that they share one directory


def check_standby(*, standby: bool, shared: Path | None, store: str, lease: float, listen: str) -> None:
    """InvalidInput for what cannot be together."""
    if not store and (standby or shared):
        option = "--standby" if standby else "--shared"
        raise InvalidInput(f"{option} needs --store redis://…: a database in a directory is of one machine alone")
    if not standby:
        return
    if shared is None:
        raise InvalidInput(
            "--standby needs --shared DIR: a directory that all schedulers see, for the CA's key and what jobs wrote"
        )
    if not LEAST_LEASE <= lease <= MOST_LEASE:
        raise InvalidInput(f"--takeover-after {lease:g}: use {LEAST_LEASE:g} to {MOST_LEASE:g} s, as jobs live for 45")
    if not split_listen(listen)[1]:
        raise InvalidInput(f"--standby with --listen {listen}: name a port, as workers are told it before it serves")


def shared_directory(shared: Path | None, own: Path) -> Path:
    """Where keys, outputs and uploads lie: there, or in the scheduler's own directory. It is not made where it is
    missing, as then most likely it is not mounted."""
    if shared is None:
        return own
    if not shared.is_dir():
        raise NotFound(f"the shared directory {shared} is not there: mount it, or make it (mode 700)")
    return private_directory(shared)


def expect_one_cluster(shared: Path, own: Path, store: str, *, may_lose: bool) -> None:
    """ClusterError where keys and store are of different clusters, or one of them is missing."""
    known, has_keys = cluster_in(own, store, may_lose=may_lose), (shared / CA_FILE).exists()
    if known is not None and not has_keys and shared != own:
        raise NotFound(
            f"the shared directory {shared} has no {CA_FILE}, and the store is of cluster {known}: mount the directory "
            "that its other schedulers share, or name it"
        )
    if known is not None or has_keys:
        open_authority(shared, time.time(), known)


def shared_id(shared: Path | None) -> str:
    """An id that lies in the shared directory, made now if it is the first time; empty: there is no such directory.
    Unusable where it cannot be written."""
    if shared is None:
        return ""
    with locked(shared):
        with suppress(NotFound):
            return read_private(shared / SHARED_ID).decode().strip()
        made = secrets.token_hex(8)
        write_private(shared / SHARED_ID, f"{made}\n".encode())
        return made


class StandbyNotes:
    """What lies in the directory of a scheduler that stands by: with it commands on this machine find the one that
    leads, and know where the jobs are."""

    def __init__(self, leading: Leading, directory: Path, shared: Path, store: str) -> None:
        self._leading, self._directory, self._shared, self._store = leading, directory, shared, store
        self._noted: object = None

    def note(self) -> None:
        """Writes it, if it is not as it was."""
        leading = self._leading
        now = leading.address, leading.roster.addresses
        if now == self._noted or not (self._shared / CA_FILE).exists():  # the one that leads makes the cluster yet
            return
        self._noted = now
        try:
            authority = open_authority(self._shared, time.time())
            refresh_credentials(authority, self._directory, time.time(), EARLIEST)
            remember(self._directory, self._store)
            said = {"address": leading.address, "join_address": "", "pid": os.getpid()}
            said |= {"cluster_id": authority.cluster_id, "schedulers": list(leading.roster.addresses)}
            write_anyhow(self._directory / STATUS, json.dumps(said).encode())
        except ClusterError as error:
            logger.warning("commands on this machine do not find the scheduler that leads: %s", error)


def expect_ports(addresses: Addresses) -> None:
    """Conflict unless it could serve."""
    expect_free(addresses.listen)
    expect_free(addresses.join_listen, "--join-listen")


def address_of(addresses: Addresses) -> str:
    """host:port by which others reach it; empty where that is not known before it serves."""
    host, port = split_listen(addresses.listen)
    return join_up(addresses.advertise or from_elsewhere(host), port) if port else ""


@asynccontextmanager
async def leading_while(leading: Leading, stop: asyncio.Event | None) -> AsyncIterator[None]:
    """Keeps the lead while the body runs, and lets go of it then. Where others stand by and nobody has said `stop`, it
    is started again, and stays on the list."""
    keeping = asyncio.create_task(leading.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await leading.leave(stays=stop is not None and not stop.is_set())
