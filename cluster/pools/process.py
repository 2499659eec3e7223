"""The process that keeps pools.

keeper.pem     who it is (cluster.pools.membership)
machines.json  what was asked for (cluster.pools.written)
pools.lock     held by the one keeper that uses this directory
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.tokens import check_addresses
from cluster.pki.files import private_directory, the_only_one
from cluster.pki.renewal_loop import keep_renewed
from cluster.pools.calls import KeeperCalls, at_all
from cluster.pools.config import read_pools
from cluster.pools.keeper import Keeper
from cluster.pools.membership import KeeperMembership
from cluster.pools.written import MachinesFile
from cluster.rpc.stop_signal import stop_signal


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    config: Path
    directory: Path  # of this keeper alone
    scheduler: str = ""  # host:port, several with commas between; empty: as joined
    join: str = ""  # a join token of role pools; needed once


async def serve(options: KeeperOptions, ready: Callable[[int], None]) -> int:
    """Keeps the pools of the file until SIGTERM or SIGINT; `ready` is called once, with how many those are. Returns the
    exit code. ClusterError for what keeps it from starting, OSError for a disk that fails."""
    read_pools(options.config, "")  # what is wrong there is told before a token is spent
    directory = private_directory(options.directory.absolute())
    with the_only_one("keeper of pools", directory / "pools.lock"):
        stop = stop_signal()
        membership = KeeperMembership(directory)
        credentials = await membership.enter(options.join, lambda got: _try_out(got, options.scheduler))
        pools = read_pools(options.config, credentials.identity.cluster_id)
        written = MachinesFile(directory / "machines.json")
        calls = KeeperCalls(address_of(credentials, options.scheduler), credentials, options.scheduler)
        renewing = asyncio.create_task(_keep_renewed(membership, credentials, calls))
        try:
            keeper = Keeper(pools, written, calls, secrets.token_hex(4), membership.told)
            await keeper.keep(stop, lambda: ready(len(pools)))
        except ExceptionGroup as errors:  # of the tasks that it consists of
            raise errors.exceptions[0] from None
        finally:
            renewing.cancel()
            await calls.close()
    return 0


async def _try_out(credentials: Credentials, scheduler: str) -> None:
    """NotPermitted for somebody who may keep no pools."""
    calls = KeeperCalls(address_of(credentials, scheduler), credentials)
    try:
        await calls.exchange([])
    finally:
        await calls.close()


def address_of(credentials: Credentials, scheduler: str) -> str:
    """Of the scheduler; of several, with commas between, it is whichever leads. What is given is asked first."""
    return at_all(",".join(check_addresses(scheduler)) if scheduler else "", credentials.scheduler)


async def _keep_renewed(membership: KeeperMembership, present: Credentials, calls: KeeperCalls) -> None:
    def use(fresh: Credentials) -> None:
        nonlocal present
        present = fresh
        calls.use(fresh)

    await keep_renewed(lambda: present, lambda old: membership.renewed(old, calls.address), use)
