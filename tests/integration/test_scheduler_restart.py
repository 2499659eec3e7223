"""What outlives a scheduler, and what happens when its store fails."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.domain.base.errors import Conflict, Exhausted, InvalidInput, Unreachable
from cluster.domain.base.intervals import Range
from cluster.domain.base.now import Now
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobProgress, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign, Attempts, Disown, HeartbeatAnswered, Hello, ReportAcknowledged
from cluster.domain.trust.identity import IdentityKind, Role
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.convert import hello_to_proto
from cluster.rpc.join_client import join_by_token
from cluster.scheduler.service import SchedulerService
from cluster.scheduler.sessions import MOST_WAITING, Line
from cluster.store.interface import Item, StoreFailed
from cluster.v1 import job_pb2, scheduler_pb2
from tests.integration.schedulers import Cluster, User, in_cluster, one, packed
from tests.patience import PATIENCE

T = TypeVar("T")


def test_a_restart_loses_no_job_and_adopts_what_runs(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker = cluster.worker(millicpus=4000)
        await worker.connect()
        await cluster.user().submit("work", array=(ArraySegment(1, 10),))
        assign = await worker.hear(Assign)
        assert assign.attempts.ranges == (Range(0, 4),)
        await worker.report(started=(assign.attempts,), ok=(OkEnds(1, 1, 0, 1, packed(1)),), ended=(failed(1),))
        await cluster.restart()

        worker = cluster.worker(millicpus=4000)
        stranger = one(1, 9)
        await worker.connect(running=[Attempts(1, 1, (Range(2, 3),)), stranger])
        assert worker.welcome.epoch == 2
        assert await worker.hear(Disown) == Disown(stranger)
        # It did not list task 3, and its launcher is the one that would know: that one never started.
        again = await worker.hear(Assign)
        assert again.spec is not None
        assert again.attempts.ranges[0].start == 3
        (job,) = await cluster.user().jobs("1")
        counts = job.counts
        assert (counts.succeeded, counts.failed, counts.running, job.state) == (1, 1, 1, job_pb2.TASK_STATE_RUNNING)
        await worker.report(ok=(OkEnds(1, 1, 2, 1, packed(1)),))
        await worker.finish(again)
        while (await cluster.user().jobs("1"))[0].counts.succeeded < 9:
            await worker.finish(await worker.hear(Assign))
        (job,) = await cluster.user().wait("1")
        assert (job.counts.succeeded, job.counts.failed, job.exit_code) == (9, 1, 3)

    in_cluster(tmp_path, body)


def failed(index: int) -> TaskEnd:
    return TaskEnd(1, index, 1, "exit:3", 3, started_at=1.0, ended_at=2.0)


def test_a_schedule_makes_runs_and_both_outlive_a_restart(tmp_path: Path) -> None:
    def set_clock(cluster: Cluster, wall: float) -> None:
        ahead, driver = wall - time.time(), cluster.service.driver
        driver.clock = driver._pipeline.clock = lambda: Now(time.monotonic(), time.time() + ahead)

    async def body(cluster: Cluster) -> None:
        worker = cluster.worker()
        await worker.connect()
        full_hour = (time.time() // 3600 + 1) * 3600
        await cluster.user().submit("work", every="@hourly", name="nightly")
        set_clock(cluster, full_hour - 0.2)
        await cluster.service.driver.tell()
        assign = await worker.hear(Assign)
        assert assign.attempts.job == 2
        await worker.finish(assign, SmallOutput(2, 0, 1, b"as every night\n", b""))
        await cluster.restart()
        schedule, run = sorted(await cluster.user().jobs("nightly"), key=lambda job: job.number)
        assert (run.schedule, run.spec.every, run.state) == (1, "", job_pb2.TASK_STATE_SUCCEEDED)
        assert (schedule.state, schedule.last_run, schedule.spec.every) == (job_pb2.TASK_STATE_WAITING, 2, "@hourly")
        assert schedule.waits_until == full_hour + 3600, "its clock is right again, and the run is not made twice"
        assert (await cluster.user().get("nightly")).job.number == 1, (
            "the name still means the schedule, where one is meant"
        )
        assert [await cluster.user().text(text) for text in ("nightly", "1", "2")] == [b"as every night\n"] * 3
        for text in ("nightly", "1", "2"):
            assert [job.number for job in await cluster.user().tree(text)] == [1, 2]
        await cluster.user().submit("work", name="nightly")
        assert await cluster.user().text("nightly") == b"as every night\n", "once, and that of the others"
        with pytest.raises(InvalidInput, match=r"'nightly' selects 3 jobs \(1, 2, 3\): give the number of one"):
            await cluster.user().get("nightly")

    in_cluster(tmp_path, body)


def test_numbers_and_ids_of_jobs_outlive_a_restart(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        job = await cluster.user().submit()
        await cluster.restart()
        user = cluster.user()
        assert (await user.submit(job_id=job.id)).number == 1
        assert (await user.submit()).number == 2

    in_cluster(tmp_path, body)


def test_a_second_session_replaces_the_first(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        first, second = cluster.worker(), cluster.worker()
        await first.connect()
        await second.connect()
        with pytest.raises(Conflict, match="replaced by a newer session"):
            await first.end_of_session()
        await cluster.user().submit()
        assert (await second.hear(Assign)).attempts == one(1)

    in_cluster(tmp_path, body)


def test_heartbeats_are_answered(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker = cluster.worker()
        await worker.connect()
        await worker.stream.write(scheduler_pb2.SessionRequest(heartbeat=7))
        assert (await worker.hear(HeartbeatAnswered)).sequence == 7

    in_cluster(tmp_path, body)


def test_sessions_that_make_no_sense_end_with_the_reason(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        worker = cluster.worker()
        hello = scheduler_pb2.SessionRequest(hello=hello_to_proto(Hello("one", 2000, 0)))
        for request, kind, why in (
            (hello, Conflict, "not registered"),
            (scheduler_pb2.SessionRequest(heartbeat=1), InvalidInput, "begins with hello"),
        ):
            worker.stream = worker.stub.Session()
            await worker.stream.write(request)
            with pytest.raises(kind, match=why):
                await worker.end_of_session()

    in_cluster(tmp_path, body)


def test_a_worker_that_does_not_read_is_cut_off() -> None:
    async def body() -> None:
        line = Line("w", lambda: None)
        for number in range(MOST_WAITING + 1):
            line.send([ReportAcknowledged(number)])
        with pytest.raises(Exhausted, match="reads too slowly"):
            async for _ in line.responses():
                pass

    asyncio.run(body())


def test_a_worker_that_does_not_read_at_all_loses_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(cluster: Cluster) -> None:
        monkeypatch.setattr("cluster.scheduler.sessions.LAST_WORDS", 0.0)
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        line = cluster.service.driver._sessions[1]
        line.send([Assign(one(1), None, 1.0, (bytes(24 << 20),))])  # more than fits on the way to who does not read
        await user.jobs()  # by its answer the call waits for room
        line.send([ReportAcknowledged(1)] * (MOST_WAITING + 1))
        while (await user.workers())[0].state == 1:
            pass

    in_cluster(tmp_path, body)  # whose lease, which would end the session too, is longer than any test


class SlowDisk:
    """In place of a store's commit: what it lets wait is not on disk before `done` is set."""

    def __init__(self, cluster: Cluster, kind: type[Item]) -> None:
        self.reached, self.done = threading.Event(), threading.Event()
        self._commit, self._kind = cluster.store.commit, kind
        cluster.store.commit = self  # type: ignore[method-assign]

    def __call__(self, items: Sequence[Item]) -> None:
        if any(isinstance(item, self._kind) for item in items):
            self.reached.set()
            self.done.wait(PATIENCE)
        self._commit(items)

    async def let_both_wait(self, *calls: Coroutine[Any, Any, object]) -> None:
        """None of these may return before what it has done is on disk."""
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.to_thread(self.reached.wait, PATIENCE)
        for _ in range(20):
            await asyncio.sleep(0)
        early = [task.done() for task in tasks]
        self.done.set()
        await asyncio.gather(*tasks)
        assert not any(early)

    async def let_it_stop(self, call: Coroutine[Any, Any, T], service: SchedulerService) -> T:
        """What the call answers when the scheduler is told to stop before what it has done is on disk."""
        task = asyncio.create_task(call)
        await asyncio.to_thread(self.reached.wait, PATIENCE)
        stopping = asyncio.create_task(service.stop())
        await asyncio.sleep(0)
        self.done.set()
        answer = await task
        await stopping
        return answer


