"""A gateway's application in this process, before a real scheduler; and who asks it, without any socket."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.client.calls_for_others import CallsForOthers
from cluster.client.scheduler_backend import SchedulerBackend
from cluster.domain.trust.identity import IdentityKind
from cluster.gateway.app import App
from tests.integration.schedulers import Cluster, in_cluster

HOST, SCHEME = "gate.example", "https"
JSON: Mapping[str, Any] = {"content-type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool  # it did not break off

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """`token` is shown with each request that shows nothing else."""

    app: App
    cluster: Cluster
    calls: CallsForOthers
    gateway_id: str
    token: str = ""
    certificate: bytes = b""

    async def ask(
        self,
        verb: str,
        target: str,
        body: Any = None,
        *,
        stop: Callable[[bytes], bool] | None = None,
        began: asyncio.Event | None = None,
        taken: Callable[[bytes], Awaitable[None]] | None = None,
        **headers: Any,
    ) -> Answer:
        """One request. A body that is no bytes is sent as JSON, and `...` is one that never comes. `stop`: hangs up
        once that much has come. `began`: set when the answer's head has come. `taken`: waited for after each piece."""
        path, _, query = target.partition("?")
        given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        sent: bytes | None = body if isinstance(body, bytes) else b""
        if body is not None and not isinstance(body, bytes):
            sent = None if body is ... else json.dumps(body).encode()
            given = {**JSON, **given}
        given = {"host": HOST} | given
        if self.token and "authorization" not in given:
            given["authorization"] = f"Bearer {self.token}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": verb,
            "scheme": SCHEME,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items() if value is not None],
            "client": ("127.0.0.1", 1),
            "server": (HOST, 443),
            "state": {"certificate": self.certificate},
        }
        return await _exchange(self.app, scope, sent, stop, began or asyncio.Event(), taken)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[SchedulerBackend]:
        """The first user, over gRPC."""
        backend = SchedulerBackend(self.cluster.service.address, self.cluster.credentials(IdentityKind.USER, "admin"))
        try:
            yield backend
        finally:
            await backend.close()

    async def new_token(self, role: str = "user", user: str = "ada", life: float = 3600.0) -> str:
        """A bearer token, made by the admin."""
        async with self.admin() as admin:
            return (await admin.create_token(role, life, 1, user, http=True))[1]

    def showing(self, token: str = "", certificate: bytes = b"") -> "Gateway":
        """The same gateway, to which something else is shown."""
        return replace(self, token=token, certificate=certificate)


async def _exchange(
    app: App,
    scope: dict[str, Any],
    body: bytes | None,
    stop: Callable[[bytes], bool] | None,
    began: asyncio.Event,
    taken: Callable[[bytes], Awaitable[None]] | None = None,
) -> Answer:
    gone = asyncio.Event()
    requests = [] if body is None else [{"type": "http.request", "body": body, "more_body": False}]
    start: dict[str, Any] = {}
    content = bytearray()

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            began.set()
            return
        content.extend(message.get("body", b""))
        start["whole"] = not message.get("more_body", False)
        if taken is not None:
            await taken(bytes(content))
        if stop is not None and stop(bytes(content)):
            gone.set()

    await app(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, bytes(content), start.get("whole", False))


@asynccontextmanager
async def gateway_before(cluster: Cluster) -> AsyncIterator[Gateway]:
    """A gateway of that cluster, with a token of ada's, who is a user."""
    name = str(uuid.uuid4())
    calls = CallsForOthers(cluster.service.address, cluster.credentials(IdentityKind.GATEWAY, name))
    gateway = Gateway(App(calls, [HOST]), cluster, calls, name)
    gateway.token = await gateway.new_token()
    try:
        yield gateway
    finally:
        await calls.close()


def in_gateway(directory: Path, body: Callable[[Gateway], Awaitable[None]]) -> None:
    """Runs the test's body beside a scheduler and a gateway. A test that hangs fails."""

    async def run(cluster: Cluster) -> None:
        async with gateway_before(cluster) as gateway:
            await body(gateway)

    in_cluster(directory, run)
