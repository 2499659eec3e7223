"""The gateway as a process: opens its directory, joins its cluster once, serves HTTP, renews its certificate.

gateway.pem    who it is (cluster.gateway.membership)
gateway.lock   held by the one gateway that uses this directory
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cluster.client.calls_for_others import CallsForOthers
from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.tokens import check_address
from cluster.gateway import job_processor
from cluster.gateway.app import App
from cluster.gateway.lone_worker import LoneWorker
from cluster.gateway.membership import GatewayMembership, names_of_this_machine
from cluster.gateway.server import HttpServer, TlsContext
from cluster.gateway.table import DEBUG_TABLE, TABLE
from cluster.pki.files import private_directory, the_only_one
from cluster.pki.renewal_loop import keep_renewed
from cluster.rpc.addresses import from_elsewhere, join_up, split_listen
from cluster.rpc.process_limits import allow_many_files
from cluster.rpc.stop_signal import stop_signal

logger = logging.getLogger(__name__)

DEFAULT_LISTEN = "0.0.0.0:5000"


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    directory: Path  # of this gateway alone
    listen: str = DEFAULT_LISTEN  # host:port; port 0: any that is free
    scheduler: str = ""  # host:port; empty: as joined, or on this machine
    join: str = ""  # a join token of role gateway; needed once, unless the scheduler is on this machine
    local_scheduler: Path | None = None  # directory of a scheduler on this machine
    debug_listen: str = ""  # host:port where /execute tells all that is known of a run, too; empty: nowhere
    hosts: Sequence[str] = ()  # further names by which it is reached
    is_plain: bool = False  # HTTP without TLS
    lone_worker: Path | None = None  # directory of a worker that stands alone, which it is to pass calls on to instead
    parent: int | None = None  # end of a pipe that closes when whoever started us has gone; None: nobody


@dataclass(frozen=True, slots=True)
class ReadyGateway:
    """What there is to know of a gateway that serves."""

    url: str  # by which others most likely reach it
    debug_url: str = ""  # where it debugs; empty: nowhere


async def serve(options: GatewayOptions, ready: Callable[[ReadyGateway], None]) -> int:
    """Runs a gateway until SIGTERM or SIGINT, or until its parent has gone; `ready` is called once, when it serves.
    Returns the exit code. Raises ClusterError for what keeps it from starting."""
    doors = [options.listen, *([options.debug_listen] if options.debug_listen else [])]
    allow_many_files()
    directory = private_directory(options.directory.absolute())
    hosts = names_of_this_machine(split_listen(options.listen)[0], options.hosts)
    with the_only_one("gateway", directory / "gateway.lock"), ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(_listening(*split_listen(each))) for each in doors]
        stop = stop_signal()
        lone = LoneWorker(options.lone_worker) if options.lone_worker else None
        membership = GatewayMembership(directory, hosts, lone.authority if lone else options.local_scheduler)
        credentials = await membership.enter(options.join, options.scheduler)
        known = options.scheduler or credentials.scheduler
        address = check_address(known or (lone.address if lone else _local_address(options.local_scheduler)))
        tls = None if options.is_plain else TlsContext(membership.file, credentials.ca_pem)
        calls = CallsForOthers(address, credentials, lone.server_name if lone else "")
        tables = [job_processor.ROUTES] if lone else [TABLE, DEBUG_TABLE]
        servers = [
            HttpServer(App(calls, hosts, table), each, tls.context if tls else None)
            for table, each in zip(tables, sockets, strict=False)
        ]
        renew = membership.reissued if lone else partial(membership.renewed, address=address)
        renewing = asyncio.create_task(_keep_renewed(renew, credentials, calls, tls))
        serving = [asyncio.create_task(server.serve()) for server in servers]
        try:
            ready(ReadyGateway(*(_url(options, door, each) for door, each in zip(doors, sockets, strict=True))))
            await _first_of(stop.wait(), _gone(options.parent), *map(_ended, serving))
            for server in servers:
                server.stop()
            await asyncio.gather(*serving)
        finally:
            renewing.cancel()
            await calls.close()
    return 0


def _url(options: GatewayOptions, listen: str, listening: socket.socket) -> str:
    """By which others most likely reach what listens there."""
    host, port = from_elsewhere(split_listen(listen)[0]), listening.getsockname()[1]
    return f"{'http' if options.is_plain else 'https'}://{join_up(host, port)}"


def _local_address(directory: Path | None) -> str:
    """The address of this machine's scheduler. InvalidInput where it does not run."""
    try:
        return str(json.loads(((directory or Path()) / "scheduler.json").read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput("nothing says where the scheduler is: name it with --scheduler HOST:PORT") from None


def _listening(host: str, port: int) -> socket.socket:
    """Conflict where it cannot listen there."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except OSError as error:
        why = error.strerror or error
        raise Conflict(
            f"cannot listen on {join_up(host, port)}: {why}; choose another with --listen HOST:PORT"
        ) from None
    return listening


async def _keep_renewed(
    renew: Callable[[Credentials], Awaitable[Credentials]],
    present: Credentials,
    calls: CallsForOthers,
    tls: TlsContext | None,
) -> None:
    def use(fresh: Credentials) -> None:
        nonlocal present
        present = fresh
        calls.use(fresh)
        if tls is not None:
            tls.reload()

    await keep_renewed(lambda: present, renew, use)


async def _gone(parent: int | None) -> None:
    """Returns when the other end of the pipe is closed."""
    if parent is None:
        await asyncio.Event().wait()
        return
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(parent, closed.set)
    await closed.wait()
    asyncio.get_running_loop().remove_reader(parent)
    with suppress(OSError):
        os.close(parent)


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait([task])


async def _first_of(*waiting: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(each) for each in waiting]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
