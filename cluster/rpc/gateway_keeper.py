"""Keeping a gateway beside a scheduler, or a worker that stands alone: a process of its own, started again when it
ends. It ends with its keeper.

It has its own certificate and no right but to pass calls on. Nothing waits for it: while it is away, or slow, jobs are
run as ever.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from subprocess import SubprocessError

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.restarts import Restarts

logger = logging.getLogger(__name__)

END_PATIENCE = 5.0  # seconds that it gets to end


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The gateway that is to be kept."""

    listen: str  # host:port; an empty host: all addresses
    program: tuple[str, ...]  # the words that start this program
    plain: str = ""  # where HTTP without TLS may be spoken; empty: nowhere
    debug: str = ""  # host:port of its door for debugging; empty: it has none
    hosts: Sequence[str] = ()  # further names of this machine


class GatewayKeeper:
    """Make it inside the event loop. `start` returns at once."""

    def __init__(self, options: HttpOptions, arguments: Sequence[str], prepare: Callable[[], object]) -> None:
        """`arguments`: of `cluster gateway`, beside those that the options say. `prepare` is called before each start,
        in a thread, and may raise ClusterError."""
        self._options = options
        self._arguments = arguments
        self._prepare = prepare
        self._keeping: asyncio.Task[None] | None = None
        self._for_child, self._while_we_live = os.pipe()  # the second closes when we end, however: then it ends too

    def start(self, address: str) -> None:
        """`address`: by which this machine reaches us."""
        self._keeping = asyncio.create_task(self._keep(address))

    async def stop(self) -> None:
        """It has ended when this returns."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        for end in (self._for_child, self._while_we_live):
            os.close(end)

    async def _keep(self, address: str) -> None:
        restarts = Restarts()
        while True:
            began = time.monotonic()
            why = await self._run(address)
            pause = restarts.pause(time.monotonic() - began)
            logger.error("the gateway %s; it is started again in %g s", why, pause)
            await asyncio.sleep(pause)

    async def _run(self, address: str) -> str:
        """Runs it once. Returns how it ended."""
        try:
            await asyncio.to_thread(self._prepare)
            child = await asyncio.create_subprocess_exec(
                *self._command(address), stdin=asyncio.subprocess.DEVNULL, pass_fds=[self._for_child]
            )
        except (OSError, SubprocessError, ClusterError) as error:
            return f"cannot be started: {error}"
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        return f"left with {code}" if code >= 0 else f"was ended by signal {-code}"

    def _command(self, address: str) -> list[str]:
        options = self._options
        hosts = [word for host in options.hosts for word in ("--host", host)]
        plain = [f"--http-plain={options.plain}"] if options.plain else []
        plain += ["--debug-http", options.debug] if options.debug else []
        where = [*self._arguments, "--scheduler", address, "--listen", options.listen]
        return [*options.program, "gateway", *where, *plain, *hosts, "--parent-fd", str(self._for_child)]


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(END_PATIENCE):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
