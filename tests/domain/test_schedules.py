"""Jobs that come again: each due time makes one run, and none is made twice or lost, whatever happens to the clock."""

from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import Range
from cluster.domain.base.wall_time import iso, unix_time
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobEnded, JobRecord
from cluster.domain.job.schedule import LATE, spec_of_run
from cluster.domain.job.schedule_course import MOST_COUNTED
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler import schedules
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import CancelRequested, JobsPaused, JobsSubmitted, LookedUp, ReopenRequested
from cluster.domain.scheduler.views import job_view
from tests.domain.core_bench import WALL, Bench, ok, spec

MINUTE, HOUR = 60.0, 3600.0
# A bench begins 20 s after a full minute, at 22:15:00; so the next hour begins 2,700 s later.
FIRST = 2700.0


def patient() -> Bench:
    """Its workers need not say that they are there."""
    return Bench(SchedulerCore(epoch=1, lease=1e6))


def at(seconds: float) -> str:
    """So long after the first moment of a bench."""
    return iso(WALL + 100.0 + seconds)


def hourly(**fields: Any) -> JobSpec:
    return spec(every="@hourly", **fields)


def runs(bench: Bench, schedule: int = 1) -> list[int]:
    return [record.number for record in bench.records.values() if record.schedule == schedule]


def course(bench: Bench, schedule: int = 1) -> Any:
    return bench.core.jobs[schedule].course


def lines(bench: Bench) -> tuple[str, ...]:
    return job_view(bench.core, bench.core.jobs[1]).pending_because


def test_the_bench_begins_when_these_tests_think() -> None:
    assert at(0) == "2023-11-14T22:15:00Z"
    assert at(FIRST) == "2023-11-14T23:00:00Z"


def test_each_due_time_makes_a_run() -> None:
    bench = patient()
    session = bench.worker("w", 8000)
    bench.submit(hourly(name="sweep", millicpus=500, timeout=9.0))
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.state, view.waits_until, view.last_run) == (TaskState.WAITING, WALL + 100 + FIRST, 0)
    assert view.pending_because == (f"it runs next at {at(FIRST)}",)
    bench.turn(after=FIRST - 0.01)
    assert not runs(bench)
    bench.turn(after=0.01)
    assert runs(bench) == [2]
    run = bench.records[2]
    assert (run.owner, run.spec) == ("alice", spec(name="sweep", millicpus=500, timeout=9.0))
    assert run.id[14] == "8"
    assert bench.state(2) == "assigned"
    bench.report(session, 1, ok=(ok(2, 0, 1),))
    bench.turn(after=3 * HOUR)
    assert runs(bench) == [2, 3], "the second has not ended, and by default one time is skipped"
    assert lines(bench) == (
        f"it runs next at {at(FIRST + 4 * HOUR)}",
        "its last run is job 3",
        f"2 of its times were skipped, the last at {at(FIRST + 3 * HOUR)}: the run before had not ended, or it was "
        "paused",
    )


def test_runs_may_overlap_or_queue_or_be_skipped() -> None:
    for overlap, expected in (("skip", [2]), ("queue", [2, 3]), ("allow", [2, 3, 4])):
        bench = patient()
        session = bench.worker("w", 8000)
        bench.submit(hourly(overlap=overlap))
        bench.turn(after=FIRST + 2 * HOUR)
        assert runs(bench) == expected
        if overlap == "queue":
            assert bench.records[3].spec.after_any == ("2",)
            assert bench.state(3) == "waiting"
            bench.report(session, 1, ok=(ok(2, 0, 1),))
            assert bench.state(3) == "assigned"
            bench.turn(after=HOUR)
            assert runs(bench) == [2, 3, 4], "of three times one run waits, and the third is skipped"
            assert course(bench).skipped == 1


def test_a_restart_neither_repeats_nor_loses_a_run() -> None:
    bench = patient()
    bench.submit(hourly(overlap="allow"))
    for _ in range(6):
        bench.turn(after=HOUR / 2 - 10)
        bench.restart(after=10.0)
    bench.turn(after=0.0)
    assert runs(bench) == [2, 3, 4]
    assert [bench.records[n].id for n in runs(bench)] == sorted(
        {bench.records[n].id for n in runs(bench)}, key=[bench.records[n].id for n in runs(bench)].index
    )
    assert course(bench).missed == 0


