"""Room is kept for a job that finds none, and smaller ones pass only where they end before, or beside it."""

import random
from collections.abc import Iterator
from math import inf

import pytest

from cluster.domain.base.wall_time import iso
from cluster.domain.job.request import request_of
from cluster.domain.job.target import Target
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import (
    CancelRequested,
    HeartbeatReceived,
    JobsChanged,
    JobSubmitted,
    WorkersDrained,
    WorkersResumed,
)
from cluster.domain.scheduler.hindrances import Hindrance
from cluster.domain.scheduler.reserving import LOOKED_AT, Foreseen, foreseen
from cluster.domain.scheduler.reserving_in_words import Reserved
from cluster.domain.scheduler.views import job_view
from cluster.domain.session.messages import Hello
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import WALL, Bench, ok, spec, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench()


def held(bench: Bench, job: int) -> int:
    """Tasks of the job that workers hold."""
    there = bench.core.jobs.get(job)
    return sum(map(len, there.held.values())) if there else 0


def kept(bench: Bench) -> dict[str, int]:
    """By worker, the job that it is reserved for."""
    return {each.worker.id: each.job.number for each in bench.core.reservations}


def foresee(bench: Bench, worker: str) -> Foreseen:
    return foreseen(bench.core.reservations.of_worker[worker], bench.core.jobs, bench.core.now.mono)


def small_ones(bench: Bench, session: int) -> Iterator[int]:
    """One of one cpu comes, and then the oldest there ends, for ever: yields how many have come."""
    came, old = 0, [number for number, job in bench.core.jobs.items() if job.held]
    while True:
        number = bench.core.next_number
        bench.submit(spec())
        came += 1
        if held(bench, number):
            old.append(number)
        bench.report(session, ok=(ok(old.pop(0), 0, 1),))
        yield came


def test_a_large_one_does_not_wait_for_ever_while_small_ones_come(bench: Bench) -> None:  # S3.6
    session = bench.worker("w", 4000)
    for _ in range(3):
        bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    for came in small_ones(bench, session):
        if held(bench, 4):
            break
        assert came < 10, "it starves"
    assert not bench.core.workers["w"].free


def test_where_a_kept_worker_gets_more_others_are_let_pass_anew(bench: Bench) -> None:
    """The end of one task was to make the room, to the last millicpu. Now a larger one must end too."""
    bench.worker("w", 4000)
    bench.submit(spec(millicpus=1000))
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(millicpus=100, delay=60.0))
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(9, millicpus=300))
    assert (kept(bench), foresee(bench, "w").left, held(bench, 5)) == ({"w": 4}, {"cpus": 0}, 0)
    bench.sleep(61.0)
    bench.turn()
    assert (held(bench, 3), held(bench, 5)) == (1, 3)
    assert foresee(bench, "w").left == {"cpus": 1000}


def test_when_a_promise_is_broken_others_are_let_pass_anew() -> None:
    """The end of the second was to make the room, to the last millicpu. By then it runs on, and nobody knows whether
    the first, which is larger, ends before."""
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    bench.worker("w", 4000)
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(time_request=60.0))
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(9))
    assert (kept(bench), foresee(bench, "w").left, held(bench, 4)) == ({"w": 3}, {"cpus": 0}, 0)
    over = foresee(bench, "w").at
    bench.turn(after=over - bench.mono - 0.01)
    assert (bench.core.next_deadline(), held(bench, 4)) == (over, 0)
    bench.turn(after=0.01)
    assert (foresee(bench, "w").at, held(bench, 4)) == (inf, 1)


def test_what_others_see_of_a_broken_promise_does_not_hide_it_from_whoever_was_kept_out_before() -> None:
    """A fresh job looks first, in the turn in which the promise is over."""
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    bench.worker("w", 4000)
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(time_request=60.0))
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(millicpus=900))
    assert held(bench, 4) == 0
    bench.core.timers.cancel(("kept", "w"))
    bench.mono = foresee(bench, "w").at
    bench.submit(spec(millicpus=950))
    bench.turn()
    assert held(bench, 4) + held(bench, 5) == 1


