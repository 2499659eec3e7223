"""Keeping a launcher: connect to the one that lives, start one when there is none, and again when it dies."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cluster.domain.worker.journal import entries_of, keys_of
from cluster.domain.worker.messages import LauncherConnected, LauncherLost, LauncherReported
from cluster.launcher.client import LauncherUnavailable
from cluster.launcher.wire import WireError
from cluster.worker.runners.interface import Connect, Reports, Runner

logger = logging.getLogger(__name__)

RETRY = 1.0  # seconds between attempts to start a launcher that does not come up


Put = Callable[[LauncherConnected | LauncherReported | LauncherLost], Awaitable[None]]


async def keep_launcher(
    connect: Connect,
    adopt: Callable[[Runner | None], None],
    put: Put,
    wanted: Callable[[], bool],
    no_room: Callable[[], Awaitable[bool]],
    trouble: Callable[[str], None],
) -> None:
    """One connection after another, as long as it is `wanted`. `adopt` gets each, and None when it has broken. What
    happens is `put`, one after another: it may look at files first.

    LauncherUnavailable is raised only if the first connection fails, and not for want of room (`no_room`); what may
    be better later is tried again, and `trouble` told at each try.
    """
    first, told = True, ""
    while wanted():
        try:
            launcher = await connect()
        except LauncherUnavailable as error:
            if first and not await no_room():
                raise
            if str(error) != told:  # once, and not at each try
                told = str(error)
                logger.error("no job can be started: %s; trying again until it works", error)
            trouble(told)
            await asyncio.sleep(RETRY)
            continue
        first, told = False, ""
        adopt(launcher)
        try:
            await _listen(launcher, put)
        finally:
            adopt(None)
            await launcher.close()
        await put(LauncherLost())
        if wanted():
            logger.warning("the launcher has gone, and with it the jobs that ran; starting another")


async def _listen(launcher: Runner, put: Put) -> None:
    """Hands on what it says until the connection breaks. What nobody has acknowledged is waited for, so that the core
    learns all at once."""
    hello = launcher.hello
    reports: Reports = []
    connected = False
    batches = launcher.batches()
    try:
        while not connected:
            if len(reports) >= hello.unacked:
                connected = True
                running, backlog = keys_of(hello.running), keys_of(hello.backlog)
                quiet = dict(zip(keys_of(hello.quiet), hello.quiet.values(), strict=True))
                entries, limits = entries_of(reports), hello.limits_memory
                frozen = keys_of(hello.frozen or ())
                await put(LauncherConnected(hello.incarnation, running, backlog, entries, quiet, limits, frozen))
            else:
                reports += await anext(batches)
        async for reports in batches:
            await put(LauncherReported(entries_of(reports)))
    except StopAsyncIteration:
        return
    except WireError as error:
        logger.error("the launcher did not understand us: %s", error)
