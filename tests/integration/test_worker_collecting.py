"""Collecting what an attempt has left: whatever it has left, only its own files are read, and never without end."""

import os
import socket
from hashlib import sha256
from pathlib import Path

import pytest

from cluster.domain.files.tree import EntryKind, decode
from cluster.domain.job.results import VANISHED, WantedResults
from cluster.worker.results import collecting
from cluster.worker.results.collecting import Collected, collect, open_below


def collected(top: Path, *patterns: str, files: int = 1000, size: int = 1 << 20, owner: int | None = None) -> Collected:
    return collect(str(top), WantedResults(patterns, files, size), owner)


def paths(found: Collected) -> list[bytes]:
    return [entry.path for entry in found.entries]


def test_files_directories_and_links_come_with_modes_and_odd_names(tmp_path: Path) -> None:
    odd = tmp_path / "out" / "line\nend"
    odd.mkdir(parents=True)
    (odd / os.fsdecode(b"\xff\xfe")).write_bytes(b"odd")
    run = tmp_path / "out" / "run"
    run.write_text("x")
    run.chmod(0o755)
    (tmp_path / "out" / "empty").mkdir()
    (tmp_path / "out" / "link").symlink_to("line\nend")
    (tmp_path / "other").write_text("not wanted")
    found = collected(tmp_path, "out")
    by_path = {entry.path: entry for entry in found.entries}
    assert list(by_path) == [
        *(b"out", b"out/empty", b"out/line\nend", b"out/line\nend/\xff\xfe", b"out/link", b"out/run"),
    ]
    assert by_path[b"out/run"].mode == 0o755
    assert by_path[b"out/link"].target == b"line\nend"
    assert by_path[b"out/line\nend/\xff\xfe"].digest == sha256(b"odd").digest()
    assert found.notes == ()
    assert list(decode([found.tree()])) == found.entries  # a tree that others accept


def test_directories_above_come_along_and_what_matched_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.log").write_text("x")
    found = collected(tmp_path, "a/*/*.log", "nothing/*")
    assert paths(found) == [b"a", b"a/b", b"a/b/x.log"]
    assert found.notes == ("nothing/* matched nothing",)


def test_where_there_is_nothing_nothing_is_found(tmp_path: Path) -> None:
    for top, note in ((tmp_path, "* matched nothing"), (tmp_path / "absent", VANISHED)):
        found = collected(top, "*")
        assert found.entries == []
        assert found.tree() == b""
        assert found.notes == (note,)


def test_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").symlink_to("/etc/passwd")
    (top / "b").symlink_to("../secret")
    (top / "d").symlink_to("/etc")
    found = collected(top, "*", "d/passwd")
    assert paths(found) == []
    assert len([note for note in found.notes if "leaves the tree" in note]) == 3
    assert "d/passwd matched nothing" in found.notes


def test_what_is_no_file_is_left_out_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        found = collected(tmp_path, "*")
    assert paths(found) == []
    assert {note.split(" is left out: ")[0] for note in found.notes} == {"pipe", "socket"}


def test_a_file_of_terabytes_without_bytes_is_left_out(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(15 << 40)
    (tmp_path / "small").write_text("x")
    found = collected(tmp_path, "*")
    assert paths(found) == [b"small"]
    assert found.notes == ("1 file left out: with them it is more than --max-results 1.0 MiB",)


def test_no_more_than_so_many_are_kept(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / f"{n:02}").write_text("x")
    found = collected(tmp_path, "*", files=10)
    assert len(found.entries) == 10
    assert "--max-files 10" in found.notes[0]
    assert not collected(tmp_path, "*", files=50).notes


def test_a_walk_ends_however_many_names_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_LOOKED_AT", 30)
    for n in range(100):
        (tmp_path / f"{n:03}").mkdir()
    assert "or 30 names to see" in collected(tmp_path, "*").notes[0]


def test_a_walk_ends_however_deep_it_is(tmp_path: Path) -> None:
    there = tmp_path
    for _ in range(collecting.MOST_LEVELS + 20):
        there = there / "d"
    there.mkdir(parents=True)
    found = collected(tmp_path, "d")
    assert len(found.entries) == collecting.MOST_LEVELS - 1
    assert "it is too deep" in found.notes[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_another_users_file_by_a_second_name_is_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    top = tmp_path / "top"
    top.mkdir()
    os.link(secret, top / "mine")
    (top / "own").write_text("x")
    os.chown(top / "own", 65534, 65534)
    found = collected(top, "*", owner=65534)
    assert paths(found) == [b"own"]
    assert found.notes == ("mine is left out: it is another user's",)


def test_a_file_is_opened_again_by_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    os.close(open_below(str(tmp_path), b"a/file"))
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError):  # noqa: PT011 (ELOOP or ENOTDIR)
        open_below(str(tmp_path), b"b/file")


def test_what_grows_is_taken_as_long_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "log"
    file.write_text("x" * 10)
    fstat = os.fstat

    def and_grow(fd: int) -> os.stat_result:
        status = fstat(fd)
        with file.open("a") as more:
            more.write("y" * 10)
        return status

    monkeypatch.setattr(os, "fstat", and_grow)
    file.write_text("x" * 10)
    (entry,) = [each for each in collected(tmp_path, "log").entries if each.kind is EntryKind.FILE]
    assert (entry.size, entry.digest) == (entry.size, sha256((b"x" * 10 + b"y" * 40)[: entry.size]).digest())
