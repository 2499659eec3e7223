"""A real scheduler in this process, over real connections, and workers that tests play by hand."""

import asyncio
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cluster.domain.base.intervals import Range
from cluster.domain.job.records import PACKED, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.scheduler.retention import USUAL_LIMITS
from cluster.domain.scheduler.state import LEASE
from cluster.domain.session.messages import Assign, Attempts, Downward, Hello, Report, ReportAcknowledged, Welcome
from cluster.domain.session.offer import NOTHING
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, Role, scheduler_server_name
from cluster.domain.trust.users import UserRecord
from cluster.pki.authority import Authority, open_authority, refresh_credentials
from cluster.rpc.channel import dial
from cluster.rpc.convert import (
    hello_to_proto,
    messages_from_response,
    report_to_proto,
)
from cluster.rpc.errors import calling
from cluster.rpc.specs import offer_to_proto, spec_to_proto
from cluster.scheduler.notices.targets import NOWHERE
from cluster.scheduler.service import Addresses, SchedulerService, recovered
from cluster.store.sqlite.store import SqliteStore
from cluster.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from tests.patience import PATIENCE

ANYWHERE = "127.0.0.1:0"
W1 = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"
W2 = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e12"


class Cluster:
    """A scheduler and who talks to it. `restart` is what a new process on the same directory would be."""

    def __init__(self, directory: Path, lease: float) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
        self.directory = directory
        self._lease = lease
        self.authority: Authority = open_authority(directory, time.time())
        self._channels: list[grpc.aio.Channel] = []
        self.targets = NOWHERE  # of notices, from the next start on
        self.limits = USUAL_LIMITS  # of what is kept, the same

    async def start(self) -> None:
        credentials = refresh_credentials(self.authority, self.directory, time.time(), 0.6)
        self.store = SqliteStore(self.directory / "cluster.db", self.authority.cluster_id)
        core = await recovered(self.store, self._lease)
        self.service = SchedulerService(
            self.authority, credentials, self.store, core, self.directory, self.targets, self.limits
        )
        await self.service.start(Addresses(ANYWHERE, ANYWHERE))

    async def stop(self) -> None:
        for channel in self._channels:
            await channel.close()
        self._channels = []
        await self.service.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def people(self, **roles: Role) -> None:
        """Makes users known by their names, as joining by a token does; their certificates are made by hand."""
        admission = self.service.admission
        await admission._save(admission.members.keep([UserRecord(name, role, 1.0) for name, role in roles.items()]))

    def credentials(self, kind: IdentityKind, name: str) -> Credentials:
        return self.authority.issue(self.authority.identity(kind, name), time.time())

    def channel(self, kind: IdentityKind, name: str) -> grpc.aio.Channel:
        server_name = scheduler_server_name(self.authority.cluster_id)
        channel = dial(self.service.address, self.credentials(kind, name), server_name)
        self._channels.append(channel)
        return channel

    def user(self, name: str = "admin") -> "User":
        return User(self.channel(IdentityKind.USER, name), self.service.address)

    def worker(self, worker_id: str = W1, name: str = "box", millicpus: int = 2000) -> "Worker":
        return Worker(self.channel(IdentityKind.WORKER, worker_id), self.service.address, name, millicpus)


