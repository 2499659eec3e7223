"""The launcher's journal by itself: what is written is remembered, and a full disk breaks nothing."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.domain.launcher.messages import Ended, Started
from cluster.launcher.journal import Begun, Journal, Recollection, boot_id, load
from tests.faults import BAD_DAYS, Fault, bad_days, no_file_may_exceed
from tests.small_disk import small_disk


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Journal:
    return new_journal(tmp_path)


def new_journal(directory: Path) -> Journal:
    journal = Journal(str(directory), "incarnation", boot_id())
    journal.rewrite(7, [], [])
    return journal


def test_what_was_written_is_remembered(journal: Journal, tmp_path: Path) -> None:
    started, ended = Started(8, "1.0#1", 42, 99), Ended(9, "1.0#1", "exit:1", 1, text="grüß\udcff")
    journal.begin(Begun("1.0#1", 1.5, 99))
    journal.report(started)
    journal.report(ended)
    journal.begin(Begun("1.1#1", 2.5, 100))
    journal.report(Started(10, "1.1#1", 43, 100))
    journal.begin(Begun("1.2#1", 3.5, 101))
    journal.write()
    memory = load(str(tmp_path))
    assert (memory.incarnation, memory.seq) == ("incarnation", 10)
    assert memory.unacked == [started, ended, Started(10, "1.1#1", 43, 100)]
    assert memory.begun == {"1.1#1": Begun("1.1#1", 2.5, 100, 43), "1.2#1": Begun("1.2#1", 3.5, 101)}


def test_a_rewrite_keeps_only_what_is_needed(journal: Journal, tmp_path: Path) -> None:
    running, last = Begun("1.1#1", 2.5, 100, 43), Ended(12, "1.2#1", "ok", 0)
    journal.report(Ended(8, "1.0#1", "ok", 0))
    journal.write()
    journal.rewrite(12, [running], [last])
    memory = load(str(tmp_path))
    assert (memory.seq, memory.unacked, memory.begun) == (12, [last], {"1.1#1": running})
    journal.report(Ended(13, "1.1#1", "ok", 0))
    journal.write()
    assert load(str(tmp_path)).begun == {}


def content(directory: Path) -> bytes:
    """But for the room that it keeps."""
    return (directory / "journal").read_bytes().rstrip(b"\0")


def test_a_full_disk_leaves_the_journal_whole(journal: Journal, tmp_path: Path) -> None:
    before = content(tmp_path)
    journal.report(Ended(8, "1.0#1", "ok", 0))
    journal.begin(Begun("1.1#1", 2.5, 100))
    with no_file_may_exceed(len(before) + 10), pytest.raises(OSError, match="File too large"):
        journal.write()
    assert content(tmp_path) == before
    assert not journal.has_news
    journal.unwrite_begins()
    journal.report(Ended(9, "1.1#1", "launch_failed"))
    assert journal.has_news
    journal.write()
    assert [r.seq for r in load(str(tmp_path)).unacked] == [8, 9]
    assert load(str(tmp_path)).begun == {}


def test_what_was_torn_is_no_line_under_a_shorter_one(journal: Journal, tmp_path: Path) -> None:
    size = len(content(tmp_path))
    for seq in (8, 9):
        journal.report(Ended(seq, "1.0#1", "exit:1", 1, text="that is longer than what is written over it" * 9))
    with no_file_may_exceed(size + 600), pytest.raises(OSError, match="File too large"):
        journal.write()
    journal._pending.clear()
    journal.report(Ended(10, "1.2#1", "ok", 0))
    journal.write()
    assert [r.seq for r in load(str(tmp_path)).unacked] == [10]


def test_a_disk_that_fills_leaves_room_for_ends_and_for_writing_anew(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        journal = new_journal(disk.path)
        disk.fill()
        ends: list[Started | Ended] = [Ended(seq, f"1.{seq}#1", "ok", 0) for seq in range(8, 808)]
        for _ in range(5):
            for end in ends:
                journal.report(end)
                journal.write()
            assert load(str(disk.path)).unacked[-800:] == ends
            journal.rewrite(807, [], ends[-3:])
            assert load(str(disk.path)).unacked == ends[-3:]


def test_a_start_whose_end_was_cut_off_is_unfinished(journal: Journal, tmp_path: Path) -> None:
    """Found by the simulation: written anew, a file has starts without their begins; a power cut took the ends."""
    started = Started(8, "1.0#1", 42, 99)
    journal.rewrite(9, [], [started, Ended(9, "1.0#1", "ok", 0)])
    lines = content(tmp_path).splitlines(keepends=True)
    (tmp_path / "journal").write_bytes(b"".join(lines[:-1]))
    memory = load(str(tmp_path))
    assert (memory.unacked, list(memory.begun)) == ([started], ["1.0#1"])


def test_a_return_is_not_repeated_when_the_attempt_came_back_and_began(journal: Journal, tmp_path: Path) -> None:
    """Found by the simulation: repeated, it would let the same attempt run once more."""
    journal.report(Ended(8, "1.0#1", "returned"))
    journal.report(Ended(9, "1.1#1", "returned"))
    journal.begin(Begun("1.0#1", 1.5, 99))
    journal.write()
    memory = load(str(tmp_path))
    assert ([r.seq for r in memory.unacked], list(memory.begun)) == ([9], ["1.0#1"])


def test_after_a_power_cut_no_return_is_repeated(journal: Journal, tmp_path: Path) -> None:
    """The line that says it came back and began may be the one that is gone."""
    said = Recollection()
    for report in (Ended(8, "1.0#1", "returned"), Ended(9, "1.1#1", "ok", 0)):
        said.report(report)
    assert [r.seq for r in said.unacked(whole=True)] == [8, 9]
    assert [r.seq for r in said.unacked(whole=False)] == [9]


@dataclass
class Told:
    """`reports`: those that were written, and `said`: all there were."""

    spawned: set[str] = field(default_factory=set)
    reports: list[Started | Ended] = field(default_factory=list)
    said: list[Started | Ended] = field(default_factory=list)


def live(journal: Journal, told: Told) -> None:
    """As a launcher does: nothing is spawned whose begin is not written; if a report is not, it goes out all the same,
    but need not be remembered."""
    seq = 7
    for number in range(4):
        key = f"1.{number}#1"
        journal.begin(Begun(key, 1.5, 99))
        try:
            journal.write()
        except OSError:
            journal.unwrite_begins()
        else:
            told.spawned.add(key)
            reports: list[Started | Ended] = [Started(seq + 1, key, 42, 99), Ended(seq + 2, key, "ok", 0)]
            seq += 2
            told.said += reports
            for report in reports:
                journal.report(report)
            with suppress(OSError):
                journal.write()
                told.reports = list(told.said)
        if number == 1:
            with suppress(OSError):
                journal.rewrite(seq, [], told.said)
                told.reports = list(told.said)


@pytest.mark.parametrize("faults", BAD_DAYS)
def test_whatever_the_system_does_no_attempt_is_forgotten_that_was_begun(
    tmp_path: Path, faults: Sequence[Fault]
) -> None:
    told = Told()

    def day() -> None:
        nonlocal told
        told = Told()
        live(journal, told)

    journal = new_journal(tmp_path)
    for first in bad_days(faults, day):
        memory = load(str(tmp_path))
        known = {r.key for r in memory.unacked} | memory.begun.keys()
        assert memory.incarnation == "incarnation", f"{faults} from call {first} on"
        assert told.spawned <= known, f"{faults} from call {first} on"
        assert [r for r in told.reports if r not in memory.unacked] == [], f"{faults} from call {first} on"
        for descriptor in (journal.directory, journal._fd):
            os.close(descriptor)
        journal = new_journal(tmp_path)


def test_pids_of_another_boot_are_forgotten(tmp_path: Path) -> None:
    """A successor that is killed itself, before it could say that they are lost, must not lead the next to kill
    whoever has these pids now."""
    Journal(str(tmp_path), "incarnation", "another boot").rewrite(7, [Begun("1.0#1", 30.0, 99, 4711)], [])
    memory = load(str(tmp_path))
    assert (memory.incarnation != "incarnation", memory.begun["1.0#1"].pid) == (True, 0)
    Journal(str(tmp_path), memory.incarnation, boot_id()).rewrite(memory.seq, memory.begun.values(), memory.unacked)
    assert load(str(tmp_path)).begun["1.0#1"].pid == 0


def test_a_return_of_an_earlier_launcher_is_known_by_its_former_name(journal: Journal, tmp_path: Path) -> None:
    """Repeated under that name, it would be the failure of a task that never ran."""
    journal.report(Ended(8, "1.0#1", "withdrawn"))
    journal.report(Ended(9, "1.1#1", "withdrawn"))
    journal.begin(Begun("1.0#1", 1.5, 99))
    journal.write()
    memory = load(str(tmp_path))
    assert (memory.unacked, list(memory.begun)) == ([Ended(9, "1.1#1", "returned")], ["1.0#1"])
