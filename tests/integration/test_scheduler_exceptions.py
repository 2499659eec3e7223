"""What a task's program raised is told with the task, wherever the end of its stderr is: in the store, in the
scheduler's files, or still on its worker."""

import asyncio
from pathlib import Path

import pytest

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign
from cluster.scheduler.output import locating
from cluster.v1.job_pb2 import RaisedException
from cluster.v1.scheduler_pb2 import PushOutputRequest
from tests.integration.schedulers import Cluster, User, in_cluster, packed

RAISED = b"""Traceback (most recent call last):
  File "/home/you/load.py", line 17, in parse
    raise ValueError("bad row")
ValueError: bad row
"""
FOUND = RaisedException(type="ValueError", message="bad row", file="/home/you/load.py", line=17, function="parse")
NONE = RaisedException()
AT_ONCE = (0.01, 0.01)  # seconds until a task is tried again


async def raised(user: User, selector: str) -> RaisedException:
    (task,) = (await user.get(selector)).tasks
    return task.exception


def test_it_is_read_from_what_came_with_the_end(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=4000)
        await worker.connect()
        await user.submit("python3", "load.py", array=(ArraySegment(1, 3),))
        a = (await worker.hear(Assign)).attempts
        assert [tuple(tasks) for tasks in a.ranges] == [(0, 3)]
        texts = (RAISED, b"no traceback\n", RAISED)
        await worker.report(
            ended=tuple(TaskEnd(a.job, i, a.attempt, "exit:1", 1) for i in (0, 1)),
            ok=(OkEnds(a.job, a.attempt, 2, 1, packed(1)),),
            outputs=tuple(SmallOutput(1, i, 1, b"", text) for i, text in enumerate(texts)),
        )
        found = [await raised(user, f"1.{number}") for number in (1, 2, 3)]
        assert found == [FOUND, NONE, NONE]
        several = (await user.get("1.1-2")).tasks
        assert [(task.HasField("exception"), task.stderr_tail) for task in several] == [(False, b"")] * 2
        assert [(await user.get(f"1.{number}")).tasks[0].stderr_tail for number in (1, 2, 3)] == [*texts[:2], b""]
        assert not (await user.get("1", max_tasks=1)).tasks[0].HasField("exception")  # one of several

    in_cluster(tmp_path, body)


def test_it_is_that_of_the_attempt_and_of_the_stream_that_stderr_went_to(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("python3", "load.py", retries=1, backoff=AT_ONCE, merge_output=True)
        for attempt, word in enumerate((b"first", b"second"), start=1):
            await worker.hear(Assign)
            output = SmallOutput(1, 0, attempt, RAISED.replace(b"bad row", word), b"")
            await worker.report(ended=(TaskEnd(1, 0, attempt, "exit:1", 1),), outputs=(output,))
        assert [(await raised(user, which)).message for which in ("1", "1#1", "1#2")] == ["second", "first", "second"]

    in_cluster(tmp_path, body)


def test_it_is_read_from_the_end_of_large_files_and_before_that_from_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locating, "MOST_ASKED", 200_000)
    long = RAISED + b"".join(b"row %d is wrong, but that is known\n" % i for i in range(20_000))

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("python3", "load.py")
        assign = await worker.hear(Assign)
        await worker.fail(assign, 1, output_bytes=len(long + RAISED))
        for sent in (RAISED, RAISED * 2000):  # the second is more than is waited for
            asking = asyncio.create_task(raised(user, "1"))
            asked = await worker.asked_for()
            assert (asked.stdout, asked.stderr, asked.follow) == (False, True, False)
            assert 0 < asked.tail_lines < 1000
            await worker.push(PushOutputRequest(transfer_id=asked.transfer_id, stderr=True, data=sent, complete=True))
            assert await asking == (FOUND if sent is RAISED else NONE)
        await worker.push(
            PushOutputRequest(job=1, attempt=1), PushOutputRequest(stderr=True, data=long + RAISED, complete=True)
        )
        assert await raised(user, "1") == FOUND
        assert (await user.get("1")).tasks[0].stderr_tail == (long + RAISED)[-2048:]
        worker.stream.cancel()
        assert await raised(user, "1") == FOUND

    in_cluster(tmp_path, body)


def test_a_worker_that_has_gone_or_does_not_answer_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locating, "SOON", 0.01)

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await user.submit("python3", "load.py")
        await worker.fail(await worker.hear(Assign), 1, output_bytes=50_000)
        assert await raised(user, "1") == NONE  # it was asked, and said nothing
        worker.stream.cancel()
        while (await user.workers())[0].state == 1:  # until the scheduler has noticed
            pass
        assert await raised(user, "1") == NONE

    in_cluster(tmp_path, body)
