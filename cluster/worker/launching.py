"""Keeping a launcher: connect to the one that lives, start one when there is none, and again when it dies."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from cluster.domain.launcher.messages import Item, Template
from cluster.domain.worker.messages import LauncherConnected, LauncherLost, LauncherReported
from cluster.launcher.client import LauncherClient, LauncherHello, LauncherUnavailable, Reports
from cluster.launcher.wire import WireError

logger = logging.getLogger(__name__)

RETRY = 1.0  # seconds between attempts to start a launcher that does not come up


class Launcher(Protocol):
    """What the agent needs of a launcher's client; `cluster.worker.runners.null` has another one."""

    hello: LauncherHello

    def define(self, template: Template) -> int: ...
    def redefine(self, template_id: int, template: Template) -> None: ...
    def start(self, template: int, items: Iterable[Item]) -> None: ...
    def recall(self, keys: Iterable[str]) -> None: ...
    def stop(self, keys: Iterable[str], reason: str = ..., grace: float | None = ...) -> None: ...
    def confirm_lease(self, at: float) -> None: ...
    def ack(self, seq: int) -> None: ...
    def quit(self, kill: bool = ...) -> None: ...
    def batches(self) -> AsyncIterator[Reports]: ...
    async def close(self) -> None: ...


Put = Callable[[LauncherConnected | LauncherReported | LauncherLost], Awaitable[None]]
Connect = Callable[[], Awaitable[Launcher]]


def connector(directory: str, millicpus: int) -> Connect:
    """Connects to the real launcher in this directory."""

    async def connect() -> Launcher:
        return await LauncherClient.connect_or_start(directory, millicpus)

    return connect


async def keep_launcher(
    connect: Connect,
    adopt: Callable[[Launcher | None], None],
    put: Put,
    wanted: Callable[[], bool],
    no_room: Callable[[], Awaitable[bool]],
) -> None:
    """One connection after another, as long as it is `wanted`. `adopt` gets each, and None when it has broken. What
    happens is `put`, one after another: it may look at files first.

    LauncherUnavailable is raised only if the first connection fails, and not for want of room (`no_room`); what may
    be better later is tried again.
    """
    first = True
    while wanted():
        try:
            launcher = await connect()
        except LauncherUnavailable as error:
            if first and not await no_room():
                raise
            logger.error("no job can be started: %s", error)
            await asyncio.sleep(RETRY)
            continue
        first = False
        adopt(launcher)
        try:
            await _listen(launcher, put)
        finally:
            adopt(None)
            await launcher.close()
        await put(LauncherLost())
        if wanted():
            logger.warning("the launcher has gone, and with it the jobs that ran; starting another")


async def _listen(launcher: Launcher, put: Put) -> None:
    """Until the connection breaks. What nobody has acknowledged is waited for, so that the core learns all at once."""
    hello = launcher.hello
    reports: Reports = []
    connected = False
    batches = launcher.batches()
    try:
        while not connected:
            if len(reports) >= hello.unacked:
                connected = True
                await put(LauncherConnected(hello.incarnation, hello.running, hello.backlog, reports))
            else:
                reports += await anext(batches)
        async for reports in batches:
            await put(LauncherReported(reports))
    except StopAsyncIteration:
        return
    except WireError as error:
        logger.error("the launcher did not understand us: %s", error)
