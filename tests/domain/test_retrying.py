"""Tasks are tried again as their job says: failures and losses apart, and no maintenance counts."""

import pytest

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.job import Job
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.task_numbers import TaskNumbers
from cluster.domain.scheduler.events import SessionClosed, WorkersDrained, WorkersResumed
from cluster.domain.session.messages import Hello
from tests.domain.core_bench import Bench, Effect, failed, spec


def ends(effects: list[Effect]) -> list[tuple[int, str, str]]:
    return [(e.attempt, e.reason, e.reason_of_task) for e in effects if isinstance(e, TaskEnd)]


class Tried:
    """One task on one worker, which it fails on or is lost with, again and again."""

    def __init__(self, **options: object) -> None:
        self.bench = Bench()
        self.session = self.bench.worker("w", 1000)
        self.bench.submit(spec(1, backoff=(0.5, 1.0), **options))
        self.ends: list[tuple[int, str, str]] = []

    @property
    def job(self) -> Job:
        return self.bench.core.jobs[1]

    @property
    def attempt(self) -> int:
        ((_, attempt),) = self.job.held
        return attempt

    def fails(self, reason: str = "exit:1") -> None:
        self.ends += ends(self.bench.report(self.session, ended=(failed(1, 0, self.attempt, reason),)))
        self.bench.turn(after=1.5)

    def is_lost(self) -> None:
        """Its worker comes back as another launcher, which knows nothing of it."""
        self.bench.turn(SessionClosed(self.session))
        self.ends += ends(self.bench.hello("w", Hello(f"inc{len(self.ends)}", 1000, 1)))
        self.session = self.bench._session
        self.bench.turn(after=1.5)


def test_what_is_used_up_says_so_and_what_the_last_attempt_was() -> None:  # S3.6
    tried = Tried(retries=1)
    tried.fails("exit:1")
    tried.fails("exit:75")
    assert tried.ends == [(1, "exit:1", "exit:1"), (2, "exit:75", "attempts_exhausted:exit:75")]
    assert (tried.job.reason, tried.job.exit_code) == ("attempts_exhausted:exit:75", 3)


def test_a_workers_death_does_not_use_up_what_a_failing_program_may_try() -> None:
    tried = Tried(retries=2)
    for _ in range(2):
        tried.is_lost()
        tried.fails()
    assert tried.bench.state(1) == "assigned"
    assert tried.job.tries.tally(0, tried.attempt) == (3, 3), "if it fails once more, and if it is lost once more"


@pytest.mark.parametrize("last", ["exit:1", "lost"])
def test_each_has_a_bound_of_its_own(last: str) -> None:
    tried = Tried(retries=1)
    tried.is_lost()
    tried.fails()
    if last == "lost":
        tried.is_lost()
    else:
        tried.fails(last)
    assert [reason for _, _, reason in tried.ends] == ["lost", "exit:1", f"attempts_exhausted:{last}"]
    assert tried.bench.state(1) == "failed"


def test_only_what_is_named_is_tried_again() -> None:  # S4.3
    tried = Tried(retries=3, retry_on=("exit:75", "lost"))
    tried.fails("exit:75")
    tried.is_lost()
    tried.fails("exit:1")
    assert tried.ends[-1] == (3, "exit:1", "exit:1")
    assert tried.bench.state(1) == "failed"


def test_without_retries_nothing_is_used_up() -> None:
    tried = Tried()
    tried.is_lost()
    assert tried.ends == [(1, "lost", "lost")]


def test_the_pause_is_as_the_job_says_and_grows_with_its_own_kind_of_end() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(1, retries=5, backoff=(1.0, 2.5)))
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 2.5)):
        bench.report(session, ended=(failed(1, 0, attempt),))
        bench.turn(after=longest * 0.74)
        assert bench.state(1) == "backoff"
        bench.turn(after=longest * 0.27)
        assert bench.state(1) == "assigned"


def test_what_was_counted_is_the_same_after_a_restart() -> None:
    tried = Tried(retries=2)
    tried.is_lost()
    tried.is_lost()
    before = tried.job.progress().sets
    assert before.losses == ((2, (0, 1)),)
    tried.bench.restart()
    assert tried.bench.core.jobs[1].progress().sets == before


def test_what_a_drain_stopped_counts_for_nothing() -> None:
    tried = Tried(retries=1)
    tried.fails()
    for _ in range(3):
        tried.bench.turn(WorkersDrained(9, ("w",), "ada", within=0.0))
        attempt = tried.attempt
        tried.ends += ends(tried.bench.report(tried.session, ended=(failed(1, 0, attempt, "cancelled"),)))
        tried.bench.turn(WorkersResumed(9, ("w",)))
        tried.bench.turn(after=1.5)
    tried.fails()
    reasons = [reason for _, _, reason in tried.ends]
    assert reasons == ["exit:1", "stopped", "stopped", "stopped", "attempts_exhausted:exit:1"]


def test_numbers_of_tasks_cost_a_set_each() -> None:
    numbers = TaskNumbers(((1, (0, 5)), (3, (7, 9))))
    assert [numbers.of(index) for index in (0, 4, 5, 8)] == [1, 1, 0, 3]
    assert {n: tasks.flat() for n, tasks in numbers.parts(IntervalSet([(3, 8)]))} == {1: [3, 5], 3: [7, 8], 0: [5, 7]}
    assert [numbers.first_within(*reach) for reach in ((4, 9), (5, 9), (5, 7), (9, 20))] == [4, 7, 7, 20]
    numbers.raise_by_one(IntervalSet([(4, 8)]))
    assert numbers.flats() == ((1, (0, 4, 5, 7)), (2, (4, 5)), (3, (8, 9)), (4, (7, 8)))
    numbers.forget(IntervalSet([(0, 8)]))
    assert numbers.flats() == ((3, (8, 9)),)
