"""The scheduler as a process: opens its directory, serves, renews its own certificate, stops in order.

ca.pem scheduler.pem admin.pem    the cluster's keys (cluster.pki.authority)
                                  ca.pem, outputs/, notify-secret and uploads may be in a directory that is shared
cluster.db                        the store, unless it is in Redis (cluster.scheduler.store_choice)
outputs/                          output of attempts
scheduler.lock                    held by the one scheduler that uses this directory
notify-secret                     signs notices, where any URL is allowed
join.sock                         of the joining port's server, behind its front (cluster.rpc.connection_front)
local.sock                        for commands on this machine (cluster.rpc.local)
scheduler.json                    where the running scheduler is, for clients and workers on this machine
advertised                        host by which other machines reach it, as --advertise said last
gateway/                          of the gateway that it keeps, with --http
join-token                        lets workers on this machine join without pasting; good while this process lives
"""

import asyncio
import json
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cluster.domain.base.errors import ClusterError, Exhausted, InvalidInput, NotFound, Unreachable, Unusable
from cluster.domain.scheduler.retention import USUAL_LIMITS, Limits
from cluster.domain.scheduler.state import LEASE
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Role
from cluster.domain.trust.renewal import EARLIEST, LATEST
from cluster.pki.authority import CA_FILE, SCHEDULER_FILE, Authority, open_authority, refresh_credentials
from cluster.pki.files import load_credentials, private_directory, read_private, the_only_one, write_private
from cluster.pki.renewal_loop import keep_renewed
from cluster.pki.spare_files import remove_but_keep_room, write_anyhow
from cluster.rpc.addresses import check_host, join_up, split_listen
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.gateway_keeper import GatewayKeeper, HttpOptions
from cluster.rpc.process_limits import allow_many_files
from cluster.rpc.server import expect_free
from cluster.rpc.stop_signal import stop_signal
from cluster.scheduler.garbage_collection import look_at_each_object_once
from cluster.scheduler.gateway_certificate import certify
from cluster.scheduler.leading import ALONE, USUAL_LEASE, Leading, LeadUnsure
from cluster.scheduler.notices.targets import NoticeTargets
from cluster.scheduler.reading_ahead import ReadAhead
from cluster.scheduler.service import Addresses, SchedulerService, recovered
from cluster.scheduler.standby import (
    STATUS,
    StandbyNotes,
    address_of,
    check_standby,
    expect_one_cluster,
    expect_ports,
    leading_while,
    shared_directory,
    shared_id,
)
from cluster.scheduler.store_choice import LOCK, cluster_in, expect_choice, open_store, reading_ahead
from cluster.store.interface import TakenOver

logger = logging.getLogger(__name__)

ADVERTISED = "advertised"
WORKED_OUT = "auto"  # in the place of a host
LEAST_LEASE, MOST_LEASE = 1.0, 86_400.0  # seconds: heartbeats come a few times in each
DEFAULT_LISTEN = "0.0.0.0:50000"
TOKEN = "join-token"  # noqa: S105 (a name of a file)
GATEWAY = "gateway"
_AGAIN = 0.1  # seconds between two tries

# The line that is printed on the first start. It may stay on a screen or in a log: enough for the first few machines.
FIRST_TOKEN_LIFE = 900.0  # seconds
FIRST_TOKEN_USES = 10


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    directory: Path  # of the scheduler alone, such as ~/.local/state/cluster/scheduler
    listen: str = DEFAULT_LISTEN  # host:port; port 0: any that is free
    join_listen: str = ""  # where machines join; empty: the port after the other
    # Host by which other machines reach this one, remembered for later starts; empty: as before, at first worked out;
    # WORKED_OUT: again.
    advertise: str = ""
    lease: float = LEASE  # seconds without a word after which a worker is unreachable
    notify_urls: tuple[str, ...] = ()  # where notices may go, and what they may run: as NoticeTargets.configured
    notify_commands: tuple[str, ...] = ()
    limits: Limits = USUAL_LIMITS  # what is kept of ended jobs
    http: HttpOptions | None = None  # the gateway beside it; None: there is none
    turn_over: bool = False  # as of SqliteStore
    store: str = ""  # URL of Redis; empty: the database in the directory
    store_may_lose: bool = False  # Redis may be one that loses what it has acknowledged
    standby: bool = False  # it waits until nobody leads, and others wait for it
    shared: Path | None = None  # what others need that take over; None: it is in the directory
    takeover_after: float = USUAL_LEASE  # seconds without a word of the one that leads


@dataclass(frozen=True, slots=True)
class ReadyScheduler:
    """What there is to know of a scheduler that serves. `scheduler.json` holds the first four; and all, of several."""

    address: str  # host:port by which this machine reaches it
    join_address: str
    pid: int
    cluster_id: str
    outside_address: str = ""  # host:port by which other machines most likely reach it
    join_token: str = ""  # on the very first start: to be pasted on other machines
    doubt: str = ""  # why other machines may not reach it by what lines to paste say; empty: they do


