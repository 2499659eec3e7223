"""The outbox tells all of the journal's entries, in reports of bounded size."""

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.messages import Ended
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.outbox import REPORT_BYTES, Outbox
from cluster.domain.worker.report_making import build_report
from cluster.rpc.convert import report_to_proto


def test_reasons_of_many_ends_are_reported_in_several_messages() -> None:
    """Four thousand of the longest are more than the scheduler takes in at once."""
    outbox = Outbox()
    for index in range(1000):
        end = Ended(index + 1, f"1.{index}#1", "launch_failed", text="\N{SNOWMAN}" * 5000)
        outbox.add(JournalEntry(AttemptKey(1, index, 1), end), alone=False)
    told = 0
    while entries := outbox.take(0.0):
        report = report_to_proto(build_report(entries, entries[-1].what.seq))
        assert report.ByteSize() < 2 * REPORT_BYTES
        told += len(report.ended)
        outbox.acknowledge(entries[-1].what.seq)
    assert told == 1000
