"""--max-running and --max-fails: both hold to the task, whatever restarts, comes back or is lost."""

import random

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.job import Job
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Send
from cluster.domain.scheduler.events import CancelRequested, SessionClosed
from cluster.domain.session.messages import Hello, Recall, Stop
from tests.domain.core_bench import Bench, Effect, attempts, failed, ok, spec


@pytest.fixture
def bench() -> Bench:
    return Bench()


def job(bench: Bench) -> Job:
    return bench.core.jobs[1]


def held(bench: Bench) -> int:
    return sum(map(len, job(bench).held.values()))


def stopped(effects: list[Effect]) -> IntervalSet:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    return IntervalSet(r for message in messages if isinstance(message, Stop) for r in message.attempts.ranges)


def counts(bench: Bench, number: int = 1) -> dict[str, int]:
    return {state.word: len(tasks) for state, tasks in bench.core.jobs[number].sets.items() if tasks}


# ── at once ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_than_that_are_given_wherever_there_is_room(bench: Bench) -> None:
    one, two = bench.worker("w", 4000), bench.worker("v", 4000)
    bench.submit(spec(20, max_running=3))
    assert held(bench) == 3
    bench.submit(spec(9))  # which gets the rest
    assert counts(bench, 2) == {"assigned": 5, "ready": 4}
    session, worker = (one, "w") if ("w", 1) in job(bench).held else (two, "v")
    first = job(bench).held[worker, 1].first()
    bench.report(session, 1, ok=(ok(1, first, first + 1),))
    assert held(bench) == 3, "one more, in its place"


def test_what_is_given_in_advance_counts(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(100, max_running=5))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.001),))  # it would get hundreds
    assert held(bench) == 5
    bench.report(session, 2, ok=(ok(1, 1, 3, run=0.001),))
    assert held(bench) == 5


def test_what_waits_in_advance_goes_to_who_is_idle_although_more_may_not_start(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(100, max_running=5))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.001),))
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),))
    bench.register("v", 1000)
    recalls = [e.message for e in bench.hello("v") if isinstance(e, Send) and isinstance(e.message, Recall)]
    assert recalls == [Recall(attempts(1, 1, (5, 6)))], "there is a cpu for one"
    bench.report(session, 3, returned=(attempts(1, 1, (5, 6)),))
    assert job(bench).held["v", 1] == IntervalSet([(5, 6)])


def test_who_is_out_of_reach_counts_until_it_is_given_up(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(10, max_running=2))
    bench.turn(SessionClosed(session))
    bench.turn(after=55.0)
    bench.worker("v", 4000)
    assert held(bench) == 2, "nobody knows whether these two run"
    bench.turn(after=6.0)
    assert counts(bench)["failed"] == 2
    assert {holder for holder, _ in job(bench).held} == {"v"}
    assert held(bench) == 2


def test_what_comes_back_may_start_elsewhere(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(10, max_running=2))
    bench.worker("v", 1000)
    assert held(bench) == 2
    bench.report(session, 1, returned=(attempts(1, 1, (0, 1)),))
    assert held(bench) == 2


def test_it_holds_after_a_restart(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec(10, max_running=2))
    bench.restart()
    bench.hello("w", Hello("inc", 4000, 1, running=(attempts(1, 1, (0, 2)),)))
    bench.worker("v", 4000)
    assert held(bench) == 2


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_more_and_all_of_it_runs(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)
    sessions = {name: bench.worker(name, draw.choice([1000, 4000])) for name in ("w", "v", "u")}
    bench.submit(spec(60, max_running=draw.randint(1, 8), retries=2))
    turns = 0
    while job(bench).live:
        turns += 1
        assert turns < 1000
        assert held(bench) <= job(bench).record.spec.max_running
        if not job(bench).held:
            bench.turn(after=2.0)
            continue
        (name, attempt), tasks = draw.choice(sorted(job(bench).held.items(), key=lambda each: each[0]))
        index = draw.choice(list(tasks))
        if draw.random() < 0.1 and attempt == 1:
            bench.report(sessions[name], 0, ended=(failed(1, index, attempt),))
        elif draw.random() < 0.1 and index in job(bench).sets[TaskState.ASSIGNED]:
            bench.report(sessions[name], 0, returned=(attempts(1, attempt, (index, index + 1)),))
        else:
            bench.report(sessions[name], 0, ok=(ok(1, index, index + 1, attempt, run=draw.choice([0.0005, 1.0])),))
    assert counts(bench) == {"succeeded": 60}


