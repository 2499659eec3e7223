"""A UUID is one job, also when that has ended and is in the store alone."""

import pytest

from cluster.domain.base.errors import Conflict, Unreachable
from cluster.domain.job.records import JobEnded, JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.workflow import NewJob
from cluster.domain.scheduler.effects import LookUp, Notify, Reply
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.events import CancelRequested, Event, JobsSubmitted, JobSubmitted, LookedUp
from cluster.domain.scheduler.submitting import EACH_WEIGHS, LOOKED_AT
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.waiting import HasEnded
from tests.domain.core_bench import Bench, Effect, failed, ok, spec


def submitted(ask: int, job_id: str, owner: str = "alice") -> JobSubmitted:
    return JobSubmitted(ask, job_id, owner, spec())


def said(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, LookUp | Reply)]


def with_an_ended_job(job_id: str = "b") -> Bench:
    bench = Bench()
    bench.turn(submitted(1, job_id))
    effects = bench.turn(CancelRequested(2, (Target(1),), "alice"))
    assert JobEnded(1, TaskState.CANCELLED) in effects
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    return bench


def test_a_job_that_has_ended_is_in_memory_until_the_store_answers_for_it() -> None:
    bench = Bench()
    session = bench.worker("w")
    bench.turn(submitted(1, "a"), submitted(2, "b"))
    assert JobEnded(1, TaskState.SUCCEEDED) in bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert said(bench.turn(submitted(3, "a"))) == [Reply(3, 1)]
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    assert list(bench.core.jobs) == [2]
    assert bench.core.job_of_id("a") is None


def test_what_is_said_of_a_job_that_has_left_changes_nothing() -> None:
    bench = Bench()
    session = bench.worker("w", 1000)
    bench.turn(JobSubmitted(1, "a", "alice", spec(2, retries=5)))
    bench.report(session, 1, ended=(failed(1, 0),))  # a retry is due in a second
    bench.turn(CancelRequested(2, (Target(1),), "alice"))
    bench.report(session, 2, ended=(failed(1, 1, reason="cancelled"),))
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    events: list[Event] = [CancelRequested(3, (Target(1),), "alice")]
    assert [e for e in bench.turn(*events) if not isinstance(e, Notify)] == [Reply(3, 0)]
    assert not [e for e in bench.report(session, 3, ended=(failed(1, 1),)) if isinstance(e, JobEnded)]
    bench.turn(after=100.0)
    assert not bench.core.jobs


def test_a_uuid_above_all_that_there_have_been_is_new_and_nobody_is_asked() -> None:
    bench = with_an_ended_job()
    assert said(bench.turn(submitted(3, "c"))) == [Reply(3, 2)]


def test_a_uuid_below_is_looked_up_once_for_all_who_submit_it() -> None:
    bench = with_an_ended_job()
    record = bench.records[1]
    assert said(bench.turn(submitted(3, "b"), submitted(4, "b"), submitted(5, "b", "eve"))) == [LookUp(("b",))]
    assert said(bench.turn(submitted(6, "b"))) == []
    first, second, theirs, last = said(bench.turn(LookedUp(("b",), {"b": record})))
    assert [first, second, last] == [Reply(3, 1), Reply(4, 1), Reply(6, 1)]
    assert isinstance(theirs, Reply)
    assert isinstance(theirs.value, Conflict)
    assert said(bench.turn(submitted(7, "b"))) == [LookUp(("b",))], "what was heard once is not kept"


def made_at(seconds: float, version: int = 7, rest: int = 0) -> str:
    millis = f"{int(seconds * 1000):012x}"
    return f"{millis[:8]}-{millis[8:]}-{version}000-8000-{rest:012x}"


@pytest.mark.parametrize("strange", ["f" * 8 + "-ffff-ffff-ffff-" + "f" * 12, made_at(4e9), made_at(1e6, version=4)])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_strange_uuid_costs_nobody_else_a_look_into_the_store(strange: str, restarts: bool) -> None:
    bench = with_an_ended_job(strange)
    if restarts:
        bench.restart()
    assert said(bench.turn(submitted(3, made_at(bench.now.wall)), submitted(4, strange))) == [
        Reply(3, 2),
        LookUp((strange,)),
    ]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_uuid_that_was_ahead_of_the_clock_is_known_when_the_clock_is_there(restarts: bool) -> None:
    bench = Bench()
    ahead = made_at(bench.now.wall + 86400)
    bench.turn(submitted(1, ahead))
    bench.turn(CancelRequested(2, (Target(1),), "alice"))
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    if restarts:
        bench.restart()
    bench.turn(after=86400.0)
    beside = made_at(bench.now.wall, rest=1)
    assert said(bench.turn(submitted(3, ahead), submitted(4, beside))) == [LookUp((ahead,)), Reply(4, 2)]