def test_a_token_is_revoked_on_disk_for_everybody_who_is_told_so(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admission = cluster.service.admission
        _, record = cluster.service.new_token(Role.WORKER, 60.0, 1)
        await admission.add(record)
        revokes = [admission.expel(lambda m, now: m.revoke_token(record.id, False, now)) for _ in range(2)]
        await SlowDisk(cluster, TokenRecord).let_both_wait(*revokes)

    in_cluster(tmp_path, body)


def test_a_user_who_joins_twice_at_once_is_on_disk_for_both(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        admission = cluster.service.admission
        _, record = cluster.service.new_token(Role.USER, 60.0, 2, "ann")
        await admission.add(record)
        joins = [admission._admit(IdentityKind.USER, record.secret_hash, None) for _ in range(2)]
        await SlowDisk(cluster, UserRecord).let_both_wait(*joins)

    in_cluster(tmp_path, body)


def test_what_was_done_before_a_stop_is_answered(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        job = await SlowDisk(cluster, JobRecord).let_it_stop(cluster.user().submit("kept"), cluster.service)
        assert job.number == 1
        await cluster.start()
        cancelled = cluster.user().cancel("1")
        assert (await SlowDisk(cluster, JobProgress).let_it_stop(cancelled, cluster.service)).cancelled == 1
        await cluster.start()
        [job] = await cluster.user().jobs()
        assert job.state == job_pb2.TASK_STATE_CANCELLED

    in_cluster(tmp_path, body)


@pytest.mark.parametrize(("role", "user"), [(Role.WORKER, ""), (Role.USER, "ann")])
def test_who_has_spent_a_token_gets_the_certificate_although_the_scheduler_stops(
    tmp_path: Path, role: Role, user: str
) -> None:
    async def body(cluster: Cluster) -> None:
        token, record = cluster.service.new_token(role, 60.0, 1, user)
        token = replace(token, address=cluster.service.join_address)
        await cluster.service.admission.add(record)
        joining = join_by_token(token, KeyRequest().request, "box", check_pinned_chain)
        joined = await SlowDisk(cluster, TokenRecord).let_it_stop(joining, cluster.service)
        assert joined.identity.name == user or role is Role.WORKER
        await cluster.start()
        assert user in ("", *(record.name for record in cluster.store.users()))

    in_cluster(tmp_path, body)


def test_when_the_store_fails_every_call_says_so_and_nothing_is_lost(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=1000)
        await worker.connect()
        await user.submit("kept")
        assign = await worker.hear(Assign)
        waiting = asyncio.create_task(user.wait("1"))
        assert await _health(cluster) == {health_pb2.HealthCheckResponse.SERVING}

        def damaged(items: list[Item]) -> None:
            raise StoreFailed("the database cannot be written: it is damaged")

        commit, cluster.store.commit = cluster.store.commit, damaged  # type: ignore[method-assign, assignment]
        why = "has stopped taking work and must be started again: .* it is damaged"
        with pytest.raises(Unreachable, match=why):
            await user.submit("refused")
        for call in (user.submit(), user.jobs(), user.get("1"), user.cancel("1"), user.text("1"), waiting):
            with pytest.raises(Unreachable, match=why):
                await call
        with pytest.raises(Conflict, match=why):
            await worker.end_of_session()
        with pytest.raises(Unreachable, match=why):
            await worker.register()
        assert await _health(cluster) == {health_pb2.HealthCheckResponse.NOT_SERVING}
        assert cluster.service.driver.failure

        cluster.store.commit = commit  # type: ignore[method-assign]
        await cluster.restart()
        user, worker = cluster.user(), cluster.worker(millicpus=1000)
        await worker.connect(running=[assign.attempts])
        await worker.finish(assign)
        assert [job.spec.argv[0] for job in await user.jobs()] == ["kept"]
        assert (await user.wait("1"))[0].state == job_pb2.TASK_STATE_SUCCEEDED

    in_cluster(tmp_path, body)


async def _health(cluster: Cluster) -> set[int]:
    """Of the whole, and of each service: they share one driver."""
    channel: grpc.aio.Channel = cluster.channel(IdentityKind.USER, "admin")
    names = ("", "cluster.v1.Jobs", "cluster.v1.Scheduler", "cluster.v1.Tokens")
    asked = (health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name)) for name in names)
    return {(await answer).status for answer in asked}


def test_a_stop_ends_open_calls_with_the_reason(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user: User = cluster.user()
        worker = cluster.worker()
        await worker.connect()
        await user.submit(worker="nowhere")
        waiting = asyncio.create_task(user.wait("1"))
        following = asyncio.create_task(user.text("1", follow=True))
        while not {"Wait", "ReadOutput"} <= {call.method.rpartition("/")[2] for call in cluster.service._gate._calls}:
            await user.jobs()
        await cluster.service.stop()
        for stream in (waiting, following):
            with pytest.raises(Unreachable, match="the scheduler is stopping"):
                await stream
        with pytest.raises(Conflict, match="the scheduler is stopping"):
            await worker.end_of_session()
        await cluster.start()

    in_cluster(tmp_path, body)


def test_a_worker_that_vanishes_in_the_middle_of_a_message_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        line = cluster.service.driver._sessions[1]
        line.send([Assign(one(1), None, 1.0, (bytes(24 << 20),))])
        await user.jobs()
        worker.stream.cancel()
        while (await user.workers())[0].state == 1:
            pass

    in_cluster(tmp_path, body)
    assert "fault" not in caplog.text