@pytest.mark.parametrize("late", [LATE, LATE + 1])
def test_who_is_back_within_a_minute_has_missed_nothing(late: float) -> None:
    bench = patient()
    bench.submit(hourly())
    bench.restart(after=FIRST + late)
    bench.turn()
    assert len(runs(bench)) == (1 if late <= LATE else 0)
    assert course(bench).missed == (0 if late <= LATE else 1)


@pytest.mark.parametrize(("catch_up", "made"), [(False, 0), (True, 1)])
def test_what_was_missed_is_said_and_made_good_once(catch_up: bool, made: int) -> None:
    bench = patient()
    bench.submit(hourly(catch_up=catch_up))
    bench.restart(after=FIRST + 5 * HOUR + 10 * MINUTE)
    bench.turn()
    assert len(runs(bench)) == made
    last = at(FIRST + (4 if catch_up else 5) * HOUR)
    assert lines(bench)[0] == f"it runs next at {at(FIRST + 6 * HOUR)}"
    assert lines(bench)[-1] == f"{6 - made} of its times were missed, the last at {last}: the scheduler was away"
    bench.restart()
    bench.turn(after=MINUTE)
    assert len(runs(bench)) == made
    assert course(bench).missed == 6 - made


def test_not_all_that_was_missed_is_counted() -> None:
    bench = patient()
    bench.submit(spec(every="* * * * *"))
    bench.restart(after=365 * 24 * HOUR)
    bench.turn()
    assert course(bench).missed == MOST_COUNTED
    assert "100 or more of its times were missed" in lines(bench)[-1]
    assert course(bench).until == pytest.approx(bench.now.wall, abs=MINUTE)


def test_a_clock_that_is_set_back_makes_no_run_twice() -> None:
    bench = patient()
    bench.submit(hourly(overlap="allow"))
    bench.turn(after=FIRST)
    bench.jumped = -2 * HOUR
    bench.turn(after=2 * HOUR)
    assert runs(bench) == [2]
    bench.turn(after=HOUR)
    assert runs(bench) == [2, 3]


def test_a_clock_that_is_set_forward_has_missed_what_it_left_out() -> None:
    bench = patient()
    bench.submit(hourly(overlap="allow"))
    bench.jumped = 2 * HOUR + FIRST + 30.0
    bench.turn()
    assert runs(bench) == [2]
    assert course(bench).missed == 2


def test_a_schedule_may_begin_later() -> None:
    for how in ({"at": at(FIRST + HOUR)}, {"delay": FIRST + HOUR}, {"delay": FIRST + HOUR - 5}):
        bench = patient()
        bench.submit(hourly(**how))
        bench.turn(after=FIRST + HOUR - 0.01)
        assert not runs(bench)
        bench.turn(after=0.02)
        assert runs(bench) == [2]
        assert (bench.records[2].spec.at, bench.records[2].spec.delay) == ("", 0.0)


def test_it_ends_when_somebody_cancels_it_and_its_runs_go_on() -> None:
    bench = patient()
    bench.worker("w", 1000)
    bench.submit(hourly())
    bench.turn(after=FIRST)
    bench.turn(CancelRequested(5, (Target(1, None),), "alice"))
    assert (bench.state(1), bench.state(2)) == ("cancelled", "assigned")
    assert bench.core.wall_timers.next() is None
    bench.turn(after=2 * HOUR)
    assert runs(bench) == [2]


def test_its_deadline_ends_it_and_a_duration_is_that_of_each_run() -> None:
    bench = patient()
    bench.submit(hourly(deadline=at(FIRST + HOUR / 2)))
    bench.submit(hourly(deadline="10m"))
    bench.turn(after=FIRST + HOUR + 1)
    assert bench.state(1) == "failed"
    assert runs(bench, 1) == [3]
    assert bench.records[3].spec.deadline == ""
    assert runs(bench, 2) == [4, 5], "the first of them was over after ten minutes"
    assert bench.state(4) == "failed"


def test_while_it_is_paused_its_times_are_skipped() -> None:
    bench = patient()
    bench.submit(hourly())
    bench.turn(JobsPaused(5, (1,), Pause("alice", 0.0)))
    bench.turn(after=FIRST)
    assert not runs(bench)
    assert course(bench).skipped == 1


def test_many_that_are_due_at_once_have_several_turns() -> None:
    bench = patient()
    bench.core.most = 5
    for _ in range(12):
        bench.submit(hourly())
    bench.mono += FIRST + 1
    counts = []
    while (due := bench.core.next_deadline()) is not None and due <= bench.mono:
        bench.turn()
        counts.append(sum(1 for record in bench.records.values() if record.schedule))
    assert counts[-1] == 12
    assert len(counts) >= 3


