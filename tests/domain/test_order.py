"""Whose turn it is: priority, then who has had least lately, then who came first."""

import random
from math import isclose

import pytest

from cluster.domain.base.errors import NotPermitted
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.target import Target
from cluster.domain.scheduler.effects import Reply
from cluster.domain.scheduler.events import CancelRequested, JobsChanged, JobSubmitted, ShareWeighed
from cluster.domain.scheduler.sharing import AHEAD, HALF_LIFE, SAVED_AFTER, ShareRecord, Shares, used_after
from cluster.domain.scheduler.views import job_view
from cluster.domain.session.messages import Hello
from tests.domain.core_bench import Bench, Effect, ok, spec, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench()


def submit(bench: Bench, what: JobSpec, owner: str = "ann") -> int:
    number = bench.core.next_number
    bench.turn(JobSubmitted(7, uuid(number), owner, what))
    return number


def held(bench: Bench) -> dict[int, int]:
    """Tasks that workers hold, by job."""
    jobs = {number: sum(map(len, job.held.values())) for number, job in bench.core.jobs.items()}
    return {number: count for number, count in jobs.items() if count}


def end_of(bench: Bench, session: int, number: int, run: float = 100.0) -> None:
    """One task of the job ends on the worker of that session."""
    worker = bench.core.sessions[session]
    ((attempt, tasks),) = bench.core.jobs[number].held_by(worker.id)
    bench.report(session, 0, ok=(ok(number, tasks.first(), tasks.first() + 1, attempt, run=run),))


def reply(effects: list[Effect]) -> object:
    (found,) = [effect.value for effect in effects if isinstance(effect, Reply)]
    return found


# ── priority ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_higher_priority_goes_first_whoever_came_before(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    submit(bench, spec(9))
    for priority in (0, 5, 0, 7):
        submit(bench, spec(priority=priority), "bob" if priority == 7 else "ann")
    order = []
    for _ in range(4):
        ((number, _),) = held(bench).items()
        order.append(number)
        end_of(bench, session, number)
    assert order == [1, 5, 3, 1]


