"""Jobs, or the whole queue, that somebody pauses: nothing more of them starts, what has not started comes back."""

import pytest

from cluster.domain.base.errors import NotPermitted
from cluster.domain.job.pause import ON_SUBMISSION, Pause
from cluster.domain.job.target import Target
from cluster.domain.scheduler import invariants
from cluster.domain.scheduler.effects import Reply, Send
from cluster.domain.scheduler.events import (
    CancelRequested,
    JobsPaused,
    JobsResumed,
    QueuePaused,
    QueueResumed,
    SessionClosed,
)
from cluster.domain.scheduler.views import job_view
from cluster.domain.session.messages import Assign, Attempts, Hello, Recall
from tests.domain.core_bench import Bench, Effect, attempts, failed, ok, spec


@pytest.fixture
def bench() -> Bench:
    return Bench()


def pause(bench: Bench, *jobs: int, by: str = "ann", reason: str = "", by_admin: bool = False) -> list[Effect]:
    return bench.turn(JobsPaused(5, jobs, Pause(by, bench.now.wall, reason, by_admin)))


def resume(bench: Bench, *jobs: int, by_admin: bool = False) -> list[Effect]:
    return bench.turn(JobsResumed(5, jobs, by_admin))


def pause_queue(bench: Bench, reason: str = "") -> list[Effect]:
    return bench.turn(QueuePaused(5, Pause("root", bench.now.wall, reason, by_admin=True)))


def reply(effects: list[Effect]) -> object:
    (found,) = [effect.value for effect in effects if isinstance(effect, Reply)]
    return found


def sent(effects: list[Effect], kind: type[Assign | Recall]) -> list[Attempts]:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message.attempts for message in messages if isinstance(message, kind)]


def because(bench: Bench, job: int = 1) -> tuple[str, ...]:
    return job_view(bench.core, bench.core.jobs[job]).pending_because


def test_it_starts_nothing_until_it_is_resumed_whoever_restarts(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(3))
    assert reply(pause(bench, 1, reason="full disk")) == 1
    wish = Pause("ann", bench.now.wall, "full disk")
    assert bench.progress[1].pause == wish
    assert sent(bench.report(session, 1, ok=(ok(1, 0, 1),)), Assign) == []
    assert because(bench) == ("paused by ann: full disk",)
    bench.restart()
    assert bench.core.jobs[1].pause == wish
    assert sent(bench.hello("w"), Assign) == []
    effects = resume(bench, 1)
    assert (reply(effects), sent(effects, Assign)) == (1, [attempts(1, 1, (1, 2))])
    assert bench.progress[1].pause is None
    assert reply(resume(bench, 1)) == 0


def test_others_go_on_meanwhile(bench: Bench) -> None:
    bench.worker("w", 1000)
    bench.submit(spec(2, millicpus=500))
    pause(bench, 1)
    assert sent(bench.submit(spec()), Assign) == []
    bench.turn(CancelRequested(4, (Target(1),), "ann"))  # which ends it, paused or not
    assert bench.core.jobs[1].cancelling
    session = bench.worker("v", 1000)
    assert bench.state(2) == "assigned"
    bench.report(session, 1, ok=(ok(2, 0, 1),))


def test_what_was_given_in_advance_comes_back_and_what_runs_goes_on(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(30))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))  # from now on it gets some in advance
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),))
    waiting = bench.core.jobs[1].held["w", 1].copy()
    waiting.difference_update([(1, 2)])
    assert waiting
    assert sent(pause(bench, 1), Recall) == [Attempts(1, 1, tuple(waiting.ranges()))]
    assert sent(pause(bench, 1), Recall) == []  # once in a session
    bench.report(session, 3, returned=(Attempts(1, 1, tuple(waiting.ranges())),))
    assert len(bench.core.jobs[1].ready) == 28
    assert sent(bench.report(session, 4, ok=(ok(1, 1, 2, run=0.01),)), Assign) == []
    assert sent(resume(bench, 1), Assign)


