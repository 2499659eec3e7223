"""Tasks that have ended without success are tried again when somebody wants that, of jobs in the store too."""

from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError
from cluster.domain.base.intervals import Range
from cluster.domain.job import endings
from cluster.domain.job.dependencies import course_of
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.records import JobEnded, JobReopened
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import CancelRequested, ReopenRequested
from tests.domain.core_bench import Bench, Effect, failed, ok, spec

FAILED, CANCELLED = TaskState.FAILED, TaskState.CANCELLED


def reopen(bench: Bench, job: int = 1, *tasks: tuple[int, int], **fields: Any) -> ReopenRequested:
    count = bench.records[job].spec.task_count
    ranges = tuple(Range(*each) for each in tasks or [(0, count)])
    values: dict[str, Any] = {"states": (FAILED, CANCELLED), "kept": None, "openings": bench.core.openings, **fields}
    return ReopenRequested(9, job, ranges, **values)


def answer(effects: list[Effect]) -> Any:
    (reply,) = [effect.value for effect in effects if isinstance(effect, Reply)]
    return reply


def land(bench: Bench, effects: list[Effect]) -> None:
    """What was decided is on disk."""
    bench.core.let_go([effect for effect in effects if isinstance(effect, JobEnded)])


def kept(bench: Bench, job: int = 1) -> dict[str, Any]:
    return {"kept": (bench.records[job], bench.progress[job])}


def counts(bench: Bench, job: int = 1) -> dict[str, int]:
    return {s.word: len(tasks) for s, tasks in bench.core.jobs[job].sets.items() if tasks}


def test_what_failed_is_tried_anew_with_the_next_attempt_and_all_its_retries() -> None:
    bench = Bench()
    session = bench.worker("w", 3000)
    bench.submit(spec(3, retries=1, backoff=(0.0, 0.0)))
    bench.report(session, ended=(failed(1, 0), failed(1, 1)))
    bench.turn(after=0.1)
    bench.report(session, ended=(failed(1, 0, 2),))
    assert counts(bench) == {"assigned": 2, "failed": 1}
    assert answer(bench.turn(reopen(bench))) == 1
    assert counts(bench) == {"assigned": 3}
    assert bench.core.jobs[1].held["w", 3].flat() == [0, 1]
    assert (bench.core.jobs[1].reason, bench.core.jobs[1].exit_code) == ("", 0)
    bench.report(session, ended=(failed(1, 0, 3),))
    assert bench.core.jobs[1].held["w", 4].flat() == [0, 1], "it may be tried again as often as at first"
    bench.report(session, ended=(failed(1, 0, 4),))
    assert bench.core.jobs[1].reason == "attempts_exhausted:exit:3"


def test_a_job_that_has_left_memory_comes_back_and_leaves_again() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(2))
    land(bench, bench.report(session, ok=(ok(1, 0, 1),), ended=(failed(1, 1),)))
    assert 1 not in bench.core.jobs
    effects = bench.turn(reopen(bench, **kept(bench)))
    assert answer(effects) == 1
    assert JobReopened(1) in effects
    assert counts(bench) == {"assigned": 1, "succeeded": 1}
    assert bench.core.jobs[1].ended_at == 0.0
    bench.restart()
    bench.hello("w")
    bench.core.jobs[1]  # it goes on, so the next scheduler finds it
    effects = bench.turn(CancelRequested(1, (Target(1),), "ada"), after=100.0)
    land(bench, effects)


def test_what_it_keeps_counts_as_before_when_it_comes_back() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(2))
    land(bench, bench.report(session, ok=(ok(1, 0, 1),), ended=(failed(1, 1),)))
    bench.turn(reopen(bench, **kept(bench), value_sizes={"a": 3}))
    assert bench.core.value_sizes == {1: {"a": 3}}


def test_the_rest_of_a_job_that_failed_too_often_says_so_also_when_what_failed_is_tried_again() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(3, max_fails=0))
    effects = bench.report(session, ended=(failed(1, 0),))
    assert counts(bench) == {"failed": 1, "cancelled": 2}
    land(bench, effects)
    bench.turn(reopen(bench, states=(FAILED,), **kept(bench)))
    assert counts(bench) == {"assigned": 1, "cancelled": 2}
    assert reason_cancelled(bench.core.jobs[1]) == endings.MAX_FAILS
    bench.report(session, ok=(ok(1, 0, 1, attempt=2),))
    assert reason_cancelled(bench.core.jobs[1]) == endings.MAX_FAILS


def test_what_was_read_before_the_job_was_reopened_and_ended_again_counts_no_more() -> None:
    """Its attempts would be used twice."""
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(1))
    land(bench, bench.report(session, ended=(failed(1, 0),)))
    old = reopen(bench, **kept(bench))
    bench.turn(old)
    land(bench, bench.report(session, ended=(failed(1, 0, 2),)))
    assert "has just changed" in str(answer(bench.turn(old)))
    assert "has just changed" in str(answer(bench.turn(reopen(bench))))
    assert answer(bench.turn(reopen(bench, **kept(bench)))) == 1
    assert list(bench.core.jobs[1].held) == [("w", 3)]


