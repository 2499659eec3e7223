"""Which tasks go where: capacity is honoured, jobs come in order, shares are even, nothing waits in the wrong place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.events import HeartbeatReceived, SessionClosed
from cluster.domain.scheduler.placement import AHEAD, AHEAD_OF_SHORT, MAX_AHEAD, SHORT, ahead
from cluster.domain.scheduler.ready_queue import ReadyQueue
from cluster.domain.scheduler.subqueues import FEW_GONE, JobHeap
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.session.messages import Assign, Recall
from tests.domain.core_bench import WALL, Bench, attempts, failed, ok, spec

REQUESTS = (250, 500, 1000, 1500, 2000, 3000, 64_000)

jobs = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(REQUESTS), st.sampled_from(("", "w0", "w1", "nobody"))),
    min_size=1,
    max_size=8,
)
capacities = st.lists(st.sampled_from((500, 1000, 2000, 4000, 7000)), min_size=1, max_size=4)


def filled(capacities: list[int], jobs: list[tuple[int, int, str]]) -> Bench:
    bench = Bench()
    for number, (tasks, millicpus, worker) in enumerate(jobs, start=1):
        bench.submit(spec(tasks, millicpus=millicpus, worker=worker, name=str(number)))
    for number, capacity in enumerate(capacities):
        bench.worker(f"w{number}", capacity)
    return bench


@given(capacities, jobs)
def test_no_worker_gets_more_than_it_has(capacities: list[int], jobs: list[tuple[int, int, str]]) -> None:
    bench = filled(capacities, jobs)
    for worker in bench.core.workers.values():
        assert worker.allocated <= worker.record.millicpus  # no run time is measured, so no work in advance
        for number in worker.jobs:
            assert can_ever_run(bench.core.jobs[number].request, worker)


@given(capacities, jobs)
def test_nothing_waits_that_would_fit_now_but_for_what_comes_first(
    capacities: list[int], jobs: list[tuple[int, int, str]]
) -> None:
    bench = filled(capacities, jobs)
    for job in bench.core.jobs.values():
        for worker in bench.core.workers.values() if job.ready else ():
            fits = can_ever_run(job.request, worker) and worker.free >= job.record.spec.millicpus
            kept = bench.core.reservations.of_worker.get(worker.id)
            assert not fits or (kept and kept.job.number < job.number)


@given(capacities, jobs)
def test_a_job_waits_only_behind_earlier_ones_and_larger_requests(
    capacities: list[int], jobs: list[tuple[int, int, str]]
) -> None:
    """A later job of the same kind never runs while an earlier one has tasks ready."""
    bench = filled(capacities, jobs)
    waiting: set[tuple[int, str]] = set()
    for job in bench.core.jobs.values():
        kind = (job.record.spec.millicpus, job.record.spec.worker)
        assert kind not in waiting or not job.held
        if job.ready:
            waiting.add(kind)


@given(st.integers(1, 40), st.integers(1, 5))
def test_tasks_are_spread_evenly(tasks: int, workers: int) -> None:
    bench = Bench()
    for number in range(workers):
        bench.worker(f"w{number}", 64_000)
    bench.submit(spec(tasks))
    held = [worker.allocated // 1000 for worker in bench.core.workers.values()]
    assert sum(held) == tasks
    assert max(held) <= -(-tasks // workers)


def test_the_ready_queue_looks_at_one_job_of_a_class_that_finds_no_room() -> None:
    queue, roomier = ReadyQueue(), [Worker(WorkerRecord("w", "box", 1000, "", "", 0.0), 0.0)]
    jobs = [Job(JobRecord(n, str(n), "alice", spec(millicpus=m), 0.0)) for n, m in enumerate((1, 2, 1, 2, 3, 1), 1)]
    for job in reversed(jobs):
        queue.note(job)
        queue.note(job)
    assert in_line(queue) == [1, 2, 5]
    seen = []
    for turn in queue.line([], nothing_used):
        seen.append(turn.job.number)
        if turn.kind.request.millicpus == 1:
            turn.job.ready.take(1)
            queue.note(turn.job)
    assert seen == [1, 2, 3, 5, 6]
    assert in_line(queue) == [2, 5]
    queue.fresh.clear()
    jobs[0].ready.add(0, 1)  # it was given back
    queue.note(jobs[0])
    assert in_line(queue) == [1]
    assert in_line(queue, roomier) == [1, 2, 5]


def test_a_class_that_waits_is_looked_at_for_workers_that_may_run_it_alone() -> None:
    queue = ReadyQueue()
    for number, worker in enumerate(("", "box", "w", "other"), 1):
        queue.note(Job(JobRecord(number, str(number), "alice", spec(worker=worker), 0.0)))
    queue.fresh.clear()
    assert in_line(queue) == []
    assert in_line(queue, [Worker(WorkerRecord("w", "box", 1000, "", "", 0.0), 0.0)]) == [1, 2, 3]


def test_jobs_that_left_the_queue_are_not_walked_over_when_there_is_room() -> None:
    queue, count = ReadyQueue(), 10_000
    jobs = [Job(JobRecord(number, str(number), "alice", spec(), 0.0)) for number in range(1, count + 1)]
    for job in jobs:
        queue.note(job)
    (kind,) = queue.fresh
    (subqueue,) = kind.subqueues
    for job in jobs[:-1]:
        job.ready.take(1)
        queue.note(job)
    assert len(subqueue.all) <= 2 * FEW_GONE
    assert in_line(queue) == [count]
    for _ in range(count):  # its only task is given to a worker and comes back
        jobs[-1].ready.take(1)
        queue.note(jobs[-1])
        jobs[-1].ready.add(0, 1)
        queue.note(jobs[-1])
    (subqueue,) = queue._subqueues.values()  # one without jobs is forgotten with all of its heaps
    assert len(subqueue.all) <= 3 * FEW_GONE


@given(st.lists(st.integers(0, 9)))
def test_the_first_in_the_queue_is_known_whoever_comes_and_goes(flips: list[int]) -> None:
    queue = ReadyQueue()
    jobs = [Job(JobRecord(n, str(n), "alice", spec(millicpus=1 + n), 0.0)) for n in range(10)]
    for n in flips:
        if not jobs[n].ready.take(1):
            jobs[n].ready.add(0, 1)
        queue.note(jobs[n])
        there = [job.number for job in jobs if job in queue]
        assert [queue.is_first(job) for job in jobs] == [job.number <= min(there, default=99) for job in jobs]


def test_whether_a_job_is_the_first_is_found_without_a_walk_over_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, asked, first = ReadyQueue(), list[JobHeap](), JobHeap.first
    jobs = [Job(JobRecord(n, str(n), "alice", spec(millicpus=n), 0.0)) for n in range(1, 101)]
    for job in jobs:
        queue.note(job)

    def asking(heap: JobHeap, there: Mapping[int, Job]) -> int | None:
        asked.append(heap)
        return first(heap, there)

    monkeypatch.setattr(JobHeap, "first", asking)
    assert [queue.is_first(job) for job in jobs] == [True, *[False] * 99]
    assert len(asked) == len(jobs)


def in_line(queue: ReadyQueue, roomier: Sequence[Worker] = ()) -> list[int]:
    return [turn.job.number for turn in queue.line(roomier, nothing_used)]


def nothing_used(owner: str) -> float:
    return 0.0


def test_first_come_first_served() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    for _ in range(3):
        bench.submit(spec())
    for number in (1, 2, 3):
        assert [job.number for job in bench.core.jobs.values() if job.held] == [number]
        bench.report(session, number, ok=(ok(number, 0, 1),))


def test_what_does_not_fit_now_lets_others_pass() -> None:
    bench = Bench()
    bench.worker("w", 2000)
    bench.submit(spec(millicpus=1500))
    bench.submit(spec(millicpus=1000))
    bench.submit(spec(millicpus=500))
    assert [bool(job.held) for job in bench.core.jobs.values()] == [True, False, True]


@pytest.mark.parametrize(("run", "count"), [(None, 0), (10.0, 0), (0.01, 20), (0.001, 1000), (1e-9, MAX_AHEAD)])
def test_work_in_advance_is_by_measured_run_time(run: float | None, count: int) -> None:
    bench = Bench()
    bench.register("w", 2000)
    bench.submit(spec(100))
    job = bench.core.jobs[1]
    job.mean_run = run
    assert ahead(job, bench.core.workers["w"]) == count
    assert run is None or count in (MAX_AHEAD, int(2 * (AHEAD if run > SHORT else AHEAD_OF_SHORT) / run))


def test_a_short_tasks_end_brings_work_in_advance_for_the_first_job_alone() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(1000))
    bench.submit(spec(1000))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))
    assert bench.core.jobs[1].count(TaskState.ASSIGNED) == 1 + 10
    assert not bench.core.jobs[2].held


def recalls(effects: Sequence[object]) -> Iterator[tuple[int, Recall]]:
    return ((e.session, e.message) for e in effects if isinstance(e, Send) and isinstance(e.message, Recall))


def test_an_idle_worker_gets_half_of_what_waits_at_another() -> None:
    bench = Bench()
    busy = bench.worker("busy", 1000)
    bench.submit(spec(20))
    bench.report(busy, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.turn()
    held = bench.core.jobs[1].held["busy", 1]
    assert len(held) == 11
    bench.report(busy, 2, started=(attempts(1, 1, (1, 2)),), ok=(ok(1, 2, 11, run=0.01),))
    assert bench.core.jobs[1].ready.range_count() == 0
    bench.register("idle", 4000)
    ((session, recall),) = recalls(list(bench.hello("idle")))
    assert (session, recall.attempts) == (busy, attempts(1, 1, (16, 20)))
    assert not list(recalls(list(bench.turn(HeartbeatReceived(busy, 1)))))  # asked once
    effects = bench.report(busy, 3, returned=(recall.attempts,))
    assigned = [e.message.attempts for e in effects if isinstance(e, Send) and isinstance(e.message, Assign)]
    assert assigned == [recall.attempts]
    assert bench.core.jobs[1].held["idle", 1] == IntervalSet([(16, 20)])


def test_an_idle_worker_gets_what_has_not_begun_since_another_came_in_advance_and_was_begun_first() -> None:
    bench = Bench()
    busy = bench.worker("busy", 1000)
    bench.submit(spec(millicpus=300))
    bench.report(busy, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.submit(spec(2, millicpus=500))
    bench.submit(spec(millicpus=300))  # alike the first
    assert bench.core.workers["busy"].free == -300
    bench.report(busy, 2, started=(attempts(3, 1, (0, 1)),))
    bench.register("idle", 4000)
    ((session, recall),) = recalls(list(bench.hello("idle")))
    assert (session, recall.attempts) == (busy, attempts(2, 1, (1, 2)))


def test_a_job_for_one_worker_goes_to_no_other() -> None:  # S2.7
    bench = Bench()
    bench.worker("small", 1000)
    bench.worker("idle", 4000)
    effects = bench.submit(spec(12, worker="small"))
    assert {e.session for e in effects if isinstance(e, Send) and isinstance(e.message, Assign)} == {1}
    assert {worker for worker, _ in bench.core.jobs[1].held} == {"small"}


def test_nothing_is_recalled_for_a_worker_that_may_not_run_it() -> None:
    bench = Bench()
    busy = bench.worker("busy", 1000)
    bench.submit(spec(12, worker="busy"))
    bench.report(busy, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.register("idle", 4000)
    assert not list(recalls(list(bench.hello("idle"))))


def test_what_came_back_may_be_asked_back_again() -> None:
    bench = Bench()
    busy = bench.worker("busy", 1000)
    bench.submit(spec(11))
    bench.report(busy, 1, ok=(ok(1, 0, 1, run=0.01),))
    idle = bench.worker("idle", 1000)
    recall = Recall(attempts(1, 1, (10, 11)))
    bench.turn(SessionClosed(idle))
    bench.report(busy, 2, returned=(recall.attempts,))  # it goes to the same worker again
    assert len(bench.core.jobs[1].held["busy", 1]) == 10
    assert next(recalls(list(bench.hello("idle"))))[1].attempts == recall.attempts


def test_recalls_are_forgotten_with_the_job() -> None:
    bench = Bench()
    busy = bench.worker("busy", 1000)
    bench.submit(spec(11))
    bench.report(busy, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.worker("idle", 4000)
    assert bench.core.workers["busy"].recalled
    rest = [Range(*r) for r in bench.core.jobs[1].held["busy", 1].ranges()]
    bench.report(busy, 2, ok=tuple(ok(1, *r, run=0.01) for r in rest))
    assert not bench.core.workers["busy"].recalled


def single_jobs(count: int, worker: str = "busy", millicpus: int = 1000) -> tuple[Bench, int]:
    """A worker, and as many jobs of one task, of which the first has taken 10 ms."""
    bench = Bench()
    session = bench.worker(worker, millicpus)
    for _ in range(count):
        bench.submit(spec())
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))
    return bench, session


def held(bench: Bench, worker: str) -> list[int]:
    return sorted(bench.core.workers[worker].jobs)


def test_of_jobs_alike_a_worker_gets_some_in_advance_and_no_more_than_have_ended() -> None:
    bench, session = single_jobs(30)
    assert held(bench, "busy") == [2, 3], "one at work, and one in advance since one has ended"
    bench.report(session, 2, ok=(ok(2, 0, 1, run=0.01), ok(3, 0, 1, run=0.01)))
    assert held(bench, "busy") == [4, 5, 6, 7]
    bench.report(session, 3, ok=tuple(ok(job, 0, 1, run=0.01) for job in range(4, 8)))
    bench.report(session, 4, ok=tuple(ok(job, 0, 1, run=0.01) for job in range(8, 16)))
    assert held(bench, "busy") == list(range(16, 27)), "one at work, and of such of 10 ms ten in 0.1 s"


def test_who_is_alike() -> None:
    bench, _ = single_jobs(2)
    alike = [bench.core.jobs[2].alike]
    for other in (spec(), spec(millicpus=500), replace(spec(), argv=("true", "a", "b")), spec(script="a.sh")):
        bench.submit(other)
        alike.append(bench.core.jobs[max(bench.core.jobs)].alike)
    bench.submit(replace(spec(), argv=("true", "a", "c")))
    assert [each is alike[0] for each in alike] == [True, True, False, False, False]
    assert bench.core.jobs[max(bench.core.jobs)].alike is alike[3], "the first two words are those of the other"


def test_one_long_run_is_enough_to_be_careful() -> None:
    bench, session = single_jobs(300)
    for sequence in range(2, 12):
        jobs = held(bench, "busy")
        bench.report(session, sequence, ok=tuple(ok(job, 0, 1, run=0.01) for job in jobs))
    assert len(held(bench, "busy")) == 11
    first, *rest = held(bench, "busy")
    bench.report(session, 20, ok=(ok(first, 0, 1, run=60.0),))
    bench.report(session, 21, ok=tuple(ok(job, 0, 1, run=0.01) for job in rest))
    assert len(held(bench, "busy")) == 1


def test_a_failure_that_took_long_counts_as_well() -> None:
    bench, session = single_jobs(30)
    bench.report(session, 2, ended=(replace(failed(2, 0), started_at=WALL, ended_at=WALL + 60.0),))
    assert bench.core.jobs[4].alike.run == 60.0


def test_an_idle_worker_gets_half_of_the_jobs_that_wait_at_another_and_no_more_than_it_has_room_for() -> None:
    bench, session = single_jobs(12)
    for sequence, jobs in ((2, (2, 3)), (3, (4, 5, 6, 7))):
        bench.report(session, sequence, ok=tuple(ok(job, 0, 1, run=0.01) for job in jobs))
    assert held(bench, "busy") == [8, 9, 10, 11, 12]
    bench.report(session, 4, started=(attempts(8, 1, (0, 1)),))
    bench.register("idle", 8000)
    asked = [recall.attempts.job for _, recall in recalls(bench.hello("idle"))]
    assert asked == [12, 11]
    assert [recall.attempts.job for _, recall in recalls(bench.turn())] == [], "what is to come back is enough"
    bench.report(session, 5, returned=(attempts(11, 1, (0, 1)), attempts(12, 1, (0, 1))))
    assert held(bench, "idle") == [11, 12]


def test_what_waits_in_advance_for_long_comes_back_and_is_given_in_advance_no_more() -> None:
    bench, session = single_jobs(12)
    bench.report(session, 2, ok=(ok(2, 0, 1, run=0.01), ok(3, 0, 1, run=0.01)))
    bench.report(session, 3, started=(attempts(4, 1, (0, 1)),))
    assert held(bench, "busy") == [4, 5, 6, 7]
    effects = bench.turn(after=1.5) + bench.turn()
    asked = [recall.attempts for _, recall in recalls(effects)]
    assert asked == [attempts(job, 1, (0, 1)) for job in (5, 6, 7)]
    bench.report(session, 4, returned=tuple(asked))
    assert held(bench, "busy") == [4]
    bench.report(session, 5, ok=(ok(4, 0, 1, run=0.01),))
    assert held(bench, "busy") == [5], "it may be as long as the one that all waited for"


def test_an_array_that_became_slow_waits_in_advance_no_longer() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(100))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))
    assert bench.core.jobs[1].count(TaskState.ASSIGNED) == 11
    effects = bench.turn(after=1.5)
    (asked,) = [recall.attempts for _, recall in recalls(effects)]
    assert asked == attempts(1, 1, (1, 12))
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),), returned=(attempts(1, 1, (2, 12)),))
    assert held(bench, "w") == [1]
    assert bench.core.jobs[1].held["w", 1] == IntervalSet([(1, 2)])
