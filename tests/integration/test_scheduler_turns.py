"""However much is asked of the scheduler at once, it takes it turn by turn, and others have theirs between."""

import asyncio
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.now import Now
from cluster.domain.job.job import Job
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.selectors import Selection
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Decided
from cluster.domain.scheduler.events import CancelRequested, Event, HeartbeatReceived, ReportReceived
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE, weight
from cluster.domain.session.messages import Assign, Report
from cluster.scheduler import cancelling, commit_pipeline
from cluster.scheduler import driver as driver_module
from cluster.scheduler.batch import Batch, Put
from cluster.scheduler.output.reader import _look_ahead
from cluster.scheduler.service import recovered
from cluster.scheduler.tasks_shown import TasksWanted, _pick
from cluster.store.interface import Item
from cluster.store.memory import Disk, MemoryStore
from tests.domain.core_bench import Bench, failed, spec
from tests.integration.schedulers import W1, Cluster, in_cluster
from tests.patience import PATIENCE


def watched(cluster: Cluster, patch: pytest.MonkeyPatch) -> list[list[Event]]:
    """The events of each turn from now on."""
    seen: list[list[Event]] = []
    turn = SchedulerCore.turn

    def watching(core: SchedulerCore, events: Sequence[Event], now: Now) -> Decided:
        seen.append(list(events))
        return turn(core, events, now)

    patch.setattr(SchedulerCore, "turn", watching)
    return seen


def test_what_many_put_at_once_is_cut_into_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(cluster: Cluster) -> None:
        driver = cluster.service.driver
        seen = watched(cluster, monkeypatch)
        done = await asyncio.gather(*(driver.tell(HeartbeatReceived(9, n)) for n in range(5 * MOST_AT_ONCE)))
        assert all(future.done() for future in done)
        assert sum(map(len, seen)) == 5 * MOST_AT_ONCE
        assert max(sum(map(weight, events)) for events in seen) <= MOST_AT_ONCE

    in_cluster(tmp_path, body)


def test_others_have_their_turns_while_a_start_takes_up_many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 jobs held the loop for half a second."""
    bench = Bench()
    for _ in range(2 * MOST_AT_ONCE):
        bench.submit(spec())
    store, happened = MemoryStore(Disk()), [""]
    store.load()
    store.commit([*bench.records.values(), *bench.progress.values()])
    adopt = SchedulerCore.adopt

    def watching(core: SchedulerCore, job: Job) -> None:
        happened[-1] += "j"
        adopt(core, job)

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            happened.append("")

    async def start() -> SchedulerCore:
        beside = asyncio.create_task(others())
        core = await recovered(store)
        beside.cancel()
        return core

    monkeypatch.setattr(SchedulerCore, "adopt", watching)
    assert len(asyncio.run(start()).jobs) == sum(map(len, happened)) == 2 * MOST_AT_ONCE
    assert max(map(len, happened)) <= MOST_AT_ONCE // 2


def test_a_long_report_is_taken_in_several_turns_and_acknowledged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(W1, "box", 10**6)
        await worker.connect()
        await user.submit("false", millicpus=100, array=(ArraySegment(1, 4 * MOST_AT_ONCE),))
        assign = await worker.hear(Assign)
        seen = watched(cluster, monkeypatch)
        await worker.fail(assign)
        assert len([events for events in seen if events]) >= assign.attempts.count / MOST_AT_ONCE
        assert max(sum(map(weight, events)) for events in seen) <= MOST_AT_ONCE + 2
        assert (await user.get("1")).job.counts.failed == assign.attempts.count

    in_cluster(tmp_path, body)


def test_a_heartbeat_goes_before_what_others_have_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn waits for a commit: behind four long reports on a slow disk the lease of who was well ran out."""

    async def body(cluster: Cluster) -> None:
        driver = cluster.service.driver
        seen = watched(cluster, monkeypatch)
        of_others = [ReportReceived(8, Report(0, ended=(failed(1, n),))) for n in range(5 * MOST_AT_ONCE)]
        driver.put(*of_others, HeartbeatReceived(9, 1))
        await driver.tell(HeartbeatReceived(8, 2))
        turns = list(filter(None, seen))
        at = [n for n, events in enumerate(turns) for event in events if isinstance(event, HeartbeatReceived)]
        assert at == [0, len(turns) - 1], "not before what came in its own session"
        assert [event for events in seen for event in events if isinstance(event, ReportReceived)] == of_others

    in_cluster(tmp_path, body)