def test_of_those_that_were_ahead_only_the_last_hours_are_kept_apart() -> None:
    ids = EndedIds()
    made = [(made_at(1e9 + 100 * n + 300), 1e9 + 100 * n) for n in range(1000)]
    for job_id, submitted_at in made:
        ids.add(job_id, submitted_at)
    assert all(ids.may_have(job_id) for job_id, _ in made)
    assert len(ids._ahead) < 150


def test_of_a_uuid_that_the_store_has_not_the_first_makes_the_job() -> None:
    bench = with_an_ended_job()
    bench.turn(submitted(3, "a"), submitted(4, "a"), submitted(5, "a", "eve"))
    effects = bench.turn(LookedUp(("a",), {}))
    assert [e.number for e in effects if isinstance(e, JobRecord)] == [2]
    first, second, theirs = said(effects)
    assert [first, second] == [Reply(3, 2), Reply(4, 2)]
    assert isinstance(theirs, Reply)
    assert isinstance(theirs.value, Conflict)


def test_when_the_store_cannot_say_nothing_is_accepted() -> None:
    bench = with_an_ended_job()
    bench.turn(submitted(3, "a"), submitted(4, "a"))
    error = Unreachable("the disk reports an error")
    assert bench.turn(LookedUp(("a",), error)) == [Reply(3, error), Reply(4, error)]
    assert said(bench.turn(submitted(5, "a"))) == [LookUp(("a",))]


def test_a_restart_knows_which_uuids_may_be_taken() -> None:
    bench = with_an_ended_job()
    bench.restart()
    assert not bench.core.jobs
    assert said(bench.turn(submitted(3, "b"), submitted(4, "c"))) == [LookUp(("b",)), Reply(4, 2)]


def together(ask: int, *jobs: tuple[str, JobSpec], owner: str = "alice") -> JobsSubmitted:
    return JobsSubmitted(ask, owner, tuple(NewJob(*job) for job in jobs))


def test_jobs_that_come_together_get_their_numbers_and_wait_for_each_other() -> None:
    bench = Bench()
    session = bench.worker("w")
    effects = bench.turn(together(1, ("a", spec()), ("b", spec(2, after=("a",))), ("c", spec(2, after_each=("b",)))))
    assert said(effects) == [Reply(1, (1, 2, 3))]
    assert [record.spec.after for record in bench.records.values()] == [(), ("1",), ()]
    assert bench.records[3].spec.after_each == ("2",)
    assert [bench.state(1), bench.state(2), bench.state(3)] == ["assigned", "waiting", "waiting"]
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    bench.report(session, 2, ok=(ok(2, 0, 1),))
    assert (bench.state(2, 1), bench.state(3, 0), bench.state(3, 1)) == ("assigned", "assigned", "waiting")


def test_more_than_a_turn_has_room_for_come_in_several_turns_that_belong_together() -> None:
    bench = Bench()
    bench.worker("w", 1000)
    bench.core.most = 6
    jobs = [(f"j{n}", spec(after=("j0",) if n else ())) for n in range(8)]
    first = bench.core.turn([together(1, *jobs), submitted(2, "x"), submitted(3, "j1", "eve")], bench.now)
    second = bench.core.turn([submitted(4, "y")], bench.now)
    third, fourth, fifth = (bench.core.turn([], bench.now) for _ in range(3))
    turns = (first, second, third, fourth, fifth)
    assert [turn.goes_on for turn in turns] == [True, True, True, True, False]
    # The first has looked at them, and whether they can be taken, before it takes one.
    assert [sum(isinstance(s, JobRecord) for s in turn.saves) for turn in turns[:4]] == [1, 3, 3, 2]
    assert Reply(1, (1, 2, 3, 4, 5, 6, 7, 8)) in fourth.acts
    who_came_later = [act for act in (*fourth.acts, *fifth.acts) if isinstance(act, Reply)][1:]
    assert [reply.value for reply in who_came_later if reply.ask != 3] == [9, 10]
    assert [type(reply.value) for reply in who_came_later if reply.ask == 3] == [Conflict]


