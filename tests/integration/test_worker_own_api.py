"""The worker's own door, with a scheduler and without."""

import asyncio
import json
import os
import signal
import threading
import uuid
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.client.aio import AsyncClient
from cluster.client.discovery import Endpoint
from cluster.domain.base.errors import (
    ClusterError,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Unreachable,
    Untrusted,
)
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.journal import entries_of
from cluster.pki.files import load_credentials
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.on_behalf import Proof
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import job_pb2, jobs_pb2, worker_pb2, worker_pb2_grpc
from cluster.worker import templates as templates_module
from cluster.worker.agent import Agent
from cluster.worker.hooks import Hooks
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.readers import OutputPhase
from cluster.worker.own.jobs import OwnJobs, key_of
from cluster.worker.own.store import OwnJob, OwnStore
from cluster.worker.runners.null import NullRunner
from cluster.worker.templates import RunAs, Templates
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.launchers import Watched
from tests.integration.workers import Site, WorkerProcess, at_site
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


class Own:
    """Calls on one worker. They raise the ClusterError that they answer."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    async def start(self, *argv: str, job_id: str = "", **fields: Any) -> job_pb2.Job:
        request = worker_pb2.StartJobRequest(
            id=job_id or str(uuid.uuid4()), spec=spec_to_proto(JobSpec(argv, **fields))
        )
        with calling("worker"):
            answer: worker_pb2.StartJobResponse = await self.stub.StartJob(request)
        return answer.job

    async def wait(self, selector: str) -> worker_pb2.WaitJobResponse:
        with calling("worker"):
            answer: worker_pb2.WaitJobResponse = await self.stub.WaitJob(
                worker_pb2.WaitJobRequest(selector=jobs_pb2.Selector(text=selector))
            )
        return answer

    async def stop(self, selector: str, **fields: Any) -> list[job_pb2.Job]:
        with calling("worker"):
            request = worker_pb2.StopJobRequest(selector=jobs_pb2.Selector(text=selector), **fields)
            return list((await self.stub.StopJob(request)).jobs)

    async def ask(self, method: str, request: Any, metadata: Any) -> Any:
        with calling("worker"):
            return await getattr(self.stub, method)(request, metadata=metadata)

    async def record(self, status: str, **selector: str) -> job_pb2.Job:
        request = worker_pb2.RecordJobStatusRequest(selector=jobs_pb2.Selector(**selector), status=status)
        with calling("worker"):
            answer: worker_pb2.RecordJobStatusResponse = await self.stub.RecordJobStatus(request)
        return answer.job

    async def jobs(self, selector: str = "") -> list[job_pb2.Job]:
        """Oldest first."""
        request = worker_pb2.GetJobsRequest(selector=jobs_pb2.Selector(text=selector) if selector else None)
        with calling("worker"):
            return list((await self.stub.GetJobs(request)).jobs)[::-1]

    async def text(self, selector: str, **fields: Any) -> bytes:
        options = {"stdout": True, "stderr": True, "follow": True, **fields}
        request = worker_pb2.ReadJobOutputRequest(selector=jobs_pb2.Selector(text=selector), **options)
        with calling("worker"):
            return b"".join([piece.data async for piece in self.stub.ReadJobOutput(request)])

    async def first_of(self, selector: str) -> bytes:
        """The first piece of stdout. It comes when the worker has on disk that the job runs."""
        request = worker_pb2.ReadJobOutputRequest(selector=jobs_pb2.Selector(text=selector), stdout=True, follow=True)
        stream = self.stub.ReadJobOutput(request)
        with calling("worker"):
            piece: worker_pb2.ReadJobOutputResponse = await stream.read()
        stream.cancel()
        return piece.data


def test_start_stop_status_and_output(tmp_path: Path) -> None:  # S2.5
    began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            job_id = str(uuid.uuid4())
            script = f"echo out; echo err >&2; echo > {began}; read x < {gate}; exit 4"
            job = await own.start("sh", "-c", script, job_id=job_id, name="mine")
            assert (job.number, job.id, job.owner) == (1, job_id, "admin")
            assert (await own.start("sh", "-c", script, job_id=job_id)).number == 1  # a repeated call starts nothing
            followers = [asyncio.create_task(own.text("mine")), asyncio.create_task(own.text("1", stderr=False))]
            await reach(began)
            assert await own.first_of("1") == b"out\n"
            assert [j.state for j in await own.jobs()] == [job_pb2.TASK_STATE_RUNNING]
            await let_go(gate)
            ended = await own.wait(job_id)
            assert (ended.job.reason, ended.job.exit_code, ended.task.worker_id) == ("exit:4", 4, worker.ready["id"])
            assert sorted((await followers[0]).splitlines()) == [b"err", b"out"]
            assert await followers[1] == b"out\n"
            for words, numbers in {"failed": [1], "exit:4,running": [1], "lost,ready": []}.items():
                for head in ("1", "mine"):
                    assert [job.number for job in await own.jobs(f"{head}:{words}")] == numbers
            with pytest.raises(InvalidInput, match="1:failed: what has ended cannot be cancelled"):
                await own.stop("1:failed")

    at_site(tmp_path, body)


def test_past_jobs_and_those_that_run_outlive_the_agent(tmp_path: Path) -> None:  # S2.10
    began, gate = fifo(tmp_path / "began"), fifo(tmp_path / "gate")

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            await own.start("sh", "-c", "echo past; exit 5")
            await own.wait("1")
            await own.start("sh", "-c", f"echo > {began}; read x < {gate}; echo done")
            await reach(began)
        await worker.stop(signal.SIGKILL)
        await worker.started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            past, running = await own.jobs()
            assert (past.reason, past.exit_code, list(past.spec.argv)) == (
                "exit:5",
                5,
                ["sh", "-c", "echo past; exit 5"],
            )
            assert running.state == job_pb2.TASK_STATE_RUNNING
            assert await own.text("1") == b"past\n"
            await let_go(gate)
            assert (await own.wait("2")).job.reason == "ok"
            assert await own.text("2") == b"done\n"

    at_site(tmp_path, body)


def test_a_job_whose_stop_was_written_down_and_not_told_is_stopped_by_the_next_agent(tmp_path: Path) -> None:
    """It ran on, and was shown as being cancelled."""
    began = fifo(tmp_path / "began")

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            await own.start("sh", "-c", f"echo > {began}; exec sleep 1000")
            await own.start("true")
            await reach(began)
            await own.wait("2")
        await worker.stop(signal.SIGKILL)
        store = OwnStore(worker.directory / "worker.db")  # as an agent leaves it that is killed at the next line
        job = store.get(1)
        assert job is not None
        store.save([replace(job, cancelled_by="admin", cancel_reason="a mistake")])
        store.close()
        await worker.started()
        async with site.own_api(worker) as stub:
            ended = (await Own(stub).wait("1")).job
            assert (ended.state, ended.reason) == (job_pb2.TASK_STATE_CANCELLED, "cancelled")
            assert ended.cancel_reason == "a mistake"

    at_site(tmp_path, body)


def test_a_follower_outlasts_a_crash_of_the_agent_without_a_byte_lost_or_twice(tmp_path: Path) -> None:
    gate = fifo(tmp_path / "gate")

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        admin = site.cluster.credentials(IdentityKind.USER, "admin")
        async with AsyncClient(Endpoint(worker.ready["address"], admin, is_worker=True)) as client:
            await client.submit(["sh", "-c", f"echo one; read x < {gate}; echo two"])
            async with aclosing(client.logs("last", follow=True)) as pieces:
                assert (await anext(pieces)).data == b"one\n"
                await worker.stop(signal.SIGKILL)
                await worker.started(listen=worker.ready["address"])
                await let_go(gate)
                assert [piece.data async for piece in pieces] == [b"two\n"]

    at_site(tmp_path, body)


def test_stopping_takes_the_whole_tree_and_is_idempotent(tmp_path: Path) -> None:  # S2.11
    pids = tmp_path / "pids"
    began = fifo(tmp_path / "began")

    async def body(site: Site) -> None:
        worker = await site.worker().started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            await own.start("sh", "-c", f"sleep 1000 & echo $! > {pids}; echo > {began}; wait")
            await reach(began)
            child = Watched(pids.read_text())
            await own.stop("1", reason="enough")
            ended = await own.wait("1")
            assert child.is_gone()
            assert (ended.job.reason, ended.task.signal, ended.job.exit_code) == ("cancelled", "SIGTERM", 143)
            assert (ended.job.cancelled_by, ended.job.cancel_reason) == ("admin", "enough")
            [again] = await own.stop("1")
            assert again == ended.job

    at_site(tmp_path, body)


def test_readers_of_jobs_that_are_lost_without_a_word_are_not_left_waiting(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=1000).started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            for _ in range(2):  # one runs, one waits for its cpu
                await own.start("sh", "-c", "echo out; exec sleep 1000")
            assert await own.first_of("1") == b"out\n"
            readers = [asyncio.create_task(own.text(selector)) for selector in ("1", "2")]
            (worker.directory / "launcher" / "journal").unlink()
            os.kill(worker.launcher_pid, signal.SIGKILL)
            assert [(await own.wait(selector)).job.reason for selector in ("1", "2")] == ["lost", "lost"]
            assert await asyncio.gather(*readers) == [b"out\n", b""]

    at_site(tmp_path, body)


WRONG: list[tuple[Callable[[Own], Coroutine[Any, Any, object]], type[ClusterError], str]] = [
    (lambda own: own.start("true", array=(ArraySegment(1, 2),)), InvalidInput, "--array needs a scheduler"),
    (lambda own: own.start("true", retries=2), InvalidInput, "--retries 2 needs a scheduler"),
    (lambda own: own.start("true", lost_after=90.0), InvalidInput, "--lost-after 90 needs a scheduler"),
    (lambda own: own.start("true", worker="another"), InvalidInput, "'another' is another worker"),
    (lambda own: own.start(), InvalidInput, "the command is empty"),
    (lambda own: own.start("true", job_id="x"), InvalidInput, "no lower-case UUID"),
    (lambda own: own.wait("7"), NotFound, "no job 7"),
    (lambda own: own.stop("1", grace=-1), InvalidInput, "a grace of -1 s"),
    (lambda own: own.text("nobody"), NotFound, "no job 'nobody'"),
]


def test_a_key_is_the_same_job_and_what_is_said_of_it_is_kept(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(runner="null").started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            assert [(await own.start("true", key="nightly")).number for _ in range(2)] == [1, 1]
            with pytest.raises(Conflict, match="key 'nightly' is that of job 1"):
                await own.start("false", key="nightly")
            assert (await own.record("half", key="nightly")).recorded_status == "half"
            await own.wait("1")
            said = await own.record("done", text="1")
            assert (said.recorded_status, said.state) == ("done", job_pb2.TASK_STATE_SUCCEEDED)
            (job,) = await own.jobs("1")
            assert (job.recorded_status, job.recorded_at) == ("done", said.recorded_at)
            for status in ("", "x" * 1001):
                with pytest.raises(InvalidInput, match="use 1 to 1000"):
                    await own.record(status, text="1")
            with pytest.raises(NotFound):
                await own.record("lost", key="other")

    at_site(tmp_path, body)


def test_bad_input_gets_one_clear_line(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(runner="null").started()
        async with site.own_api(worker) as stub:
            for call, error, words in WRONG:
                with pytest.raises(error, match=words):
                    await call(Own(stub))

    at_site(tmp_path, body)


def test_whoever_has_no_right_here_gets_in_nowhere(tmp_path: Path) -> None:  # S2.3
    async def body(site: Site) -> None:
        worker = await site.worker(runner="null").started()
        async with site.own_api(worker, user="mallory") as stub:
            with pytest.raises(NotPermitted, match="user/mallory is not the admin"):
                await Own(stub).jobs()
        gateway = site.cluster.credentials(IdentityKind.GATEWAY, str(uuid.uuid4()))
        token = Proof(token="H1.x").metadata()
        async with dial(worker.ready["address"], gateway, site.server_name(worker)) as channel:
            for metadata in ((), token):  # only a worker that stands alone lets them in
                request = worker_pb2.GetJobsRequest()
                with pytest.raises((NotAuthenticated, Untrusted), match=r"gateway/.* not, or no longer, known"):
                    await Own(worker_pb2_grpc.WorkerStub(channel)).ask("GetJobs", request, metadata)

    at_site(tmp_path, body)


def test_a_worker_alone_serves_its_machine_without_a_scheduler(tmp_path: Path) -> None:
    directory = tmp_path / "worker"

    async def run() -> None:
        worker = WorkerProcess(directory, standalone=True)
        try:
            async with asyncio.timeout(PATIENCE):
                await worker.started()
                first = worker.ready
                said = json.loads((directory / "worker.json").read_text())
                assert said["api"] == first["address"]
                assert await use(worker, "echo alone") == b"alone\n"
                assert await health(worker, "", "cluster.v1.Worker") == {health_pb2.HealthCheckResponse.SERVING}
                await worker.stop()
                await worker.started()  # the same worker, with the same past
                assert worker.ready["id"] == first["id"]
                assert await use(worker, "echo again") == b"again\n"
                assert len((await get(worker)).jobs) == 2
        finally:
            await worker.clean_up()

    async def get(worker: WorkerProcess) -> worker_pb2.GetJobsResponse:
        async with door(worker) as channel:
            answer: worker_pb2.GetJobsResponse = await worker_pb2_grpc.WorkerStub(channel).GetJobs(
                worker_pb2.GetJobsRequest()
            )
            return answer

    async def use(worker: WorkerProcess, script: str) -> bytes:
        async with door(worker) as channel:
            own = Own(worker_pb2_grpc.WorkerStub(channel))
            job = await own.start("sh", "-c", script)
            return await own.text(job.id)

    async def health(worker: WorkerProcess, *services: str) -> set[int]:
        async with door(worker) as channel:
            asked = (
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
                for name in services
            )
            return {(await answer).status for answer in asked}

    def door(worker: WorkerProcess) -> Any:
        admin = load_credentials(directory / "admin.pem")
        name = f"{worker.ready['id']}.worker.{admin.identity.cluster_id}.cluster.internal"
        return dial(worker.ready["address"], admin, name)

    asyncio.run(run())


def test_a_job_is_accepted_only_when_it_is_known_what_the_launcher_holds(tmp_path: Path) -> None:
    """Else it is no part of that, and counts as lost when it has started before the agent looks."""
    launcher = NullRunner()
    launcher.hello = launcher.hello._replace(unacked=1)
    launcher.start = lambda template, items: None  # type: ignore[method-assign]

    async def run() -> None:
        connected, held = asyncio.Event(), asyncio.Event()

        async def connect() -> NullRunner:
            connected.set()
            return launcher

        def hold(incarnation: str, keys: set[AttemptKey]) -> None:
            own.launcher_held(incarnation, keys)
            held.set()

        store = OwnStore(tmp_path / "worker.db")
        before = OwnJob(9, str(uuid.uuid4()), "admin", JobSpec(("true",)), 1.0, launcher.hello.incarnation)
        store.save([before])
        templates = Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs())
        own = OwnJobs(store, templates, lambda: agent)
        nothing: Any = lambda *_: None  # noqa: E731
        hooks = Hooks(own.handed_over, hold, own.phase_of, own.limits, nothing, nothing, nothing, nothing, nothing)
        outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
        agent = Agent(WorkerCore(1000, connect=False), connect, templates, outputs, None, hooks)
        running = asyncio.create_task(agent.run())
        await connected.wait()
        await asyncio.sleep(0)
        with suppress(Unreachable):
            await own.start(str(uuid.uuid4()), "admin", JobSpec(("true",)))
        with pytest.raises(Unreachable):
            await own.stop(9, None, "admin", "")
        assert store.get(9) == before  # not cancelled by anybody
        launcher._reports.put_nowait([Ended(1, "0.9#1", "ok")])
        launcher._reports.put_nowait([Started(2, "0.1#1", 77, 1)])
        await held.wait()
        await own.start(str(uuid.uuid4()), "admin", JobSpec(("true",)))
        await own.ended(9)
        assert {job.number for job in store.unfinished()} == set(store.numbers(None)) - {9}
        running.cancel()
        await asyncio.wait([running])
        agent.close()

    asyncio.run(run())


def test_jobs_that_are_to_be_stopped_are_when_there_is_a_launcher(tmp_path: Path) -> None:
    """The worker was told to end before it had found the one that holds them."""
    launcher, stopped = NullRunner(), list[str]()
    launcher.stop = lambda keys, *_: stopped.extend(keys)  # type: ignore[method-assign]
    agent: Any = SimpleNamespace(launcher=None, own_jobs_saved=lambda _: None)
    store = OwnStore(tmp_path / "worker.db")
    store.save([OwnJob(9, str(uuid.uuid4()), "admin", JobSpec(("true",)), 1.0, "inc")])
    own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)

    async def run() -> None:
        stopping = asyncio.create_task(own.stop_all())
        await asyncio.sleep(0)
        agent.launcher = launcher
        own.launcher_held("inc", {AttemptKey.parse("0.9#1")})
        assert stopped == ["0.9#1"]
        assert not stopping.done()
        own.handed_over(entries_of([Ended(1, "0.9#1", "cancelled")]))
        await stopping

    asyncio.run(run())
    store.close()


def test_a_job_that_was_stopped_when_its_launcher_had_just_died_is_not_started_by_the_next(tmp_path: Path) -> None:
    """It was in the backlog, which died too, and whoever stopped it was told that it is being stopped."""
    agent: Any = Mock(expect_room=AsyncMock())
    agent.launcher_or_error.return_value.hello.incarnation = "inc"
    store = OwnStore(tmp_path / "worker.db")
    own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)

    async def run() -> None:
        kept, stopped = [await own.start(str(uuid.uuid4()), "admin", JobSpec((name,))) for name in ("kept", "stopped")]
        await own.stop(stopped.number, None, "admin", "a mistake")
        agent.start_own.reset_mock()
        own.launcher_held("inc", set())
        assert [call.args[0] for call in agent.start_own.call_args_list] == [key_of(kept.number)]
        ended = await own.ended(stopped.number)
        assert ended is not None
        assert (ended.state, ended.reason, ended.exit_code) == (TaskState.CANCELLED, "cancelled", 143)
        assert ended.cancel_reason == "a mistake"

    asyncio.run(run())
    store.close()


def test_a_job_that_another_launcher_starts_has_its_script_looked_for_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder hung, and with it the agent: leases were not renewed."""
    found = threading.Event()
    monkeypatch.setattr(templates_module, "resolve_script", lambda *_: found.wait(PATIENCE) and "/scripts/count.sh")
    lanes = Lanes()
    agent: Any = Mock()
    agent.readers.lanes = lanes
    store = OwnStore(tmp_path / "worker.db")
    spec = JobSpec(("bash",), script="count.sh")
    ids = {number: str(uuid.uuid4()) for number in (8, 9)}
    store.save([OwnJob(number, ids[number], "admin", spec, 1.0, "inc") for number in ids])
    folder = Templates(tmp_path / "jobs", tmp_path / "work", tmp_path, {}, RunAs())
    own = OwnJobs(store, folder, lambda: agent)

    async def run() -> None:
        own.launcher_held("inc", set())
        await own.stop(9, None, "admin", "a mistake")
        agent.start_own.assert_not_called()
        found.set()
        ended = await own.ended(9)
        assert ended is not None
        assert ended.reason == "cancelled"
        (call,) = agent.start_own.call_args_list
        assert call.args[0] == key_of(8)
        assert call.args[1].argv == ("bash", "/scripts/count.sh")

    asyncio.run(run())
    lanes.close()
    store.close()


