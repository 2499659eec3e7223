"""Output reaches readers from wherever it is: the store, the scheduler's files, or live from its worker."""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import Exhausted, InvalidInput, NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign
from cluster.scheduler.doors.workers import take_in
from cluster.scheduler.output import files as outputs
from cluster.scheduler.output.files import OutputFiles
from cluster.scheduler.output.relay import Transfer
from cluster.v1.jobs_pb2 import Position, ReadOutputResponse
from cluster.v1.scheduler_pb2 import PushOutputRequest
from tests.faults import BAD_DAYS, Fault, bad_days, no_file_may_exceed, record_syncs
from tests.integration.schedulers import W2, Cluster, User, Worker, in_cluster, one, packed
from tests.patience import PATIENCE

COMPLETE = PushOutputRequest(complete=True)
AT_ONCE = (0.01, 0.01)  # seconds until a task is tried again


async def start_one(user: User, worker: Worker, **fields: Any) -> Assign:
    """A job of one task that runs on the worker."""
    await worker.connect()
    await user.submit("noisy", **fields)
    assign: Assign = await worker.hear(Assign)
    await worker.report(started=(assign.attempts,))
    return assign


async def with_ends(pieces: AsyncIterator[ReadOutputResponse]) -> list[tuple[bytes, int]]:
    return [(piece.data, piece.end) async for piece in pieces]


async def end_with_output(worker: Worker, assign: Assign, output_bytes: int) -> None:
    """Success, with output that was too large to ride along."""
    a = assign.attempts
    ends = (OkEnds(a.job, a.attempt, r.start, r.size, packed(r.size, output_bytes)) for r in a.ranges)
    await worker.report(ok=tuple(ends))


def to_keep(
    stdout: bytes, stderr: bytes = b"", index: int = 0, attempt: int = 1, job: int = 1
) -> list[PushOutputRequest]:
    first = PushOutputRequest(job=job, index=index, attempt=attempt)
    return [first, PushOutputRequest(data=stdout), PushOutputRequest(stderr=True, data=stderr), COMPLETE]