def test_an_end_that_comes_to_disk_late_takes_no_job_away_that_was_reopened() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(1))
    ended = bench.report(session, ended=(failed(1, 0),))
    bench.turn(reopen(bench))
    land(bench, ended)
    assert counts(bench) == {"assigned": 1}
    once_more = bench.report(session, ended=(failed(1, 0, 2),))
    land(bench, ended)
    assert 1 in bench.core.jobs
    land(bench, once_more)
    assert 1 not in bench.core.jobs


def test_only_what_is_chosen_and_has_ended_without_success_is_tried_again() -> None:
    bench = Bench()
    session = bench.worker("w", 4000)
    bench.submit(spec(6))
    bench.turn(CancelRequested(1, (Target(1, (Range(5, 6),)),), "ada"))
    bench.report(session, ok=(ok(1, 0, 1),), ended=(failed(1, 1), failed(1, 2)))
    assert answer(bench.turn(reopen(bench, 1, (2, 6), states=(FAILED,)))) == 1
    assert (bench.state(1, 1), bench.state(1, 5)) == ("failed", "cancelled")
    assert bench.core.jobs[1].cancelled_by == "ada"
    assert answer(bench.turn(reopen(bench, 1, (0, 1)))) == 0
    assert answer(bench.turn(reopen(bench, 1, (5, 6)))) == 1
    assert bench.core.jobs[1].cancelled_by == ""


def test_what_stays_as_it_is_says_why_the_job_failed() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(2))
    land(
        bench,
        bench.report(session, ended=(failed(1, 0, code=70, reason="lost"), failed(1, 1, code=1, reason="exit:1"))),
    )
    bench.turn(reopen(bench, 1, (0, 1), rest=("exit:1", 1), **kept(bench)))
    bench.report(session, ok=(ok(1, 0, 1, attempt=2),))
    assert (bench.core.jobs[1].reason, bench.core.jobs[1].exit_code) == ("exit:1", 1)


def test_a_job_that_waited_in_vain_waits_anew_for_what_was_reopened_before_it() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(1))
    bench.submit(spec(1, after=("1",)))
    bench.report(session, ended=(failed(1, 0),))
    assert bench.state(2) == "cancelled"
    bench.turn(reopen(bench, 1))
    bench.turn(reopen(bench, 2))
    assert (bench.state(1), bench.state(2)) == ("assigned", "waiting")
    bench.report(session, ok=(ok(1, 0, 1, attempt=2),))
    assert bench.state(2) == "assigned"


def test_a_job_that_waited_in_vain_ends_again_if_nothing_has_changed() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.submit(spec(1))
    bench.submit(spec(1, after=("1",)))
    effects = bench.report(session, ended=(failed(1, 0),))
    course = course_of(bench.core.jobs[1])
    land(bench, effects)
    assert "has just ended" in str(answer(bench.turn(reopen(bench, 2, **kept(bench, 2)))))
    assert answer(bench.turn(reopen(bench, 2, ended={1: course}, **kept(bench, 2)))) == 1
    assert (bench.state(2), bench.core.jobs[2].reason) == ("cancelled", "dependency")


def test_what_waits_task_by_task_does_not_hear_of_failures_that_are_over() -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(2))
    bench.submit(spec(2, after_each=("1",)))
    bench.core.most = 0  # nobody is told in this turn
    bench.report(session, ended=(failed(1, 0),))
    bench.core.most = 500
    bench.turn(reopen(bench, 1))
    assert bench.state(2, 0) == "waiting"
    bench.report(session, ok=(ok(1, 0, 1, attempt=2),))
    assert bench.state(2, 0) in ("ready", "assigned")


@pytest.mark.parametrize(
    ("options", "chosen", "words"),
    [
        ({"deadline": "1s"}, (0, 3), "the --deadline of job 1 is over: `cluster job rerun 1`"),
        ({"max_fails": 0}, (2, 3), "2 more tasks of job 1 have failed, and its --max-fails is 0: try all of them"),
    ],
)
def test_what_would_end_at_once_is_refused(options: dict[str, Any], chosen: tuple[int, int], words: str) -> None:
    bench = Bench()
    session = bench.worker("w", 2000)
    bench.submit(spec(3, **options))
    bench.report(session, ended=(failed(1, 0), failed(1, 1)))
    bench.turn(after=2.0)
    reply = answer(bench.turn(reopen(bench, 1, chosen)))
    assert isinstance(reply, ClusterError)
    assert words in str(reply)
    assert bench.state(1, chosen[0]) in ("failed", "cancelled")