async def serve(options: SchedulerOptions, ready: Callable[[ReadyScheduler], None]) -> int:
    """Runs a scheduler until SIGTERM or SIGINT; `ready` is called once, when it serves. Returns the exit code: 0, or
    that of StoreFailed if the store has failed for good. Raises ClusterError for what keeps it from starting."""
    addresses = _addresses(options)
    _check(options)
    allow_many_files()
    directory = private_directory(options.directory)
    with the_only_one("scheduler", directory / LOCK):
        addresses = replace(addresses, advertise=_advertised(options.advertise, directory / ADVERTISED))
        expect_choice(directory, options.store)
        shared = shared_directory(options.shared, directory)
        if options.standby or not (shared / CA_FILE).exists():  # who cannot serve a cluster must not make one
            expect_ports(addresses)
        if not options.store:
            return await _serve(options, addresses, shared, ready)
        expect_one_cluster(shared, directory, options.store, may_lose=options.store_may_lose)
        where = options.store, address_of(addresses), options.takeover_after
        leading = Leading(*where, lasting=not options.standby, shared=shared_id(options.shared))
        stop = stop_signal() if options.standby else None
        leading.stands_by = StandbyNotes(leading, directory, shared, options.store).note
        with closing(reading_ahead(directory, options.store, may_lose=options.store_may_lose)) as ahead:
            try:
                await (_first_of(stop.wait(), leading.take(), ahead.keep()) if stop else leading.take())
            finally:
                if stop:
                    remove_but_keep_room(directory / STATUS)
            async with leading_while(leading, stop):
                while not (stop and stop.is_set()):
                    try:
                        return await _serve(options, addresses, shared, ready, leading, stop, ahead)
                    except LeadUnsure as error:  # this machine has stalled while it started; meanwhile it is kept again
                        if leading.over.is_set():
                            raise
                        logger.warning("%s; it starts anew", error)
                        await asyncio.sleep(_AGAIN)
                return 0


async def _serve(
    options: SchedulerOptions,
    addresses: Addresses,
    shared: Path,
    ready: Callable[[ReadyScheduler], None],
    leading: Leading | None = None,
    stop: asyncio.Event | None = None,
    ahead: ReadAhead | None = None,
) -> int:
    """Runs the one scheduler that leads."""
    directory = options.directory
    known = cluster_in(directory, options.store, may_lose=options.store_may_lose)
    authority = open_authority(shared, time.time(), known)
    service = await _service(options, authority, shared, leading, ahead)
    renewing = asyncio.create_task(_keep_renewed(authority, directory, service.serving.present, service.serving))
    stop = stop or stop_signal()
    gateway = _gateway(options.http, authority, directory / GATEWAY)
    over = leading.over if leading else asyncio.Event()
    try:
        try:
            await service.start(addresses)
            if gateway:
                gateway.start(service.address)
            await _announce(service, authority, directory, ready)
            if leading:
                leading.changed = partial(_schedulers_changed, service, authority, directory)
                leading.changed()
        except LeadUnsure:
            raise
        except (Exhausted, Unreachable) as error:  # the first start makes what must be kept
            raise Unusable(f"no cluster can be made in {directory}: {error}") from None
        await _first_of(stop.wait(), service.ended.wait(), over.wait())
        if stop.is_set():
            logger.info("stopping: nothing new is taken; running jobs go on, and report when the scheduler is back")
    finally:
        renewing.cancel()
        for name in (STATUS, TOKEN):
            remove_but_keep_room(directory / name)
        if gateway:
            await gateway.stop()
        await service.stop()
    return TakenOver.exit_code if over.is_set() else service.driver.exit_code


async def _service(
    options: SchedulerOptions, authority: Authority, shared: Path, leading: Leading | None, ahead: ReadAhead | None
) -> SchedulerService:
    """One that knows all that is in the store."""
    directory = options.directory
    targets = NoticeTargets.configured(options.notify_urls, options.notify_commands)
    credentials = _credentials(authority, directory)
    where = directory, options.store, authority.cluster_id
    how = partial(open_store, may_lose=options.store_may_lose, turn_over=options.turn_over)
    if leading:  # in a thread: the lead is to be kept meanwhile
        store = await asyncio.to_thread(how, *where, tenure=leading.tenure, ahead=ahead)
    else:
        store = how(*where)
    try:
        credentials = _valid(authority, credentials)
        look_at_each_object_once()
        core = await recovered(store, options.lease)
        rest = directory, targets, options.limits, shared, leading or ALONE
        return SchedulerService(authority, credentials, store, core, *rest)
    except BaseException:
        store.close()
        raise


def _gateway(http: HttpOptions | None, authority: Authority, directory: Path) -> GatewayKeeper | None:
    """What keeps the gateway beside the scheduler, with a directory of its own; None: there is none."""
    return (
        GatewayKeeper(http, ["--directory", str(directory)], partial(certify, authority, directory)) if http else None
    )


