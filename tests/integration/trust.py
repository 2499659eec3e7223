"""A small cluster for tests of trust: a CA, a server behind a gate with a clock that tests set, and its clients."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cluster.domain.credentials import Credentials
from cluster.domain.errors import Conflict
from cluster.domain.identity import Identity, Kind, Peer, Role
from cluster.pki.authority import create_authority
from cluster.pki.peers import parse_peer
from cluster.rpc.channel import dial
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.errors import Context
from cluster.rpc.gate import Gate, current_caller
from cluster.rpc.server import listen, mutual_tls_server
from cluster.v1 import jobs_pb2, jobs_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc

CLUSTER = "0123456789abcdef"
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"


class Jobs(jobs_pb2_grpc.JobsServicer):
    """Answers with the caller, fails in two ways, and streams without end."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()

    async def List(self, request: jobs_pb2.ListRequest, context: Context) -> jobs_pb2.ListResponse:
        caller = current_caller()
        raise Conflict(f"{caller.identity} as {caller.role}")

    async def Get(self, request: jobs_pb2.GetRequest, context: Context) -> jobs_pb2.GetResponse:
        raise ZeroDivisionError("a secret of ours")

    async def Wait(self, request: jobs_pb2.WaitRequest, context: Context) -> AsyncIterator[jobs_pb2.WaitResponse]:
        try:
            yield jobs_pb2.WaitResponse()
            await asyncio.Event().wait()
        finally:
            self.cut.set()


class Scheduler(scheduler_pb2_grpc.SchedulerServicer):
    """Echoes heartbeats."""

    async def Session(self, requests: object, context: Context) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(scheduler_pb2.SessionResponse(heartbeat=request.heartbeat))


class SmallCluster:
    """What a test turns: `now`, `roles`, `revoked`. Everything else is as in real life."""

    def __init__(self, directory: Path) -> None:
        self.start = time.time()
        self.now = self.start
        self.authority = create_authority(directory / "ca.pem", CLUSTER, self.start)
        self.roles = {"ann": Role.USER, "eve": Role.VIEWER, "admin": Role.ADMIN}
        self.revoked: set[int] = set()
        self.credentials = self.issue(Kind.SCHEDULER, "main")
        self.serving = ServingCredentials(self.credentials)
        self.jobs = Jobs()
        self.gate = Gate(
            parse=lambda pem: parse_peer(pem, CLUSTER),
            role_of=self._role_of,
            revoked=lambda peer: peer.serial in self.revoked,
            now=lambda: self.now,
        )
        self.address = ""

    def _role_of(self, identity: Identity) -> Role | None:
        return Role.WORKER if identity.kind is Kind.WORKER else self.roles.get(identity.name)

    def issue(self, kind: Kind, name: str, life: float | None = None) -> Credentials:
        return self.authority.issue(self.authority.identity(kind, name), self.start, life)

    def peer(self, credentials: Credentials) -> Peer:
        return parse_peer(credentials.certificate_pem, CLUSTER)

    def dial(self, credentials: Credentials) -> grpc.aio.Channel:
        assert self.credentials.identity.server_name is not None
        return dial(self.address, credentials, self.credentials.identity.server_name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SmallCluster"]:
        servicer = health.aio.HealthServicer()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        server = mutual_tls_server(
            self.gate,
            [
                lambda s: health_pb2_grpc.add_HealthServicer_to_server(servicer, s),
                lambda s: jobs_pb2_grpc.add_JobsServicer_to_server(self.jobs, s),
                lambda s: scheduler_pb2_grpc.add_SchedulerServicer_to_server(Scheduler(), s),
            ],
        )
        self.address = f"127.0.0.1:{listen(server, '127.0.0.1:0', self.serving.mutual())}"
        await server.start()
        try:
            yield self
        finally:
            self.gate.close()
            await server.stop(0)