def test_who_is_too_late_for_a_worker_that_leaves_lets_others_pass() -> None:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    bench.register("w", 4000)
    bench.hello("w", Hello("inc", 4000, 1, leaves_in=3600.0))
    bench.submit(spec(time_request=2000.0))
    bench.submit(spec(millicpus=4000, time_request=3000.0))
    bench.submit(spec(time_request=2500.0))
    assert (kept(bench), held(bench, 3)) == ({"w": 2}, 0)
    bench.turn(after=600.0)
    assert (kept(bench), held(bench, 3)) == ({}, 1)


def test_what_ends_before_by_its_time_request_passes(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec(time_request=3600.0))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(time_request=3500.0))
    bench.submit(spec(time_request=4000.0))
    bench.submit(spec(timeout=1000.0))
    bench.submit(spec())
    assert [held(bench, job) for job in range(1, 7)] == [1, 0, 1, 0, 1, 0]
    assert foresee(bench, "w").at == bench.mono + request_of(spec(time_request=3600.0)).limit


def test_a_job_that_was_kept_out_does_not_hide_one_of_a_shorter_time(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec(time_request=3600.0))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(5, time_request=4000.0))
    bench.submit(spec(5, time_request=60.0))
    assert held(bench, 3) == 0
    assert held(bench, 4) == 3


def test_what_is_left_over_beside_it_is_for_others_however_long_they_take(bench: Bench) -> None:
    bench.worker("w", 6000)
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(9))
    assert held(bench, 3) == 2
    assert kept(bench) == {"w": 2}


def test_what_fits_beside_does_not_put_off_what_is_foreseen(bench: Bench) -> None:
    """Although another task of its job is to end before."""
    session = bench.worker("w", 8000)
    bench.core.lease = 1000.0
    bench.submit(spec(millicpus=3500))
    bench.submit(spec(millicpus=2500, time_request=704.0))
    bench.submit(spec(2, millicpus=500))
    bench.submit(spec(2, time_request=600.0, priority=-1))
    assert held(bench, 4) == 1
    bench.submit(spec(millicpus=3000))
    bench.report(session, ok=(ok(3, 0, 1),))
    at = foresee(bench, "w").at
    assert at == bench.mono + 704.0
    bench.turn(after=200.0)
    bench.report(session, ok=(ok(3, 1, 2),))
    assert held(bench, 4) == 2, "it passes, as it fits beside"
    assert foresee(bench, "w").at == at


def test_what_ends_before_leaves_its_room_to_the_next_that_passes(bench: Bench) -> None:
    """Nobody knows when the kept job starts: but these have ended by then."""
    bench.worker("w", 2400)
    bench.submit(spec(millicpus=500))
    bench.submit(spec(millicpus=1000))
    bench.submit(spec(millicpus=1000))
    bench.submit(spec(3, millicpus=300, time_request=1.0))
    assert foresee(bench, "w").at == inf
    assert held(bench, 4) == 3


def test_a_worker_whose_gpus_are_waited_for_gives_its_cpus_to_others(bench: Bench) -> None:
    bench.worker("w", 8000, Offer(gpus=("0",)))
    bench.submit(spec(gpus=1))
    bench.submit(spec(gpus=1))
    bench.submit(spec(20))
    assert kept(bench) == {"w": 2}
    assert held(bench, 3) == 7


def test_one_that_is_to_be_alone_gets_its_worker_when_all_there_has_ended(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec(time_request=60.0))
    bench.submit(spec(time_request=3600.0))
    bench.submit(spec(exclusive=True))
    bench.submit(spec())
    bench.submit(spec(time_request=600.0))
    assert [held(bench, job) for job in (3, 4, 5)] == [0, 0, 1]
    for job in (1, 2, 5):
        bench.report(session, ok=(ok(job, 0, 1),))
    assert [held(bench, job) for job in (3, 4)] == [1, 0]