def test_it_is_changed_later_and_outlives_a_restart(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    for _ in range(3):
        submit(bench, spec(2))
    assert reply(bench.turn(JobsChanged(4, (3,), {"priority": 10}, by_admin=True))) == 1
    assert reply(bench.turn(JobsChanged(4, (3, 9), {"priority": 10}, by_admin=True))) == 0, "it has it already"
    assert (bench.progress[3].changed, bench.progress[2].changed) == ((("priority", 10),), ())
    bench.restart()
    bench.hello("w", Hello("inc", 1000, 1))
    bench.turn(CancelRequested(4, (Target(1),), "ann"))
    assert held(bench) == {3: 1}
    end_of(bench, session + 1, 3)
    assert held(bench) == {3: 1}
    bench.turn(JobsChanged(4, (3,), {"priority": -10}, by_admin=False))
    bench.turn(JobsChanged(4, (3,), {"priority": -10}, by_admin=False))
    end_of(bench, session + 1, 3)
    assert held(bench) == {2: 1}


def test_a_user_may_only_go_down(bench: Bench) -> None:
    for _ in range(2):
        submit(bench, spec())
    bench.turn(JobsChanged(4, (1,), {"priority": -10}, by_admin=False))
    error = reply(bench.turn(JobsChanged(4, (2, 1), {"priority": -5}, by_admin=False)))
    assert isinstance(error, NotPermitted)
    assert str(error) == "job 1 has priority -10, and only an admin raises it: give -10 or less"
    assert [bench.core.jobs[n].priority for n in (1, 2)] == [-10, 0], "none was changed"
    assert reply(bench.turn(JobsChanged(4, (1, 2), {"priority": 5}, by_admin=True))) == 2


# ── fair share ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_who_begin_together_get_the_same_and_a_third_its_part(bench: Bench) -> None:
    bench.core.most = 10_000
    ann, bob = submit(bench, spec(1000)), submit(bench, spec(1000), "bob")
    bench.worker("w", 64_000)
    assert sum(held(bench).values()) == 64
    assert abs(held(bench)[ann] - held(bench)[bob]) <= 8
    cid = submit(bench, spec(1000), "cid")
    for _ in range(30):
        number = max(held(bench), key=lambda number: held(bench)[number])
        end_of(bench, 1, number)
    assert held(bench)[cid] >= 20


def test_who_has_had_more_waits_until_the_other_has_had_as_much(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    ann = submit(bench, spec(50))
    got: list[int] = []

    def an_hour_later() -> None:
        ((number, _),) = held(bench).items()
        got.append(number)
        bench.mono += AHEAD
        bench.core.sessions[session].hear(bench.mono)
        end_of(bench, session, number)

    for _ in range(3):
        an_hour_later()
    bob = submit(bench, spec(50), "bob")
    for _ in range(8):
        an_hour_later()
    assert got[:4] == [ann] * 4, "what runs goes on"
    assert got[4:7] == [bob] * 3
    assert set(got[7:]) == {ann, bob}, "and then both take turns"


def test_of_twice_the_weight_one_gets_twice_as_much(bench: Bench) -> None:
    bench.core.most = 10_000
    bench.turn(ShareWeighed(4, "bob", 2.0))
    ann, bob = submit(bench, spec(1000)), submit(bench, spec(1000), "bob")
    bench.worker("w", 60_000)
    assert isclose(held(bench)[bob] / held(bench)[ann], 2.0, rel_tol=0.3)


def test_one_alone_has_all_of_it(bench: Bench) -> None:
    bench.worker("w", 64_000)
    assert held(bench) == {}
    ann = submit(bench, spec(1000))
    assert held(bench) == {ann: 64}


@pytest.mark.parametrize("seed", range(10))
def test_nobody_starves(bench: Bench, seed: int) -> None:
    """Whatever comes in what order, of users of one weight who all have work each gets about its part."""
    draw = random.Random(seed)
    session = bench.worker("w", 12_000)
    users = ["ann", "bob", "cid"]
    for user in users:
        submit(bench, spec(5000, millicpus=draw.choice([1000, 2000])), user)
    got = dict.fromkeys(users, 0.0)
    for _ in range(600):
        bench.mono += 60.0
        bench.core.sessions[session].hear(bench.mono)
        for number, count in held(bench).items():
            job = bench.core.jobs[number]
            got[job.record.owner] += count * job.record.spec.millicpus * 60.0
        if draw.random() < 0.1:  # somebody floods the queue
            submit(bench, spec(50, millicpus=draw.choice([500, 1000])), draw.choice(users))
        end_of(bench, session, draw.choice(sorted(held(bench))))
    assert min(got.values()) > 0.7 * max(got.values()), got


def test_what_was_used_outlives_a_restart(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    submit(bench, spec(2))
    bench.turn(after=SAVED_AFTER + 1)
    assert bench.shares["ann"].held == 1000
    bench.turn(after=1000.0)
    before = bench.core.shares.record("ann", bench.mono, bench.now.wall)
    bench.restart()
    after = bench.core.shares.record("ann", bench.mono, bench.now.wall)
    assert isclose(after.used, before.used, rel_tol=0.1)
    assert session


def test_nothing_is_saved_while_nothing_changes(bench: Bench) -> None:
    bench.turn(ShareWeighed(4, "bob", 2.0))
    assert bench.shares == {"bob": ShareRecord("bob", 2.0, 0.0, 0, bench.now.wall)}
    bench.worker("w", 1000)
    submit(bench, spec())
    bench.turn(after=10.0)
    assert "ann" not in bench.shares, "it comes with what else changes in a minute"
    effects = bench.turn(after=SAVED_AFTER)
    assert [e.owner for e in effects if isinstance(e, ShareRecord)] == ["ann"]
    assert not [e for e in bench.turn(after=10 * SAVED_AFTER) if isinstance(e, ShareRecord) and e.owner == "bob"]


def test_use_fades_by_half_in_a_half_life_and_comes_to_what_is_held() -> None:
    assert isclose(used_after(8.0, 0, HALF_LIFE), 4.0)
    steady = used_after(0.0, 1000, 100 * HALF_LIFE)
    assert isclose(used_after(steady, 1000, 12345.0), steady), "it fades as fast as it grows"
    assert isclose(used_after(used_after(5.0, 3000, 100.0), 3000, 200.0), used_after(5.0, 3000, 300.0))
    shares = Shares()
    shares.hold("ann", 2000, 0.0)
    shares.hold("ann", -2000, 100.0)
    assert isclose(shares.record("ann", 100.0, 0.0).used, 200.0, rel_tol=0.001)
    assert shares.rank("ann", 100.0) > shares.rank("bob", 100.0) == 0.0


# ── what people are told ──────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_told_what_comes_first_and_why(bench: Bench) -> None:
    bench.worker("w", 1000)
    submit(bench, spec(3))
    submit(bench, spec())
    submit(bench, spec(priority=5), "cid")
    submit(bench, spec(), "bob")
    last = submit(bench, spec())

    def because(number: int) -> str:
        (line,) = job_view(bench.core, bench.core.jobs[number]).pending_because
        return line

    assert because(last) == (
        "needs 1 cpu a task; all that fit are busy, first come 1 job of higher priority; jobs of bob, who has had less "
        "lately; 2 earlier jobs of ann's"
    )
    assert because(4) == "needs 1 cpu a task; all that fit are busy, first come 1 job of higher priority"
