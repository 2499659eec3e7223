"""What is used is counted once for each end of an attempt, by its job and by days."""

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.records import SmallOutput
from cluster.domain.job.usage import DAY, NOTHING_USED, Usage, UsageAdded, UsageKind
from cluster.domain.scheduler.events import JobSubmitted, ReportReceived
from cluster.domain.session.messages import Report
from cluster.domain.trust.identity import Vouched
from tests.domain.core_bench import WALL, Bench, failed, ok, spec, uuid

MINUTE = 60_000_000  # microseconds


@pytest.fixture
def bench() -> Bench:
    """Worker `mine` (session 1) holds tasks 0 and 1 of job 1, `other` (session 2) holds 2 and 3."""
    bench = Bench()
    bench.worker("mine")
    bench.worker("other")
    bench.submit(spec(6, retries=1, name="sweep"))
    return bench


def used(bench: Bench, kind: UsageKind) -> dict[str, Usage]:
    sums: dict[str, Usage] = {}
    for added in bench.usage.values():
        if added.kind is kind:
            key = added.owner if kind is UsageKind.USER else added.key
            sums[key] = sums.get(key, NOTHING_USED).plus(added.usage)
    return sums


def test_ends_of_any_kind_come_to_the_job_its_user_its_name_and_the_worker(bench: Bench) -> None:
    bench.report(1, 1, ok=(ok(1, 0, 1, run=60.0),), ended=(failed(1, 1),))
    bench.report(2, 1, ok=(ok(1, 2, 4, run=60.0),))
    mine, other = (used(bench, UsageKind.WORKER)[worker] for worker in ("mine", "other"))
    assert (mine.tasks, mine.attempts, mine.failed) == (2, 2, 1)
    assert (other.tasks, other.attempts, other.failed, other.run_micros) == (2, 2, 0, 2 * MINUTE)
    whole = mine.plus(other)
    assert used(bench, UsageKind.USER) == {"alice": whole}
    assert used(bench, UsageKind.NAME) == {"sweep": whole}
    assert bench.core.jobs[1].used == bench.progress[1].used == whole
    assert {added.day for added in bench.usage.values()} == {int(bench.now.wall // DAY)}


def test_of_a_task_that_is_tried_again_each_attempt_counts_and_the_task_once() -> None:
    bench = Bench()
    session = bench.worker("mine")
    bench.submit(spec(1, retries=1))
    bench.report(session, 1, ended=(failed(1, 0),))
    bench.turn(after=10.0)
    before = bench.core.jobs[1].used
    assert (before.tasks, before.attempts, before.failed) == (1, 1, 1)
    bench.report(session, 2, ok=(ok(1, 0, 1, attempt=2, run=60.0),))
    after = bench.core.jobs[1].used
    assert (after.tasks, after.attempts, after.failed, after.run_micros - before.run_micros) == (1, 2, 1, MINUTE)


def test_what_is_reported_twice_or_of_anothers_tasks_is_not_counted(bench: Bench) -> None:
    for _ in range(2):
        bench.report(1, 3, ok=(ok(1, 0, 1), ok(1, 2, 4)), ended=(failed(1, 1), failed(77, 0)))
    assert bench.core.jobs[1].used.attempts == 2
    assert used(bench, UsageKind.USER)["alice"].attempts == 2


def test_what_is_written_is_counted_whether_it_rides_along_or_waits(bench: Bench) -> None:
    outputs = (SmallOutput(1, 0, 1, b"out", b"err"), SmallOutput(1, 9, 1, b"of nobody", b""))
    bench.report(1, 1, ok=(ok(1, 0, 2),), outputs=outputs)
    assert bench.core.jobs[1].used.output_bytes == 6
    assert used(bench, UsageKind.WORKER)["mine"].output_bytes == 6


def test_tasks_have_waited_since_they_were_submitted_or_might_start() -> None:
    bench = Bench()
    session = bench.worker("mine")
    bench.submit(spec(2))
    begun = bench.core.jobs[1].record.submitted_at
    bench.report(session, 1, ok=(ok(1, 0, 2, began=begun + 5.0),))
    assert bench.core.jobs[1].used.wait_micros == 10_000_000
    bench.turn(JobSubmitted(7, uuid(2), "alice", spec(1, delay=5.0)))
    bench.turn(after=8.0)
    submitted = bench.core.jobs[2].record.submitted_at
    bench.report(session, 2, ok=(ok(2, 0, 1, began=submitted + 7.0),))
    assert bench.core.jobs[2].used.wait_micros == 2_000_000


def test_a_worker_whose_clock_is_behind_has_let_nothing_wait(bench: Bench) -> None:
    bench.report(1, 1, ok=(ok(1, 0, 2, began=WALL - 1000.0),))
    assert bench.core.jobs[1].used.wait_micros == 0


def test_a_turn_saves_one_sum_of_each_however_many_have_ended(bench: Bench) -> None:
    core = bench.core
    reports = [ReportReceived(1, Report(n, ok=(ok(1, n - 1, n),))) for n in (1, 2)]
    decided = core.turn(reports, bench.now)
    added = [save for save in decided.saves if isinstance(save, UsageAdded)]
    assert [(save.kind, save.key, save.usage.attempts) for save in added] == [
        (UsageKind.USER, "", 2),
        (UsageKind.NAME, "sweep", 2),
        (UsageKind.WORKER, "mine", 2),
    ]
    assert not [save for save in core.turn((), bench.now).saves if isinstance(save, UsageAdded)]


def test_an_attempt_that_fails_by_what_it_has_called_is_counted_once_and_has_failed() -> None:
    """It has succeeded first, and waited for that."""
    bench = Bench()
    session = bench.worker("w", 100_000)
    bench.submit(spec(1, wait_children=True))
    by = Vouched(AttemptKey(1, 0, 1), "w", "alice", 0)
    bench.turn(JobSubmitted(8, uuid(2), "alice", spec(1), vouched=by))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    assert (bench.core.jobs[1].used.attempts, bench.core.jobs[1].used.failed) == (1, 0)
    bench.report(session, 2, ended=(failed(2, 0),))
    assert bench.state(1, 0) == "failed"
    assert (bench.progress[1].used.attempts, bench.progress[1].used.failed) == (1, 1)
    assert used(bench, UsageKind.USER)["alice"].failed == 2