def test_where_nobody_has_said_how_long_nothing_passes_that_takes_its_room(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec(4))
    bench.submit(spec(millicpus=2000))
    bench.report(session, ok=(ok(1, 0, 1),))
    bench.submit(spec(time_request=1.0))
    assert held(bench, 3) == 0
    assert foresee(bench, "w").at == inf
    bench.report(session, ok=(ok(1, 1, 2),))
    assert held(bench, 2) == 1


def test_a_task_that_takes_longer_than_it_said_lets_nobody_pass_meanwhile(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec(time_request=10.0))
    bench.submit(spec(millicpus=4000))
    bench.turn(HeartbeatReceived(1, 1, ""), after=12.0)
    bench.submit(spec(time_request=1.0))
    assert held(bench, 3) == 0


def test_a_job_of_higher_priority_does_not_wait_for_what_is_kept(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(priority=-1))
    bench.submit(spec(priority=1))
    assert [held(bench, job) for job in (2, 3, 4)] == [0, 0, 1]


def test_a_large_one_of_higher_priority_gets_the_reservation(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec())
    assert kept(bench) == {"w": 2}
    bench.submit(spec(millicpus=3500, priority=5))
    assert kept(bench) == {"w": 4}
    bench.report(session, ok=(ok(1, 0, 1),))
    assert held(bench, 4) == 1
    assert kept(bench) == {"w": 2}


def test_an_earlier_job_of_its_owner_does_not_wait_for_what_is_kept(bench: Bench) -> None:
    """It had tried once, and is to try again."""
    session = bench.worker("w", 4000)
    bench.submit(spec(6))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(millicpus=500))
    for task in range(2):
        bench.report(session, ok=(ok(1, task, task + 1),))
    assert held(bench, 1) == 4


def test_another_user_does_not_pass_however_little_they_had(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec())
    bench.turn(JobSubmitted(1, uuid(4), "bob", spec()))
    assert [held(bench, job) for job in (2, 3, 4)] == [0, 0, 0]


def test_the_reservation_is_where_there_will_be_room_first(bench: Bench) -> None:
    for name, seconds in (("w1", 300.0), ("w2", 100.0), ("w3", 200.0)):
        bench.worker(name, 4000)
        bench.submit(spec(millicpus=2000, worker=name, time_request=seconds))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(9))
    assert kept(bench)["w2"] == 4
    assert held(bench, 5) == 4, "on the two others"


def test_each_class_has_a_reservation_and_each_worker_is_one_classs(bench: Bench) -> None:
    for name in ("w1", "w2"):
        bench.worker(name, 4000)
        bench.submit(spec(millicpus=2000, worker=name))
    bench.submit(spec(9, millicpus=4000))
    bench.submit(spec(9, millicpus=3500))
    bench.submit(spec(9, millicpus=3000))
    bench.submit(spec(9))
    assert sorted(kept(bench).values()) == [3, 4]
    assert held(bench, 6) == 0


def test_where_all_ask_for_the_same_nothing_is_kept(bench: Bench) -> None:
    bench.worker("w", 3000)
    for _ in range(5):
        bench.submit(spec(9, millicpus=2000))
    assert kept(bench) == {}


def test_a_job_that_waits_alone_gets_its_reservation_when_somebody_could_pass(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    assert kept(bench) == {}
    bench.submit(spec())
    assert kept(bench) == {"w": 2}
    assert held(bench, 3) == 0


def test_what_is_kept_for_a_job_that_is_cancelled_goes_to_others_at_once(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(3))
    bench.turn(CancelRequested(4, (Target(2),), "ann"))
    assert held(bench, 3) == 3
    assert kept(bench) == {}


def test_a_worker_that_drains_is_kept_for_nobody_and_another_is(bench: Bench) -> None:
    for name, seconds in (("w1", 100.0), ("w2", 200.0)):
        bench.worker(name, 4000)
        bench.submit(spec(millicpus=2500, worker=name, time_request=seconds))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(9))
    assert kept(bench)["w1"] == 3
    assert held(bench, 4) == 1, "on the other"
    bench.turn(WorkersDrained(1, ("w1",), "ann"))
    assert kept(bench) == {"w2": 3}
    bench.turn(WorkersResumed(1, ("w1",)))
    assert kept(bench)["w1"] == 3, "there will be room sooner"


