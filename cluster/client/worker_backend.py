"""The client's verbs on a lone worker's own API (`--direct HOST:PORT`)."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import grpc.aio

from cluster.client.backend import WantedHistory, WantedOutput
from cluster.client.connection import hanging_up, ready
from cluster.client.messages import job_of, output_fields, selectors_of, spec_message, task_of
from cluster.client.results import TaskResults
from cluster.client.types import (
    ClusterEvent,
    Deleted,
    HistoryPage,
    Job,
    JobStats,
    JobTree,
    Me,
    Output,
    Pruned,
    QueueStatus,
    RemovedWorker,
    RevocationResult,
    RoomStatus,
    Task,
    Token,
    UsageReport,
    User,
    Worker,
)
from cluster.domain.base.errors import InvalidInput, NotReached, Untrusted
from cluster.domain.files.pieces import ContentPiece
from cluster.domain.files.tree import Entry
from cluster.domain.job.changes import Changes
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.pool_board import PoolStatus, PoolWish
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Role
from cluster.domain.trust.tokens import split_address
from cluster.rpc.channel import CONNECT_TIMEOUT, dial
from cluster.rpc.errors import calling
from cluster.v1 import files_pb2, worker_pb2, worker_pb2_grpc

if TYPE_CHECKING:
    from cluster.domain.job.workflow import NewJob

_NO_FILES = "a worker that stands alone keeps no files: only a scheduler takes uploads"
_NO_POOLS = "a worker that stands alone has no pools: ask a scheduler"


class WorkerBackend:
    """One channel to one worker, whose name is asked for at the first call."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address = address
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None  # the generated stubs know no asyncio
        self._connecting = asyncio.Lock()

    async def submit(self, job_id: str, spec: JobSpec, patience: float) -> Job:
        request = worker_pb2.StartJobRequest(id=job_id, spec=spec_message(spec))
        worker = await self._worker(patience)
        with calling(self.address):
            return job_of((await worker.StartJob(request)).job)

    async def submit_many(self, jobs: "Sequence[NewJob]", patience: float) -> tuple[int, ...]:
        raise InvalidInput(f"{self.address} is a single worker, which takes one job at a time: ask the scheduler")

    async def list(self, selectors: Sequence[str], states: Sequence[TaskState], limit: int) -> tuple[Job, ...]:
        found: dict[str, Job] = {}
        for selector in selectors or ["all"]:
            found |= {job.id: job for job, _ in await self._get(selector)}
        jobs = sorted(found.values(), key=lambda job: job.number, reverse=True)
        jobs = [job for job in jobs if not states or job.state in states]
        return tuple(jobs[:limit] if limit else jobs)

    async def get(
        self, selector: str, max_tasks: int, states: Sequence[TaskState], attempts: bool = False
    ) -> tuple[Job, tuple[Task, ...]]:
        found = await self._get(selector)
        if len(found) != 1:
            raise InvalidInput(f"{selector!r} names {len(found)} jobs: give one")
        job, task = found[0]
        if attempts and task.attempt:
            task = replace(task, attempts=(task,))
        return job, (task,)[:max_tasks] if not states or task.state in states else ()

    async def _get(self, selector: str) -> tuple[tuple[Job, Task], ...]:
        request = worker_pb2.GetJobsRequest()
        if selector != "all":
            request.selector.CopyFrom(selectors_of([selector])[0])
        worker = await self._worker()
        found: list[tuple[Job, Task]] = []
        with calling(self.address):
            while True:
                answer = await worker.GetJobs(request)
                found += ((job_of(j), task_of(t)) for j, t in zip(answer.jobs, answer.tasks, strict=True))
                if not answer.next:
                    return tuple(found)
                request.below = answer.next

    async def watch(self, selectors: Sequence[str], patience: float) -> AsyncGenerator[tuple[Job, ...], None]:
        """The worker answers when a job has ended, and says nothing in between."""
        worker = await self._worker(patience)
        jobs = {job.id: job for job in await self.list(selectors, (), 0)}
        yield tuple(jobs.values())
        unended = selectors_of([job.id for job in jobs.values() if not job.state.ended])
        requests = [worker_pb2.WaitJobRequest(selector=selector) for selector in unended]
        with calling(self.address), contextlib.ExitStack() as stack:
            calls = [stack.enter_context(hanging_up(worker.WaitJob(request))) for request in requests]
            for answer in asyncio.as_completed(map(_answer, calls)):
                job = job_of((await answer).job)
                jobs[job.id] = job
                yield tuple(jobs.values())

    async def logs(
        self, wanted: WantedOutput, patience: float, connected: Callable[[], object]
    ) -> AsyncGenerator[Output, None]:
        request = worker_pb2.ReadJobOutputRequest(**output_fields(wanted))
        worker = await self._worker(patience)
        connected()
        with calling(self.address), hanging_up(worker.ReadJobOutput(request)) as call:
            async for piece in call:
                yield Output(0, 0, 1, piece.stderr, piece.data, piece.end)

    async def cancel(
        self, selectors: Sequence[str], grace: float | None, reason: str, keep_children: bool
    ) -> tuple[tuple[Job, ...], int]:
        # Jobs of a worker's own API call for none.
        running = {job.id for job in await self.list(selectors, (), 0) if not job.state.ended}
        worker = await self._worker()
        jobs: dict[str, Job] = {}
        with calling(self.address):
            for selector in selectors_of(selectors):
                answer = await worker.StopJob(worker_pb2.StopJobRequest(selector=selector, grace=grace, reason=reason))
                jobs |= {job.id: job_of(job) for job in answer.jobs}
        return tuple(jobs.values()), len(running)

    async def pause(self, selectors: Sequence[str], reason: str, stop_running: bool) -> tuple[tuple[Job, ...], int]:
        self._refuse_to_order()

    async def resume(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        self._refuse_to_order()

    async def set_priority(self, selectors: Sequence[str], priority: int) -> tuple[tuple[Job, ...], int]:
        self._refuse_to_order()

    async def set_options(self, selectors: Sequence[str], changes: Changes) -> tuple[tuple[Job, ...], int]:
        self._refuse_to_order()

    async def set_share(self, user: str, weight: float) -> QueueStatus:
        self._refuse_to_order()

    async def retry(self, selectors: Sequence[str]) -> tuple[tuple[Job, ...], int]:
        self._refuse_to_try_again()

    async def rerun(self, selector: str, job_id: str, once: bool) -> Job:
        self._refuse_to_try_again()

    async def history(self, wanted: WantedHistory) -> HistoryPage:
        self._refuse_to_sum_up()

    async def stats(self, selector: str) -> JobStats:
        self._refuse_to_sum_up()

    async def usage(self, by: str, since: float, limit: int) -> UsageReport:
        self._refuse_to_sum_up()

    async def queue(self) -> QueueStatus:
        self._refuse_to_order()

    async def pause_queue(self, reason: str) -> QueueStatus:
        self._refuse_to_order()

    async def resume_queue(self) -> QueueStatus:
        self._refuse_to_order()

    async def tree(self, selector: str) -> JobTree:
        raise InvalidInput("a worker that stands alone has no trees of jobs: its jobs call no others")

    async def set_state(self, values: Mapping[str, str]) -> None:
        raise InvalidInput("a worker that stands alone keeps no state of jobs")

    async def state(self, selector: str) -> Mapping[str, str]:
        raise InvalidInput("a worker that stands alone keeps no state of jobs")

    async def events(
        self, since: int | None, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[tuple[Sequence[ClusterEvent], int], None]:
        self._refuse()
        yield [], 0

    async def workers(self) -> tuple[Worker, ...]:
        self._refuse()

    async def create_token(self, role: str, life: float, uses: int, user: str, http: bool) -> tuple[Token, str]:
        self._refuse()

    async def tokens(self) -> tuple[Token, ...]:
        self._refuse()

    async def revoke_token(self, token_id: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        self._refuse()

    async def who_am_i(self) -> Me:
        name = self._credentials.identity.name
        return Me(name, Role.ADMIN, name)  # a worker's own API lets in nobody else

    async def users(self) -> tuple[User, ...]:
        self._refuse()

    async def revoke_user(self, name: str, and_joined: bool, keep_jobs: bool) -> RevocationResult:
        self._refuse()

    async def remove_worker(self, worker: str, revoke: bool) -> RemovedWorker:
        self._refuse()

    async def drain_workers(self, workers: Sequence[str], reason: str, within: float | None) -> tuple[Worker, ...]:
        self._refuse()

    async def resume_workers(self, workers: Sequence[str]) -> tuple[Worker, ...]:
        self._refuse()

    async def find_missing(self, digests: Sequence[bytes], patience: float) -> Sequence[tuple[int, int]]:
        raise InvalidInput(_NO_FILES)

    async def put_contents(self, messages: AsyncGenerator[Sequence[ContentPiece], None]) -> None:
        raise InvalidInput(_NO_FILES)

    async def delete(self, selectors: Sequence[str]) -> Deleted:
        self._refuse_to_keep()

    async def pin(self, selectors: Sequence[str], *, pinned: bool) -> tuple[tuple[int, ...], int]:
        self._refuse_to_keep()

    async def room(self) -> RoomStatus:
        self._refuse_to_keep()

    async def prune(
        self, keep_jobs: str, keep_output: str, keep_files: str, keep_usage: str, *, dry_run: bool
    ) -> Pruned:
        self._refuse_to_keep()

    async def pools(self) -> tuple[PoolStatus, ...]:
        raise InvalidInput(_NO_POOLS)

    async def set_pool(self, wish: PoolWish) -> PoolStatus:
        raise InvalidInput(_NO_POOLS)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def results(
        self, selectors: Sequence[str], patience: float, *, follow: bool
    ) -> AsyncGenerator[Sequence[TaskResults], None]:
        self._refuse_results()
        yield

    async def read_results(
        self, results: TaskResults, digests: Sequence[bytes], offset: int, patience: float
    ) -> AsyncGenerator[Sequence[files_pb2.ContentPiece], None]:
        self._refuse_results()
        yield

    async def entries(self, results: TaskResults, patience: float) -> tuple[Entry, ...]:
        self._refuse_results()

    def _refuse_results(self) -> NoReturn:
        raise InvalidInput(
            f"{self.address} is a single worker, whose jobs leave no results: only a scheduler keeps any"
        )

    def _refuse(self) -> NoReturn:
        raise InvalidInput(f"{self.address} is a single worker, which knows of no others: ask the scheduler")

    def _refuse_to_keep(self) -> NoReturn:
        raise InvalidInput(
            f"{self.address} is a single worker, whose jobs go by themselves: only a scheduler keeps them"
        )

    def _refuse_to_try_again(self) -> NoReturn:
        raise InvalidInput("a worker's own job is tried once: only a scheduler tries again; submit it anew")

    def _refuse_to_sum_up(self) -> NoReturn:
        raise InvalidInput(
            f"{self.address} is a single worker, which keeps no sums of the past: only a scheduler does; its jobs are "
            "listed by `cluster job list`"
        )

    def _refuse_to_order(self) -> NoReturn:
        raise InvalidInput(f"{self.address} is a single worker, whose jobs start at once: only a scheduler has a queue")

    async def _worker(self, patience: float = 0.0) -> Any:
        async with self._connecting:
            if self._channel is None:
                name = await _worker_name(self.address, self._credentials)
                self._channel = dial(self.address, self._credentials, name)
                self._stub = worker_pb2_grpc.WorkerStub(self._channel)
        await ready(self._channel, self.address, patience)
        return self._stub


_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED, of OpenSSL


async def _answer(call: Any) -> Any:
    """A gRPC call is awaitable, and asyncio asks for a coroutine."""
    return await call


async def _worker_name(address: str, credentials: Credentials) -> str:
    """The DNS name in the certificate of the worker at `address`, once TLS has proven that our CA issued it.

    gRPC asks for a name before it dials, and `--direct` says only where. Any worker of our cluster will do, and
    nothing but a worker: the names of schedulers have another form. Untrusted if it is none.
    """
    import ssl  # 10 ms, for `--direct` only

    context = ssl.create_default_context(cadata=credentials.ca_pem.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the name is what we ask for; compared below
    host, port = split_address(address)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise Untrusted(f"the server at {address} shows a certificate that has expired") from None
        raise Untrusted(
            f"the server at {address} is of another cluster than {credentials.identity}: name its own with "
            "--credentials FILE; a worker that stands alone has it as admin.pem in its directory"
        ) from None
    except ssl.SSLError:
        raise Untrusted(f"the server at {address} does not speak TLS 1.3; it is something else than cluster") from None
    except TimeoutError:
        raise NotReached(f"{address} cannot be reached: nobody answered in time") from None
    except OSError as error:
        # asyncio has words of its own in strerror
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise NotReached(f"{address} cannot be reached: {why}") from None
    certificate: Any = writer.get_extra_info("peercert")
    writer.transport.abort()  # a polite goodbye would wait for the other side's
    with contextlib.suppress(OSError):  # it may have hung up already, as we showed no certificate
        await writer.wait_closed()
    end = f".worker.{credentials.identity.cluster_id}.cluster.internal"
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "DNS" and name.endswith(end):
            return str(name)
    raise Untrusted(f"the server at {address} is no worker of this cluster: its certificate names somebody else")