class User:
    """Calls the `Jobs` service. Its methods raise the ClusterError that a call answers."""

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self.channel = channel
        self.address = address
        self.stub: Any = jobs_pb2_grpc.JobsStub(channel)

    async def submit(self, *argv: str, job_id: str = "", **fields: Any) -> job_pb2.Job:
        spec = spec_to_proto(JobSpec(argv=argv or ("true",), **fields))
        request = jobs_pb2.SubmitRequest(id=job_id or str(uuid.uuid4()), spec=spec)
        with calling(self.address):
            answer: jobs_pb2.SubmitResponse = await self.stub.Submit(request)
        return answer.job

    async def jobs(self, *selectors: str, **fields: Any) -> list[job_pb2.Job]:
        request = jobs_pb2.ListRequest(selectors=[jobs_pb2.Selector(text=s) for s in selectors], **fields)
        with calling(self.address):
            return list((await self.stub.List(request)).jobs)

    async def workers(self) -> list[jobs_pb2.WorkerInfo]:
        with calling(self.address):
            return list((await self.stub.ListWorkers(jobs_pb2.ListWorkersRequest())).workers)

    async def get(self, selector: str, max_tasks: int = 100, **fields: Any) -> jobs_pb2.GetResponse:
        request = jobs_pb2.GetRequest(selector=jobs_pb2.Selector(text=selector), max_tasks=max_tasks, **fields)
        with calling(self.address):
            answer: jobs_pb2.GetResponse = await self.stub.Get(request)
        return answer

    async def wait(self, *selectors: str) -> list[job_pb2.Job]:
        """The jobs when all have ended."""
        request = jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text=s) for s in selectors])
        jobs: dict[int, job_pb2.Job] = {}
        with calling(self.address):
            async for answer in self.stub.Wait(request):
                jobs |= {job.number: job for job in answer.jobs}
        return list(jobs.values())

    async def tree(self, selector: str) -> list[job_pb2.Job]:
        request = jobs_pb2.TreeRequest(selector=jobs_pb2.Selector(text=selector))
        with calling(self.address):
            return [job async for answer in self.stub.Tree(request) for job in answer.jobs]

    async def cancel(self, *selectors: str, **fields: Any) -> jobs_pb2.CancelResponse:
        request = jobs_pb2.CancelRequest(selectors=[jobs_pb2.Selector(text=s) for s in selectors], **fields)
        with calling(self.address):
            answer: jobs_pb2.CancelResponse = await self.stub.Cancel(request)
        return answer

    async def output(
        self,
        selector: str,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tail: int | None = None,
        position: jobs_pb2.Position | None = None,
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        request = jobs_pb2.ReadOutputRequest(
            selector=jobs_pb2.Selector(text=selector),
            stdout=stdout,
            stderr=stderr,
            follow=follow,
            tail_lines=tail,
            position=position,
        )
        with calling(self.address):
            async for piece in self.stub.ReadOutput(request):
                yield piece

    async def text(self, selector: str, **fields: Any) -> bytes:
        """All of the output in one."""
        return b"".join([piece.data async for piece in self.output(selector, **fields)])


class Worker:
    """A worker played by hand: says what it is told to say, and remembers what it hears."""

    def __init__(self, channel: grpc.aio.Channel, address: str, name: str, millicpus: int) -> None:
        self.stub: Any = scheduler_pb2_grpc.SchedulerStub(channel)
        self.address = address
        self.name = name
        self.millicpus = millicpus
        self.own_address, self.offer = "", NOTHING
        self._sequence = 0

    async def register(self) -> scheduler_pb2.RegisterResponse:
        request = scheduler_pb2.RegisterRequest(
            name=self.name,
            capacity_millicpus=self.millicpus,
            version="test",
            address=self.own_address,
            offer=offer_to_proto(self.offer),
        )
        with calling(self.address):
            answer: scheduler_pb2.RegisterResponse = await self.stub.Register(request)
        return answer

    async def connect(
        self, backlog: Sequence[Attempts] = (), running: Sequence[Attempts] = (), incarnation: str = "one"
    ) -> None:
        """Registers and opens a session. By its `welcome` the scheduler knows it."""
        await self.register()
        self.stream = self.stub.Session()
        hello = Hello(incarnation, self.millicpus, 0, tuple(backlog), tuple(running), offer=self.offer)
        await self.stream.write(scheduler_pb2.SessionRequest(hello=hello_to_proto(hello)))
        self.heard: list[Downward] = []
        self.asked: list[scheduler_pb2.OpenOutput] = []
        self.welcome: Welcome = await self.hear(Welcome)

    async def deregister(self, reason: str) -> None:
        with calling(self.address):
            await self.stub.Deregister(scheduler_pb2.DeregisterRequest(reason=reason))

    async def hear(self, kind: type[Any]) -> Any:
        """The next message of that kind; others before it stay in `heard`."""
        while True:
            for message in self.heard:
                if isinstance(message, kind):
                    self.heard.remove(message)
                    return message
            await self._read()

    async def asked_for(self) -> scheduler_pb2.OpenOutput:
        while not self.asked:
            await self._read()
        return self.asked.pop(0)

    async def _read(self) -> None:
        with calling(self.address):
            response = await self.stream.read()
        assert response is not grpc.aio.EOF, "the session has ended"
        self.heard += messages_from_response(response)
        self.asked += response.open_output

    async def end_of_session(self) -> None:
        """Raises what the scheduler ended the session with."""
        while True:
            await self._read()

    async def report(self, **fields: Any) -> None:
        """Returns when it is acknowledged."""
        self._sequence += 1
        report = report_to_proto(Report(self._sequence, **fields))
        await self.stream.write(scheduler_pb2.SessionRequest(report=report))
        assert (await self.hear(ReportAcknowledged)).sequence == self._sequence

    async def finish(self, assign: Assign, *outputs: SmallOutput) -> None:
        """All of these tasks have succeeded."""
        a = assign.attempts
        await self.report(
            ok=tuple(OkEnds(a.job, a.attempt, r.start, r.size, packed(r.size)) for r in a.ranges), outputs=outputs
        )

    async def fail(self, assign: Assign, exit_code: int = 3, reason: str = "", **fields: Any) -> None:
        a = assign.attempts
        why = reason or f"exit:{exit_code}"
        ends = [
            TaskEnd(a.job, i, a.attempt, why, exit_code, started_at=1.0, ended_at=2.0, **fields)
            for r in a.ranges
            for i in range(*r)
        ]
        await self.report(ended=tuple(ends))

    async def show(self, stdout: bytes, stderr: bytes) -> None:
        """Answers the reader who has asked for what a task that runs has written, to its end."""
        asked = (await self.asked_for()).transfer_id
        await self.push(
            scheduler_pb2.PushOutputRequest(transfer_id=asked, data=stdout),
            scheduler_pb2.PushOutputRequest(data=stderr, stderr=True, complete=True),
        )

    async def push(self, *messages: scheduler_pb2.PushOutputRequest) -> None:
        with calling(self.address):
            await self.stub.PushOutput(iter(messages))


def packed(count: int, output_bytes: int = 0) -> bytes:
    return struct.pack(PACKED, 1000.0, 2_000_000, 500_000, 64, output_bytes) * count


def one(job: int, index: int = 0, attempt: int = 1) -> Attempts:
    return Attempts(job, attempt, (Range(index, index + 1),))


async def until(true: Callable[[], bool]) -> None:
    """Lets everything else run until that is so."""
    while not true():  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0)


@asynccontextmanager
async def running(directory: Path, lease: float = LEASE) -> AsyncIterator[Cluster]:
    cluster = Cluster(directory, lease)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


def in_cluster(directory: Path, body: Callable[[Cluster], Awaitable[None]]) -> None:
    """Runs the test's body beside a scheduler. A test that hangs fails.

    Workers that are played by hand send no heartbeats, so the lease is longer than any test. So is the time in which
    whoever is cut off must have read why: this machine may take longer for that than a person would wait.
    """

    async def run() -> None:
        async with running(directory, lease=2 * PATIENCE) as cluster, asyncio.timeout(PATIENCE):
            await body(cluster)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("service", "sessions"):
            patch.setattr(f"cluster.scheduler.{module}.LAST_WORDS", PATIENCE)
        asyncio.run(run())