def test_priority_that_is_taken_away_lets_others_go_first(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(3))
    assert held(bench, 3) == 0
    bench.turn(JobsChanged(1, (2,), {"priority": -5}, by_admin=True))
    assert held(bench, 3) == 3


def test_no_work_goes_in_advance_to_where_room_is_kept(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(1000))
    bench.report(session, ok=(ok(1, 0, 1, run=0.01),))
    assert held(bench, 1) > 2, "of the first in line there is work in advance"
    other = bench.worker("v", 2000)
    bench.submit(spec(millicpus=2000, priority=1))
    bench.submit(spec(millicpus=500))
    assert sorted(kept(bench).values()) in ([], [2])
    for worker in (session, other):
        bench.turn(HeartbeatReceived(worker, 1, ""))


def test_it_looks_at_a_few_of_many_workers(bench: Bench) -> None:
    for number in range(5 * LOOKED_AT):
        bench.worker(f"w{number}", 4000)
        bench.submit(spec(worker=f"w{number}"))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec())
    assert list(kept(bench).values()) == [5 * LOOKED_AT + 1]


class Cluster:
    """Three workers, and jobs that take no longer than they said."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.bench = Bench()
        self.sessions = {f"w{n}": self.bench.worker(f"w{n}", 4000) for n in range(3)}
        self.ends: list[tuple[float, str, int, int]] = []  # when, worker, job, task
        self.promised: dict[tuple[int, str], float] = {}  # job, worker: the soonest time that was foreseen for it
        self.kept = 0  # promises that were kept
        self.most = 2  # jobs that come in one step
        self._seen: set[tuple[int, int]] = set()

    def step(self) -> None:
        for _ in range(self.draw.randint(0, self.most)):
            limit = self.draw.choice([0.0, 5.0, 20.0, 60.0])
            cpus = self.draw.choice([500, 1000, 3000, 4000])
            self.bench.submit(spec(self.draw.randint(1, 3), millicpus=cpus, time_request=limit))
            self._look()
        self.ends.sort()
        if self.ends:
            at, worker, number, index = self.ends.pop(0)
            self.bench.mono = max(self.bench.mono, at)
            for session in self.sessions.values():
                self.bench.core.sessions[session].hear(self.bench.mono)
            self.bench.report(self.sessions[worker], ok=(ok(number, index, index + 1, run=100.0),))
            self._look()
            while (due := self.bench.core.next_deadline()) is not None and due <= self.bench.mono:
                self.bench.turn()
                self._look()

    def _look(self) -> None:
        for number, job in self.bench.core.jobs.items():
            limit = job.record.spec.time_request
            for (worker, _), tasks in job.held.items():
                for index in set(tasks):
                    if (number, index) not in self._seen:
                        self._seen.add((number, index))
                        self._check(number, worker)
                        took = (limit or 40.0) * self.draw.uniform(0.3, 1.0)
                        self.ends.append((self.bench.mono + took, worker, number, index))
        there = {(each.job.number, each.worker.id) for each in self.bench.core.reservations}
        self.promised = {key: at for key, at in self.promised.items() if key in there}
        for number, worker in there:
            at = foresee(self.bench, worker).at
            if at < inf:
                self.promised[number, worker] = min(at, self.promised.get((number, worker), inf))

    def _check(self, number: int, worker: str) -> None:
        """A task of the job starts: when it was promised to, if it was. Of earlier jobs nothing was promised."""
        at = self.promised.pop((number, worker), None)
        assert at is None or self.bench.mono <= at + 1e-6, f"job {number}: by {at}, starts {self.bench.mono}"
        self.kept += at is not None
        self.promised = {key: at for key, at in self.promised.items() if key[1] != worker or number > key[0]}


@pytest.mark.parametrize("seed", range(20))
def test_a_reservation_is_never_overrun(seed: int) -> None:
    """No job starts later than was foreseen, as long as what runs takes no longer than was said."""
    cluster = Cluster(seed)
    for _ in range(80):
        cluster.step()
        late = {key: at for key, at in cluster.promised.items() if at + 1e-6 < cluster.bench.mono}
        assert not late, f"not started by then: {late}"
    assert cluster.kept


@pytest.mark.parametrize("seed", range(5))
def test_all_that_is_handed_in_ends(seed: int) -> None:
    cluster = Cluster(seed)
    for _ in range(60):
        cluster.step()
    cluster.most = 0  # nothing more comes
    for _ in range(500):
        cluster.step()
    assert not list(cluster.bench.core.unfinished())
    assert not list(cluster.bench.core.reservations)


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ({}, 0.0),
        ({"time_request": 60.0}, 60.0),
        ({"timeout": 50.0, "grace": 10.0}, 60.0),
        ({"time_request": 7.0, "timeout": 50.0}, 7.0),
    ],
)
def test_what_is_said_of_its_time_is_its_limit(said: dict[str, float], limit: float) -> None:
    assert request_of(spec(**said)).limit == limit  # type: ignore[arg-type]


def test_limits_are_of_few_classes_and_never_shorter_than_was_said() -> None:
    limits = {seconds: request_of(spec(time_request=float(seconds))).limit for seconds in range(1, 100_000)}
    assert all(seconds <= limit <= seconds * 17 / 16 for seconds, limit in limits.items())
    assert len(set(limits.values())) < 250


def said(bench: Bench, job: int) -> tuple[str, ...]:
    return job_view(bench.core, bench.core.jobs[job]).pending_because


def test_it_is_said_what_is_reserved_and_who_is_kept_out(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec(time_request=3600.0))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec())
    bench.submit(spec(time_request=4000.0))
    at = iso((WALL + foresee(bench, "w").at) // 60 * 60)[:-4]
    assert said(bench, 2) == (
        f"reserved on w from about {at}Z",
        "needs 4 cpus a task; all that fit are busy, 1 unfinished job comes first",
    )
    view = job_view(bench.core, bench.core.jobs[2])
    assert view.reserved is not None
    assert view.reserved.worker == "w"
    assert view.reserved.start == pytest.approx(bench.now.wall + foresee(bench, "w").at - bench.mono)
    reason = f"kept for job 2, which comes first, from about {at}Z"
    fix = "with --time-request 58m or less it may pass"
    for job in (3, 4):
        assert said(bench, job) == (f"needs 1 cpu a task; w: {reason}; {fix}",)
        view = job_view(bench.core, bench.core.jobs[job], explain=True)
        assert view.reserved is None
        assert view.explanation.hindrances == [Hindrance(("w",), 1, reason, fix)]
        assert [each.tasks_that_fit for each in view.explanation.candidates] == [0]
    bench.submit(spec(time_request=58 * 60.0))
    assert held(bench, 5) == 1, "as was said"


def test_it_is_said_that_nobody_knows_when(bench: Bench) -> None:
    bench.worker("w", 4000)
    bench.submit(spec())
    bench.submit(spec(millicpus=4000))
    bench.submit(spec(time_request=1.0))
    assert said(bench, 2)[0] == "reserved on w as soon as enough has ended there"
    view = job_view(bench.core, bench.core.jobs[2])
    assert view.reserved == Reserved("w", 0.0)
    kept = "w: kept for job 2, which comes first (nobody says how long what runs there takes: --time-request)"
    assert said(bench, 3) == (f"needs 1 cpu a task; {kept}",)


def test_who_reads_sees_no_more_than_is_on_disk(bench: Bench) -> None:
    """A job that runs where room is kept may not be there yet."""
    bench.worker("w", 4000)
    bench.submit(spec(time_request=60.0))
    bench.submit(spec(millicpus=4000))
    bench.submit(spec())
    seen = bench.core.seen_with({1: None})
    assert job_view(seen, seen.jobs[2]).reserved is not None
