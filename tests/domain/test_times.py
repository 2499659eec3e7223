"""Jobs that wait for a time: nothing starts before the scheduler's wall clock shows it, however that is set."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.wall_time import iso
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.time_kinds import TIME
from cluster.domain.job.times import resolved
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.scheduler.views import job_view
from tests.domain.core_bench import WALL, Bench, ok, spec
from tests.domain.test_dependencies import started, states

W, R, A, C = TaskState.WAITING, TaskState.READY, TaskState.ASSIGNED, TaskState.CANCELLED
HOUR = 3600.0


def patient() -> Bench:
    """Its workers need not say that they are there."""
    return Bench(SchedulerCore(epoch=1, lease=1e6))


def at(seconds: float) -> str:
    """So long after the first moment of a bench."""
    return iso(WALL + 100.0 + seconds)


@pytest.mark.parametrize("how", [{"at": at(HOUR)}, {"delay": HOUR}, {"at": at(60.0), "delay": HOUR}])
def test_a_job_starts_at_its_time(how: dict[str, Any]) -> None:
    bench = patient()
    bench.worker("w", 8000)
    assert not started(bench.submit(spec(3, **how)))
    assert states(bench, 1) == {W: [(0, 3)]}
    assert not started(bench.turn(after=HOUR - 0.01))
    assert [job for job, _ in started(bench.turn(after=0.01))] == [1]
    assert not bench.core.followers.waits


def test_why_and_until_when_it_waits_is_told() -> None:
    bench = patient()
    bench.worker("w", 8000)
    bench.submit(spec(millicpus=8000))
    bench.submit(spec(at=at(HOUR), after=("1",)))
    view = job_view(bench.core, bench.core.jobs[2])
    assert view.state is W
    assert view.waits_until == WALL + 100.0 + HOUR
    assert view.pending_because == (f"it starts no sooner than {at(HOUR)}", "job 1 must succeed first")
    assert not view.no_worker_can
    bench.turn(after=HOUR)
    view = job_view(bench.core, bench.core.jobs[2])
    assert (view.waits_until, view.pending_because) == (0.0, ("job 1 must succeed first",))


def test_it_waits_for_the_time_and_for_other_jobs() -> None:
    for time_first in (True, False):
        bench = patient()
        session = bench.worker("w", 8000)
        bench.submit(spec(2))
        bench.submit(spec(2, delay=HOUR, after_each=("1",)))
        if time_first:
            assert not started(bench.turn(after=HOUR))
            assert started(bench.report(session, 1, ok=(ok(1, 1, 2),))) == [(2, ((1, 2),))]
            assert started(bench.report(session, 2, ok=(ok(1, 0, 1),))) == [(2, ((0, 1),))]
        else:
            assert not started(bench.report(session, 1, ok=(ok(1, 1, 2),)))
            assert started(bench.turn(after=HOUR)) == [(2, ((1, 2),))]


def test_what_it_waits_for_in_vain_ends_it_before_its_time() -> None:
    bench = patient()
    session = bench.worker("w", 8000)
    bench.submit(spec())
    bench.submit(spec(delay=HOUR, after_fail=("1",)))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert states(bench, 2) == {C: [(0, 1)]}
    assert bench.core.wall_timers.next() is None


def test_a_clock_that_is_set_back_lets_it_wait_longer() -> None:
    bench = patient()
    bench.worker("w")
    bench.submit(spec(delay=HOUR))
    bench.jumped = -HOUR
    assert not started(bench.turn(after=HOUR + 60.0)), "by the other clock it was due"
    assert states(bench, 1) == {W: [(0, 1)]}
    assert not started(bench.turn(after=HOUR - 60.01))
    assert started(bench.turn(after=0.01))


def test_a_clock_that_is_set_forward_starts_it_with_the_next_turn() -> None:
    bench = patient()
    bench.worker("w")
    bench.submit(spec(delay=HOUR))
    bench.jumped = HOUR
    assert started(bench.turn())


@pytest.mark.parametrize("down", [60.0, 2 * HOUR])
def test_the_time_outlives_a_restart_and_is_not_missed_meanwhile(down: float) -> None:
    bench = patient()
    bench.submit(spec(2, delay=HOUR))
    bench.restart(after=down)
    if down < HOUR:
        assert states(bench, 1) == {W: [(0, 2)]}
        bench.turn(after=HOUR - down - 1.0)
        assert states(bench, 1) == {W: [(0, 2)]}
        bench.turn(after=1.0)
    bench.turn()
    assert states(bench, 1) == {R: [(0, 2)]}


def test_nothing_is_due_while_it_waits_and_what_was_cancelled_leaves_nothing() -> None:
    bench = patient()
    for _ in range(200):
        bench.submit(spec(delay=HOUR))
    assert bench.core.next_deadline() == pytest.approx(bench.mono + HOUR, abs=0.01)
    for job in list(bench.core.jobs.values()):
        job.cancel_unassigned(job.sets[W])
        bench.core.touch(job)
    assert bench.core.next_deadline() is None
    assert len(bench.core.wall_timers._heap) < 100


def test_many_that_are_due_at_once_have_several_turns() -> None:
    bench = patient()
    bench.worker("w", 1)
    bench.core.most = 10
    for _ in range(25):
        bench.submit(spec(at=at(HOUR)))
    counts = []
    bench.mono += HOUR
    for _ in range(3):
        bench.turn()
        counts.append(sum(1 for job in bench.core.jobs.values() if job.ready))
        if counts[-1] < 25:
            assert bench.core.next_deadline() == bench.mono
    assert counts == [10, 20, 25]


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
def test_a_time_that_is_past_is_refused_with_now(seconds: float) -> None:
    bench = patient()
    (reply,) = [e for e in bench.submit(spec(at=at(seconds))) if isinstance(e, Reply)]
    assert isinstance(reply.value, InvalidInput)
    assert str(reply.value) == (
        f"--at {at(seconds)} is past: it is {at(0)} now; give a later time, or none to start at once"
    )
    assert not bench.core.jobs
    assert bench.core.next_number == 1


def test_the_same_submission_again_is_no_past_time() -> None:
    """The answer was lost, and the client asks again when the time has come."""
    bench = patient()
    what, job_id = spec(at=at(HOUR)), "uuid-of-both"
    bench.turn(JobSubmitted(1, job_id, "alice", what))
    again = bench.turn(JobSubmitted(2, job_id, "alice", what), after=2 * HOUR)
    assert [e.value for e in again if isinstance(e, Reply)] == [1]


def test_a_delay_of_zero_is_none() -> None:
    bench = patient()
    bench.worker("w")
    assert started(bench.submit(spec(delay=0.0)))


def test_times_become_utc_once() -> None:
    now = datetime(2026, 11, 26, 16, tzinfo=UTC).timestamp()
    said = resolved(JobSpec(("true",), at="18:30"), now, UTC)
    assert said.at == "2026-11-26T18:30:00Z"
    assert resolved(said, now + 5 * HOUR, None) == said
    assert resolved(JobSpec(("true",)), now, UTC) == JobSpec(("true",))


def test_a_program_may_give_other_forms_of_a_time() -> None:
    moment = datetime(2026, 11, 26, 16, tzinfo=UTC)
    assert TIME.taken(moment) == TIME.taken(moment.timestamp()) == "2026-11-26T16:00:00Z"
    for wrong in (moment.replace(tzinfo=None), True, None):
        with pytest.raises(InvalidInput, match="is no time: give text, Unix seconds, or a datetime that has"):
            TIME.taken(wrong)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"at": "soon"}, "--at 'soon': 'soon' is no time: use"), ({"delay": -1.0}, "--delay -1: use 0 to 1000000000 s")],
)
def test_what_is_no_time_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(JobSpec(("true",), **fields))


def test_a_lone_worker_waits_for_no_time() -> None:
    with pytest.raises(InvalidInput, match="--delay 5 needs a scheduler: a worker's own job starts at once"):
        refuse_what_needs_a_scheduler(JobSpec(("true",), delay=5.0))


@pytest.mark.parametrize("value", [1e20, -1e20, float("inf"), float("nan"), 10**30])
def test_a_number_that_is_no_time_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="is none of the years 1 to 9999 in UTC"):
        TIME.checked(value)


@pytest.mark.parametrize("field", ["at", "deadline"])
@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00+12:00"])
def test_a_time_that_utc_does_not_have_is_refused(field: str, text: str) -> None:
    with pytest.raises(InvalidInput, match="is none of the years 1 to 9999 in UTC"):
        resolved(JobSpec(("true",), **{field: text}), WALL, UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_delay_that_was_counted_by_a_clock_that_was_a_year_ahead_is_counted_anew(*, restarts: bool) -> None:
    bench = patient()
    bench.worker("w", 8000)
    bench.jumped = 365 * 24 * HOUR
    bench.submit(spec(delay=HOUR))
    bench.submit(spec(delay=HOUR, at=at(2 * HOUR + bench.jumped)))
    bench.jumped = 0.0
    if restarts:
        bench.restart()
    bench.turn()
    assert job_view(bench.core, bench.core.jobs[1]).waits_until == WALL + 100.0 + HOUR
    bench.turn(after=HOUR)
    assert states(bench, 1).keys() <= {R, A}
    assert states(bench, 2) == {W: [(0, 1)]}, "a time is that time"
