"""Options of jobs are changed after they were handed in: what follows at once, and what stays as it was started."""

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.base.wall_time import iso
from cluster.domain.job.changes import CHANGEABLE, check_changes
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.spec import OPTIONS
from cluster.domain.scheduler.effects import Reply, Send
from cluster.domain.scheduler.events import JobsChanged, JobSubmitted
from cluster.domain.session.messages import Assign, Hello, Recall
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import WALL, Bench, Effect, attempts, failed, ok, spec, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench()


def change(bench: Bench, *jobs: int, **changes: object) -> object:
    check_changes(changes)
    return reply(bench.turn(JobsChanged(5, jobs or (1,), changes, by_admin=True)))


def reply(effects: list[Effect]) -> object:
    return next(effect.value for effect in effects if isinstance(effect, Reply))


def assigned(effects: list[Effect]) -> list[Assign]:
    return [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, Assign)]


def held(bench: Bench, job: int = 1) -> int:
    return sum(map(len, bench.core.jobs[job].held.values()))


def test_more_run_at_once_where_the_bound_is_raised_and_fewer_where_it_is_lowered(bench: Bench) -> None:
    session = bench.worker("w", 8000)
    bench.submit(spec(20, max_running=2))
    assert held(bench) == 2
    assert change(bench, max_running=5) == 1
    assert held(bench) == 5
    bench.report(session, started=(attempts(1, 1, (0, 5)),))
    assert change(bench, max_running=1) == 1
    for index in range(4):
        bench.report(session, ok=(ok(1, index, index + 1),))
        assert held(bench) == 4 - index, "nothing starts beside what runs"
    assert change(bench, max_running=NO_LIMIT) == 1
    assert held(bench) == 8
    assert change(bench, max_running=NO_LIMIT) == 0, "it has it already"


def test_what_a_worker_has_not_begun_comes_back_where_fewer_may_run(bench: Bench) -> None:
    session = bench.worker("w", 4000)
    bench.submit(spec(20))
    bench.report(session, started=(attempts(1, 1, (0, 2)),))
    sent = bench.sent(JobsChanged(5, (1,), {"max_running": 2}, by_admin=True))
    assert [message for _, message in sent] == [Recall(attempts(1, 1, (2, 4)))]
    bench.report(session, returned=(attempts(1, 1, (2, 4)),))
    assert held(bench) == 2


def test_retries_are_from_now_on_for_all_that_has_not_ended(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(2, backoff=(0.0, 0.0)))
    bench.report(session, ended=(failed(1, 0),))
    assert change(bench, retries=1, retry_on=("exit:3",)) == 1
    bench.report(session, ended=(failed(1, 1),))
    assert (bench.state(1, 0), bench.state(1, 1)) == ("failed", "assigned"), "once more"


def test_a_change_is_on_disk_when_it_is_answered_and_a_restart_knows_it(bench: Bench) -> None:
    bench.worker("w", 2000)
    bench.submit(spec(3, retries=1))
    change(bench, retries=4, max_running=1)
    assert bench.progress[1].changed == (("max_running", 1), ("retries", 4))
    bench.restart()
    job = bench.core.jobs[1]
    assert (job.record.spec.retries, job.record.spec.max_running) == (4, 1)
    assert job.as_submitted == bench.records[1]
    change(bench, retries=1, max_running=NO_LIMIT)
    assert not job.changed, "it is as it was submitted"
    assert not bench.progress[1].changed


def test_what_begins_later_gets_a_new_time_limit_and_what_runs_keeps_its_own(bench: Bench) -> None:
    session = bench.worker("w", 2000)
    bench.submit(spec(4, timeout=60.0))
    bench.report(session, started=(attempts(1, 1, (0, 1)),))
    sent = [message for _, message in bench.sent(JobsChanged(5, (1,), {"timeout": 5.0}, by_admin=True))]
    assert sent == [Recall(attempts(1, 1, (1, 2)))], "it has not begun"
    bench.report(session, returned=(attempts(1, 1, (1, 2)),))
    bench.report(session, ok=(ok(1, 0, 1),))
    assert bench.core.workers["w"].specs.get(1).what == ((("timeout", 5.0),), 0)  # type: ignore[union-attr]


def test_the_spec_is_sent_anew_once_after_a_change(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(4))
    change(bench, timeout=5.0)
    (first,) = assigned(bench.report(session, returned=(attempts(1, 1, (0, 1)),)))
    assert first.spec is not None
    assert first.spec.timeout == 5.0
    given = [assigned(bench.report(session, ok=(ok(1, index, index + 1),))) for index in range(3)]
    assert [each.spec for (each,) in given] == [None, None, None], "it came with the first assign after the change"


def test_what_tasks_ask_for_changes_only_while_no_worker_has_any(bench: Bench) -> None:
    session = bench.worker("w", 4000, Offer((("mem", 8 << 30),)))
    bench.submit(spec(millicpus=16_000))
    assert (change(bench, millicpus=1000, memory=1 << 30), held(bench)) == (1, 1)
    refused = change(bench, millicpus=500)
    assert isinstance(refused, Conflict)
    assert str(refused).startswith(
        "workers have 1 task of job 1, and what its tasks ask for changes only while they have"
    )
    assert change(bench, time_request=60.0) == 1, "how long it takes is no such thing"
    bench.report(session, ok=(ok(1, 0, 1),))
    assert change(bench, millicpus=500) == 0, "it has ended"


