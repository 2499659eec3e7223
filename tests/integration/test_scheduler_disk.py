"""A scheduler whose store fails for a while: what goes on meanwhile, what is refused, and that nothing was lost."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.domain.base.errors import Exhausted, NotFound, Unreachable
from cluster.domain.job.job import Job
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobProgress, JobRecord, OkEnds
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.session.messages import Assign, Disown, HeartbeatAnswered, Report, ReportAcknowledged, Stop
from cluster.domain.trust.identity import Caller, IdentityKind, Role
from cluster.rpc.convert import report_to_proto
from cluster.scheduler import commit_pipeline, driver, patience, store_writer
from cluster.scheduler.batch import Batch
from cluster.scheduler.commit_pipeline import CommitPipeline, Step
from cluster.scheduler.job_reading import JobReader
from cluster.store.interface import Item, StoreFailed, StoreTroubled
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2
from tests.domain.core_bench import spec
from tests.integration.schedulers import Cluster, User, Worker, in_cluster, one, packed, until
from tests.patience import PATIENCE
from tests.small_disk import small_disk

W = [f"6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7ee{n}" for n in range(4)]  # ids of workers
FULL = "the database cannot be written: the disk is full; make room"


class Disk:
    """The store's, which can be filled and freed."""

    def __init__(self, cluster: Cluster) -> None:
        self.full = False
        self.tried = 0
        self._cluster = cluster
        self._commit = cluster.store.commit
        cluster.store.commit = self._or_fail  # type: ignore[method-assign, assignment]

    def _or_fail(self, items: list[Item]) -> None:
        self.tried += 1
        if self.full:
            raise StoreTroubled(FULL)
        self._commit(items)

    async def has_failed(self) -> None:
        await until(lambda: bool(self._cluster.service.driver._writer.trouble))


@contextmanager
def short_patience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience, "PATIENCE", 0.1)
        yield


async def beat(worker: Worker, sequence: int) -> None:
    """The lease is confirmed."""
    await worker.stream.write(scheduler_pb2.SessionRequest(heartbeat=sequence))
    while (await worker.hear(HeartbeatAnswered)).sequence < sequence:
        pass


async def ends_unheard(worker: Worker, assign: Assign) -> None:
    """Reports success, and does not wait for the acknowledgement."""
    worker._sequence += 1
    tasks = assign.attempts.ranges[0]
    ok = OkEnds(assign.attempts.job, assign.attempts.attempt, tasks.start, tasks.size, packed(tasks.size))
    report = report_to_proto(Report(worker._sequence, ok=(ok,)))
    await worker.stream.write(scheduler_pb2.SessionRequest(report=report))


def test_heartbeats_reads_and_cancels_go_on_and_submissions_are_refused(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=2000), Disk(cluster)
        await worker.connect()
        await user.submit("one")
        first = await worker.hear(Assign)
        await user.submit("two")
        await worker.hear(Assign)
        disk.full = True
        report = asyncio.create_task(worker.finish(first))
        await disk.has_failed()
        with pytest.raises(Exhausted, match=f"nothing new is accepted just now: {FULL}; try again later"):
            await user.submit("refused")
        # Of what has ended nothing is told, because after a crash it might not be so.
        shown = {job.number: job.state for job in await user.jobs()}
        assert shown == {1: job_pb2.TASK_STATE_RUNNING, 2: job_pb2.TASK_STATE_ASSIGNED}
        assert (await user.get("1")).job.counts.succeeded == 0
        assert [info.name for info in await user.workers()] == ["box"]
        with short_patience(), pytest.raises(Unreachable, match="is under way, but not on disk yet: the database"):
            await user.cancel("2")
        await report_waits(report)
        disk.full = False
        await report
        assert (await worker.hear(Stop)).attempts.job == 2
        assert (await user.wait("1"))[0].state == job_pb2.TASK_STATE_SUCCEEDED
        assert (await user.get("2")).job.cancelled_by == "admin"
        assert (await user.submit("accepted")).number == 3

    in_cluster(tmp_path, body)