def test_while_the_disk_of_its_own_jobs_hangs_a_worker_hears_everything_and_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen, say. In the loop that must not wait for it the cluster's leases are renewed."""
    agent: Any = Mock(expect_room=AsyncMock())
    agent.launcher_or_error.return_value.hello.incarnation = "inc"
    heals, hangs = threading.Event(), threading.Event()

    async def run() -> None:
        store = OwnStore(tmp_path / "worker.db")
        own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)
        job = await own.start(str(uuid.uuid4()), "admin", JobSpec(("true",)))

        def hanging(call: Callable[..., Any]) -> Callable[..., Any]:
            def hang(*arguments: Any, **named: Any) -> Any:
                hangs.set()
                heals.wait()
                return call(*arguments, **named)

            return hang

        for name in ("save", "get", "by_id", "unfinished"):
            monkeypatch.setattr(OwnStore, name, hanging(getattr(OwnStore, name)))
        key = str(key_of(job.number))
        own.handed_over(entries_of([Started(1, key, 77, 1)]))
        await asyncio.to_thread(hangs.wait)
        own.launcher_held("inc", {key_of(job.number)})
        own.handed_over(entries_of([Ended(2, key, "ok")]))
        assert own.limits() == {}  # nobody is told of what is not on disk
        assert own.phase_of(job.number) is OutputPhase.UNSTARTED
        assert own.unfinished() == []
        assert not own.all_saved
        agent.own_jobs_saved.assert_not_called()
        heals.set()
        ended = await own.ended(job.number)
        assert ended is not None
        assert ended.state is TaskState.SUCCEEDED
        assert own.all_saved
        agent.own_jobs_saved.assert_called_with([key_of(job.number)])
        own.close_store()

    asyncio.run(run())


