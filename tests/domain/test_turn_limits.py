"""No turn is given more than it can do at once, and nothing is left out by that."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.records import JobProgress, JobRecord, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.domain.job.target import Target
from cluster.domain.job.workflow import NewJob
from cluster.domain.launcher.messages import Ended
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Notify, Reply, Send
from cluster.domain.scheduler.events import (
    CancelRequested,
    JobsSubmitted,
    ReopenRequested,
    ReportReceived,
    SessionClosed,
    SessionOpened,
)
from cluster.domain.scheduler.followers import Wait
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE, MOST_OK, parts, weight
from cluster.domain.scheduler.waiting import Dependencies
from cluster.domain.scheduler.worker_record import MAX_MILLICPUS
from cluster.domain.session.messages import Assign, Hello, Report
from cluster.domain.worker.messages import SendReport, Start
from tests.domain.core_bench import Bench, Effect, attempts, effects, failed, ok, spec
from tests.domain.worker_bench import Bench as WorkerBench
from tests.domain.worker_bench import reported

GREEDY = 1_000_000  # a worker that holds as many as any may


def output(index: int, attempt: int = 1) -> SmallOutput:
    return SmallOutput(1, index, attempt, b"%d" % index, b"")


kinds = st.sampled_from(["started", "ok", "ended", "returned", None])


@given(st.lists(kinds, min_size=1, max_size=60), st.integers(1, 25))
def test_a_report_in_parts_says_the_same(what: list[str | None], each: int) -> None:
    fields: dict[str, list[object]] = {"started": [], "ok": [], "ended": [], "returned": []}
    outputs = []
    for number, kind in enumerate(what):
        first = number * each
        match kind:
            case "started" | "returned":
                fields[kind].append(attempts(1, 1, *((i, i + 1) for i in range(first, first + each))))
            case "ok":
                fields["ok"].append(ok(1, first, first + each))
            case "ended":
                fields["ended"].append(failed(1, first))
        outputs.append(output(first))
    report = Report(7, **{kind: tuple(some) for kind, some in fields.items()}, outputs=tuple(outputs), draining=True)  # type: ignore[arg-type]
    cut = parts(report, 10)
    assert len(cut) >= weight(ReportReceived(1, report)) // 11
    assert [part.sequence for part in cut] == [0] * (len(cut) - 1) + [7]
    assert [part.more for part in cut] == [True] * (len(cut) - 1) + [False]
    assert all(part.draining for part in cut)
    assert all(weight(ReportReceived(1, part)) <= 10 + 1 for part in cut)
    for kind in ("started", "returned"):
        assert [key for part in cut for a in getattr(part, kind) for key in a] == [
            key for a in getattr(report, kind) for key in a
        ]
    assert [end for part in cut for end in part.ended] == list(report.ended)
    assert [end for part in cut for end in part.ok] == list(report.ok)
    for part in cut if len(cut) > 1 else ():  # each output with the end that it belongs to
        ended = {end.index for end in part.ended} | {i for end in part.ok for i in range(end.first, end.stop)}
        assert {o.index for o in part.outputs} == ended & {o.index for o in outputs}


def test_long_ranges_are_cut_with_what_was_measured_of_their_tasks() -> None:
    whole = OkEnds(1, 1, 0, 3 * MOST_OK, bytes(range(24)) * (3 * MOST_OK))
    cut = [end for part in parts(Report(1, ok=(whole,))) for end in part.ok]
    assert [end.count for end in cut] == [MOST_OK] * 3
    assert b"".join(end.packed for end in cut) == whole.packed


def test_what_costs_a_turn_more_weighs_more() -> None:
    one = CancelRequested(1, (Target(1),), "ann")
    apart = CancelRequested(1, (Target(1, tuple(Range(i, i + 1) for i in range(0, 8000, 2))),), "ann")
    assert weight(one) == 1
    assert weight(apart) >= MOST_AT_ONCE
    assert weight(ReportReceived(1, Report(1, ended=tuple(failed(1, i) for i in range(100))))) == 101


def turns(bench: Bench, after: float = 0.0) -> Iterator[list[Effect]]:
    """What happens in so many seconds, turn by turn."""
    until = bench.mono + after
    while (due := bench.core.next_deadline()) is not None and due <= until:
        bench.mono = max(bench.mono, due)
        yield effects(bench.core.turn([], bench.now))


def test_who_is_in_the_midst_of_a_report_gets_nothing_before_all_of_it_is_taken() -> None:
    """It had given back these very tasks, and drops what comes before the acknowledgement: they were held for ever."""
    bench, worker = Bench(), WorkerBench().opened()
    session = bench.worker("w")
    for _ in range(6):
        begun = bench.submit(spec(millicpus=1))
        worker.down(*(e.message for e in begun if isinstance(e, Send)))
    keys = list(worker.core.held.backlog)
    returned = tuple(Ended(n, str(key), "returned", None, None, 0, 0) for n, key in enumerate(keys, start=1))
    worker.now += 1.0
    (report,) = [e.report for e in worker.turn(reported(*returned)) if isinstance(e, SendReport)]
    started: list[AttemptKey] = []
    for part in parts(report, 2):
        sent = [e.message for e in bench.turn(ReportReceived(session, part)) if isinstance(e, Send)]
        for effect in worker.down(*sent) if sent else ():
            started += [item.key for item in effect.items] if isinstance(effect, Start) else []
    assert len(keys) == 6
    assert sorted(started) == sorted(keys)


def test_a_session_that_ends_in_the_midst_of_a_report_is_followed_by_one_that_takes_work() -> None:
    bench = Bench()
    session = bench.worker("w")
    bench.submit(spec(2))
    part, _ = parts(Report(1, ended=(failed(1, 0), failed(1, 1))), 1)
    bench.turn(ReportReceived(session, part))
    bench.turn(SessionClosed(session))
    effects = bench.hello("w")
    assert any(isinstance(e, Send) and isinstance(e.message, Assign) for e in effects)


def ends_in(decided: list[Effect]) -> int:
    return sum(isinstance(e, TaskEnd) for e in decided)


def test_what_a_worker_held_is_lost_in_turns_of_bounded_size() -> None:
    bench = Bench()
    session = bench.worker("w", MAX_MILLICPUS)
    bench.submit(spec(GREEDY, millicpus=1, retries=1))
    held = bench.core.workers["w"].held
    bench.turn(SessionClosed(session))
    ends = [ends_in(decided) for decided in turns(bench, after=60.5)]
    assert sum(ends) == held > 10 * MOST_AT_ONCE
    assert max(ends) <= MOST_AT_ONCE
    job = bench.core.jobs[1]
    ready = [len(job.ready) for _ in turns(bench, after=2.0)]
    assert ready[-1] == GREEDY
    assert max(after - before for before, after in pairwise(ready)) <= MOST_AT_ONCE, "tried again in turns, too"


def test_who_comes_back_in_the_midst_of_being_lost_keeps_the_rest() -> None:
    bench = Bench()
    session = bench.worker("w", MAX_MILLICPUS)
    bench.submit(spec(GREEDY, millicpus=1))
    job = bench.core.jobs[1]
    running = attempts(1, 1, *job.held["w", 1].ranges())
    bench.turn(SessionClosed(session))
    lost = next(filter(None, map(ends_in, turns(bench, after=70.0))))
    bench.hello("w", Hello("inc", MAX_MILLICPUS, 1, running=(running,)))
    assert job.count(TaskState.FAILED) == lost == MOST_AT_ONCE
    assert job.count(TaskState.RUNNING) == running.count - lost
    bench.turn(after=5.0)
    assert job.count(TaskState.FAILED) == lost


def test_tasks_in_many_pieces_are_assigned_in_turns_of_bounded_size() -> None:
    bench = Bench()
    bench.submit(spec(100_000, millicpus=1))
    job = bench.core.jobs[1]
    bench.turn(CancelRequested(1, (Target(1, tuple(Range(i, i + 1) for i in range(0, 100_000, 2))),), "ann"))
    for worker in range(10):
        bench.register(f"w{worker}", 300)
    hello = [SessionOpened(worker, f"w{worker}", Hello("inc", 300, 1)) for worker in range(10)]
    sent = [
        sum(len(e.message.attempts.ranges) for e in decided if isinstance(e, Send) and isinstance(e.message, Assign))
        for decided in (effects(bench.core.turn(hello, bench.now)), *turns(bench))
    ]
    assert sum(sent) == sum(map(len, job.held.values())) == 3000
    assert max(sent) <= MOST_AT_ONCE + 300, "no more than one worker's beyond it"


def test_a_session_that_ends_saves_nothing_of_the_jobs_that_it_has() -> None:
    bench = Bench()
    session = bench.worker("w", 100_000)
    for _ in range(100):
        bench.submit(spec())
    effects = bench.turn(SessionClosed(session))
    assert sum(isinstance(e, Notify) for e in effects) == 100
    assert not [e for e in effects if isinstance(e, JobProgress)]


def test_who_hears_of_many_pieces_costs_the_turn_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    hear = Dependencies._hear

    def counting(self: Dependencies, wait: Wait, *said: Any) -> None:
        heard.append(wait.job.number)
        hear(self, wait, *said)

    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    bench.submit(spec(4000))
    for wish in ("run", "end"):
        for _ in range(10):
            bench.submit(spec(4000, after_each=("1",), on_dependency_fail=wish))
    monkeypatch.setattr(Dependencies, "_hear", counting)
    pieces = tuple(Range(at, at + 1) for at in range(0, 3200, 2))
    bench.turn(CancelRequested(3, (Target(1, pieces),), "alice"))
    turns = [len(heard)]
    while (due := bench.core.next_deadline()) is not None and due <= bench.mono:
        bench.turn()
        turns.append(len(heard) - sum(turns))
    assert max(turns) <= 5, "of 1600 pieces each"
    assert sum(turns) == 20
    assert all(len(bench.core.jobs[number].sets[TaskState.READY]) == 1600 for number in range(2, 12))
    assert all(len(bench.core.jobs[number].sets[TaskState.CANCELLED]) == 1600 for number in range(12, 22))


def test_who_waits_for_many_jobs_costs_the_turn_as_many() -> None:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    for _ in range(300):
        bench.submit(spec())
    numbers = tuple(str(number) for number in range(1, 301))
    jobs = tuple(NewJob(f"00000000-0000-7000-8000-{n:012x}", spec(after_any=numbers)) for n in range(40))
    event: tuple[JobsSubmitted, ...] = (JobsSubmitted(5, "alice", jobs),)
    counts = []
    while True:
        decided = bench.core.turn(event, bench.now)
        event = ()
        counts.append(sum(isinstance(save, JobRecord) for save in decided.saves))
        if not decided.goes_on:
            break
    assert max(counts) <= bench.core.most // 30
    assert sum(counts) == 40
    waits = bench.core.followers.waits
    assert [wait.count for wait in waits.values()] == [300] * 40
    bench.turn(CancelRequested(6, tuple(Target(number, None) for number in range(301, 341)), "alice"))
    left = [len(bench.core.followers.over)]
    while left[-1]:
        bench.turn()
        left.append(len(bench.core.followers.over))
    assert min(40 - left[0], *(before - after for before, after in pairwise(left[:-1]))) > 1
    assert max(40 - left[0], *(before - after for before, after in pairwise(left))) <= bench.core.most // 30 + 1
    assert bench.core.followers.of(bench.core.jobs[1]) == []


def test_who_waits_again_before_it_was_forgotten_is_a_follower() -> None:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    bench.submit(spec())
    for _ in range(2):
        bench.submit(spec(after=("1",)))
    bench.core.most = 1
    bench.turn(CancelRequested(6, (Target(2, None), Target(3, None)), "alice"))
    assert [job.number for job in bench.core.followers.over] == [3]
    bench.turn(ReopenRequested(7, 3, (Range(0, 1),), (TaskState.CANCELLED,), None, bench.core.openings))
    while bench.core.followers.over:
        bench.turn()
    bench.core.most = 500
    bench.turn(CancelRequested(8, (Target(1, None),), "alice"))
    assert bench.state(3) == "cancelled", "what it waits for cannot happen"
    assert bench.core.jobs[3].cancel_reason.startswith("job 1")


def test_many_jobs_that_are_handed_in_again_are_compared_in_parts() -> None:
    bench = Bench(SchedulerCore(epoch=1, lease=1e6))
    jobs = tuple(NewJob(f"00000000-0000-7000-8000-{n:012x}", spec(key=f"k{n}")) for n in range(6000))
    numbers = []
    for _ in range(2):
        decided = bench.core.turn([JobsSubmitted(5, "alice", jobs)], bench.now)
        turns = 1
        while decided.goes_on:
            decided = bench.core.turn([], bench.now)
            turns += 1
        numbers.append(next(act.value for act in decided.acts if isinstance(act, Reply)))
    assert numbers[0] == numbers[1] == tuple(range(1, 6001))
    assert turns >= 3, "when they came again"


def test_a_start_takes_up_many_jobs_in_steps() -> None:
    bench = Bench()
    bench.core.lease = 1e6
    bench.worker("w", 1000)
    for number in range(1, 121):
        bench.submit(spec(after=(str(number - 1),) if number % 3 == 0 else ()))
    before = {number: job.sets for number, job in bench.core.jobs.items()}
    step = 30
    bench.restart(most=step)
    taken = [after - before for before, after in pairwise([0, *bench.jobs_by_step])]
    assert max(taken) <= step // 2
    assert len(taken) >= (2 * 120 + 40) // step
    assert {number: job.sets for number, job in bench.core.jobs.items()} == before


def test_a_job_in_many_pieces_is_a_step_of_its_own_when_a_scheduler_starts() -> None:
    bench = Bench()
    bench.core.lease = 1e6
    session = bench.worker("w", 4_000_000)
    for _ in range(3):
        bench.submit(spec(2000))
        job = bench.core.next_number - 1
        bench.report(session, ended=tuple(failed(job, index) for index in range(0, 2000, 2)))
    bench.restart(most=50)
    assert bench.jobs_by_step == [1, 2, 3]
