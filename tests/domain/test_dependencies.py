"""Jobs that wait for others: when they go on, and what becomes of those that wait in vain."""

from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.dependencies import Course
from cluster.domain.job.dependency_options import MAX_DEPENDENCIES, MAX_EACH
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobEnded
from cluster.domain.job.spec import validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Reply, Send
from cluster.domain.scheduler.events import CancelRequested, JobSubmitted
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.views import job_view
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.session.messages import Assign
from tests.domain.core_bench import Bench, Effect, failed, ok, spec

W, R, A, S, F, C = (
    TaskState.WAITING,
    TaskState.READY,
    TaskState.ASSIGNED,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)


def states(bench: Bench, number: int) -> dict[TaskState, list[tuple[int, int]]]:
    return {s: [(r.start, r.stop) for r in t.ranges()] for s, t in bench.core.jobs[number].sets.items() if t}


def started(effects: list[Effect]) -> list[tuple[int, tuple[Range, ...]]]:
    sent = [e.message for e in effects if isinstance(e, Send)]
    return [(m.attempts.job, m.attempts.ranges) for m in sent if isinstance(m, Assign)]


def fail(bench: Bench, session: int, job: int, index: int = 0, sequence: int = 1) -> list[Effect]:
    return bench.report(session, sequence, ended=(failed(job, index),))


@pytest.mark.parametrize(
    ("field", "on_success", "on_failure"), [("after", A, C), ("after_any", A, A), ("after_fail", C, A)]
)
def test_what_a_whole_job_is_waited_for(field: str, on_success: TaskState, on_failure: TaskState) -> None:
    waiting: dict[str, Any] = {field: ("1",)}
    for ends_well, state in ((True, on_success), (False, on_failure)):
        bench = Bench()
        session = bench.worker("w", 8000)
        bench.submit(spec())
        assert not started(bench.submit(spec(2, **waiting)))
        assert states(bench, 2) == {W: [(0, 2)]}
        effects = bench.report(session, 1, ok=(ok(1, 0, 1),)) if ends_well else fail(bench, session, 1)
        assert states(bench, 2) == {state: [(0, 2)]}
        assert started(effects) == ([(2, (Range(0, 2),))] if state is A else [])
        if state is C:
            job = bench.core.jobs[2]
            assert (job.reason, job.exit_code, job.outcome) == ("dependency", 143, C)
            assert 2 in bench.ended


def test_a_job_waits_for_all_of_several() -> None:
    bench = Bench()
    session = bench.worker("w", 8000)
    for _ in range(3):
        bench.submit(spec())
    bench.submit(spec(after=("1", "2"), after_any=("3",)))
    view = job_view(bench.core, bench.core.jobs[4])
    assert view.state is W
    assert view.pending_because == (
        "job 1 must succeed first",
        "job 2 must succeed first",
        "job 3 must end first",
    )
    bench.report(session, 1, ok=(ok(2, 0, 1),))
    fail(bench, session, 3, sequence=2)
    assert job_view(bench.core, bench.core.jobs[4]).pending_because == ("job 1 must succeed first",)
    assert started(bench.report(session, 3, ok=(ok(1, 0, 1),))) == [(4, (Range(0, 1),))]


def test_an_array_is_followed_task_by_task() -> None:
    bench = Bench()
    session = bench.worker("w", 8000)
    bench.submit(spec(6))
    bench.submit(spec(6, after_each=("1",)))
    assert started(bench.report(session, 1, ok=(ok(1, 2, 4),))) == [(2, (Range(2, 4),))]
    fail(bench, session, 1, 0, sequence=2)
    assert states(bench, 2) == {C: [(0, 1)], W: [(1, 2), (4, 6)], A: [(2, 4)]}
    bench.report(session, 3, ok=(ok(1, 1, 2), ok(1, 4, 6)))
    assert states(bench, 2) == {C: [(0, 1)], A: [(1, 6)]}
    bench.report(session, 4, ok=(ok(2, 1, 6),))
    assert bench.core.jobs[2].reason == "dependency"
    assert bench.core.jobs[2].outcome is C


def test_a_task_waits_for_its_likes_in_two_arrays_and_for_a_whole_job() -> None:
    bench = Bench()
    session = bench.worker("w", 16_000)
    bench.submit(spec(4))
    bench.submit(spec(4))
    bench.submit(spec())
    bench.submit(spec(4, after_each=("1", "2"), after=("3",)))
    bench.report(session, 1, ok=(ok(1, 0, 3), ok(2, 1, 4)))
    assert states(bench, 4) == {W: [(0, 4)]}
    assert started(bench.report(session, 2, ok=(ok(3, 0, 1),))) == [(4, (Range(1, 3),))]
    assert states(bench, 4) == {W: [(0, 1), (3, 4)], A: [(1, 3)]}


def test_what_waits_in_vain_runs_all_the_same_where_that_is_wished() -> None:
    bench = Bench()
    session = bench.worker("w", 8000)
    bench.submit(spec(2))
    bench.submit(spec(2, after_each=("1",), on_dependency_fail="run"))
    bench.submit(spec(after=("1",), on_dependency_fail="run"))
    fail(bench, session, 1, 1)
    assert states(bench, 2) == {W: [(0, 1)], A: [(1, 2)]}
    bench.report(session, 2, ok=(ok(1, 0, 1),))
    assert states(bench, 2) == {A: [(0, 2)]}
    assert states(bench, 3) == {A: [(0, 1)]}


def test_a_failure_ends_a_whole_chain_at_once() -> None:
    bench = Bench()
    session = bench.worker("w")
    bench.submit(spec())
    for number in range(1, 20):
        bench.submit(spec(after=(str(number),)))
    bench.submit(spec(after_fail=("20",)))
    effects = fail(bench, session, 1)
    assert bench.ended == set(range(1, 21))
    assert started(effects) == [(21, (Range(0, 1),))]