def test_a_job_whose_launcher_died_while_it_was_taken_down_is_started_by_the_next(tmp_path: Path) -> None:
    agent: Any = Mock(expect_room=AsyncMock())
    agent.launcher_or_error.return_value.hello.incarnation = "first"
    agent.start_own.side_effect = Unreachable("the worker's launcher does not answer; try again in a moment")

    async def run() -> None:
        store = OwnStore(tmp_path / "worker.db")
        own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)
        job = await own.start(str(uuid.uuid4()), "admin", JobSpec(("true",)))
        agent.start_own = Mock()
        own.launcher_held("second", set())
        assert [call.args[0] for call in agent.start_own.call_args_list] == [key_of(job.number)]
        assert own.unfinished() == [job]
        own.close_store()

    asyncio.run(run())


def test_a_job_whose_caller_leaves_while_the_disk_hangs_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken down, and answered to the next call with its id, and nobody had started it."""
    agent: Any = Mock()
    agent.expect_room = AsyncMock()
    agent.launcher_or_error.return_value.hello.incarnation = "inc"
    heals, hangs, save = threading.Event(), threading.Event(), OwnStore.save

    def hang(store: OwnStore, jobs: Any) -> None:
        hangs.set()
        heals.wait()
        save(store, jobs)

    async def run() -> None:
        store = OwnStore(tmp_path / "worker.db")
        own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)
        monkeypatch.setattr(OwnStore, "save", hang)
        job_id = str(uuid.uuid4())
        leaving = asyncio.create_task(own.start(job_id, "admin", JobSpec(("true",))))
        await asyncio.to_thread(hangs.wait)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        heals.set()
        again = await own.start(job_id, "admin", JobSpec(("true",)))
        await own.close()
        assert [call.args[0] for call in agent.start_own.call_args_list] == [key_of(again.number)]
        own.close_store()

    asyncio.run(run())


def test_two_submissions_of_one_id_at_once_are_one_job(tmp_path: Path) -> None:
    agent: Any = Mock(expect_room=AsyncMock())
    agent.launcher_or_error.return_value.hello.incarnation = "inc"

    async def run() -> None:
        store = OwnStore(tmp_path / "worker.db")
        own = OwnJobs(store, Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs()), lambda: agent)
        job_id = str(uuid.uuid4())
        one, other = await asyncio.gather(*(own.start(job_id, "admin", JobSpec(("true",))) for _ in range(2)))
        assert one == other
        agent.start_own.assert_called_once()
        own.close_store()

    asyncio.run(run())


def test_a_launcher_that_dies_as_soon_as_it_was_found_leaves_what_is_to_be_started_to_the_next(tmp_path: Path) -> None:
    died, next_one, started = NullRunner(), NullRunner(), asyncio.Event()
    next_one.hello = died.hello
    died.quit()
    next_one.start = lambda template, items: started.set()  # type: ignore[method-assign]

    async def run() -> None:
        found, looked = asyncio.Event(), asyncio.Event()

        async def connect() -> NullRunner:
            if not found.is_set():
                found.set()
                return died
            await looked.wait()
            return next_one

        def hold(incarnation: str, keys: set[AttemptKey]) -> None:
            looked.set()
            own.launcher_held(incarnation, keys)

        store = OwnStore(tmp_path / "worker.db")
        store.save([OwnJob(9, str(uuid.uuid4()), "admin", JobSpec(("true",)), 1.0, died.hello.incarnation)])
        templates = Templates(tmp_path / "jobs", tmp_path / "work", None, {}, RunAs())
        own = OwnJobs(store, templates, lambda: agent)
        nothing: Any = lambda *_: None  # noqa: E731
        hooks = Hooks(own.handed_over, hold, own.phase_of, own.limits, nothing, nothing, nothing, nothing, nothing)
        outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
        agent = Agent(WorkerCore(1000, connect=False), connect, templates, outputs, None, hooks)
        running = asyncio.create_task(agent.run())
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done()
        running.cancel()
        await asyncio.wait([running])
        agent.close()
        outputs.close()
        store.close()

    asyncio.run(run())


def test_jobs_come_in_pages_and_their_environment_only_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(runner="null").started()
        async with site.own_api(worker) as stub:
            own = Own(stub)
            for number in range(30):
                await own.start("true", env=((f"V{n}", "x" * 100_000) for n in range(14)), name=f"job-{number % 2}")
            assert (await stub.GetJobs(worker_pb2.GetJobsRequest())).ByteSize() < 2**22
            assert [len(job.spec.env) for job in await own.jobs()] == [0] * 30
            assert (await stub.GetJobs(worker_pb2.GetJobsRequest())).next == 0
            assert [len(job.spec.env) for job in await own.jobs("7")] == [14]
            assert [job.number for job in await own.jobs("job-1")] == list(range(2, 31, 2))
            rest = await stub.GetJobs(worker_pb2.GetJobsRequest(below=3))
            assert ([job.number for job in rest.jobs], len(rest.tasks), rest.next) == ([2, 1], 2, 0)

    at_site(tmp_path, body)