async def report_waits(report: "asyncio.Task[None]") -> None:
    """Nothing is acknowledged that is not on disk."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not report.done()


def test_a_stop_reaches_the_worker_while_nothing_can_be_written(tmp_path: Path) -> None:
    """It may be the very job that fills the disk."""

    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(), Disk(cluster)
        await worker.connect()
        await user.submit("filler")
        assign = await worker.hear(Assign)
        disk.full = True
        cancelling = asyncio.create_task(user.cancel("1"))
        assert (await worker.hear(Stop)).attempts == assign.attempts
        await beat(worker, 1)
        assert not cancelling.done()
        disk.full = False
        assert (await cancelling).cancelled == 1

    in_cluster(tmp_path, body)


def test_leases_hold_behind_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=1000), Disk(cluster)
        await worker.connect()
        await user.submit("tasks", array=(ArraySegment(1, 2),))
        assign = await worker.hear(Assign)
        disk.full = True
        await ends_unheard(worker, assign)
        for sequence in range(1, 4):
            await beat(worker, sequence)
        assert not any(isinstance(message, ReportAcknowledged | Assign) for message in worker.heard)
        disk.full = False
        await worker.hear(ReportAcknowledged)
        assert (await worker.hear(Assign)).attempts == one(1, 1)

    in_cluster(tmp_path, body)


def test_a_worker_comes_back_while_nothing_can_be_written(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=1000), Disk(cluster)
        await worker.connect()
        await user.submit("long")
        assign = await worker.hear(Assign)
        disk.full = True
        with short_patience(), pytest.raises(Unreachable):
            await user.cancel("1")
        worker.stream.cancel()
        again = cluster.worker(millicpus=1000)
        await again.connect(running=[assign.attempts, one(9, 9)])
        await beat(again, 1)
        assert not any(isinstance(message, Disown) for message in again.heard)  # a crash could make that untrue
        disk.full = False
        assert (await again.hear(Disown)).attempts == one(9, 9)

    in_cluster(tmp_path, body)


def test_a_scheduler_that_starts_on_a_full_disk_knows_it_and_heals_although_nothing_is_to_be_written(
    tmp_path: Path,
) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.stop()
        with small_disk(cluster.directory, 8) as disk:
            await cluster.start()
            await cluster.stop()
            disk.fill()
            await cluster.start()
            store, driver = cluster.service._store, cluster.service.driver
            await until(lambda: bool(driver._writer.trouble))
            assert not store.claimed
            with pytest.raises(Exhausted, match="the disk is full; make room"):
                await cluster.user().submit("refused")
            disk.free()
            await until(lambda: store.claimed)
            await until(lambda: not driver._writer.trouble)
            await cluster.stop()
        await cluster.start()

    in_cluster(tmp_path, body)


def test_workers_that_had_said_goodbye_come_back_while_nothing_can_be_written(tmp_path: Path) -> None:
    """At new addresses, with other cpus, each although what is to be saved about the others waits."""

    async def body(cluster: Cluster) -> None:
        disk, workers = Disk(cluster), [cluster.worker(W[n], f"w{n}") for n in range(3)]
        for worker in workers:
            await worker.connect()
            await worker.deregister("for a while")
        disk.full = True
        for n in range(3):
            again = cluster.worker(W[n], f"w{n}", 3000 + n)
            assert (await again.register()).name == f"w{n}"
            await again.connect()
            await beat(again, 1)
        with short_patience(), pytest.raises(Unreachable, match="not on disk yet"):
            await cluster.worker(W[3], "new").register()
        disk.full = False
        shown = {info.name: (info.capacity_millicpus, info.state) for info in await cluster.user().workers()}
        online = jobs_pb2.WORKER_STATE_ONLINE
        assert shown.items() >= {f"w{n}": (3000 + n, online) for n in range(3)}.items()

    in_cluster(tmp_path, body)


def test_who_submits_just_then_is_told_that_nobody_knows_and_gets_one_job_by_asking_again(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, disk = cluster.user(), Disk(cluster)
        disk.full = True
        job_id = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7eee"
        with short_patience():
            for _ in range(2):
                with pytest.raises(Unreachable, match="not on disk yet"):
                    await user.submit("true", job_id=job_id)
        assert await user.jobs() == []
        with pytest.raises(NotFound):
            await user.get("1")
        disk.full = False
        assert (await user.submit("true", job_id=job_id)).number == 1
        assert [job.number for job in await user.jobs()] == [1]

    in_cluster(tmp_path, body)


def test_a_crash_while_nothing_can_be_written_takes_back_nothing_that_was_told(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=1000), Disk(cluster)
        await worker.connect()
        await user.submit("kept")
        assign = await worker.hear(Assign)
        disk.full = True
        await ends_unheard(worker, assign)
        await disk.has_failed()
        shown = await counts(user)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "LAST_TRY", 0.0)
            await cluster.stop()
        assert cluster.service.driver.exit_code == StoreFailed.exit_code
        await cluster.start()
        worker = cluster.worker(millicpus=1000)
        await worker.connect(running=[assign.attempts])
        assert await counts(cluster.user()) == shown
        await worker.finish(assign)
        assert (await cluster.user().wait("1"))[0].state == job_pb2.TASK_STATE_SUCCEEDED

    in_cluster(tmp_path, body)


async def counts(user: User) -> list[tuple[int, job_pb2.TaskCounts]]:
    return [(job.number, job.counts) for job in await user.jobs()]


def test_what_readers_are_shown_meanwhile_is_made_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in a million pieces takes a second."""
    restore, threads = Job.restored, set[int]()

    def restored(record: JobRecord, progress: JobProgress) -> Job:
        threads.add(threading.get_ident())
        return restore(record, progress)

    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=1000), Disk(cluster)
        await worker.connect()
        await user.submit("kept")
        assign = await worker.hear(Assign)
        monkeypatch.setattr(Job, "restored", restored)
        disk.full = True
        await ends_unheard(worker, assign)
        await disk.has_failed()
        assert [number for number, _ in await counts(user)] == [1]
        disk.full = False

    in_cluster(tmp_path, body)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_commit_that_hangs_holds_up_no_lease_and_no_reader(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        commit, moves = cluster.store.commit, threading.Event()

        def hangs(items: list[Item]) -> None:
            moves.wait()
            commit(items)

        cluster.store.commit = hangs  # type: ignore[method-assign, assignment]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "SLOW", 0.05)
            patch.setattr(store_writer, "HANGS", PATIENCE)
            submitting = asyncio.create_task(user.submit("true"))
            await beat(worker, 1)
            assert await user.jobs() == []
            assert not submitting.done()
            moves.set()
            assert (await submitting).number == 1

    in_cluster(tmp_path, body)


def test_who_is_served_late_is_shown_nothing_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many read after a turn ahead of the disk. Meanwhile the turn before it comes to disk: memory is ahead still."""
    monkeypatch.setattr(commit_pipeline, "BREATH", -1.0)
    finish = CommitPipeline._finish

    async def body(cluster: Cluster) -> None:
        ours, commit = cluster.service.driver, cluster.store.commit
        gates, on_disk, early = [threading.Event(), threading.Event()], set[int](), list[int]()
        waiting = iter(gates)

        def in_time(items: list[Item]) -> None:
            next(waiting).wait(PATIENCE)
            # Noted before: a reader may find it there before this thread goes on.
            on_disk.update(item.number for item in items if isinstance(item, JobRecord))
            commit(items)

        def finishing(self: CommitPipeline, batch: Batch) -> Iterator[Step]:
            if len(batch.reads) > 1:
                gates[0].set()
            yield from finish(self, batch)

        def view(core: SchedulerCore) -> None:
            early.extend(core.jobs.keys() - on_disk)

        cluster.store.commit = in_time  # type: ignore[method-assign, assignment]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "SLOW", 0.05)
            patch.setattr(CommitPipeline, "_finish", finishing)
            asks = [asyncio.create_task(ours.ask(_submitted("first")))]
            await until(lambda: ours._pipeline.committing)
            asks.append(asyncio.create_task(ours.ask(_submitted("second"))))
            reads = [asyncio.create_task(ours.read(view)) for _ in range(2000)]
            await until(
                lambda: (
                    on_disk == {1} and (len(ours._pipeline.gathering.reads) > 1 or all(read.done() for read in reads))
                )
            )
            gates[1].set()
            await asyncio.gather(*asks, *reads)
        assert early == []

    in_cluster(tmp_path, body)


def _submitted(job_id: str) -> Callable[[int], JobSubmitted]:
    return lambda ask: JobSubmitted(ask, job_id, "ann", spec())


def test_a_job_that_the_store_has_before_its_commit_has_landed_is_watched_and_cancelled(tmp_path: Path) -> None:
    """A reader who is shown what is on disk had asked for it before. It counted as ended: nobody was told of its end,
    and a cancellation did nothing."""

    async def body(cluster: Cluster) -> None:
        user, ours, commit = cluster.user(), cluster.service.driver, cluster.store.commit
        begin, visible, land = threading.Event(), threading.Event(), threading.Event()

        def slowly(items: list[Item]) -> None:
            begin.wait(PATIENCE)
            commit(items)
            visible.set()
            land.wait(PATIENCE)

        cluster.store.commit = slowly  # type: ignore[method-assign, assignment]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "SLOW", 0.05)
            try:
                submitting = asyncio.create_task(user.submit("true"))
                await until(lambda: ours._pipeline.ahead)
                assert await ours.read(lambda core: list(core.jobs)) == []
                begin.set()
                await until(visible.is_set)
                assert await ours.read(lambda core: list(core.jobs)) == []
                reader = JobReader(ours, 1)
                assert await reader.read(lambda job: job.live)
                cancelling = asyncio.create_task(user.cancel("1"))
                await until(lambda: cancelling.done() or bool(ours._core.jobs[1].cancelled_by))
                assert not cancelling.done()
                watching = asyncio.create_task(user.wait("1"))
                await until(lambda: 1 in ours.watchers._of_job)
            finally:
                land.set()
            assert (await cancelling).cancelled == 1
            assert (await watching)[0].state == job_pb2.TASK_STATE_CANCELLED
            assert not await reader.read(lambda job: job.live)
            await submitting

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("where", ["in its commit", "before its turn", "while the store is asked about its UUID"])
def test_a_submission_that_was_broken_off_is_cancelled_by_its_uuid_wherever_it_is(tmp_path: Path, where: str) -> None:
    """The cancellation came first, was told that there is no such job, and the job ran unseen."""

    async def body(cluster: Cluster) -> None:
        user, ours, store, go_on = cluster.user(), cluster.service.driver, cluster.store, threading.Event()
        commit, number_of_id = store.commit, store.number_of_id

        def slowly(items: list[Item]) -> None:
            go_on.wait(PATIENCE)
            commit(items)

        def asked_slowly(job_id: str) -> int | None:
            go_on.wait(PATIENCE)
            return number_of_id(job_id)

        await user.submit("before")
        submitting = []
        if where == "before its turn":
            store.commit = slowly  # type: ignore[method-assign, assignment]
            submitting.append(asyncio.create_task(user.submit("another")))
            await until(lambda: ours._pipeline.committing)
        elif where == "in its commit":
            store.commit = slowly  # type: ignore[method-assign, assignment]
        else:
            store.number_of_id = asked_slowly  # type: ignore[method-assign]
            ours._core.ended_ids.add("f" * 36, 0.0)
        broken_off = asyncio.create_task(user.submit("true", job_id=W[0]))
        if where == "before its turn":
            await until(lambda: bool(ours._pipeline.gathering.puts))
        elif where == "in its commit":
            await until(lambda: ours._core.job_of_id(W[0]) is not None)
        else:
            await until(lambda: bool(ours._asking))
        broken_off.cancel()
        cancelling = asyncio.create_task(user.cancel(W[0]))
        try:
            for _ in range(1000):
                await asyncio.sleep(0)
        finally:
            go_on.set()
        assert (await cancelling).cancelled == 1
        assert (await user.get(W[0])).job.state == job_pb2.TASK_STATE_CANCELLED
        await asyncio.gather(*submitting)
        with pytest.raises(NotFound):
            await user.cancel(W[1])

    in_cluster(tmp_path, body)


def test_a_database_that_hangs_when_it_is_read_hinders_no_cancel_and_lets_nobody_wait_for_ever(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, store, go_on = cluster.user(), cluster.worker(millicpus=1000), cluster.store, threading.Event()
        await worker.connect()
        await user.submit("runs")
        await worker.hear(Assign)
        await user.submit("waits", job_id=W[0])
        await user.submit("tasks", array=(ArraySegment(1, 3),))
        reads = {name: getattr(store, name) for name in ("numbers", "number_of_id", "records", "progress_of")}

        def hangs(name: str) -> Callable[..., object]:
            def read(*args: object, **options: object) -> object:
                go_on.wait(PATIENCE)
                return reads[name](*args, **options)

            return read

        with pytest.MonkeyPatch.context() as patch:
            for name in reads:
                patch.setattr(store, name, hangs(name))
            patch.setattr(patience, "LONGEST_READ", 0.1)
            patch.setattr(driver, "SLOW", PATIENCE)
            try:
                assert [(await user.cancel(which)).cancelled for which in ("1", "3.2-3")] == [1, 2]
                assert (await worker.hear(Stop)).attempts.job == 1
                ended = await user.cancel(W[0])  # it has left memory, and only the store knows it by its number now
                assert (ended.cancelled, [job.state for job in ended.jobs]) == (1, [job_pb2.TASK_STATE_CANCELLED])
                for question in (user.jobs(), user.get("77"), user.cancel("last")):
                    with pytest.raises(Unreachable, match="the disk of the scheduler's database has not answered"):
                        await question
            finally:
                go_on.set()
        assert (await user.get(W[0])).job.state == job_pb2.TASK_STATE_CANCELLED
        assert len(await user.jobs()) == 3

    in_cluster(tmp_path, body)


def test_another_process_may_hold_the_database(tmp_path: Path) -> None:
    """A backup, say: longer than a commit waits for it."""

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        cluster.store._writer.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(cluster.directory / "cluster.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        submitting = asyncio.create_task(user.submit("true"))
        await until(lambda: bool(cluster.service.driver._writer.trouble))
        await beat(worker, 1)
        with pytest.raises(Exhausted, match="another process has held it"):
            await user.submit("true")
        other.execute("ROLLBACK")
        other.close()
        assert (await submitting).number == 1
        assert (await worker.hear(Assign)).attempts == one(1)

    in_cluster(tmp_path, body)


def test_what_waits_is_bounded_and_leases_hold_beyond_the_bound(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, disk = cluster.user(), cluster.worker(millicpus=1000), Disk(cluster)
        await worker.connect()
        await user.submit("tasks", array=(ArraySegment(1, 2),))
        assign = await worker.hear(Assign)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commit_pipeline, "MOST_WAITING", 0)
            disk.full = True
            await ends_unheard(worker, assign)
            await disk.has_failed()
            await ends_unheard(worker, assign)
            await beat(worker, 1)
            assert cluster.service.driver._pipeline.deferred.puts
        disk.full = False
        await worker.hear(ReportAcknowledged)
        await worker.hear(ReportAcknowledged)
        assert not cluster.service.driver._pipeline.deferred

    in_cluster(tmp_path, body)


def test_nobody_joins_while_nothing_can_be_written(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, disk = cluster.user(), Disk(cluster)
        disk.full = True
        submitting = asyncio.create_task(user.submit("true"))
        await disk.has_failed()
        with pytest.raises(Exhausted, match="nothing new is accepted"):
            await cluster.service.admission._admit("worker", "whatever", None)
        disk.full = False
        await submitting

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("name", ["ada", "admin"])
def test_an_expulsion_that_nobody_waits_for_any_more_goes_on_when_the_disk_heals(tmp_path: Path, name: str) -> None:
    """The revocation came to disk, and what follows from it never happened: the jobs of the expelled went on, and the
    first user was locked out."""

    async def body(cluster: Cluster) -> None:
        await cluster.people(ada=Role.USER, eve=Role.ADMIN)
        await cluster.user("ada").submit("true")
        disk, expelling, admin = Disk(cluster), cluster.service.expelling, cluster.directory / "admin.pem"
        before = admin.read_bytes()
        by = Caller(cluster.authority.identity(IdentityKind.USER, "eve"), Role.ADMIN)
        disk.full = True
        with short_patience(), pytest.raises(Unreachable, match="is under way, but not on disk yet: the database"):
            await expelling.revoke_user(name, and_joined=False, keep_jobs=False, by=by)
        disk.full = False
        await until(lambda: not cluster.service.driver.patience.under_way)
        assert (admin.read_bytes() != before) == (name == "admin")
        (job,) = await cluster.user("eve").jobs()
        assert (job.state == job_pb2.TASK_STATE_CANCELLED) == (name == "ada")

    in_cluster(tmp_path, body)
