"""What anybody may ask of the core takes a time that grows with what it is about, never with its square.

Each case took half a minute or more when every range was handled apart. The limit is far from what it takes now
(well below a second), so that a slow machine breaks nothing.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.domain.base.intervals import Range
from cluster.domain.base.now import Now
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord, TaskEnd
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Replied, Reply
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    HeartbeatReceived,
    JobSubmitted,
    ReportReceived,
    SessionClosed,
    SessionOpened,
)
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.takers import MOST_HELD
from cluster.domain.scheduler.worker_record import MAX_MILLICPUS, Worker, WorkerRecord
from cluster.domain.session.messages import Attempts, Hello, Report
from tests.domain.core_bench import Bench, ok, spec, uuid


@contextmanager
def within(seconds: float = 10.0) -> Iterator[None]:
    began = time.thread_time()  # of the processor alone: others use this machine, too
    yield
    assert time.thread_time() - began < seconds


def cancel(bench: Bench, *ranges: Range) -> Replied:
    targets = (Target(1, ranges or None),)
    acts = bench.core.turn([CancelRequested(1, targets, "ann")], bench.now).acts
    (reply,) = (act for act in acts if isinstance(act, Reply))
    return reply.value


def test_tasks_of_which_every_other_one_was_cancelled_are_cancelled() -> None:
    bench, count = Bench(), 1_000_000
    bench.submit(spec(count, millicpus=10**9))
    odd = [Range(i, i + 1) for i in range(1, count, 2)]
    with within():
        assert cancel(bench, *odd) == len(odd)
        assert cancel(bench) == count - len(odd)
    assert bench.core.jobs[1].ended_at


def test_tasks_that_are_ready_in_fragments_are_assigned() -> None:
    job = Job(JobRecord(1, "id", "ann", spec(1_000_000), 0.0))
    job.ready.difference_update([(i, i + 1) for i in range(0, 1_000_000, 2)])
    with within():
        for _ in range(50):
            ((attempt, ranges),) = job.assign("w", 4096)
            assert (attempt, len(ranges)) == (1, 4096)


@pytest.mark.parametrize("apart", [False, True])
def test_a_hello_may_list_tasks_in_any_order_and_apart(apart: bool) -> None:
    bench, count = Bench(), 200_000
    bench.submit(spec(count, millicpus=10**9))
    bench.register("w")
    job = bench.core.jobs[1]
    job.ready.difference_update([(0, count)])
    down = [Range(i, i + 1) for i in range(count - 2, -1, -2)]
    running = tuple(Attempts(1, 1, (r,)) for r in down) if apart else (Attempts(1, 1, tuple(down)),)
    with within():
        acts = bench.core.turn([SessionOpened(1, "w", Hello("inc", 2000, 1, running=running))], bench.now).acts
    assert len(acts) < 10


def looks_at_workers(patch: pytest.MonkeyPatch) -> set[str]:
    """The workers whose room is asked for from now on."""
    looks: set[str] = set()
    free: property = Worker.__dict__["free"]

    def looked_at(worker: Worker) -> int:
        looks.add(worker.id)
        return int(free.__get__(worker))

    patch.setattr(Worker, "free", property(looked_at))
    return looks


def test_no_turn_looks_at_all_workers_but_one_that_gives_something_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, count = Bench(), 300
    sessions = [bench.worker(f"w{number}", 1000) for number in range(count)]
    looks = looks_at_workers(monkeypatch)

    def looked_at(*events: Event) -> int:
        looks.clear()
        bench.core.turn(events, bench.now)
        return len(looks)

    assert looked_at(JobSubmitted(1, uuid(1), "ann", spec(count + 1))) == count
    assert looked_at(HeartbeatReceived(sessions[7], 1)) == 0
    assert looked_at(JobSubmitted(1, uuid(2), "ann", spec())) == 0
    assert looked_at(JobSubmitted(1, uuid(3), "ann", spec(millicpus=500))) == 0
    assert looked_at(JobSubmitted(1, uuid(4), "ann", spec(worker="w9"))) == 1
    holders = {index: worker for (worker, _), held in bench.core.jobs[1].held.items() for index in held}
    for index in range(3):  # the first of these brings the last task of the array
        session = sessions[int(holders[index][1:])]
        assert looked_at(ReportReceived(session, Report(1, ok=(ok(1, index, index + 1, run=100.0),)))) == 1
    assert [len(job.ready) for job in bench.core.jobs.values()] == [0, 0, 0, 1]


def test_an_idle_house_looks_at_the_workers_that_it_gives_something(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    for number in range(300):
        bench.worker(f"w{number}", 1000)
    looks = looks_at_workers(monkeypatch)
    bench.core.turn([JobSubmitted(1, uuid(1), "ann", spec(2))], bench.now)
    assert {worker for worker, _ in bench.core.jobs[1].held} == looks
    assert len(looks) == 2


def test_what_a_worker_holds_is_bounded_and_so_is_what_is_lost_with_it() -> None:
    bench = Bench()
    session = bench.worker("w", MAX_MILLICPUS)
    bench.submit(spec(10_000_000, millicpus=1, retries=1))
    assert sum(map(len, bench.core.jobs[1].held.values())) == bench.core.workers["w"].held == MOST_HELD
    with within():
        bench.core.turn([SessionClosed(session)], bench.now)
        lost = bench.turn(after=61.0)
    assert sum(isinstance(e, TaskEnd) for e in lost) == MOST_HELD
    assert not bench.core.workers["w"].held


def test_many_workers_that_nobody_has_heard_are_restored() -> None:
    count, core = 30_000, SchedulerCore(epoch=1)
    workers = [WorkerRecord(f"w{number}", f"w{number}", 1000, "", "1", 0.0) for number in range(count)]
    with within():
        deque(core.restore(Recovered(epoch=2, workers=workers), Now(0.0, 0.0)), maxlen=0)
    assert len(core.workers) == count
