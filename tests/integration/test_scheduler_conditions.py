"""Tasks that are selected by what has become of them: `5:failed`, `5:lost,timeout`, `sweep:ready`."""

from pathlib import Path

import pytest

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.session.messages import Assign, Stop
from cluster.scheduler import access, meeting
from tests.integration.schedulers import Cluster, User, in_cluster, packed

REASONS = ["exit:3", "exit:75", "signal:SIGKILL", "timeout:run", "lost"]


async def tasks(user: User, selector: str) -> list[int]:
    return sorted(task.number for task in (await user.get(selector)).tasks)


def test_tasks_are_selected_by_state_and_by_why_they_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "ENDS_AT_ONCE", 2)  # so that there are several pages

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=8000)
        await worker.connect()
        await user.submit(name="sweep", array=(ArraySegment(1, 10),))
        a = (await worker.hear(Assign)).attempts
        assert a.count >= 8
        await worker.report(
            started=(a,),
            ended=tuple(TaskEnd(1, i, 1, why, 9) for i, why in enumerate(REASONS)),
            ok=(OkEnds(1, 1, 5, 1, packed(1)),),
            outputs=tuple(SmallOutput(1, i, 1, b"%d\n" % i, b"") for i in range(6)),
        )
        for words, numbers in {
            "failed": [1, 2, 3, 4, 5],
            "lost,timeout": [4, 5],
            "exit": [1, 2],
            "exit:75": [2],
            "signal:SIGKILL,succeeded": [3, 6],
            "ok": [6],
        }.items():
            assert await tasks(user, f"1:{words}") == numbers
            assert await tasks(user, f"sweep:{words}") == numbers
        assert await tasks(user, "last.2-4:failed") == [2, 3, 4]
        assert await tasks(user, "1.9,10:ready,running,assigned") == [9, 10]
        assert [job.number for job in await user.jobs("sweep:lost")] == [1]
        assert await user.jobs("sweep:cancelled") == []
        assert await user.text("1:exit,ok") == b"0\n1\n5\n"
        (waited,) = await user.wait("1:failed")
        assert (waited.part, waited.state, waited.counts.failed, waited.exit_code) == ("1-5", 7, 5, 9)
        assert await user.wait("1:cancelled") == []
        with pytest.raises(NotFound, match=r"^1:cancelled: none of its tasks is so now$"):
            await user.get("1:cancelled")
        with pytest.raises(InvalidInput, match="1:failed: what has ended cannot be cancelled"):
            await user.cancel("1:failed")

        assert (await user.cancel("1:waiting")).cancelled == 0
        assert (await user.cancel("sweep.9:ready,running,assigned")).cancelled == 1
        assert (await user.cancel("1:running,ready,assigned")).cancelled >= 3
        await worker.hear(Stop)
        await cluster.restart()
        assert await tasks(cluster.user(), "1:lost,exit:3") == [1, 5]

    in_cluster(tmp_path, body)


def test_the_last_attempt_of_a_task_says_why_it_ended(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=3000)
        await worker.connect()
        await user.submit(array=(ArraySegment(1, 3),), retries=1, backoff=(0.0, 0.0))
        await worker.fail(await worker.hear(Assign), reason="timeout:run")
        assert len((await user.get("1")).tasks) == 3
        with pytest.raises(NotFound):
            await user.get("1:timeout")  # none has ended for good
        ended = 0
        while ended < 3:
            for key in (await worker.hear(Assign)).attempts:
                if key.index == 1:
                    await worker.report(ok=(OkEnds(1, 2, 1, 1, packed(1)),))
                else:
                    why = "signal:SIGKILL" if key.index == 0 else "exit:1"
                    await worker.report(ended=(TaskEnd(1, key.index, 2, why, 1),))
                ended += 1
        assert [await tasks(user, f"1:{word}") for word in ("signal", "ok", "exit")] == [[1], [2], [3]]
        with pytest.raises(NotFound):
            await user.get("1:timeout")

    in_cluster(tmp_path, body)


def test_what_waited_in_vain_and_what_was_cancelled_before_it_ran_are_told_apart(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit(array=(ArraySegment(1, 2),))
        await user.submit(array=(ArraySegment(1, 2),), after=("1",))
        await user.cancel("1")
        await user.wait("2")
        assert await tasks(user, "2:dependency") == await tasks(user, "2:cancelled") == [1, 2]
        with pytest.raises(NotFound):
            await user.get("1:dependency")

    in_cluster(tmp_path, body)


def test_no_call_brings_more_conditions_than_can_be_looked_through(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit(array=(ArraySegment(1, 1000),))
        several = [f"1.{number}:ready" for number in range(1, access.MOST_CONDITIONS + 2)]
        assert len(await user.jobs(*several[1:])) == 1
        with pytest.raises(InvalidInput, match="more than 100 selectors with states or reasons"):
            await user.jobs(*several)

    in_cluster(tmp_path, body)