def _check(options: SchedulerOptions) -> None:
    """ClusterError for what no scheduler can be started with."""
    NoticeTargets.configured(options.notify_urls, options.notify_commands)
    check_standby(
        standby=options.standby,
        shared=options.shared,
        store=options.store,
        lease=options.takeover_after,
        listen=options.listen,
    )
    if not LEAST_LEASE <= options.lease <= MOST_LEASE:
        least, most = f"{LEAST_LEASE:g}", f"{MOST_LEASE:g}"
        raise InvalidInput(f"a lease of {options.lease:g} s: use {least} to {most} s, or no worker keeps any job")
    if options.advertise not in ("", WORKED_OUT):
        check_host(options.advertise)
    if options.http:
        expect_free(options.http.listen, "--http")


def _credentials(authority: Authority, directory: Path) -> Credentials:
    """What lies in the directory, renewed if that is due and can be kept."""
    try:
        return refresh_credentials(authority, directory, time.time(), _some_fraction())
    except Unusable as error:
        if not (directory / SCHEDULER_FILE).exists():
            raise
        logger.error("the certificate could not be renewed: %s", error)
        return load_credentials(directory / SCHEDULER_FILE)


def _valid(authority: Authority, credentials: Credentials) -> Credentials:
    """These; or for as long as nothing can be kept others, which are."""
    now = time.time()
    return credentials if credentials.valid_at(now) else authority.reissue(credentials, now)


def _addresses(options: SchedulerOptions) -> Addresses:
    host, port = split_listen(options.listen)
    join_listen = options.join_listen or join_up(host, port + 1 if port else 0)
    split_listen(join_listen)
    return Addresses(options.listen, join_listen)


def _advertised(given: str, memory: Path) -> str:
    """What is given now, else what was given last."""
    if given == WORKED_OUT:
        memory.unlink(missing_ok=True)
        return ""
    try:
        remembered = read_private(memory).decode().strip()
    except NotFound:
        remembered = ""
    given = given and check_host(given)
    if given and given != remembered:
        try:
            write_private(memory, f"{given}\n".encode())
        except Unusable as error:
            logger.error("--advertise is not remembered: %s", error)
    return given or remembered


async def _announce(
    service: SchedulerService, authority: Authority, directory: Path, ready: Callable[[ReadyScheduler], None]
) -> None:
    """Lets this machine know where we are, and the caller that we serve."""
    _tell(directory / TOKEN, str(service.new_local_token()).encode())
    status = _tell_status(service, authority, directory)
    if not service.admission.members.tokens():  # it serves for the first time, or a start before came to nothing
        token, record = service.new_token(Role.WORKER, FIRST_TOKEN_LIFE, FIRST_TOKEN_USES)
        await service.admission.add(record)
        status = replace(status, join_token=str(token))
    logger.info("serving cluster %s on %s, joining on %s", authority.cluster_id, service.address, service.join_address)
    ready(replace(status, outside_address=service.outside_address, doubt=service.doubt))


def _tell_status(service: SchedulerService, authority: Authority, directory: Path) -> ReadyScheduler:
    status = ReadyScheduler(service.address, service.join_address, os.getpid(), authority.cluster_id)
    fields = asdict(status)
    if schedulers := service.schedulers():
        fields["schedulers"] = schedulers
    del fields["join_token"], fields["doubt"], fields["outside_address"]
    _tell(directory / STATUS, json.dumps(fields).encode())
    return status


def _schedulers_changed(service: SchedulerService, authority: Authority, directory: Path) -> None:
    """There are others than before: workers are told, and whoever calls from this machine finds them."""
    _tell_status(service, authority, directory)
    service.schedulers_changed()


def _tell(path: Path, text: bytes) -> None:
    """Those who know our address find us without."""
    try:
        write_anyhow(path, text)
    except ClusterError as error:
        logger.error("who looks for the scheduler on this machine does not find it: %s", error)


async def _first_of(*waiting: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them has ended. Raises what that has raised."""
    tasks = [asyncio.create_task(each) for each in waiting]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in done:
        task.result()


async def _keep_renewed(
    authority: Authority, directory: Path, credentials: Credentials, serving: ServingCredentials
) -> None:
    """Replaces the certificates in the directory when they are due, for as long as this runs."""
    present = credentials

    async def renew(_: Credentials) -> Credentials:
        return await asyncio.to_thread(refresh_credentials, authority, directory, time.time(), EARLIEST)

    def use(fresh: Credentials) -> None:
        nonlocal present
        present = fresh
        serving.replace(fresh)

    await keep_renewed(lambda: present, renew, use)


def _some_fraction() -> float:
    return random.uniform(EARLIEST, LATEST)  # noqa: S311 (spreads load, keeps no secret)
