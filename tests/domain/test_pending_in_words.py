"""What keeps a job from going on is never empty in a list, where something is known; and is told in a few words."""

from math import ceil
from typing import Any

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.wall_time import iso
from cluster.domain.job.pause import Pause
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import (
    HeartbeatReceived,
    JobsPaused,
    JobSubmitted,
    QueuePaused,
    SessionClosed,
    WorkersDrained,
)
from cluster.domain.scheduler.pending_in_words import MOST_LOOKED_AT, next_try_of
from cluster.domain.scheduler.views import JobView, job_view
from cluster.domain.session.messages import Fetching
from cluster.domain.trust.identity import Vouched
from tests.domain.core_bench import WALL, Bench, attempts, failed, ok, spec, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench()


def view(bench: Bench, job: int = 1) -> JobView:
    return job_view(bench.core, bench.core.jobs[job])


def short(bench: Bench, job: int = 1) -> str:
    return view(bench, job).waits_for


def pause_queue(bench: Bench) -> None:
    bench.turn(QueuePaused(5, Pause("root", bench.now.wall, "kernel", by_admin=True)))


def test_a_paused_queue_is_told_of_every_job_that_has_not_ended(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(2))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    bench.submit(spec())
    pause_queue(bench)
    assert [short(bench, 1), short(bench, 2)] == ["queue paused", "queue paused"]
    bench.turn(JobsPaused(5, (2,), Pause("ann", bench.now.wall, stop_running=True)))
    assert short(bench, 2) == "paused"
    assert view(bench, 2).pending_because == ("paused by ann", "the queue is paused by root: kernel")
    bench.submit(spec(after=("1",)))
    assert short(bench, 3) == "after 1", "what it waits for first"
    assert view(bench, 3).pending_because[0] == "the queue is paused by root: kernel"


def test_a_worker_that_fetches_what_tasks_find_is_named_until_it_has_it(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec())
    assert view(bench).pending_because == ()
    bench.turn(HeartbeatReceived(session, 1, fetching=(Fetching(1, 120 << 20, 500 << 20), Fetching(7, 0, 0))))
    name = bench.core.workers["w"].record.name
    assert view(bench).pending_because == (f"worker {name} fetches what its tasks find, 120 MiB of 500 MiB",)
    assert short(bench) == "fetching"
    bench.turn(HeartbeatReceived(session, 2, fetching=(Fetching(1, 0, 0),)))
    assert view(bench).pending_because == (f"worker {name} fetches what its tasks find",)
    bench.turn(HeartbeatReceived(session, 3))
    assert view(bench).pending_because == ()
    bench.turn(HeartbeatReceived(session, 4, fetching=(Fetching(1, 0, 0),)))
    bench.turn(SessionClosed(session))
    assert not bench.core.workers["w"].fetching


def test_how_many_stand_still_is_told_of_a_job_that_is_frozen(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.report(session, 1, started=(attempts(1, 1, (0, 2)),))
    bench.turn(JobsPaused(5, (1,), Pause("ann", bench.now.wall, stop_running=True)))
    assert short(bench) == "paused, 2 tasks frozen"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"after": ("1", "2")}, "after 1,2"),
        ({"after": ("2",), "after_any": ("1",)}, "after 2; after-any 1"),
        ({"after_fail": ("1",)}, "after-fail 1"),
        ({"after_each": ("2", "3")}, "after-each 2,3"),
        ({"after": tuple(map(str, range(1, 7)))}, "after 1,2,3,4,5,…"),
        ({"delay": 60.0}, f"until {iso(WALL + 160.0)}"),
        ({"delay": 60.0, "after": ("1",)}, f"until {iso(WALL + 160.0)}"),
        ({"every": "@hourly"}, f"next at {iso(WALL + 2800.0)}"),
        ({"every": "@hourly@Europe/Berlin"}, f"next at {iso(WALL + 2800.0)}"),
    ],
    ids=str,
)
def test_what_a_job_waits_for_is_told_as_one_types_it(bench: Bench, fields: dict[str, Any], words: str) -> None:
    for _ in range(6):
        bench.submit(spec())
    bench.submit(spec(**fields))
    assert short(bench, 7) == words