def test_the_turns_of_a_long_report_do_not_wait_for_a_commit_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeats of its worker come behind it: 100 workers with such reports lost their leases on a good disk."""
    for module in (commit_pipeline, driver_module):
        monkeypatch.setattr(module, "SLOW", PATIENCE)

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(W1, "box", 10**6)
        await worker.connect()
        await user.submit("false", millicpus=100, array=(ArraySegment(1, 4 * MOST_AT_ONCE),))
        assign = await worker.hear(Assign)
        await user.get("1")
        seen, commit = watched(cluster, monkeypatch), cluster.store.commit
        commits: list[int] = []

        def taken() -> int:
            return sum(isinstance(event, ReportReceived) for events in seen for event in events)

        def after_all_turns(items: list[Item]) -> None:
            for _ in range(1000):
                if taken() == 4:
                    break
                time.sleep(0.01)  # in the writer's thread; at most 10 s
            commits.append(taken())
            commit(items)

        cluster.store.commit = after_all_turns  # type: ignore[method-assign, assignment]
        await worker.fail(assign)
        assert commits == [4, 4]
        assert len([events for events in seen if any(isinstance(e, ReportReceived) for e in events)]) == 4
        assert (await user.get("1")).job.counts.failed == 4 * MOST_AT_ONCE

    in_cluster(tmp_path, body)


def test_heartbeats_and_what_else_was_put_both_have_their_share_of_a_turn() -> None:
    batch = Batch()
    for session in range(4):
        batch.add(Put((ReportReceived(session, Report(0)),)))
        batch.add(Put((HeartbeatReceived(session, 1),)))
        batch.add(Put((HeartbeatReceived(10 + session, 1),)))
    cuts = []
    while batch:
        cuts.append([(type(e).__name__[:1], e.session) for put in batch.cut(2).puts for e in put.events])  # type: ignore[union-attr]
    assert cuts == [
        [("H", 10), ("H", 11), ("R", 0), ("H", 0)],
        [("H", 12), ("H", 13), ("R", 1), ("H", 1)],
        [("R", 2), ("H", 2)],
        [("R", 3), ("H", 3)],
    ]
    batch.add(Put((HeartbeatReceived(0, 2),)))
    assert batch.heartbeats, "nothing of its session is in line any more"


def test_a_job_in_many_pieces_is_cancelled_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "RANGES_AT_ONCE", 100)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for _ in range(2):
            await user.submit("true", millicpus=10**6, array=(ArraySegment(0, 9999),))
        seen = watched(cluster, monkeypatch)
        assert (await user.cancel("1.0-1999:2")).cancelled == 1000
        assert (await user.cancel("all")).cancelled == 9000 + 10_000
        cancels = [event for events in seen for event in events if isinstance(event, CancelRequested)]
        assert max(len(t.ranges or ()) for event in cancels for t in event.targets) <= 100
        assert len(cancels) >= 20, "of the second call, too, as many pieces as there are of what is left"
        assert [len(event.targets) for event in cancels] == [1] * len(cancels)

    in_cluster(tmp_path, body)


def test_many_readers_at_once_let_others_have_their_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that wait for a commit are answered one after another, but not all in one go."""
    monkeypatch.setattr(commit_pipeline, "BREATH", -1.0)

    async def body(cluster: Cluster) -> None:
        driver = cluster.service.driver
        order: list[str] = []

        async def other() -> None:
            for _ in range(50):
                order.append("other")
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(driver.read(lambda core: order.append("read"))) for _ in range(50)]
        tasks.append(asyncio.create_task(other()))
        driver.put(HeartbeatReceived(9, 1))
        await asyncio.gather(*tasks)
        last_read = len(order) - 1 - order[::-1].index("read")
        assert order[:last_read].count("other") > 20

    in_cluster(tmp_path, body)


def test_who_waits_for_all_jobs_makes_nothing_for_each_but_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value for each of 100,000 held everybody up for a tenth of a second."""
    made: list[int] = []
    tasks = Selection._tasks

    def counted(selection: Selection, number: int) -> IntervalSet:
        made.append(number)
        return tasks(selection, number)

    monkeypatch.setattr(Selection, "_tasks", counted)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for _ in range(3):
            await user.submit("true", millicpus=10**6, array=(ArraySegment(1, 2),))
        await user.cancel("all")
        made.clear()
        assert [job.number for job in await user.wait("all", "2.1")] == [1, 2, 3]
        assert made == []
        assert [job.number for job in await user.wait("2.1", "3")] == [2, 3]
        assert made == [2]

    in_cluster(tmp_path, body)


@contextmanager
def within(size: int) -> Iterator[None]:
    """Bytes that are made meanwhile and live at one time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_who_reads_a_job_in_many_pieces_pays_for_what_it_is_shown_alone() -> None:
    """Of a million pieces a list of all was made for each answer, and for each step of who read the logs: a second."""
    bench, count = Bench(), 400_000
    bench.submit(spec(count, millicpus=10**9))
    job = bench.core.jobs[1]
    job.cancel_unassigned(IntervalSet((i, i + 1) for i in range(0, count, 2)))
    every_tenth = [Range(i, i + 1) for i in range(1, count, 1000)]
    for ranges, first in (([Range(0, count)], 2000), ([Range(1, count)], 2002), (every_tenth, 1)):
        with within(1_000_000):
            shown = _pick(job, TasksWanted(IntervalSet(ranges), 1000 if first > 1 else 0, 300))
        assert (shown[0].index, len(shown)) == (first, 300)
    with within(300_000):
        assert _look_ahead(job, Range(1, count)) == (0, 2)


def test_what_lives_is_looked_at_once_by_the_collector_of_cycles() -> None:
    """In a process of its own: it changes that for good. 100,000 jobs held the loop for 0.4 s at a time."""
    program = """
import gc
from cluster.scheduler.garbage_collection import look_at_each_object_once
walked = []
gc.callbacks.append(lambda phase, info: walked.append(len(gc.get_objects(2))) if phase == "start" else None)
look_at_each_object_once()
kept = [[number] for number in range(900_000)]
assert len(walked) > 40
print(max(walked[1:]), gc.get_freeze_count())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    most, frozen = map(int, found.split())
    assert most < 120_000, "objects of one walk"
    assert frozen > 700_000