def test_a_cancelled_job_is_one_that_did_not_succeed() -> None:
    bench = Bench()
    bench.submit(spec())
    bench.submit(spec(after=("1",)))
    bench.submit(spec(after_fail=("1",)))
    bench.turn(CancelRequested(9, (Target(1),), "alice"))
    assert states(bench, 2) == {C: [(0, 1)]}
    assert states(bench, 3) == {R: [(0, 1)]}


def test_what_waits_can_be_cancelled_and_starts_never() -> None:
    bench = Bench()
    session = bench.worker("w", 4000)
    bench.submit(spec(3))
    bench.submit(spec(3, after_each=("1",)))
    assert Reply(9, 1) in bench.turn(CancelRequested(9, (Target(2, (Range(1, 2),)),), "alice"))
    assert started(bench.report(session, 1, ok=(ok(1, 0, 2),))) == [(2, (Range(0, 1),))]
    bench.turn(CancelRequested(10, (Target(2),), "alice"))
    assert not started(bench.report(session, 2, ok=(ok(1, 2, 3),)))
    assert not bench.core.followers.waits


def test_jobs_that_have_left_memory_count_by_what_the_store_says() -> None:
    bench = Bench()
    bench.worker("w")
    some = {1: Course(F, IntervalSet([(0, 1)]), IntervalSet([(1, 2)]))}
    bench.core.next_number = 2
    each, plain = spec(2, after_each=("1",)), spec(after=("1",))
    assert started(bench.turn(JobSubmitted(1, "a", "alice", each, some))) == [(2, (Range(0, 1),))]
    assert states(bench, 2) == {A: [(0, 1)], C: [(1, 2)]}
    bench.turn(JobSubmitted(2, "b", "alice", plain, some))
    assert states(bench, 3) == {C: [(0, 1)]}


def test_a_job_that_ended_since_somebody_looked_is_asked_for_again() -> None:
    bench = Bench()
    [answer] = [e for e in bench.submit(spec(after=("5",))) if isinstance(e, Reply)]
    assert isinstance(answer.value, HasEnded)
    assert not bench.core.jobs
    assert bench.core.next_number == 1


def test_a_job_may_have_more_followers_than_a_turn_tells() -> None:
    bench = Bench()
    session = bench.worker("w", 100)
    bench.core.most = 10
    bench.submit(spec(millicpus=100))
    for _ in range(35):
        bench.submit(spec(millicpus=100, after=("1",)))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    went_on = sum(job.count(W) == 0 for job in bench.core.jobs.values())
    assert went_on == 10
    bench.turn(after=0.1)
    assert not any(job.count(W) for job in bench.core.jobs.values())


@pytest.mark.parametrize("ends_in_memory", [True, False])
def test_after_a_crash_what_was_not_told_is_told(ends_in_memory: bool) -> None:
    """Followers are told in a later turn than that in which a job ended, and the scheduler dies between."""
    bench = Bench()
    session = bench.worker("w", 4000)
    bench.submit(spec(2))
    bench.submit(spec(2, after_each=("1",)))
    bench.submit(spec(after=("1",)))
    records, before = bench.records, {n: bench.core.jobs[n].progress() for n in (2, 3)}
    bench.report(session, 1, ok=(ok(1, 0, 2),))
    ended = Job.restored(records[1], bench.progress[1])
    again = Bench(SchedulerCore(epoch=2))
    jobs = [(records[n], before[n]) for n in (2, 3)]
    if ends_in_memory:  # its last word is not there yet
        half = Job.restored(records[1], bench.progress[1])
        half.sets.remove(S, last := IntervalSet([(1, 2)]))
        half.sets.add(R, last)
        half.ended_at = 0.0
        again.take_up(Recovered(2, 4, [(records[1], half.progress()), *jobs]))
        assert states(again, 2) == {R: [(0, 1)], W: [(1, 2)]}
        assert states(again, 3) == {W: [(0, 1)]}
    else:
        course = Course(ended.outcome, ended.succeeded, IntervalSet())
        again.take_up(Recovered(2, 4, jobs, ended={1: course}))
        again.turn(after=0.1)
        assert again.progress[2].sets.of(R) == (0, 2)
        assert again.progress[3].sets.of(R) == (0, 1)


def test_of_many_arrays_in_many_pieces_only_what_all_have_let_go_goes_on() -> None:
    """15 of 16 arrays have ended every other task; the last one ends two, of which one goes on."""
    bench = Bench()
    session = bench.worker("w", 16_000_000)
    count, arrays = 400, range(1, MAX_EACH + 1)
    for _ in arrays:
        bench.submit(spec(count))
    bench.submit(spec(count, after_each=tuple(map(str, arrays))))
    odd = tuple(ok(number, index, index + 1) for number in arrays[:-1] for index in range(1, count, 2))
    bench.report(session, 1, ok=odd)
    assert states(bench, 17) == {W: [(0, count)]}
    assert started(bench.report(session, 2, ok=(ok(16, 7, 8), ok(16, 8, 9)))) == [(17, (Range(7, 8),))]


def test_no_job_waits_for_too_many() -> None:
    validate(spec(after=("1",) * MAX_DEPENDENCIES, after_each=("1",) * MAX_EACH))
    for field, most in (("after", MAX_DEPENDENCIES), ("after_any", MAX_DEPENDENCIES), ("after_each", MAX_EACH)):
        wrong: dict[str, Any] = {field: ("1",) * (most + 1)}
        with pytest.raises(InvalidInput, match=f"names {most + 1} jobs, and the most are {most}"):
            validate(spec(**wrong))