def test_a_run_is_a_job_as_if_it_was_handed_in() -> None:
    schedule = spec(every="@daily", overlap="queue", catch_up=True, delay=5.0, key="k", hold=True, retries=3)
    assert spec_of_run(schedule) == spec(retries=3)
    assert spec_of_run(schedule, after=7) == spec(retries=3, after_any=("7",))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"every": "61 * * * *"}, "--every '61 \\* \\* \\* \\*': minute '61' is none: use 0-59"),
        ({"every": "0 6 * *"}, "has 4 fields"),
        ({"every": "@daily@"}, "'@daily@' names no time zone after its @: leave that out for UTC"),
        ({"every": "30 2 * * *@"}, "names no time zone after its @"),
        ({"every": "@daily", "overlap": "maybe"}, "--overlap 'maybe': use skip, queue or allow"),
        ({"every": "@daily", "after": ("1",)}, "--every and --after exclude each other"),
        ({"overlap": "allow"}, "--overlap and --catch-up need --every"),
        ({"catch_up": True}, "--overlap and --catch-up need --every"),
    ],
)
def test_what_is_no_schedule_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(spec(**fields))


def test_a_zone_that_nobody_knows_is_refused_by_the_scheduler() -> None:
    for zone in ("Europe/Berlyn", "../etc/passwd", "Europe"):
        bench = patient()
        (reply,) = [e for e in bench.submit(spec(every=f"0 6 * * *@{zone}")) if isinstance(e, Reply)]
        assert str(reply.value).startswith(f"no time zone '{zone}' is known on the scheduler's machine: use one as")
        assert not bench.core.jobs


def test_a_lone_worker_has_no_schedules() -> None:
    with pytest.raises(InvalidInput, match="--every '@daily' needs a scheduler: a worker's own job runs once"):
        refuse_what_needs_a_scheduler(spec(every="@daily"))


@pytest.mark.parametrize("every", ["0 0 29 2 *", "* * * * *", "0 0 1 1 *@Pacific/Kiritimati"])
def test_one_that_begins_at_the_end_of_the_calendar_is_refused(every: str) -> None:
    bench = patient()
    (reply,) = [e for e in bench.submit(spec(every=every, at="9999-12-31T20:00:00Z")) if isinstance(e, Reply)]
    assert str(reply.value) == (
        f"--every {every!r} has no time after --at 9999-12-31T20:00:00Z: the calendar ends with the year 9999"
    )
    assert not bench.core.jobs


def test_the_last_time_of_the_calendar_is_one() -> None:
    bench = patient()
    bench.submit(spec(every="0 0 1 6 *", at="9999-01-01T00:00:00Z"))
    bench.jumped = unix_time("9999-05-31T23:59:59Z", 0.0, UTC) - bench.now.wall
    bench.turn()
    bench.turn(after=1.0)
    assert runs(bench) == [2]
    assert lines(bench)[0] == "none of its times comes"
    bench.restart()
    bench.turn(after=1.0)
    assert runs(bench) == [2]


@pytest.mark.parametrize("on_disk", [False, True])
def test_one_that_was_cancelled_and_is_tried_again_goes_on_from_now(on_disk: bool) -> None:
    bench = patient()
    bench.worker("w", 8000)
    bench.submit(hourly(overlap="allow"))
    bench.turn(after=FIRST)
    ended = bench.turn(CancelRequested(5, (Target(1, None),), "alice"))
    if on_disk:
        bench.core.let_go([e for e in ended if isinstance(e, JobEnded)])
    bench.turn(after=2 * HOUR + 10 * MINUTE)
    kept = (bench.records[1], bench.progress[1]) if on_disk else None
    bench.turn(ReopenRequested(9, 1, (Range(0, 1),), (TaskState.CANCELLED,), kept, bench.core.openings))
    assert bench.state(1) == "waiting", "it runs no command itself"
    assert lines(bench) == (f"it runs next at {at(FIRST + 3 * HOUR)}", "its last run is job 2")
    bench.restart()
    bench.turn(after=50 * MINUTE)
    assert runs(bench) == [2, 3]
    assert course(bench).missed == 0