def test_what_has_come_meanwhile_is_not_waited_for_any_more(bench: Bench) -> None:
    session = bench.worker("w")
    for _ in range(2):
        bench.submit(spec())
    bench.submit(spec(after=("1", "2")))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert short(bench, 3) == "after 2"


def test_the_time_of_a_schedule_is_told_by_the_clocks_of_its_zone_too(bench: Bench) -> None:
    bench.submit(spec(every="@hourly@Europe/Berlin"))
    assert view(bench).pending_because == ("it runs next at 2023-11-14T23:00:00Z (2023-11-15 00:00 in Europe/Berlin)",)


def test_workers_that_take_nothing_are_told_apart(bench: Bench) -> None:
    bench.submit(spec())
    assert short(bench) == "no worker can run it"
    bench.worker("w", 2000)
    bench.submit(spec(millicpus=2000))
    assert short(bench, 2) == "workers are busy"
    bench.turn(WorkersDrained(5, ("w",), "ada", "", None))
    assert short(bench, 2) == "no worker takes it now"


def test_one_that_a_worker_is_kept_for_names_it_and_who_is_kept_out_says_so(bench: Bench) -> None:
    bench.worker("w", 2000)
    bench.submit(spec())
    bench.submit(spec(millicpus=2000))
    bench.submit(spec())
    assert short(bench, 2) == "reserved on w"
    assert short(bench, 3) == "workers are kept for others"


def test_between_two_attempts_it_is_told_when_the_next_one_is() -> None:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))  # whose workers need not say that they are there
    session = bench.worker("w")
    bench.submit(spec(retries=3, backoff=(20.0, 60.0)))
    bench.report(session, 1, ended=(failed(1, 0),))
    seen = view(bench)
    assert bench.now.wall < seen.next_try_at <= bench.now.wall + 20.0
    assert seen.waits_for == f"again at {iso(ceil(seen.next_try_at))}"
    assert seen.pending_because == (f"it is tried again at {iso(ceil(seen.next_try_at))}",)
    bench.turn(after=seen.next_try_at - bench.now.wall - 0.01)
    assert bench.state(1) == "backoff"
    bench.turn(after=0.02)
    assert bench.state(1) == "assigned"
    assert view(bench).next_try_at == 0.0


def test_of_many_the_first_is_told_and_no_more_are_looked_at_than_cost_nothing(bench: Bench) -> None:
    tasks = 2 * MOST_LOOKED_AT
    session = bench.worker("w", tasks * 1000)
    bench.submit(spec(tasks, retries=3, backoff=(20.0, 60.0)))
    bench.report(session, 1, ended=tuple(failed(1, index) for index in range(tasks)))
    seen, job = view(bench), bench.core.jobs[1]
    assert seen.next_try_at == min(next_try_of(bench.core, job, index) for index in range(MOST_LOOKED_AT))
    assert seen.pending_because == (
        f"{tasks} tasks are tried again, the first of them at {iso(ceil(seen.next_try_at))}",
    )


def test_one_whose_children_go_on_names_them(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(wait_children=True))
    bench.turn(JobSubmitted(9, uuid(2), "alice", spec(), vouched=Vouched(AttemptKey(1, 0, 1), "w", "alice", 0)))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert (bench.state(1), short(bench)) == ("finishing", "called 2")


def test_what_runs_or_has_ended_waits_for_nothing(bench: Bench) -> None:
    session = bench.worker("w")
    bench.submit(spec(2))
    bench.report(session, 1, started=(attempts(1, 1, (0, 1)),))
    assert short(bench) == ""
    bench.report(session, 2, ok=(ok(1, 0, 2),))
    assert (short(bench), view(bench).next_try_at) == ("", 0.0)
