"""A worker that stays for a while alone: what it is given ends in time, and then it leaves."""

import pytest

from cluster.domain.base.wall_time import iso
from cluster.domain.scheduler.events import SessionClosed
from cluster.domain.scheduler.hindrances import Hindrance
from cluster.domain.scheduler.views import job_view, worker_view
from cluster.domain.session.messages import Hello
from cluster.domain.worker.messages import SendHello, SessionReady
from tests.domain import worker_bench
from tests.domain.core_bench import Bench, ok, spec

HOUR = 3600.0


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    leaving(bench)
    return bench


def leaving(bench: Bench, name: str = "w", after: float = HOUR, cpus: int = 4) -> int:
    """A worker that stays for so many seconds."""
    bench.register(name, cpus * 1000)
    bench.hello(name, Hello("inc", cpus * 1000, 1, leaves_in=after))
    session = bench.core.workers[name].session
    assert session is not None
    return session


def states(bench: Bench, *jobs: int) -> list[str]:
    return [bench.state(job) for job in jobs]


def test_only_what_ends_before_it_leaves_starts_there(bench: Bench) -> None:
    bench.submit(spec(time_request=3300.0))
    bench.submit(spec(timeout=3300.0))
    bench.submit(spec(time_request=HOUR + 1))
    bench.submit(spec(timeout=HOUR + 1))
    bench.submit(spec())
    assert states(bench, 1, 2, 3, 4, 5) == ["assigned", "assigned", "ready", "ready", "ready"]
    bench.worker("other", 4000)
    assert states(bench, 3, 4, 5) == ["assigned", "assigned", "assigned"]
    assert bench.core.workers["w"].held == 2


def test_less_and_less_may_start_as_time_goes_by(bench: Bench) -> None:
    bench.core.lease = 2 * HOUR
    bench.turn(after=HOUR / 2)
    bench.submit(spec(time_request=1600.0))
    bench.submit(spec(time_request=2000.0))
    assert states(bench, 1, 2) == ["assigned", "ready"]
    bench.turn(after=HOUR)
    bench.submit(spec(time_request=1.0))
    assert states(bench, 3) == ["ready"]


def test_a_job_of_no_limit_does_not_hide_one_that_ends_in_time(bench: Bench) -> None:
    bench.submit(spec(5))
    bench.submit(spec(2, time_request=60.0))
    assert bench.core.workers["w"].held == 2


def test_it_says_so_anew_in_each_session(bench: Bench) -> None:
    session = bench.core.workers["w"].session
    assert session is not None
    bench.turn(SessionClosed(session, "the connection broke"))
    assert not bench.core.reservations
    bench.submit(spec(time_request=600.0))
    leaving(bench, after=300.0)
    assert states(bench, 1) == ["ready"]
    bench.hello("w")  # another agent, which stays
    assert states(bench, 1) == ["assigned"]


def test_it_is_kept_for_nobody_who_may_not_start_there(bench: Bench) -> None:
    bench.submit(spec(time_request=60.0))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(millicpus=4000, time_request=2 * HOUR))
    bench.submit(spec(time_request=600.0))
    assert list(bench.core.reservations) == []
    assert states(bench, 4) == ["assigned"]
    bench.submit(spec(millicpus=3500, time_request=1200.0))
    bench.submit(spec(time_request=1300.0))
    assert [kept.job.number for kept in bench.core.reservations] == [5]
    assert states(bench, 6) == ["ready"]


def test_work_in_advance_ends_in_time_too(bench: Bench) -> None:
    session = bench.core.workers["w"].session
    assert session is not None
    bench.submit(spec(100, time_request=1900.0))
    bench.report(session, ok=(ok(1, 0, 1, run=0.01),))
    assert bench.core.workers["w"].held == 4, "the second might end too late"
    bench.submit(spec(100, time_request=60.0, priority=1))
    bench.report(session, ok=(ok(1, 1, 2, run=0.01),))
    bench.report(session, ok=(ok(2, 0, 1, run=0.01),))
    assert bench.core.workers["w"].held > 4


def test_it_is_said_of_the_worker_and_of_what_does_not_start_there(bench: Bench) -> None:
    at = bench.now.wall + HOUR
    shown = iso(at // 60 * 60)[:-4] + "Z"
    assert worker_view(bench.core, bench.core.workers["w"]).leaves_at == at
    bench.submit(spec())
    bench.submit(spec(time_request=2 * HOUR))
    fix = "with --time-request 56m or less it may start"
    for job, why in ((1, "nobody says how long a task takes"), (2, "a task may take longer")):
        reason = f"leaves at {shown}, and {why}"
        view = job_view(bench.core, bench.core.jobs[job], explain=True)
        assert view.pending_because == (f"needs 1 cpu a task; w {reason}; {fix}",)
        assert (view.no_worker_can, view.no_worker_ever) == (True, False)
        assert view.explanation.hindrances == [Hindrance(("w",), 1, reason, fix)]
    bench.submit(spec(4, time_request=56 * 60.0))
    assert bench.core.workers["w"].held == 4, "as was said"
    hindrances = job_view(bench.core, bench.core.jobs[1], explain=True).explanation.hindrances
    assert [each.reason for each in hindrances] == [f"leaves at {shown}, and nobody says how long a task takes"]
    assert worker_view(bench.core, bench.core.workers["w"]).state.word == "online"


def test_beside_one_that_stays_it_is_told_per_worker(bench: Bench) -> None:
    bench.worker("other", 1000)
    bench.submit(spec())
    bench.submit(spec())
    view = job_view(bench.core, bench.core.jobs[2], explain=True)
    assert not view.no_worker_can
    kinds = sorted((each.workers, each.reason.partition(" ")[0]) for each in view.explanation.hindrances)
    assert kinds == [(("other",), "cpus"), (("w",), "leaves")]


def test_the_agent_says_in_each_hello_how_long_it_stays() -> None:
    agent = worker_bench.Bench(leaves_at=1000.0)
    agent.turn(worker_bench.NOTHING)
    (hello,) = [effect.hello for effect in agent.turn(SessionReady(1)) if isinstance(effect, SendHello)]
    assert hello.leaves_in == 900.0
    agent.now = 2000.0
    agent.turn()
    agent = worker_bench.Bench()
    agent.turn(worker_bench.NOTHING)
    (hello,) = [effect.hello for effect in agent.turn(SessionReady(1)) if isinstance(effect, SendHello)]
    assert hello.leaves_in is None