# ── failing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_when_more_have_failed_the_rest_is_cancelled_with_a_reason_of_its_own(bench: Bench) -> None:
    session = bench.worker("w", 3000)
    bench.submit(spec(10, max_fails=1))
    assert counts(bench) == {"assigned": 3, "ready": 7}
    bench.report(session, 1, ended=(failed(1, 0),))
    assert counts(bench) == {"failed": 1, "assigned": 3, "ready": 6}
    effects = bench.report(session, 2, ended=(failed(1, 1),))
    assert counts(bench) == {"failed": 2, "assigned": 2, "cancelled": 6}
    assert stopped(effects) == IntervalSet([(2, 4)])
    assert bench.progress[1].cancel_reason == "more than 1 of its tasks have failed", "in the same commit"
    bench.restart()
    effects = bench.hello("w", Hello("inc", 3000, 1, running=(attempts(1, 1, (2, 4)),)))
    assert stopped(effects) == IntervalSet([(2, 4)])
    ends = [TaskEnd(1, index, 1, endings.CANCELLED, signal="SIGTERM") for index in (2, 3)]
    effects = bench.report(2, 1, ended=tuple(ends))
    assert [e.reason for e in effects if isinstance(e, TaskEnd)] == [endings.MAX_FAILS] * 2
    assert counts(bench) == {"failed": 2, "cancelled": 8}
    assert reason_cancelled(job(bench)) == endings.MAX_FAILS
    assert (job(bench).reason, job(bench).exit_code) == ("exit:3", 143)


def test_an_attempt_that_is_tried_again_has_not_failed_for_good(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(2, max_fails=0, retries=1))
    bench.report(session, 1, ended=(failed(1, 0),))
    assert counts(bench) == {"backoff": 1, "assigned": 1}
    bench.report(session, 2, ok=(ok(1, 1, 2),))
    bench.turn(after=2.0)
    bench.report(session, 3, ended=(failed(1, 0, attempt=2),))
    assert counts(bench) == {"succeeded": 1, "failed": 1}
    assert not job(bench).cancel_reason, "there was no rest"


def test_what_is_lost_counts_and_what_waits_for_its_retry_is_cancelled(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(6, max_fails=1, retries=1))
    bench.turn(SessionClosed(session))
    bench.turn(after=90.0)
    assert counts(bench) == {"ready": 6}
    session = bench.worker("v", 2000)
    bench.turn(SessionClosed(session))
    bench.turn(after=90.0)
    assert counts(bench) == {"failed": 2, "cancelled": 4}


def test_what_is_given_back_then_is_cancelled(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(2, max_fails=0))
    bench.report(session, 1, ended=(failed(1, 0),), returned=(attempts(1, 1, (1, 2)),))
    assert counts(bench) == {"failed": 1, "cancelled": 1}
    assert bench.progress[1].reason == "exit:3"


def test_somebody_who_cancels_it_later_is_not_why_and_one_who_did_before_is(bench: Bench) -> None:
    session = bench.worker("w", 3000)
    for _ in range(2):
        bench.submit(spec(3, max_fails=0, millicpus=500))
    cancel = CancelRequested(4, (Target(1), Target(2)), "ann", reason="enough")
    bench.report(session, 1, ended=(failed(1, 0),))
    bench.turn(cancel)
    assert (job(bench).cancelled_by, reason_cancelled(job(bench))) == ("", endings.MAX_FAILS)
    bench.report(session, 2, ended=(failed(2, 0),))
    other = bench.core.jobs[2]
    assert (other.cancelled_by, other.cancel_reason, reason_cancelled(other)) == ("ann", "enough", endings.CANCELLED)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_running": 0}, "--max-running 0: nothing of it would ever start"),
        ({"max_running": 1 << 31}, "--max-running 2147483648: use 1 to 2147483647"),
        ({"max_fails": 1 << 31}, "--max-fails 2147483648: use 0 to 2147483647"),
        ({"max_fails": -1}, "--max-fails -1: use 0 to 2147483647"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(JobSpec(("true",), **fields))  # type: ignore[arg-type]
