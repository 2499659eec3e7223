"""What a worker's word changes: only what it holds, in the attempt it speaks of, in its present session."""

import pytest

from cluster.domain.job.records import SmallOutput
from cluster.domain.scheduler.effects import Send
from cluster.domain.session.messages import Report, ReportAcknowledged
from tests.domain.core_bench import Bench, attempts, failed, ok, spec


@pytest.fixture
def bench() -> Bench:
    """Worker `mine` (session 1) holds tasks 0 and 1 in attempt 1, `other` (session 2) holds 2 and 3."""
    bench = Bench()
    bench.worker("mine")
    bench.worker("other")
    bench.submit(spec(6, retries=1))
    assert bench.core.jobs[1].held["mine", 1].flat() == [0, 2]
    return bench


STALE = [
    Report(9, ok=(ok(1, 2, 4),)),  # another's
    Report(9, ok=(ok(1, 0, 2, attempt=2),)),  # not yet
    Report(9, ended=(failed(1, 2),)),
    Report(9, ended=(failed(1, 0, attempt=2),)),
    Report(9, ended=(failed(1, 5),)),  # ready
    Report(9, ended=(failed(77, 0),)),  # no such job
    Report(9, ok=(ok(77, 0, 1),)),
    Report(9, started=(attempts(1, 1, (2, 6)), attempts(77, 1, (0, 1)))),
    Report(9, returned=(attempts(77, 1, (0, 1)),)),
    Report(9, outputs=(SmallOutput(1, 0, 1, b"x", b""),)),  # no end came with it
]


@pytest.mark.parametrize("report", STALE)
def test_a_stale_report_changes_nothing_and_is_acknowledged(bench: Bench, report: Report) -> None:
    before = bench.core.jobs[1].progress()
    parts = {name: getattr(report, name) for name in ("started", "ok", "ended", "returned", "outputs")}
    assert bench.report(1, 9, **parts) == [Send(1, ReportAcknowledged(9))]
    assert bench.core.jobs[1].progress() == before


def test_a_repeated_report_changes_nothing_the_second_time(bench: Bench) -> None:
    report = {"ok": (ok(1, 0, 1, run=10.0),), "ended": (failed(1, 1),)}
    bench.report(1, 3, **report)
    before = bench.core.jobs[1].progress()
    assert bench.report(1, 3, **report) == [Send(1, ReportAcknowledged(3))]
    assert bench.core.jobs[1].progress() == before


def test_of_a_range_only_what_is_held_counts(bench: Bench) -> None:
    effects = bench.report(1, 3, ok=(ok(1, 0, 6, run=10.0),))
    assert effects[0] == ok(1, 0, 2, run=10.0, worker="mine")
    assert [bench.state(1, index) for index in range(2)] == ["succeeded", "succeeded"]
    assert [bench.state(1, index) for index in (2, 3)] == ["assigned", "assigned"]


def test_what_runs_cannot_be_returned(bench: Bench) -> None:
    bench.report(1, 1, started=(attempts(1, 1, (0, 1)),))
    bench.report(1, 2, returned=(attempts(1, 1, (0, 2)),))
    assert bench.state(1, 0) == "running"
    assert bench.core.jobs[1].held["mine", 1].covers(0, 1)


def test_small_output_is_saved_with_the_end(bench: Bench) -> None:
    outputs = (SmallOutput(1, 0, 1, b"out", b"err"), SmallOutput(1, 1, 1, b"x", b""))
    effects = bench.report(1, 1, ok=(ok(1, 0, 1),), ended=(failed(1, 1),), outputs=outputs)
    assert [effect for effect in effects if isinstance(effect, SmallOutput)] == list(outputs)


def test_a_report_with_nothing_to_acknowledge(bench: Bench) -> None:
    effects = bench.report(1, 0, returned=(attempts(1, 1, (0, 1)),))
    assert not [e for e in effects if isinstance(e, Send) and isinstance(e.message, ReportAcknowledged)]


def test_recent_run_times_weigh_more(bench: Bench) -> None:
    bench.report(1, 1, ok=(ok(1, 0, 1, run=10.0),))
    assert bench.core.jobs[1].mean_run == 10.0
    bench.report(1, 2, ok=(ok(1, 1, 2, run=5.0),))
    assert bench.core.jobs[1].mean_run == 9.0
