"""The worker as a process: opens its directory, joins its cluster once, works, and ends in order.

worker.json worker.pem    who it is (cluster.worker.membership)
worker.db                 jobs of its own API
launcher/                 the launcher's socket, journal and log
jobs/ work/               outputs of attempts, and the directories that they run in
worker.lock               held by the one agent that uses this directory
"""

import asyncio
import logging
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.base.errors import InvalidInput, NotAuthenticated
from cluster.domain.trust.identity import MAX_NAME_LENGTH, check_name
from cluster.domain.trust.tokens import check_addresses
from cluster.pki.files import private_directory, the_only_one
from cluster.rpc.gateway_keeper import GatewayKeeper, HttpOptions
from cluster.rpc.process_limits import allow_many_files
from cluster.rpc.server import expect_free
from cluster.rpc.stop_signal import stop_signal
from cluster.worker.join import EntryRequest, enter_cluster, is_stopped_here, local_address, may_enter_anew
from cluster.worker.runners import LOCAL
from cluster.worker.service import WorkerService, check_jobs_options
from cluster.worker.standalone import Standalone

logger = logging.getLogger(__name__)

DEFAULT_LISTEN = "0.0.0.0:30000"
NO_LISTENER = "none"
GATEWAY = "gateway"  # in the worker's directory


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    directory: Path  # of this worker alone, such as ~/.local/state/cluster/worker
    name: str = ""  # empty: as before, at first the host's
    join: str = ""  # a join token; needed once, unless the scheduler is on this machine
    scheduler: str = ""  # host:port; empty: where it was joined
    local_scheduler: Path | None = None  # directory of a scheduler on this machine, whose join-token may be used
    listen: str = DEFAULT_LISTEN  # host:port of its own API; `none`: it has no API
    or_next_port: bool = False  # when that port is taken: what nobody has named may give way
    millicpus: int | None = None  # None: what this process may use
    memory: int | None = None  # bytes to offer; None: what there is, less a margin
    gpus: str | None = None  # how many, or their ids; None: what nvidia-smi lists
    resources: Sequence[str] = ()  # NAME=N each
    labels: Sequence[str] = ()  # NAME=VALUE each
    scripts: Path | None = None  # folder that jobs may take scripts from
    run_as: str | None = None  # user that jobs run as; None: the agent's own, or nobody when that is root
    reserve: int | None = None  # bytes of its disks to keep free: with less it takes nothing; None: as usual
    cache_limit: int | None = None  # bytes for contents that jobs find and read; None: as usual
    standalone: bool = False  # without a scheduler
    http: HttpOptions | None = None  # of one that stands alone: the gateway beside it; None: there is none
    stop_jobs: bool = False  # when it ends, jobs end too, and the launcher; else they go on and are adopted
    idle_exit: float | None = None  # seconds with nothing to do after which it leaves; None: never
    stays_for: float | None = None  # seconds after which it leaves, having taken only what has ended; None: it stays
    execute_python: str = ""  # interpreter of jobs that are shut in; empty: ours, or the system's
    execute_network: bool = False  # these have this machine's network
    execute_unconfined: bool = False  # these are not shut in
    runner: str = LOCAL  # what starts its attempts (cluster.worker.runners)
    runner_config: Path | None = None  # the file that says how to reach the engine, where one runs its attempts
    program: tuple[str, ...] = ()  # the words that start this program, which jobs find on their PATH; none: they do not
    cache: str = ""  # where it unpacks itself; empty: it is no packed file


@dataclass(frozen=True, slots=True)
class ReadyWorker:
    """What there is to know of a worker that can take jobs."""

    id: str
    name: str
    address: str  # host:port of its own API; empty: none
    pid: int


async def serve(options: WorkerOptions, ready: Callable[[ReadyWorker], None]) -> int:
    """Runs a worker until SIGTERM or SIGINT; `ready` is called once, when it can take jobs: connected to its scheduler,
    if it has one. Returns the exit code. Raises ClusterError, in one line, for what keeps it from working."""
    allow_many_files()
    directory = private_directory(options.directory.absolute())  # the launcher and its jobs run elsewhere
    with the_only_one("worker", directory / "worker.lock"):
        told = stop_signal()
        worker = await _enter(options, directory)
        try:
            await _work(worker, options, ready, told)
        except NotAuthenticated as error:
            if worker.usable.is_set() or not may_enter_anew(options.local_scheduler, worker.membership.credentials):
                raise
            # It was expelled, and is started on the scheduler's own machine, by whoever may let workers in there.
            logger.warning("joining as a new worker: %s", error)
            await _work(await _enter(options, directory, anew=True), options, ready, told)
        return 0