def test_none_is_changed_where_one_cannot_be(bench: Bench) -> None:
    bench.worker("w", 1000)
    bench.submit(spec())
    bench.submit(spec())
    assert isinstance(change(bench, 2, 1, worker="other"), Conflict)
    assert [bench.core.jobs[number].record.spec.worker for number in (1, 2)] == ["", ""]
    assert change(bench, 2, worker="other") == 1


def test_a_job_for_which_room_is_kept_asks_for_less_and_starts(bench: Bench) -> None:
    bench.worker("w", 2000)
    bench.submit(spec())
    bench.submit(spec(millicpus=2000))
    bench.submit(spec(millicpus=1500))
    assert bench.core.reservations
    assert (change(bench, 2, millicpus=1000), held(bench, 2)) == (1, 1)


def test_clocks_begin_anew_when_they_are_set(bench: Bench) -> None:
    bench.submit(spec(queue_timeout=100.0))
    bench.turn(after=90.0)
    change(bench, queue_timeout=50.0)
    bench.turn(after=49.0)
    assert bench.state(1) == "ready"
    bench.turn(after=2.0)
    assert (bench.state(1), bench.core.jobs.get(1) and bench.core.jobs[1].reason) == ("failed", "timeout:queue")


def test_a_deadline_counts_from_when_it_is_set_and_may_be_taken_back(bench: Bench) -> None:
    for _ in range(2):
        bench.submit(spec(deadline="100"))
    bench.turn(after=50.0)
    change(bench, 1, deadline="100")
    change(bench, 2, deadline="")
    bench.turn(after=60.0)
    assert (bench.state(1), bench.state(2)) == ("ready", "ready")
    bench.turn(after=60.0)
    assert (bench.state(1), bench.state(2)) == ("failed", "ready")
    assert bench.core.jobs[2].clocks is None


def test_a_job_that_waits_for_a_time_starts_at_another_or_at_once(bench: Bench) -> None:
    for _ in range(2):
        bench.submit(spec(delay=100.0))
    later = iso(bench.now.wall + 200.0)
    assert change(bench, 1, at=later) == 1
    assert change(bench, 2, delay=0.0) == 1
    assert (bench.state(1), bench.state(2)) == ("waiting", "ready")
    bench.turn(after=150.0)
    assert bench.state(1) == "waiting"
    bench.restart()
    bench.turn(after=60.0)
    assert bench.state(1) == "ready"
    refused = change(bench, 1, at=iso(bench.now.wall + 50.0))
    assert str(refused) == "job 1 waits no more: --at and --delay are for a job whose tasks wait"


def test_times_that_are_over_are_refused(bench: Bench) -> None:
    bench.submit(spec(delay=100.0))
    for changes in ({"at": iso(WALL)}, {"deadline": iso(WALL)}, {"deadline": "50"}):
        refused = change(bench, **changes)
        assert isinstance(refused, InvalidInput), changes
        assert str(refused).startswith("job 1: --")


def test_a_schedules_next_run_has_what_was_changed(bench: Bench) -> None:
    bench.submit(spec(every="* * * * *"))
    assert change(bench, retries=2, priority=-3) == 1
    bench.turn(after=61.0)
    assert (bench.core.jobs[2].record.spec.retries, bench.core.jobs[2].priority) == (2, -3)


def test_a_key_is_that_of_the_job_as_it_was_submitted(bench: Bench) -> None:
    bench.turn(JobSubmitted(7, uuid(1), "alice", spec(key="once")))
    change(bench, retries=2)
    assert reply(bench.turn(JobSubmitted(7, uuid(1), "alice", spec(key="once")))) == 1


def test_wrong_changes_are_refused_whatever_the_job() -> None:
    for changes, said in (
        ({}, "nothing is to be changed"),
        ({"argv": ("true",)}, "'argv' is nothing that can be changed of a job; these are: at, backoff,"),
        ({"lost_after": 5.0}, "'lost_after' is nothing that can be changed"),
        ({"retries": -1}, "--retries -1: use 0 to 1000000"),
        ({"max_running": 0}, "--max-running 0: nothing of it would ever start"),
        ({"spread": True, "pack": True}, "--spread and --pack exclude each other"),
        ({"need": "zone ="}, "--need 'zone =': column"),
    ):
        with pytest.raises(InvalidInput) as error:
            check_changes(changes)
        assert said in str(error.value)
    assert set(CHANGEABLE) <= {option.field for option in OPTIONS}


def test_a_worker_that_comes_back_gets_the_spec_as_it_is_now(bench: Bench) -> None:
    session = bench.worker("w", 1000)
    bench.submit(spec(2))
    bench.report(session, started=(attempts(1, 1, (0, 1)),))
    change(bench, timeout=7.0)
    bench.restart()
    bench.hello("w", Hello("inc", 1000, 1, running=(attempts(1, 1, (0, 1)),)))
    sent = bench.report(session + 1, ok=(ok(1, 0, 1),))
    (first,) = assigned(sent)
    assert first.spec is not None
    assert first.spec.timeout == 7.0
