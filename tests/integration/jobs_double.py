"""A scheduler's Jobs service that runs every task as a child of its own: small, real gRPC with mutual TLS, no cluster.

For tests of the client and the command line that need answers and failures at a chosen moment.
"""

import asyncio
import os
import queue
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc.aio

from cluster.domain.job.records import JobRecord
from cluster.domain.job.selectors import parse_selector, resolve
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.trust.credentials import format_credentials
from cluster.domain.trust.identity import IdentityKind, Role, Standing
from cluster.pki.authority import create_authority
from cluster.pki.peer_certificates import parse_peer
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.errors import Context
from cluster.rpc.gate import Gate, current_caller
from cluster.rpc.server import listen, mutual_tls_server
from cluster.rpc.specs import spec_from_proto
from cluster.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc

CLUSTER = "0123456789abcdef"


class RunningTask:
    """One task: its process, what it wrote so far, and its end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = TaskState.READY
        self.written: list[tuple[bool, bytes]] = []
        self.process: asyncio.subprocess.Process | None = None
        self.exit_code = 0
        self.signal = ""


class RunningJob:
    """One job; `changed` is set anew at each change."""

    def __init__(self, number: int, id: str, spec: JobSpec, owner: str) -> None:
        self.record = JobRecord(number, id, owner, spec, time.time())
        self.tasks = [RunningTask(spec.number_of(index)) for index in range(spec.task_count)]
        self.changed = asyncio.Event()
        self.cancelled_by = self.cancel_reason = ""

    def change(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        return all(task.state.ended for task in self.tasks)

    def message(self) -> job_pb2.Job:
        counts = {state: sum(task.state is state for task in self.tasks) for state in TaskState}
        order = (TaskState.RUNNING, TaskState.READY, TaskState.FAILED, TaskState.CANCELLED)
        state = next((state for state in order if counts[state]), TaskState.SUCCEEDED)
        worst = max((task.exit_code for task in self.tasks), default=0)
        job = job_pb2.Job(
            number=self.record.number,
            id=self.record.id,
            owner=self.record.owner,
            state=f"TASK_STATE_{state.name}",
            reason="ok" if state is TaskState.SUCCEEDED else f"exit:{worst}" if state.ended else "",
            submitted_at=self.record.submitted_at,
            started_at=self.record.submitted_at,
            ended_at=time.time() if state.ended else 0,
            exit_code=worst,
            cancelled_by=self.cancelled_by,
            cancel_reason=self.cancel_reason,
            pending_because=["no worker is there"] if state is TaskState.READY else [],
        )
        for state in TaskState:
            if state not in (TaskState.WAITING,):
                setattr(job.counts, state.name.lower(), counts[state])
        spec = self.record.spec
        job.spec.argv.extend(spec.argv)
        job.spec.name, job.spec.cwd, job.spec.millicpus = spec.name, spec.cwd, spec.millicpus
        for name, value in spec.env:
            job.spec.env.add(name=name, value=value)
        for segment in spec.array:
            job.spec.array.add(first=segment.first, last=segment.last, step=segment.step)
        return job


class JobsDouble(jobs_pb2_grpc.JobsServicer):
    """Runs jobs at once, keeps everything in memory. `break_next` cuts that many calls off after they took effect."""

    def __init__(self) -> None:
        self.jobs: dict[int, RunningJob] = {}
        self.submitted = 0
        self.break_next = 0
        self.stopped = False  # reading output gets errors only, as where the store has failed
        self.refused = 0
        self.hold = False  # jobs stay ready
        self.silent: set[str] = set()  # calls that take effect and are not answered
        self.unanswered: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.left: queue.SimpleQueue[int] = queue.SimpleQueue()  # jobs that somebody has stopped reading
        self._work: set[asyncio.Task[None]] = set()

    # the directory that selectors are looked up in

    def numbers(self) -> Sequence[int]:
        return list(self.jobs)

    def last(self) -> int | None:
        return max(self.jobs, default=None)

    def record(self, number: int) -> JobRecord | None:
        return self.jobs[number].record if number in self.jobs else None

    def number_of_id(self, job_id: str) -> int | None:
        return next((n for n, job in self.jobs.items() if job.record.id == job_id), None)

    def numbers_of_name(self, name: str) -> Sequence[int]:
        return [n for n, job in self.jobs.items() if job.record.spec.name == name]

    def _select(self, selectors: Sequence[jobs_pb2.Selector]) -> list[RunningJob]:
        targets = [t for s in selectors for t in resolve(parse_selector(s.text), self)]
        return [self.jobs[number] for number in dict.fromkeys(target.job for target in targets)]

    async def _maybe_break(self, context: Context) -> None:
        if self.break_next > 0:
            self.break_next -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")

    async def _maybe_say_nothing(self, call: str) -> None:
        if call in self.silent:
            self.unanswered.put(call)
            await asyncio.Event().wait()

    async def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.SubmitResponse:
        self.submitted += 1
        number = self.number_of_id(request.id)
        if number is None:
            number = len(self.jobs) + 1
            spec = spec_from_proto(request.spec)
            job = self.jobs[number] = RunningJob(number, request.id, spec, current_caller().identity.name)
            if not self.hold:
                task = asyncio.create_task(self._run(job))
                self._work.add(task)
                task.add_done_callback(self._work.discard)
        await self._maybe_say_nothing("Submit")
        await self._maybe_break(context)
        return jobs_pb2.SubmitResponse(job=self.jobs[number].message())

    async def List(self, request: jobs_pb2.ListRequest, context: Context) -> jobs_pb2.ListResponse:
        jobs = self._select(request.selectors) if request.selectors else list(self.jobs.values())
        messages = [job.message() for job in sorted(jobs, key=lambda job: -job.record.number)]
        messages = [m for m in messages if not request.states or m.state in request.states]
        return jobs_pb2.ListResponse(jobs=messages[: request.limit or None])

    async def Get(self, request: jobs_pb2.GetRequest, context: Context) -> jobs_pb2.GetResponse:
        (job,) = self._select([request.selector])
        tasks = [
            job_pb2.Task(
                index=index,
                number=task.number,
                state=f"TASK_STATE_{task.state.name}",
                attempt=1,
                reason=f"exit:{task.exit_code}" if task.state is TaskState.FAILED else "",
                exit_code=task.exit_code,
                signal=task.signal,
                worker_name="double",
            )
            for index, task in enumerate(job.tasks)
        ]
        return jobs_pb2.GetResponse(job=job.message(), tasks=tasks[: request.max_tasks])

    async def Wait(self, request: jobs_pb2.WaitRequest, context: Context) -> AsyncIterator[jobs_pb2.WaitResponse]:
        jobs = self._select(request.selectors)
        await self._maybe_say_nothing("Wait")
        while True:
            changes = [asyncio.ensure_future(job.changed.wait()) for job in jobs if not job.ended]
            yield jobs_pb2.WaitResponse(jobs=[job.message() for job in jobs])
            await self._maybe_break(context)
            if not changes:
                return
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)

    async def Cancel(self, request: jobs_pb2.CancelRequest, context: Context) -> jobs_pb2.CancelResponse:
        jobs = self._select(request.selectors)
        count = 0
        for job in jobs:
            for task in job.tasks:
                if not task.state.ended:
                    job.cancelled_by, job.cancel_reason = current_caller().identity.name, request.reason
                    count += 1
                    if task.process:
                        os.killpg(task.process.pid, signal.SIGTERM)
                    else:
                        task.state = TaskState.CANCELLED
            job.change()
        await self._maybe_say_nothing("Cancel")
        return jobs_pb2.CancelResponse(jobs=[job.message() for job in jobs], cancelled=count)

    async def ReadOutput(
        self, request: jobs_pb2.ReadOutputRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        if self.stopped:
            self.refused += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the scheduler has stopped taking work")
        targets = resolve(parse_selector(request.selector.text), self)
        await self._maybe_say_nothing("ReadOutput")
        for target in (target for target in targets if target.job >= request.position.job):
            job = self.jobs[target.job]
            try:
                async for piece in self._read_output(job, target, request, context):
                    yield piece
            finally:
                self.left.put(job.record.number)

    async def _read_output(
        self, job: RunningJob, target: Target, request: jobs_pb2.ReadOutputRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.ReadOutputResponse]:
        wanted = [i for r in target.ranges or ((0, len(job.tasks)),) for i in range(*r)]
        had = request.position
        numbers = [job.tasks[i].number for i in wanted]
        first = numbers.index(had.task_number) if had.job == job.record.number else 0
        for task in (job.tasks[i] for i in wanted[first:]):
            sent, skip, ends = 0, {False: 0, True: 0}, {False: 0, True: 0}
            if had.job == job.record.number and task.number == had.task_number:
                skip = {False: had.stdout, True: had.stderr}
            while True:
                changed, over = job.changed, task.state.ended  # before what is written: nothing comes after that
                for stderr, data in task.written[sent:]:
                    sent += 1
                    ends[stderr] += len(data)
                    skipped = min(skip[stderr], len(data))
                    skip[stderr] -= skipped
                    data = data[skipped:]
                    if data and (request.stderr if stderr else request.stdout):
                        if request.HasField("tail_lines"):
                            data = b"".join(data.splitlines(keepends=True)[-request.tail_lines :])
                        yield jobs_pb2.ReadOutputResponse(
                            job=job.record.number,
                            task_number=task.number,
                            attempt=1,
                            stderr=stderr,
                            data=data,
                            end=ends[stderr],
                        )
                        await self._maybe_break(context)
                if over or not request.follow:
                    break
                await changed.wait()

    async def ListWorkers(self, request: jobs_pb2.ListWorkersRequest, context: Context) -> jobs_pb2.ListWorkersResponse:
        worker = jobs_pb2.WorkerInfo(
            id="6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11",
            name="double",
            state=jobs_pb2.WORKER_STATE_ONLINE,
            capacity_millicpus=2000,
            used_millicpus=500,
            running=1,
            version="1",
            registered_at=1,
            last_heard_at=time.time(),
        )
        return jobs_pb2.ListWorkersResponse(workers=[worker])

    async def _run(self, job: RunningJob) -> None:
        for index, task in enumerate(job.tasks):
            if not task.state.ended:
                await self._run_task(job, task, index)

    async def _run_task(self, job: RunningJob, task: RunningTask, index: int) -> None:
        spec = job.record.spec
        env = {"PATH": os.environ["PATH"], **dict(spec.env), "CLUSTER_TASK": str(task.number)}
        if spec.lines:
            env["CLUSTER_LINE"] = spec.lines.split(b"\n")[index].decode()
        argv = [word.replace("{}", env.get("CLUSTER_LINE", "{}")) for word in spec.argv]
        process = task.process = await asyncio.create_subprocess_exec(
            *argv,
            env=env,
            cwd=spec.cwd or None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        task.state = TaskState.RUNNING
        job.change()
        assert process.stdout
        assert process.stderr
        await asyncio.gather(self._read(job, task, False, process.stdout), self._read(job, task, True, process.stderr))
        code = await process.wait()
        task.process = None
        if code < 0:
            task.signal, code = signal.Signals(-code).name, 128 - code
        task.exit_code = code
        failed = TaskState.CANCELLED if job.cancelled_by else TaskState.FAILED
        task.state = failed if code else TaskState.SUCCEEDED
        job.change()

    async def _read(self, job: RunningJob, task: RunningTask, stderr: bool, pipe: asyncio.StreamReader) -> None:
        while data := await pipe.read(4096):
            task.written.append((stderr, data))
            job.change()


class Double:
    """A JobsDouble that serves from a thread; `environment` lets the command line find it."""

    def __init__(self, directory: Path) -> None:
        self.jobs = JobsDouble()
        self.credentials_file = directory / "user.pem"
        self.address = ""
        self._directory = directory
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()

    @contextmanager
    def serving(self) -> Iterator["Double"]:
        thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        thread.start()
        self._ready.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        return {"CLUSTER_SCHEDULER": self.address, "CLUSTER_CREDENTIALS": str(self.credentials_file)}

    async def _serve(self) -> None:
        now = time.time()
        authority = create_authority(self._directory / "ca.pem", CLUSTER, now)
        self.credentials_file.touch(0o600)
        self.credentials_file.write_bytes(
            format_credentials(authority.issue(authority.identity(IdentityKind.USER, "ann"), now))
        )
        gate = Gate(
            parse=lambda pem: parse_peer(pem, CLUSTER),
            standing_of=lambda identity: Standing(Role.USER, identity.name),
            revoked=lambda peer: False,
            now=time.time,
        )
        server = mutual_tls_server(gate, [lambda s: jobs_pb2_grpc.add_JobsServicer_to_server(self.jobs, s)])
        serving = ServingCredentials(authority.issue(authority.identity(IdentityKind.SCHEDULER, "main"), now))
        self.address = f"127.0.0.1:{listen(server, '127.0.0.1:0', serving.mutual())}"
        await server.start()
        self._ready.set()
        await self._stop.wait()
        for job in self.jobs.jobs.values():
            for task in job.tasks:
                if task.process:
                    with suppress(ProcessLookupError):  # it ends by itself this very moment
                        os.killpg(task.process.pid, signal.SIGKILL)
        await asyncio.gather(*self.jobs._work)
        gate.close()
        await server.stop(0)