async def _work(
    worker: WorkerService, options: WorkerOptions, ready: Callable[[ReadyWorker], None], told: asyncio.Event
) -> None:
    """Works until it is told to end, or has to give up, which raises why."""
    give_up = asyncio.Event()
    ends = [asyncio.create_task(told.wait()), asyncio.create_task(give_up.wait())]
    usable = asyncio.create_task(worker.usable.wait())
    gateway = _gateway_of(options) if options.http else None
    try:
        await worker.start(give_up.set)
        await asyncio.wait([*ends, usable], return_when=asyncio.FIRST_COMPLETED)
        if worker.usable.is_set():
            state = worker.membership.state
            if gateway is not None:
                gateway.start(state.api)
            ready(ReadyWorker(state.id, state.name, state.api, os.getpid()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*ends, usable):
            task.cancel()
        if gateway is not None:
            await gateway.stop()
        # Only who was told to end stops jobs. `ready` raises where nobody is left to hear it: then we end as well,
        # but what we have adopted goes on.
        await worker.end(stop_jobs=options.stop_jobs and (told.is_set() or give_up.is_set()))


def _gateway_of(options: WorkerOptions) -> GatewayKeeper:
    """Of a worker that stands alone."""
    assert options.http is not None
    own = options.directory.absolute()
    theirs = own / GATEWAY
    arguments = ["--directory", str(theirs), "--lone-worker", str(own)]
    return GatewayKeeper(options.http, arguments, lambda: private_directory(theirs))


async def _enter(options: WorkerOptions, directory: Path, anew: bool = False) -> WorkerService:
    """Finds out who this worker is, joining a cluster if need be; `anew`: because it was refused."""
    name = check_name(options.name) if options.name else ""
    if options.scheduler:
        check_addresses(options.scheduler)
    check_jobs_options(options)  # before a token is spent
    if options.idle_exit is not None and options.idle_exit <= 0:
        raise InvalidInput("--idle-exit 0: say for how long it is to wait for work, such as 10m")
    if options.stays_for is not None and options.stays_for <= 0:
        raise InvalidInput("--for 0: say how long it is to stay, such as 4h")
    if options.standalone:
        if options.stays_for is not None:
            raise InvalidInput(
                "--for with --standalone: only a scheduler gives a worker nothing that does not end in time; "
                "--idle-exit lets a lone one leave when it has had nothing to do for so long"
            )
        if options.join:
            raise InvalidInput("--join and --standalone exclude each other: with a scheduler, or without?")
        if options.listen == NO_LISTENER:
            raise InvalidInput(
                "--standalone with --listen none: nobody could give it jobs; name a HOST:PORT to listen on"
            )
        alone = Standalone(directory, name or _host_name())
        if options.http:
            expect_free(options.http.listen, "--http")
            alone.open_http()
        return WorkerService(options, directory, alone.membership, alone, lambda: "")
    if options.http:
        raise InvalidInput("--http without --standalone: of a cluster's workers the scheduler has the HTTP door")
    local = options.local_scheduler
    entry = EntryRequest(directory, name, _host_name(), options.join, options.scheduler, local)
    membership = await enter_cluster(entry, anew)

    def address() -> str:
        """Asked at each try: a scheduler on this machine may be back at another port."""
        given = options.scheduler or local_address(local, membership.state.cluster_id)
        known = given or membership.state.scheduler
        membership.amend(scheduler=known)
        return membership.schedulers.beside(known, given=bool(given))

    if not address():
        raise InvalidInput("nothing says where this worker's scheduler is: name it with --scheduler HOST:PORT")
    if not options.scheduler and is_stopped_here(local, membership.state.cluster_id):
        logger.warning(
            "the scheduler of this worker's cluster is on this machine, in %s, and does not run: `cluster up`, where "
            "that made it, or `cluster scheduler` starts it; trying again until it is there",
            local,
        )
    return WorkerService(options, directory, membership, None, address)


def _host_name() -> str:
    """The host's, as far as a name may look like it."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")
    return name[:MAX_NAME_LENGTH] or "worker"
