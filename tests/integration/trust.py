"""A small cluster for tests of trust: a CA, a server behind a gate with a clock that tests set, and its clients."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cluster.domain.base.errors import Conflict
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import Enrolment
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Role, Standing
from cluster.domain.trust.tokens import JoinToken, TokenRecord, admit
from cluster.pki.authority import Authority, create_authority
from cluster.pki.issuer import hash_secret, join, new_enrolment_id, new_token, renew
from cluster.pki.peer_certificates import parse_peer
from cluster.rpc.channel import dial
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.errors import Context
from cluster.rpc.gate import Gate, current_caller
from cluster.rpc.join_listener import JoinServer
from cluster.rpc.server import listen, mutual_tls_server
from cluster.v1 import jobs_pb2, jobs_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from tests.patience import PATIENCE

CLUSTER = "0123456789abcdef"
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"


class Jobs(jobs_pb2_grpc.JobsServicer):
    """Answers with the caller, fails in two ways, and streams without end in two ways."""

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

    async def ReadOutput(self, request: jobs_pb2.ReadOutputRequest, context: Context) -> None:
        try:
            while True:
                await context.write(jobs_pb2.ReadOutputResponse(data=bytes(65536)))
        finally:
            self.cut.set()


class Scheduler(scheduler_pb2_grpc.SchedulerServicer):
    """Echoes heartbeats and renews certificates."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def Renew(self, request: scheduler_pb2.RenewRequest, context: Context) -> scheduler_pb2.RenewResponse:
        issued = renew(self._authority, current_caller(), request.csr, time.time())
        return scheduler_pb2.RenewResponse(certificate=issued.certificate_pem, ca_certificate=self._authority.ca_pem)

    async def Session(self, requests: AsyncIterator[scheduler_pb2.SessionRequest], context: Context) -> None:
        async for request in requests:
            await context.write(scheduler_pb2.SessionResponse(heartbeat=request.heartbeat))


class SmallCluster:
    """What a test turns: `now`, `roles`, `revoked`. Everything else is as in real life."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.start = time.time()
        self.now = self.start
        self.authority = create_authority(directory / "ca.pem", CLUSTER, self.start)
        self.roles = {"ann": Role.USER, "eve": Role.VIEWER, "admin": Role.ADMIN}
        self.revoked: set[int] = set()
        self.credentials = self.issue(IdentityKind.SCHEDULER, "main")
        self.serving = ServingCredentials(self.credentials)
        self.jobs = Jobs()
        self.gate = Gate(
            parse=lambda pem: parse_peer(pem, CLUSTER),
            standing_of=self._standing_of,
            revoked=lambda peer: peer.serial in self.revoked,
            now=lambda: self.now,
        )
        self.tokens: dict[str, TokenRecord] = {}
        self.address = ""
        self.join_address = ""

    def _standing_of(self, identity: Identity) -> Standing | None:
        role = Role.WORKER if identity.kind is IdentityKind.WORKER else self.roles.get(identity.name)
        return Standing(role, identity.name) if role else None

    def issue(self, kind: IdentityKind, name: str, life: float | None = None) -> Credentials:
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
                lambda s: scheduler_pb2_grpc.add_SchedulerServicer_to_server(Scheduler(self.authority), s),
            ],
        )
        self.address = f"127.0.0.1:{listen(server, '127.0.0.1:0', self.serving.mutual())}"
        door = JoinServer(self._join, lambda: self.now, self.directory)
        self.join_address = f"127.0.0.1:{door.listen('127.0.0.1:0', self.serving.for_joining())}"
        await server.start()
        await door.start()
        try:
            yield self
        finally:
            self.gate.close()
            await server.stop(0)
            await door.stop(0)

    def token(self, role: Role = Role.WORKER, uses: int | None = 1, user: str = "") -> JoinToken:
        token, record = new_token(self.join_address, self.authority.pin, role, self.now, 60, uses, user)
        self.tokens[record.secret_hash] = record
        return token

    def record(self, token: JoinToken) -> TokenRecord:
        return self.tokens[hash_secret(token.secret)]

    async def _join(self, request: scheduler_pb2.JoinRequest) -> scheduler_pb2.JoinResponse:
        issued = await join(self.authority, request.secret, request.csr, self._admit, self.start)
        return scheduler_pb2.JoinResponse(
            certificate=issued.certificate_pem,
            ca_certificate=self.authority.ca_pem,
            cluster_id=CLUSTER,
            identity=issued.identity.uri,
            scheduler_address=f":{self.address.rpartition(':')[2]}",
        )

    async def _admit(self, secret_hash: str, before: Peer | None) -> Enrolment:
        self.tokens[secret_hash] = token = admit(self.tokens, secret_hash, self.now)
        return enrolment_by(token)


def enrolment_by(token: TokenRecord) -> Enrolment:
    """Who joins by the token, as somebody new."""
    if token.role is Role.WORKER:
        return Enrolment(IdentityKind.WORKER, str(uuid.uuid4()), new_enrolment_id(), token.id, token.created)
    return Enrolment(IdentityKind.USER, token.user, new_enrolment_id(), token.id, token.created)


def in_cluster(directory: Path, body: Callable[[SmallCluster], Awaitable[None]]) -> None:
    """Runs the test's body beside a small cluster. A test that hangs fails."""

    async def run() -> None:
        async with SmallCluster(directory).running() as cluster:
            await asyncio.wait_for(body(cluster), PATIENCE)

    asyncio.run(run())
