"""The page for one person alone: on a loopback port of that person's own command, and in that person's own right."""

import asyncio
import hmac
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Any

from cluster.client.calls_for_others import CallsForOthers, Method
from cluster.domain.base.errors import NotAuthenticated
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.domain.trust.tokens import BEARER_PREFIX
from cluster.gateway.app import App
from cluster.gateway.server import HttpServer
from cluster.rpc.on_behalf import Proof
from cluster.rpc.stop_signal import stop_signal

LOOPBACK = "127.0.0.1"  # the application answers to addresses alone, so no name of another site leads here


class OwnCalls:
    """Calls on the person's own connection, for whoever shows the secret: others on this machine reach the port too."""

    def __init__(self, calls: CallsForOthers, secret: str) -> None:
        self._calls = calls
        self._secret = secret

    async def one(self, method: Method, request: Any, shown: Proof, reads: bool = False) -> Any:
        """As CallsForOthers. NotAuthenticated for whoever does not know the secret."""
        self._check(shown)
        return await self._calls.one(method, request, Proof(), reads)

    async def several(self, method: Method, request: Any, shown: Proof) -> AsyncGenerator[Any, None]:
        """As CallsForOthers. NotAuthenticated for whoever does not know the secret."""
        self._check(shown)
        async for answer in self._calls.several(method, request, Proof()):
            yield answer

    async def sending(self, method: Method, messages: AsyncGenerator[Any, None], shown: Proof) -> Any:
        """As CallsForOthers. NotAuthenticated for whoever does not know the secret."""
        self._check(shown)
        return await self._calls.sending(method, messages, Proof())

    async def expect_serving(self) -> None:
        """ClusterError when the scheduler does not serve."""
        await self._calls.expect_serving()

    def _check(self, shown: Proof) -> None:
        if not hmac.compare_digest(shown.token.encode(), self._secret.encode()):
            raise NotAuthenticated("this page is of another `cluster ui`: open the address that it has printed")


async def serve_own_page(address: str, credentials: Credentials, port: int, ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM. `port`: 0 takes any that is free. `ready` is called with the page's URL, which
    holds the secret where no server sees it. OSError where that port is taken."""
    with socket.create_server((LOOPBACK, port)) as listening:
        stop = stop_signal()
        secret = BEARER_PREFIX + secrets.token_urlsafe(32)
        calls = CallsForOthers(address, credentials, scheduler_server_name(credentials.identity.cluster_id))
        server = HttpServer(App(OwnCalls(calls, secret), ()), listening, None)
        serving = asyncio.create_task(server.serve())
        try:
            ready(f"http://{LOOPBACK}:{listening.getsockname()[1]}/ui#secret={secret}")
            await stop.wait()
            server.stop()
            await serving
        finally:
            await calls.close()
