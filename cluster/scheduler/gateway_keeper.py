"""Keeping a gateway beside the scheduler: a process of its own, started again when it ends. It ends with the scheduler.

It has its own certificate and no right but to pass calls on. Nothing waits for it: while it is away, or slow, jobs are
scheduled as ever.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.base.errors import ClusterError, NotFound
from cluster.domain.base.restarts import Restarts
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import Authority
from cluster.pki.files import load_credentials, private_directory, save_credentials

logger = logging.getLogger(__name__)

DIRECTORY, FILE = "gateway", "gateway.pem"  # in the scheduler's directory
END_PATIENCE = 5.0  # seconds that it gets to end


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The gateway that a scheduler keeps."""

    listen: str  # host:port; an empty host: all addresses
    program: tuple[str, ...]  # the words that start this program
    plain: str = ""  # where HTTP without TLS may be spoken; empty: nowhere
    debug: str = ""  # host:port of its door for debugging; empty: it has none
    hosts: Sequence[str] = ()  # further names of this machine


class GatewayKeeper:
    """Make it inside the event loop. `start` returns at once."""

    def __init__(self, options: HttpOptions, authority: Authority, directory: Path) -> None:
        """`directory`: the scheduler's."""
        self._options = options
        self._authority = authority
        self._directory = directory / DIRECTORY
        self._keeping: asyncio.Task[None] | None = None
        self._for_child, self._while_we_live = os.pipe()  # the second closes when we end, however: then it ends too

    def start(self, scheduler: str) -> None:
        """`scheduler`: the address by which this machine reaches us."""
        self._keeping = asyncio.create_task(self._keep(scheduler))

    async def stop(self) -> None:
        """It has ended when this returns."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        for end in (self._for_child, self._while_we_live):
            os.close(end)

    async def _keep(self, scheduler: str) -> None:
        restarts = Restarts()
        while True:
            began = time.monotonic()
            why = await self._run(scheduler)
            pause = restarts.pause(time.monotonic() - began)
            logger.error("the gateway %s; it is started again in %g s", why, pause)
            await asyncio.sleep(pause)

    async def _run(self, scheduler: str) -> str:
        """Runs it once. Returns how it ended."""
        try:
            await asyncio.to_thread(self._certify)
            child = await asyncio.create_subprocess_exec(
                *self._command(scheduler), stdin=asyncio.subprocess.DEVNULL, pass_fds=[self._for_child]
            )
        except (OSError, ClusterError) as error:
            return f"cannot be started: {error}"
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        return f"left with {code}" if code >= 0 else f"was ended by signal {-code}"

    def _command(self, scheduler: str) -> list[str]:
        options = self._options
        hosts = [word for host in options.hosts for word in ("--host", host)]
        plain = [f"--http-plain={options.plain}"] if options.plain else []
        plain += ["--debug-http", options.debug] if options.debug else []
        where = ["--directory", str(self._directory), "--scheduler", scheduler, "--listen", options.listen]
        return [*options.program, "gateway", *where, *plain, *hosts, "--parent-fd", str(self._for_child)]

    def _certify(self) -> None:
        """Gives it a certificate if it has none that it could renew by itself."""
        private_directory(self._directory)
        file = self._directory / FILE
        try:
            if load_credentials(file).valid_at(time.time()):
                return
        except NotFound:
            pass
        identity = self._authority.identity(IdentityKind.GATEWAY, str(uuid.uuid4()))
        save_credentials(file, self._authority.issue(identity, time.time()))


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
