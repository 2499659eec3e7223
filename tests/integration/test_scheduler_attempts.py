"""Every attempt of a task is told: how it ended, where, and what it took."""

from pathlib import Path

from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, TaskEnd
from cluster.domain.session.messages import Assign
from cluster.scheduler import attempts_shown
from tests.integration.schedulers import W1, W2, Cluster, in_cluster, packed

AT_ONCE = (0.01, 0.01)  # seconds until a task is tried again


def test_each_attempt_says_where_it_ran_how_it_ended_and_what_it_took(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, one, two = cluster.user(), cluster.worker(W1, "one"), cluster.worker(W2, "two")
        await one.connect()
        await user.submit("flaky", retries=3, backoff=AT_ONCE)
        assert not (await user.get("1", attempts=False)).tasks[0].attempts
        (task,) = (await user.get("1", attempts=True)).tasks
        assert [(a.attempt, a.worker_name, a.ended_at) for a in task.attempts] == [(1, "one", 0)]
        await one.hear(Assign)
        end = TaskEnd(
            1, 0, 1, "exit:75", 75, detail="why", started_at=5.0, ended_at=7.0, cpu_seconds=0.5, peak_memory=9
        )
        await one.report(ended=(end,))
        await one.hear(Assign)
        await one.report(ended=(TaskEnd(1, 0, 2, "signal:SIGSEGV", 139, "SIGSEGV"),), draining=True)
        await two.connect()
        assign = await two.hear(Assign)
        assert assign.attempts.attempt == 3
        await two.report(ok=(OkEnds(1, 3, 0, 1, packed(1)),))
        (task,) = (await user.get("1", attempts=True)).tasks
        first, second, third = task.attempts
        assert (first.reason, first.exit_code, first.worker_name, first.detail) == ("exit:75", 75, "one", "why")
        assert (first.started_at, first.ended_at, first.cpu_seconds, first.peak_memory_bytes) == (5.0, 7.0, 0.5, 9)
        assert (second.reason, second.signal, second.worker_id) == ("signal:SIGSEGV", "SIGSEGV", W1)
        assert (third.reason, third.worker_name, third.attempt) == ("ok", "two", 3)
        (former,) = (await user.get("1#2", attempts=True)).tasks
        assert [attempt.attempt for attempt in former.attempts] == [1, 2]

    in_cluster(tmp_path, body)


def test_answers_with_many_attempts_come_in_parts(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=4000)
        await user.submit("flaky", retries=200, backoff=(0.0, 0.0), array=(ArraySegment(1, 4),))
        await worker.connect()
        ended = dict.fromkeys(range(4), 0)
        while min(ended.values()) < 3:
            attempts = (await worker.hear(Assign)).attempts
            indexes = [index for r in attempts.ranges for index in range(*r)]
            ended |= dict.fromkeys(indexes, attempts.attempt)
            await worker.report(
                ended=tuple(TaskEnd(1, i, attempts.attempt, "exit:1", 1, detail="x" * 100) for i in indexes)
            )
        before, attempts_shown.MOST_BYTES = attempts_shown.MOST_BYTES, 1500
        try:
            answer = await user.get("1", attempts=True)
        finally:
            attempts_shown.MOST_BYTES = before
        assert answer.more
        assert 0 < len(answer.tasks) < 4
        assert [len(task.attempts) >= 3 for task in answer.tasks] == [True] * len(answer.tasks)

    in_cluster(tmp_path, body)