def test_many_that_come_at_once_cost_the_turn_their_next_times() -> None:
    bench = patient()
    jobs = tuple(NewJob(f"00000000-0000-7000-8000-{n:012x}", spec(every=f"0 0 29 2 {n % 7}")) for n in range(200))
    decided = bench.core.turn([JobsSubmitted(5, "alice", jobs)], bench.now)
    counts = [0]
    while decided.goes_on:
        decided = bench.core.turn([], bench.now)
        counts.append(sum(isinstance(save, JobRecord) for save in decided.saves))
    assert sum(counts) == 200
    assert max(counts) <= bench.core.most // 8 + 1


def test_a_start_finds_the_next_times_of_many_in_parts() -> None:
    bench = patient()
    for _ in range(60):
        bench.submit(hourly())
    bench.restart()
    bench.core.most = 100
    waits = bench.core.followers.waits
    assert {wait.until for wait in waits.values()} == {schedules.NOT_FOUND}
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.waits_until, view.pending_because) == (
        0.0,
        ("its next time is just being found, as the scheduler was started",),
    )
    found = [0]
    while bench.core.schedules_in_line:
        bench.turn()
        found.append(sum(wait.until > 0 for wait in waits.values()))
    assert found[-1] == 60
    assert max(after - before for before, after in pairwise(found)) <= 100 // schedules.PART // schedules.NEXT_TIME + 1
    bench.turn(after=FIRST)
    assert len(runs(bench)) == 1


def test_what_comes_while_next_times_are_found_is_not_kept_waiting() -> None:
    bench = patient()
    for _ in range(30):
        bench.submit(hourly())
    bench.restart()
    bench.core.most = 40
    bench.worker("w", 8000)
    bench.submit(spec())
    bench.turn(LookedUp(("uuid-31",), {}))
    assert bench.state(31) == "assigned"
    assert bench.core.schedules_in_line


YEAR = 365 * 24 * HOUR


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_a_year_ahead_silences_no_schedule(*, restarts: bool) -> None:
    bench = patient()
    bench.submit(hourly(overlap="allow"))
    bench.submit(spec(every="@yearly"))
    bench.jumped = YEAR
    bench.turn(after=10.0)
    assert course(bench).until > bench.now.wall - HOUR
    bench.jumped = 0.0
    if restarts:
        bench.restart()
    bench.turn()
    assert lines(bench) == (
        f"it runs next at {at(FIRST)}",
        f"its times count from {at(10)} on: the scheduler's clock had been far ahead",
    )
    bench.turn(after=FIRST - 10)
    assert runs(bench) == [3]
    assert course(bench, 2).missed == 0, "what was missed in a time that has not been yet"
    bench.restart()
    bench.turn(after=HOUR)
    assert runs(bench) == [3, 4]
    assert course(bench).corrections == 1


def test_a_time_that_had_a_run_when_the_clock_was_ahead_has_another_when_it_comes() -> None:
    bench = patient()
    bench.submit(hourly(overlap="allow"))
    bench.jumped = 24 * HOUR
    bench.turn(after=FIRST)
    assert runs(bench) == [2]
    bench.jumped = 0.0
    bench.turn()
    bench.turn(after=24 * HOUR)
    assert len(runs(bench)) == 1 + 24
    assert len({bench.records[number].id for number in runs(bench)}) == 25


def test_one_that_was_handed_in_by_a_clock_that_was_ahead_comes_by_the_right_one() -> None:
    bench = patient()
    bench.jumped = YEAR
    bench.submit(hourly())
    bench.jumped = 0.0
    bench.turn()
    assert lines(bench)[0] == f"it runs next at {at(FIRST)}"
    bench.turn(CancelRequested(5, (Target(1, None),), "alice"))
    bench.jumped = YEAR
    bench.turn(ReopenRequested(9, 1, (Range(0, 1),), (TaskState.CANCELLED,), None, bench.core.openings))
    bench.jumped = 0.0
    bench.turn()
    assert lines(bench)[0] == f"it runs next at {at(FIRST)}"


def test_a_clock_that_was_ahead_lets_none_begin_sooner_than_it_may() -> None:
    bench = patient()
    bench.submit(hourly(at=at(FIRST + 9 * HOUR)))
    for jumped in (YEAR, 0.0):
        bench.jumped = jumped
        bench.turn()
    assert lines(bench)[0] == f"it runs next at {at(FIRST + 9 * HOUR)}"
    assert course(bench).corrections == 1
    bench.submit(hourly(at=at(FIRST + 99 * HOUR)))
    bench.jumped = -10.0
    bench.turn()
    assert course(bench, 2).corrections == 0, "it begins late, and nothing was ahead"