def test_what_they_wait_for_may_end_and_leave_memory_while_they_come() -> None:
    bench = Bench()
    bench.turn(submitted(1, "old"))
    bench.core.most = 2
    jobs = [("a", spec()), ("b", spec(after_any=("1",)))]
    assert bench.core.turn([together(2, *jobs)], bench.now).goes_on
    assert bench.core.turn([CancelRequested(3, (Target(1),), "alice")], bench.now).goes_on
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    while bench.core.turn([], bench.now).goes_on:
        pass
    assert bench.state(3) == "ready"


def test_what_has_left_memory_before_it_was_looked_for_is_looked_for_again() -> None:
    """The driver asks the store, which has it by now, and all come once more."""
    bench = Bench()
    bench.turn(submitted(1, "old"))
    bench.core.most = 2
    it_ends = CancelRequested(3, (Target(1),), "alice")
    first = bench.core.turn([together(2, ("a", spec(after_any=("1",)))), it_ends], bench.now)
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    second = bench.core.turn([], bench.now)
    assert first.goes_on
    assert not second.goes_on
    assert [type(act.value) for act in second.acts if isinstance(act, Reply)] == [HasEnded]
    assert not second.saves


def test_to_look_at_many_that_come_together_takes_several_turns() -> None:
    bench = Bench()
    jobs = [(f"j{n}", spec()) for n in range(MOST_AT_ONCE // EACH_WEIGHS * LOOKED_AT + 1)]
    first, second = bench.core.turn([together(1, *jobs)], bench.now), bench.core.turn([], bench.now)
    assert (first.goes_on, second.goes_on) == (True, True)
    assert [*first.saves, *second.saves] == []
    while bench.core.turn([], bench.now).goes_on:
        pass
    assert len(bench.core.jobs) == len(jobs)


@pytest.mark.parametrize("ended", [False, True])
def test_the_same_jobs_again_are_the_same_and_some_of_them_with_others_are_refused(ended: bool) -> None:
    bench = Bench()
    bench.turn(together(1, ("a", spec()), ("b", spec())))
    if ended:
        bench.turn(CancelRequested(2, (Target(1),), "alice"))
        bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    calls = (
        together(3, ("b", spec()), ("a", spec())),
        together(4, ("a", spec()), ("b", spec()), ("c", spec())),
        together(5, ("a", spec()), ("b", spec()), owner="eve"),
    )
    effects = bench.turn(*calls)
    if ended:
        assert said(effects) == [LookUp(("a",))]
        effects = bench.turn(LookedUp(("a",), {"a": bench.records[1]}))
    same, more, theirs = said(effects)
    assert same == Reply(3, (2, 1))
    assert isinstance(more, Reply)
    assert str(more.value) == "job 1 is there already, and others of the call are not: make new UUIDs"
    assert isinstance(theirs, Reply)
    assert isinstance(theirs.value, Conflict)
    assert list(bench.records) == [1, 2]


def test_none_is_taken_where_one_waits_for_a_job_that_has_just_ended() -> None:
    bench = with_an_ended_job()
    (reply,) = said(bench.turn(together(3, ("c", spec()), ("d", spec(after=("1",))))))
    assert isinstance(reply, Reply)
    assert isinstance(reply.value, HasEnded)
    assert list(bench.records) == [1]


def test_who_asks_beside_others_about_some_of_the_same_uuids_is_answered() -> None:
    bench = with_an_ended_job("c")
    bench.turn(submitted(3, "a"))
    both = ("a", spec()), ("b", spec())
    assert said(bench.turn(together(4, *both), together(5, *both))) == []
    bench.turn(LookedUp(("a",), Unreachable("the disk reports an error")))
    assert said(bench.turn(together(6, *both))) == [LookUp(("a", "b"))]
    assert said(bench.turn(together(7, *both))) == []
    assert said(bench.turn(LookedUp(("a", "b"), {}))) == [Reply(6, (2, 3)), Reply(7, (2, 3))]
