"""One entry of a report that cannot be believed: what is still known of it counts, and nothing else is touched."""

from dataclasses import replace
from struct import pack

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.records import PACKED, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.spec import MAX_TASKS
from cluster.domain.launcher.messages import Ended
from cluster.domain.session.messages import Attempts, Report
from cluster.domain.session.report_checks import MAX_NUMBER, believable
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.report_making import build_report
from cluster.rpc.convert import report_from_proto, report_to_proto
from cluster.v1 import scheduler_pb2

END = TaskEnd(1, 0, 1, "exit:3", 3, started_at=5.0, ended_at=6.0)
OK = OkEnds(1, 1, 4, 2, pack(PACKED, 5.0, 1, 2, 3, 4) * 2)
GOOD = Report(
    9,
    started=(Attempts(1, 1, (Range(0, 9),)),),
    ok=(OK,),
    ended=(END,),
    returned=(Attempts(2, 1, (Range(3, 4), Range(5, 6))),),
    outputs=(SmallOutput(1, 0, 1, b"x", b""),),
    draining=True,
)


def test_what_can_be_is_taken_as_it_is() -> None:
    assert believable(GOOD) == (GOOD, 0)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"started_at": float("nan")}, {"started_at": 0.0}),
        ({"ended_at": 1e300, "cpu_seconds": -1.0}, {"ended_at": 0.0}),
        ({"exit_code": 256}, {"exit_code": 0}),
        ({"exit_code": -1}, {"exit_code": 0}),
        ({"output_bytes": 2**64 - 2}, {"output_bytes": MAX_NUMBER}),
        ({"peak_memory": 2**64 - 1}, {"peak_memory": MAX_NUMBER}),
        ({"reason": ""}, {"reason": "lost"}),
        ({"reason": "ok"}, {"reason": "lost"}),  # which is told in another way
        ({"detail": "a\0b"}, {"detail": "a\\x00b"}),
        ({"signal": "x" * 20_000}, {"signal": "x" * 10_000}),
    ],
)
def test_of_a_bad_end_the_rest_is_taken(said: dict[str, object], taken: dict[str, object]) -> None:
    bad, good = replace(END, **said), replace(END, index=1)  # type: ignore[arg-type]
    report, doubtful = believable(Report(9, ended=(bad, good)))
    assert (report.ended, doubtful) == ((replace(END, **taken), good), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (OkEnds(1, 1, 0, 2, b"short"), OkEnds(1, 1, 0, 2, bytes(48))),
        (
            OkEnds(1, 1, 0, 2, pack(PACKED, -1.0, 1, 2, 3, 4) + OK.packed[:24]),
            OkEnds(1, 1, 0, 2, pack(PACKED, 0.0, 1, 2, 3, 4) + OK.packed[:24]),
        ),
        (OkEnds(1, 1, 0, 0, b""), None),
        (OkEnds(1, 1, MAX_TASKS, 1, OK.packed[:24]), None),
    ],
)
def test_of_bad_successes_the_rest_is_taken(said: OkEnds, taken: OkEnds | None) -> None:
    report, doubtful = believable(Report(9, ok=(said, OK)))
    assert (report.ok, doubtful) == ((taken, OK) if taken else (OK,), 1)


def test_what_names_no_task_is_left_out_alone() -> None:
    bad = Attempts(1, 1, (Range(2, 2), Range(0, 2), Range(0, MAX_TASKS + 1)))
    report, doubtful = believable(replace(GOOD, started=(bad,), ended=(replace(END, index=MAX_TASKS), END)))
    assert report == replace(GOOD, started=(Attempts(1, 1, (Range(0, 2),)),))
    assert doubtful == 2


@pytest.mark.parametrize("reason", ["ok", "exit:1"])
def test_what_a_job_does_to_its_files_and_its_clock_makes_no_entry_that_cannot_be(reason: str) -> None:
    """Two files of the largest size that there is, on a machine whose clock stands in the year 1900."""
    ended = Ended(3, "1.0#1", reason, 1, None, -(2**60), -5, -1, 2**60, MAX_NUMBER, MAX_NUMBER, "caf\udce9\0")
    report = build_report([JournalEntry(AttemptKey.parse(ended.key), ended)], 3)
    wire = report_to_proto(report).SerializeToString()  # a lone surrogate could not be said
    assert believable(report_from_proto(scheduler_pb2.Report.FromString(wire))) == (report, 0)


def test_signals_without_a_name_have_a_number_all_the_same() -> None:
    for signal, code in (("SIGKILL", 137), ("SIGRTMIN", 162), ("SIG35", 163), ("SIGRTMAX", 192), ("SIGWHAT", 128)):
        (end,) = build_report(
            [JournalEntry(AttemptKey(1, 0, 1), Ended(1, "1.0#1", f"signal:{signal}", None, signal))], 1
        ).ended
        assert end.exit_code == code