def test_pushed_output_is_kept_and_read(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        await end_with_output(worker, assign, 9000)
        await worker.push(*to_keep(b"one\ntwo\nthree\n", b"oops\n"))
        assert await user.text("1") == b"one\ntwo\nthree\noops\n"
        assert await user.text("1", stdout=False) == b"oops\n"
        assert await user.text("1", stderr=False, tail=2) == b"two\nthree\n"
        await cluster.restart()
        assert await cluster.user().text("1") == b"one\ntwo\nthree\noops\n"

    in_cluster(tmp_path, body)


def test_a_reader_whose_call_broke_goes_on_where_it_was(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("noisy", array=(ArraySegment(10, 30, 10),))
        left = {0, 1, 2}
        while left:
            assign = await worker.hear(Assign)
            indexes = {i for r in assign.attempts.ranges for i in range(*r)}
            left -= indexes
            await worker.report(
                ok=tuple(OkEnds(1, 1, i, 1, packed(1, 6 if i == 1 else 0)) for i in indexes),
                outputs=tuple(SmallOutput(1, i, 1, b"small%d" % i, b"") for i in indexes if i != 1),
            )
        await worker.push(*to_keep(b"large", b"!", index=1))

        async def rest(selector: str, **place: int) -> bytes:
            return await user.text(selector, position=Position(**place))

        assert await with_ends(user.output("1")) == [(b"small0", 6), (b"large", 5), (b"!", 1), (b"small2", 6)]
        assert await rest("1", job=1, task_number=10, attempt=1, stdout=5) == b"0large!small2"
        assert await rest("1", job=1, task_number=20, attempt=1, stdout=1) == b"arge!small2"
        assert await rest("1", job=1, task_number=20, attempt=1, stdout=5, stderr=1) == b"small2"
        assert await rest("1", job=1, task_number=20, attempt=2) == b"small2"
        assert await rest("1.30", job=1, task_number=20, attempt=1) == b"small2"
        assert await rest("1.10", job=1, task_number=20, attempt=1) == b""
        assert await rest("1", job=7, attempt=1) == b"small0large!small2"
        with pytest.raises(InvalidInput, match=r"no task 25#1"):
            await rest("1", job=1, task_number=25, attempt=1)

    in_cluster(tmp_path, body)


def test_a_push_that_breaks_off_keeps_nothing(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        await end_with_output(worker, assign, 9000)
        with pytest.raises(Unreachable, match="broke off"):
            await worker.push(*to_keep(b"half")[:-1])
        await worker.push(*to_keep(b"whole"))
        assert await user.text("1") == b"whole"

    in_cluster(tmp_path, body)


def test_an_output_may_be_one_message(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        follower = asyncio.create_task(with_ends(user.output("1", follow=True)))
        asked = await worker.asked_for()
        await worker.push(PushOutputRequest(transfer_id=asked.transfer_id, data=b"live", complete=True))
        await end_with_output(worker, assign, 9000)
        assert await follower == [(b"live", 4)]
        await worker.push(PushOutputRequest(job=1, index=0, attempt=1, data=b"kept", complete=True))
        assert await user.text("1") == b"kept"

    in_cluster(tmp_path, body)


def test_a_push_for_a_reader_who_was_told_that_the_worker_is_gone_is_refused() -> None:
    """It came late: nobody would read it, and nobody end it."""

    async def nothing() -> AsyncIterator[PushOutputRequest]:
        await asyncio.Event().wait()
        yield COMPLETE

    async def body() -> None:
        transfer = Transfer(W2)
        transfer.worker_gone()
        with pytest.raises(NotFound, match="nobody waits"):
            await transfer.fill(nothing())

    asyncio.run(body())


def test_output_is_taken_only_from_the_worker_that_ran_the_attempt(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, other = cluster.user(), cluster.worker(), cluster.worker(W2)
        assign = await start_one(user, worker)
        await end_with_output(worker, assign, 9000)
        await other.register()
        with pytest.raises(NotFound, match="job 1: attempt 1 of the task at index 0 is not known as yours"):
            await other.push(*to_keep(b"forged"))
        for job, index, attempt in ((1, 0, 2), (1, 1, 1), (2, 0, 1)):
            with pytest.raises(NotFound):
                await worker.push(PushOutputRequest(job=job, index=index, attempt=attempt))

    in_cluster(tmp_path, body)


def test_followers_see_output_live_from_byte_0(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        followers = [asyncio.create_task(user.text("1", follow=True)) for _ in range(3)]
        asked = [await worker.asked_for() for _ in followers]
        assert [(a.job, a.index, a.attempt, a.follow) for a in asked] == [(1, 0, 1, True)] * 3
        for a in asked:
            await worker.push(
                PushOutputRequest(transfer_id=a.transfer_id, job=1, attempt=1),
                PushOutputRequest(data=b"a"),
                PushOutputRequest(stderr=True, data=b"b"),
                COMPLETE,
            )
        await worker.finish(assign)
        assert await asyncio.gather(*followers) == [b"ab"] * 3

    in_cluster(tmp_path, body)


def test_a_stalled_reader_stalls_nobody_else(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        stalled = user.output("1", follow=True)
        pull: asyncio.Task[Any] = asyncio.create_task(stalled.__anext__())  # type: ignore[arg-type]
        asked = await worker.asked_for()
        pushed = 0

        async def endless() -> AsyncIterator[PushOutputRequest]:
            nonlocal pushed
            yield PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1)
            while True:
                yield PushOutputRequest(data=bytes(65536))
                pushed += 1

        push = worker.stub.PushOutput(endless())
        await pull
        other = asyncio.create_task(_size(user.output("1", follow=True)))
        await worker.push(
            PushOutputRequest(transfer_id=(await worker.asked_for()).transfer_id, job=1, attempt=1),
            *[PushOutputRequest(data=bytes(65536))] * 1500,
            COMPLETE,
        )
        await worker.finish(assign)
        assert await other == 1500 * 65536
        # As much as lies in the buffers of two connections, some 10 MB; the rest waits on the worker. Else it would be
        # as far as the other.
        assert pushed < 750
        push.cancel()
        await stalled.aclose()  # type: ignore[attr-defined]

    in_cluster(tmp_path, body)


async def _size(output: AsyncIterator[ReadOutputResponse]) -> int:
    size = 0
    async for piece in output:
        size += len(piece.data)
    return size


def test_a_follower_waits_for_the_start_and_goes_on_with_the_next_attempt(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await user.submit("flaky", retries=1, backoff=AT_ONCE)
        follower = asyncio.create_task(user.text("1", follow=True))
        await worker.connect()
        assign = await worker.hear(Assign)
        asked = await worker.asked_for()
        await worker.push(
            PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1),
            PushOutputRequest(data=b"first "),
            COMPLETE,
        )
        await worker.fail(assign)
        again = await worker.hear(Assign)
        assert again.attempts == one(1, attempt=2)
        asked = await worker.asked_for()
        assert asked.attempt == 2
        await worker.push(
            PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=2),
            PushOutputRequest(data=b"second"),
            COMPLETE,
        )
        await worker.finish(again)
        assert await follower == b"first second"

    in_cluster(tmp_path, body)


def test_of_a_former_attempt_the_last_lines_are_shown_and_nobody_waits_for_the_next(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker, retries=2, backoff=AT_ONCE)
        for attempt in (1, 2):
            ended = TaskEnd(1, 0, attempt, "exit:1", 1)
            await worker.report(ended=(ended,), outputs=(SmallOutput(1, 0, attempt, b"one\n%d\n" % attempt, b""),))
            assign = await worker.hear(Assign)
        await worker.report(started=(assign.attempts,))
        for attempt in (1, 2):
            for follow in (False, True):
                assert await user.text(f"1#{attempt}", tail=1, follow=follow) == b"%d\n" % attempt
                assert await user.text(f"1#{attempt}", follow=follow) == b"one\n%d\n" % attempt
        assert worker.asked == []

    in_cluster(tmp_path, body)


def test_a_follower_goes_on_where_it_was_when_the_worker_is_back(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        follower = asyncio.create_task(user.text("1", follow=True))
        asked = await worker.asked_for()
        reached, broken = asyncio.Event(), asyncio.Event()

        async def breaks_off() -> AsyncIterator[PushOutputRequest]:
            yield PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1)
            yield PushOutputRequest(data=b"one ")
            reached.set()
            await broken.wait()

        push = worker.stub.PushOutput(breaks_off())
        await reached.wait()
        worker.stream.cancel()
        push.cancel()
        await worker.connect(running=[assign.attempts])
        asked = await worker.asked_for()
        await worker.push(
            PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1),
            PushOutputRequest(data=b"one two"),
            COMPLETE,
        )
        await worker.finish(assign)
        assert await follower == b"one two"

    in_cluster(tmp_path, body)


def test_a_follower_of_a_task_asks_the_store_once_that_has_ended(tmp_path: Path) -> None:
    """And neither at each change of its array nor before."""

    async def body(cluster: Cluster) -> None:
        user, worker, asked_about = cluster.user(), cluster.worker(), []
        ends_of_task = cluster.store.ends_of_task

        def ends(job: int, index: int, most: int | None = None) -> list[TaskEnd]:
            asked_about.append(index)
            return ends_of_task(job, index, most)

        cluster.store.ends_of_task = ends  # type: ignore[method-assign]
        assign = await start_one(user, worker, array=(ArraySegment(1, 2),))
        follower = asyncio.create_task(user.text("1.2", follow=True))
        asked = await worker.asked_for()
        await worker.push(
            PushOutputRequest(transfer_id=asked.transfer_id, job=1, index=1, attempt=1),
            PushOutputRequest(data=b"live"),
            COMPLETE,
        )
        assert assign.attempts.ranges == (Range(0, 2),)
        for index in (0, 1):
            assert asked_about == []
            await worker.report(ok=(OkEnds(1, 1, index, 1, packed(1)),))
        assert await follower == b"live"
        assert asked_about == [1]

    in_cluster(tmp_path, body)


def test_tasks_of_an_array_come_one_after_another(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("echo", array=(ArraySegment(10, 30, 10),))
        follower = asyncio.create_task(_numbered(user, "1", follow=True))
        for _ in range(2):
            assign = await worker.hear(Assign)
            indexes = [i for r in assign.attempts.ranges for i in range(*r)]
            await worker.finish(assign, *(SmallOutput(1, i, 1, b"out%d" % i, b"") for i in indexes))
        while not follower.done():  # where all is slow, it asks the worker for what has not ended yet
            asking = asyncio.create_task(worker.asked_for())
            await asyncio.wait([asking, follower], return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asked = asking.result()
                first = PushOutputRequest(transfer_id=asked.transfer_id, data=b"out%d" % asked.index, complete=True)
                await worker.push(first)
            asking.cancel()
        assert await follower == [(10, b"out0"), (20, b"out1"), (30, b"out2")]
        assert await _numbered(user, "1.20-30") == [(20, b"out1"), (30, b"out2")]

    in_cluster(tmp_path, body)


async def _numbered(user: User, selector: str, follow: bool = False) -> list[tuple[int, bytes]]:
    return [(piece.task_number, piece.data) async for piece in user.output(selector, follow=follow)]


def test_what_cannot_be_read_now_says_where_it_is(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        await end_with_output(worker, assign, 9000)
        worker.stream.cancel()
        while (await user.workers())[0].state == 1:  # until the scheduler has noticed
            pass
        with pytest.raises(Unreachable, match=r"output of 1#1 is on worker box, which is not connected"):
            await user.text("1")
        await worker.connect()
        reading = asyncio.create_task(user.text("1"))
        asked = await worker.asked_for()
        await worker.push(
            PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1),
            PushOutputRequest(error="the disk of this worker was swapped"),
        )
        assert await reading == b""

    in_cluster(tmp_path, body)


async def notes(user: User, selector: str, **fields: Any) -> list[str]:
    return [piece.note for piece in [p async for p in user.output(selector, **fields)] if piece.note]


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """After a power cut, say. What was left out on purpose is not missing."""

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        await end_with_output(worker, assign, 9000)
        for refused in (False, True):
            reading = asyncio.create_task(notes(user, "1", follow=refused))
            asked = await worker.asked_for()
            first = PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1, left_out=0 if refused else 5000)
            said = {"error": "the disk was swapped"} if refused else {"data": b"x" * 1000, "complete": True}
            await worker.push(first, PushOutputRequest(**said))
            missing = "9000" if refused else "3000"
            why = "the disk was swapped" if refused else "its worker did not have them any more"
            assert await reading == [f"{missing} bytes of what it wrote are missing: {why}"]
        await worker.push(
            PushOutputRequest(job=1, attempt=1, left_out=5000), PushOutputRequest(data=b"x" * 1000, complete=True)
        )
        for _ in range(2):
            assert await notes(user, "1", stderr=False) == [
                "3000 bytes of what it wrote are missing: its worker did not have them any more"
            ]
        await worker.push(PushOutputRequest(job=1, attempt=1, left_out=5000), *to_keep(b"x" * 3999, b"!")[1:])
        assert await notes(user, "1") == []

    in_cluster(tmp_path, body)


def test_of_a_stream_so_much_is_kept_as_its_job_says(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker, max_output=65536)
        await end_with_output(worker, assign, 100_001)
        await worker.push(*to_keep(b"a" * 50_000 + b"b" * 50_000, b"!"))
        mark = b"\n[cluster: %d bytes left out here]\n" % (100_000 - 65536)
        assert await user.text("1") == b"a" * 32768 + mark + b"b" * 32768 + b"!"
        assert await notes(user, "1") == []  # nothing of that is missing

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("retries", [0, 1])
def test_what_a_lost_attempt_wrote_is_shown_when_its_worker_is_back(tmp_path: Path, retries: int) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await start_one(user, worker, retries=retries)
        worker.stream.cancel()
        await worker.connect(incarnation="another")  # its launcher has forgotten all: the attempt is lost
        while (await user.jobs("1"))[0].counts.running:
            pass
        worker.stream.cancel()
        while (await user.workers())[0].state == 1:  # until the scheduler has noticed
            pass
        (note,) = await notes(user, "1")
        assert note.startswith("it was lost, and the output of 1#1 is on worker box, which is not connected")
        await worker.connect(incarnation="another")
        reading = asyncio.create_task(user.text("1"))
        asked = await worker.asked_for()
        await worker.push(PushOutputRequest(transfer_id=asked.transfer_id, data=b"before", complete=True))
        assert await reading == b"before"
        await worker.push(PushOutputRequest(job=1, attempt=1, data=b"before it", complete=True))
        assert await user.text("1") == b"before it"
        assert await notes(user, "1") == []

    in_cluster(tmp_path, body)


def test_readers_of_a_worker_that_goes_are_told(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await start_one(user, worker)
        reading = asyncio.create_task(user.text("1"))
        await worker.asked_for()
        worker.stream.cancel()
        with pytest.raises(Unreachable, match="its worker is not connected"):
            await reading

    in_cluster(tmp_path, body)


def test_a_transfer_belongs_to_its_worker_and_happens_once(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker, other = cluster.user(), cluster.worker(), cluster.worker(W2)
        await start_one(user, worker)
        reading = asyncio.create_task(user.text("1"))
        asked = await worker.asked_for()
        first = PushOutputRequest(transfer_id=asked.transfer_id, job=1, attempt=1)
        await other.register()
        with pytest.raises(NotFound, match="nobody waits"):
            await other.push(first, PushOutputRequest(data=b"forged"))
        with pytest.raises(InvalidInput, match="the limit is"):
            await worker.push(first, PushOutputRequest(data=bytes(2_000_000)))
        with pytest.raises(Unreachable):
            await reading
        with pytest.raises(NotFound, match="nobody waits"):
            await worker.push(first)

    in_cluster(tmp_path, body)


def test_an_end_that_comes_while_the_store_is_asked_is_read_with_its_output(tmp_path: Path) -> None:
    """It is asked about the attempt before."""

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await start_one(user, worker, retries=1, backoff=AT_ONCE)
        first = SmallOutput(1, 0, 1, b"first ", b"")
        await worker.report(ended=(TaskEnd(1, 0, 1, "exit:1", 1),), outputs=(first,))
        assign = await worker.hear(Assign)
        await worker.report(started=(assign.attempts,))
        store, asked, committed = cluster.store, threading.Event(), threading.Event()

        def paused(query: Callable[..., Any]) -> Callable[..., Any]:
            def answer(*arguments: int) -> Any:
                found = query(*arguments)
                asked.set()
                committed.wait(PATIENCE)
                return found

            return answer

        with pytest.MonkeyPatch.context() as patch:
            for name in ("ends_of_task", "small_outputs"):
                patch.setattr(store, name, paused(getattr(store, name)))
            follower = asyncio.create_task(user.text("1", follow=True))
            await asyncio.to_thread(asked.wait, PATIENCE)
            await worker.finish(assign, SmallOutput(1, 0, 2, b"small", b""))
            committed.set()
            asking = asyncio.create_task(worker.asked_for())
            await asyncio.wait([asking, follower], return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                gone = PushOutputRequest(transfer_id=asking.result().transfer_id, error="it has ended")
                await worker.push(gone)
            assert await follower == b"first small"
            asking.cancel()

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("tail", [None, 1])
def test_a_task_that_ends_while_its_worker_is_asked_is_read_with_its_output(tmp_path: Path, tail: int | None) -> None:
    """Its worker has reported it by then, and forgotten it. Nobody follows, so nobody waits for a change."""

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        reading = asyncio.create_task(user.text("1", tail=tail))
        asked = await worker.asked_for()
        await worker.finish(assign, SmallOutput(1, 0, 1, b"small", b""))
        await worker.push(PushOutputRequest(transfer_id=asked.transfer_id, error="it has ended"))
        assert await reading == b"small"

    in_cluster(tmp_path, body)


@pytest.mark.parametrize("tail", [None, 1])
def test_a_task_whose_worker_reports_its_end_and_goes_while_it_is_asked_is_read_with_its_output(
    tmp_path: Path, tail: int | None
) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assign = await start_one(user, worker)
        reading = asyncio.create_task(user.text("1", tail=tail))
        await worker.asked_for()
        await worker.finish(assign, SmallOutput(1, 0, 1, b"small", b""))
        worker.stream.cancel()
        assert await reading == b"small"

    in_cluster(tmp_path, body)


def test_output_in_memory_of_a_task_that_never_ran_is_empty(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit()
        assert await user.text("1") == b""
        await user.cancel("1")
        assert await user.text("1", follow=True) == b""

    in_cluster(tmp_path, body)


# --- files ---


def read(files: OutputFiles, key: AttemptKey, **fields: object) -> bytes:
    return b"".join(data for data, _ in files.read(key, False, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("size", [0, 5, 10, 11, 16, 19, 100])
def test_beyond_the_cap_head_and_tail_are_kept_with_a_mark(tmp_path: Path, size: int, piece: int) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    data = bytes(48 + i % 10 for i in range(size))
    with files.new(key, 10) as output:
        for at in range(0, size, piece):
            output.write(False, data[at : at + piece])
        output.keep()
    marked = data[:5] + b"\n[cluster: %d bytes left out here]\n" % (size - 10) + data[-5:]
    assert read(files, key) == (data if size <= 10 else marked)
    assert files.written(key) == size
    names = ["17.2.out"] if size <= 10 else ["17.2.gaps", "17.2.out"]
    assert sorted(path.name for path in (tmp_path / "5").iterdir()) == names


@pytest.mark.parametrize(
    ("pieces", "kept", "left_out"),
    [
        ([(0, b"abc"), (1 << 40, b"xyz")], (b"abc", b"xyz"), 1 << 40),
        ([(0, b"abc"), (7, b"")], (b"abc", b""), 7),
        ([(7, b"xyz")], (b"", b"xyz"), 7),
        ([(0, b"abc"), (7, b"xyz"), (9, b"end")], (b"abc", b"end"), 19),  # one gap, from the first to the last
        ([(0, b"0123456789ab"), (3, b"xyz")], (b"01234", b"xyz"), 10),
        ([(0, b"abc"), (7, b"0123456789")], (b"abc", b"56789"), 12),
    ],
)
def test_what_a_worker_left_out_is_told_where_it_was(
    tmp_path: Path, pieces: list[tuple[int, bytes]], kept: tuple[bytes, bytes], left_out: int
) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    with files.new(key, 10) as output:
        for gap, data in pieces:
            output.write(False, data, gap)
        output.keep()
    mark = b"\n[cluster: %d bytes left out here]\n" % left_out
    assert read(files, key) == mark.join(kept)
    size = len(kept[0]) + left_out + len(kept[1])
    assert files.written(key) == size
    assert [end for _, end in files.read(key, False)][-1] == size
    assert read(files, key, skip=len(kept[0]) + left_out) == kept[1]
    if left_out > 1:
        assert read(files, key, skip=len(kept[0]) + 1).startswith(
            mark.replace(b"%d" % left_out, b"%d" % (left_out - 1))
        )


def test_a_push_that_is_repeated_forgets_the_gaps_of_the_one_before(tmp_path: Path) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    for gap in (9, 0):
        with files.new(key) as output:
            output.write(False, b"x", gap)
            output.keep()
    assert read(files, key) == b"x"


@pytest.mark.parametrize("size", [8, 10, 11, 30])
def test_who_has_had_a_part_gets_the_rest_of_what_is_kept(tmp_path: Path, size: int) -> None:
    """A follower, whose worker went away in the middle and came back when the job had ended."""
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    data = bytes(48 + i for i in range(size))
    with files.new(key, 10) as output:
        output.write(False, data)
        output.keep()
    mark = b"\n[cluster: %d bytes left out here]\n" % (size - 10)
    for had in range(size + 1):
        missing = mark if had <= 5 else b"\n[cluster: %d bytes left out here]\n" % (size - 5 - had)
        rest = data[had:] if size <= 10 or had >= size - 5 else data[had:5] + missing + data[-5:]
        assert read(files, key, skip=had) == rest


@pytest.mark.parametrize("size", [8, 10, 11, 30])
def test_wherever_a_reader_breaks_off_what_follows_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Even behind what is missing, where the places in the file are not those in the stream."""
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    with files.new(key, 10) as output:
        output.write(False, bytes(48 + i for i in range(size)))
        output.keep()
    whole = read(files, key)
    for chunk in range(35, 45):  # the line about what is missing, alone and with more and more behind it
        monkeypatch.setattr(outputs, "CHUNK", chunk)
        had = b""
        for data, end in files.read(key, False):
            had += data
            assert had + read(files, key, skip=end) == whole
        assert end == size


def test_half_of_what_was_to_be_kept_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler is killed after one of two streams got its name; the worker pushes both again."""
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    rename = os.rename

    def renamed_and_killed(*names: str | Path) -> None:
        rename(*names)
        raise KeyboardInterrupt

    def keep() -> None:
        with files.new(key) as output:
            output.write(False, b"out")
            output.write(True, b"err")
            output.keep()

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", renamed_and_killed)
        with pytest.raises(KeyboardInterrupt):
            keep()
    assert not files.has(key)
    keep()
    assert files.has(key)


def test_output_that_was_not_complete_leaves_nothing(tmp_path: Path) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)
    with files.new(key) as output:
        output.write(False, b"half")
    assert not files.has(key)
    assert list((tmp_path / "5").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "lines", "tail"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\n", 0, b""),
        (b"", 3, b""),
        (b"\n\n\n", 2, b"\n\n"),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"y" * 70_000 + b"\n" + b"x" * 200_000 + b"\nlast\n", 2, b"x" * 200_000 + b"\nlast\n"),
    ],
)
def test_tail_begins_with_a_whole_line(tmp_path: Path, data: bytes, lines: int, tail: bytes) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(1, 0, 1)
    with files.new(key) as output:
        output.write(False, data)
        output.keep()
    assert read(files, key, tail_lines=lines) == tail


def test_a_disk_that_takes_no_output_is_said(tmp_path: Path) -> None:
    files = OutputFiles(Path("/dev/null/outputs"))
    with pytest.raises(Exhausted, match="Not a directory"):
        files.new(AttemptKey(1, 0, 1))


def test_what_was_coming_in_when_a_scheduler_died_takes_no_space_for_ever(tmp_path: Path) -> None:
    key = AttemptKey(5, 17, 2)
    died = OutputFiles(tmp_path).new(key)
    died.write(False, b"half of it")
    kept = OutputFiles(tmp_path)
    assert not kept.has(key)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_push_that_is_cut_amid_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that makes its file goes on when the call has ended."""
    writing, go_on = threading.Event(), threading.Event()
    make = tempfile.NamedTemporaryFile

    def make_slowly(**options: Any) -> Any:
        writing.set()
        assert go_on.wait(PATIENCE)
        return make(**options)

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", make_slowly)

    async def pieces() -> AsyncIterator[PushOutputRequest]:
        yield PushOutputRequest(data=b"half")

    async def push() -> None:
        with OutputFiles(tmp_path).new(AttemptKey(5, 17, 2)) as output:
            await take_in(output, pieces())

    async def body() -> None:
        call = asyncio.create_task(push())
        assert await asyncio.to_thread(writing.wait, PATIENCE)
        call.cancel()
        for _ in range(5):  # whoever does not wait for the thread is through by then
            await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait([call])
        assert call.cancelled()

    asyncio.run(body())
    assert files_in(tmp_path) == []


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_a_full_disk_keeps_nothing_of_what_was_coming_in(tmp_path: Path) -> None:
    files, key = OutputFiles(tmp_path), AttemptKey(5, 17, 2)

    def take_in_both() -> None:
        with files.new(key, 20) as output:
            output.write(False, b"x" * 30)
            output.write(True, b"x" * 30)
            output.keep()

    with no_file_may_exceed(0), pytest.raises(Exhausted, match="File too large"):
        take_in_both()
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("faults", BAD_DAYS)
def test_whatever_the_system_does_output_is_kept_whole_or_not_at_all(tmp_path: Path, faults: Sequence[Fault]) -> None:
    key = AttemptKey(5, 17, 2)
    kept = False

    def day() -> None:
        nonlocal kept
        kept = False
        with suppress(Exhausted), OutputFiles(tmp_path).new(key) as output:
            output.write(False, b"out")
            output.write(True, b"err")
            output.keep()
            kept = True

    for first in bad_days(faults, day):
        files = OutputFiles(tmp_path)
        assert files.has(key) or not kept, f"{faults} from call {first} on"
        if files.has(key):
            streams = [b"".join(data for data, _ in files.read(key, stderr)) for stderr in (False, True)]
            assert streams == [b"out", b"err"], f"{faults} from call {first} on"
        for path in files_in(tmp_path):
            path.unlink()


def test_a_power_cut_takes_no_directory_with_output_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = record_syncs(monkeypatch)
    files = OutputFiles(tmp_path / "outputs")
    with files.new(AttemptKey(5, 17, 2)) as output:
        output.write(False, b"out")
        output.keep()
    assert {tmp_path, tmp_path / "outputs", tmp_path / "outputs" / "5"} <= set(synced)