def test_what_waits_on_a_worker_that_is_away_is_asked_for_when_it_is_back(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.turn(SessionClosed(session))
    pause(bench, 1)
    hello = Hello("inc", 2000, 1, backlog=(attempts(1, 1, (1, 2)),), running=(attempts(1, 1, (0, 1)),))
    assert sent(bench.hello("w", hello), Recall) == [attempts(1, 1, (1, 2))]
    bench.restart()
    assert sent(bench.hello("w", hello), Recall) == [attempts(1, 1, (1, 2))]


def test_its_retries_wait_too(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(retries=1))
    pause(bench, 1)
    bench.report(session, 1, ended=(failed(1, 0),))
    assert sent(bench.turn(after=10.0), Assign) == []
    assert bench.state(1) == "ready"
    assert sent(resume(bench, 1), Assign) == [attempts(1, 2, (0, 1))]


def test_one_that_is_handed_in_with_hold_waits_for_somebody_to_resume_it(bench: Bench) -> None:
    bench.worker("w")
    assert sent(bench.submit(spec(2, hold=True)), Assign) == []
    assert because(bench) == (f"paused by alice: {ON_SUBMISSION}",)
    bench.restart()
    assert sent(bench.hello("w"), Assign) == []
    assert sent(resume(bench, 1), Assign) == [attempts(1, 1, (0, 2))]
    bench.restart()
    assert bench.core.jobs[1].pause is None


def test_what_an_admin_has_paused_only_an_admin_resumes(bench: Bench) -> None:
    for _ in range(2):
        bench.submit(spec())
    pause(bench, 1)
    pause(bench, 2, by="root", by_admin=True)
    pause(bench, 2, by="ann", reason="mine")  # which does not make it hers
    error = reply(resume(bench, 1, 2))
    assert isinstance(error, NotPermitted)
    assert str(error) == "job 2 is paused by ann: mine; that is an admin's to take back"
    assert bench.core.jobs[1].pause  # none is resumed
    assert reply(resume(bench, 1, 2, by_admin=True)) == 2


def test_what_is_said_anew_replaces_what_was_said(bench: Bench) -> None:
    bench.submit(spec())
    pause(bench, 1, reason="full disk")
    since = bench.now.wall
    bench.turn(after=60.0)
    pause(bench, 1, by="bob")
    assert bench.core.jobs[1].pause == Pause("bob", since, "full disk")
    assert bench.core.jobs[1].pause.said(since + 300) == "paused by bob 5m00s ago: full disk"


def test_what_has_ended_is_not_paused(bench: Bench) -> None:
    bench.submit(spec())
    bench.turn(CancelRequested(4, (Target(1),), "ann"))
    assert reply(pause(bench, 1, 7)) == 0
    assert job_view(bench.core, bench.core.jobs[1]).pause is None


def test_of_a_paused_queue_nothing_starts_and_jobs_are_accepted(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(30))
    bench.report(session, 1, ok=(ok(1, 0, 1, run=0.01),))
    bench.report(session, 2, started=(attempts(1, 1, (1, 2)),))
    effects = pause_queue(bench, "new switch")
    assert reply(effects) == 1
    (asked,) = sent(effects, Recall)
    bench.report(session, 3, returned=(asked,), ok=(ok(1, 1, 2, run=0.01),))
    assert sent(bench.submit(spec()), Assign) == []
    assert because(bench, 2) == ("the queue is paused by root: new switch",)
    bench.restart()
    assert sent(bench.hello("w"), Assign) == []
    assert reply(pause_queue(bench)) == 0
    effects = bench.turn(QueueResumed(5))
    assert reply(effects) == 1
    assert sent(effects, Assign)
    assert reply(bench.turn(QueueResumed(5))) == 0


def test_a_job_that_is_paused_itself_stays_so_when_the_queue_goes_on(bench: Bench) -> None:
    bench.worker("w")
    pause_queue(bench)
    bench.submit(spec(hold=True))
    bench.submit(spec())
    assert because(bench, 1) == (f"paused by alice: {ON_SUBMISSION}", "the queue is paused by root")
    assert sent(bench.turn(QueueResumed(5)), Assign) == [attempts(2, 1, (0, 1))]


def test_many_workers_are_asked_in_several_turns(bench: Bench) -> None:
    bench.core.most = 4
    for number in range(10):
        bench.worker(f"w{number}", 1000)
    bench.submit(spec(10))
    bench.turn(after=1.0)
    first = pause_queue(bench)
    assert 0 < len(sent(first, Recall)) < 10
    assert len(sent(first, Recall)) + len(sent(bench.turn(after=1.0), Recall)) == 10
    invariants.check(bench.core)
