"""What is found below the paths that somebody uploads, what of it is left out, and what is wrong with it."""

import os
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.cli.upload_progress import UploadProgress
from cluster.client.files import digest_memory, outgoing
from cluster.client.files.job_files import JobFiles, job_files
from cluster.client.files.outgoing import Outgoing
from cluster.client.files.sending import LackingContent
from cluster.client.files.walking import FoundFile, find
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import decode
from cluster.domain.job.spec import JobSpec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


def write(base: Path, **files: str) -> None:
    """Keyword arguments cannot have / and ., so __ and _dot_ stand for them."""
    for name, text in files.items():
        path = base / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(base: Path, *paths: str) -> list[str]:
    return sorted(os.fsdecode(path) for path in find(paths or (".",), str(base)).entries)


def tree_of(base: Path, *paths: str) -> list[Any]:
    going = Outgoing()
    digest = going.add_tree(paths or (".",), str(base))
    return list(decode(going.contents[bytes.fromhex(digest)].read(0)))


def test_all_of_a_directory_is_found_with_its_odd_things(base: Path) -> None:
    odd = os.fsencode(base) + b"/new\nline \xff"
    Path(os.fsdecode(odd)).write_bytes(b"x")
    (base / "empty").mkdir(mode=0o750)
    (base / "run").write_text("#!/bin/sh")
    (base / "run").chmod(0o751)
    (base / "sub").mkdir()
    (base / "sub" / "up").symlink_to("../run")
    (base / "dangling").symlink_to("nowhere")
    entries = {entry.path: entry for entry in tree_of(base)}
    assert sorted(entries) == [b"dangling", b"empty", b"new\nline \xff", b"run", b"sub", b"sub/up"]
    assert entries[b"empty"].mode == 0o750
    assert (entries[b"run"].mode, entries[b"run"].digest) == (0o751, sha256(b"#!/bin/sh").digest())
    assert entries[b"sub/up"].target == b"../run"


def test_what_lies_below_has_its_place_and_all_else_its_name(base: Path, tmp_path: Path) -> None:
    write(base, src__a="1", src__deep__b="2", other="3")
    write(tmp_path, elsewhere__c="4", elsewhere__d="5")
    assert found(base, "src") == ["src", "src/a", "src/deep", "src/deep/b"]
    assert found(base, "src/deep/b") == ["src", "src/deep", "src/deep/b"]
    assert found(base, "./src/a", "other") == ["other", "src", "src/a"]
    assert found(base, "../elsewhere/c", str(tmp_path / "elsewhere" / "d")) == ["c", "d"]
    assert found(base, "../elsewhere") == ["elsewhere", "elsewhere/c", "elsewhere/d"]
    assert found(base, ".", "src/a") == found(base)


def test_what_is_ignored_is_left_out(base: Path) -> None:
    write(base, _dot_gitignore="*.o\n/build/\n!keep.o\n# no\n\\#yes\n", a_dot_o="", keep_dot_o="", build__x="")
    write(base, sub__build__y="", sub__b_dot_o="", sub___dot_gitignore="!b.o\nz*\n", sub__zz="", zz="")
    (base / "#yes").touch()
    write(base, _dot_git__HEAD="ref")
    assert found(base) == [".gitignore", "keep.o", "sub", "sub/.gitignore", "sub/b.o", "sub/build", "sub/build/y", "zz"]
    write(base, _dot_clusterignore="!/build/\nsub/\n!.git/\n")
    assert [each for each in found(base) if not each.startswith(".")] == ["build", "build/x", "keep.o", "zz"]
    assert ".git/HEAD" in found(base)


def test_nothing_is_looked_at_below_what_is_left_out(base: Path) -> None:
    write(base, _dot_gitignore="venv/\n", venv__x="", venv___dot_gitignore="!*")
    (base / "venv" / "python").symlink_to("/usr/bin/python3")
    assert found(base) == [".gitignore"]


def test_what_is_named_itself_is_never_left_out(base: Path) -> None:
    write(base, _dot_gitignore="*.o\nout/\n", a_dot_o="", out__x="", out__y_dot_o="")
    (base / ".git").mkdir()
    assert found(base, "a.o") == ["a.o"]
    assert found(base, "out") == ["out", "out/x", "out/y.o"]


def test_what_the_repository_says_above_counts(base: Path) -> None:
    write(base, _dot_gitignore="*.o\n", src__a_dot_o="", src__a_dot_c="")
    assert found(base / "src") == ["a.c", "a.o"], "no repository"
    (base / ".git").mkdir()
    assert found(base / "src") == ["a.c"]
    assert found(base, "src") == ["src", "src/a.c"]


def test_what_is_no_file_is_left_out_and_told(base: Path) -> None:
    os.mkfifo(base / "fifo")
    here = os.getcwd()
    os.chdir(base)  # the name of a socket may not be long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
    finally:
        os.chdir(here)
    finding = find(["."], str(base))
    assert not finding.entries
    assert sorted(note.rpartition("/")[2] for note in finding.notes) == [
        "fifo is a fifo, and was left out",
        "socket is a socket, and was left out",
    ]
    with pytest.raises(InvalidInput, match="fifo: it is a fifo: name a file"):
        find(["fifo"], str(base))
    with pytest.raises(InvalidInput, match="it is a device"):
        find(["/dev/null"], str(base))


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../x", "sub/../../x"])
def test_a_link_that_leaves_the_tree_is_refused(base: Path, target: str) -> None:
    (base / "link").symlink_to(target)
    with pytest.raises(InvalidInput, match=r"base/link is a link to .*: leave it out by .clusterignore"):
        find(["."], str(base))
    (base / ".clusterignore").write_text("link\n")
    assert found(base) == [".clusterignore"]


def test_a_link_that_is_named_with_a_slash_is_what_it_leads_to(base: Path, tmp_path: Path) -> None:
    write(tmp_path, data__x="1")
    (base / "data").symlink_to(tmp_path / "data")
    with pytest.raises(InvalidInput, match="data/ names what it leads to"):
        find(["data"], str(base))
    assert found(base, "data/") == ["data", "data/x"]


def test_two_things_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    write(tmp_path, one__x="1", two__x="1")
    with pytest.raises(InvalidInput, match="two things would be called x"):
        find(["../one/x", "../two/x"], str(base))


def test_what_is_not_there_is_refused(base: Path) -> None:
    with pytest.raises(InvalidInput, match="--upload nowhere: No such file or directory"):
        find(["nowhere"], str(base))


def test_a_file_that_changes_or_vanishes_meanwhile_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "a").write_bytes(b"12345")
    finding = find(["."], str(base))
    (base / "a").write_bytes(b"1234")
    with pytest.raises(InvalidInput, match="a has changed while it was read"):
        outgoing._digest_of(finding.files[b"a"], lambda _: None)
    (base / "a").unlink()
    with pytest.raises(InvalidInput, match="a has vanished while it was looked at"):
        outgoing._digest_of(finding.files[b"a"], lambda _: None)
    os.mkfifo(base / "a")
    with pytest.raises(InvalidInput, match="a has changed while it was read"):
        outgoing._digest_of(finding.files[b"a"], lambda _: None)


@pytest.mark.parametrize("most_kept", [0, 100])
def test_a_file_that_changes_before_it_is_sent_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch, most_kept: int
) -> None:
    """Whether it is read again, or was kept in memory."""
    monkeypatch.setattr(outgoing, "MOST_KEPT", most_kept)
    (base / "a").write_bytes(b"1" * 100)
    going = Outgoing()
    going.add_tree(["."], str(base))
    source = going.contents[sha256(b"1" * 100).digest()]
    assert isinstance(source, outgoing.KeptFile) == bool(most_kept)
    assert b"".join(source.read(60)) == b"1" * 40
    os.truncate(base / "a", 50)
    with pytest.raises(InvalidInput, match="a has changed while it was read"):
        b"".join(source.read(0))


def test_what_has_not_changed_is_not_read_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(base, old="1", new="2")
    os.utime(base / "old", (1e9, 1e9))
    monkeypatch.setattr(digest_memory, "QUIET", -3600.0)  # so that the time of its inode counts as long ago
    first = tree_of(base)
    read: list[bytes] = []
    real = outgoing._digest_of

    def read_again(found: FoundFile, looked: Callable[[int], object], pieces: list[bytes] | None) -> bytes:
        read.append(found.path)
        return real(found, looked, pieces)

    monkeypatch.setattr(outgoing, "_digest_of", read_again)
    assert tree_of(base) == first
    assert read == []
    write(base, new="3")
    assert tree_of(base) != first
    assert read == [os.fsencode(base / "new")]


def test_what_changed_just_now_is_not_remembered(base: Path, cache: Path) -> None:
    write(base, new="2")
    tree_of(base)
    assert digest_memory.remembered(file.state for file in find(["."], str(base)).files.values()) == {}


def test_a_memory_that_is_damaged_costs_only_time(base: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_memory, "QUIET", -3600.0)
    cache.mkdir()
    (cache / digest_memory.FILE).write_bytes(b"no database" * 1000)
    write(base, a="1")
    assert [entry.digest for entry in tree_of(base)] == [sha256(b"1").digest()]


def test_stdin_is_what_was_given(base: Path, tmp_path: Path) -> None:
    spec, every = JobSpec(("true",)), bytes(range(256)) * 9000
    (base / "in").write_bytes(every)
    os.mkfifo(base / "pipe")

    def sent(files: JobFiles) -> bytes:
        going = Outgoing()
        digest = files._replace(base=str(base)).added(spec, going, lambda _: None).stdin
        assert going.contents.keys() == {bytes.fromhex(digest)} == {sha256(every).digest()}
        return b"".join(going.contents[bytes.fromhex(digest)].read(0))

    assert sent(job_files(stdin=every)) == every
    assert sent(job_files(stdin="in")) == every
    assert sent(job_files(stdin=base / "in")) == every
    (base / "more").write_bytes(b"before" + every)
    with open(base / "more", "rb") as file:
        file.seek(6)
        assert sent(job_files(stdin=file)) == every
        assert file.read() == b""
    assert sent(job_files(stdin=BytesIO(every))) == every
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.close(reader)
            with open(writer, "wb") as end:
                end.write(every)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb", buffering=0) as pipe:
        assert sent(job_files(stdin=pipe)) == every
    os.wait()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [], "nothing is left of what came by the pipe"
    with pytest.raises(InvalidInput, match="--stdin nowhere: No such file"):
        sent(job_files(stdin="nowhere"))


def test_of_much_that_is_left_to_send_the_largest_files_are_named_first(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [3, 90, 7, 30, 1, 20]  # MiB
    lacking = [LackingContent(b"", Sized(f"file {n}", size << 20), 0) for n, size in enumerate(sizes)]
    progress = UploadProgress(quiet=False)
    progress.begins(lacking[:2])  # that little is not told
    progress.begins(lacking)
    progress.begins(lacking)  # after a break
    progress.close()
    said, *more = capsys.readouterr().err.splitlines()
    largest = "file 1 (90.0 MiB), file 3 (30.0 MiB), file 5 (20.0 MiB), file 2 (7.0 MiB), file 0 (3.0 MiB)"
    assert (said, more) == (f"cluster: uploading 151 MiB in 6 files; the largest: {largest}", [])


class Sized(NamedTuple):
    """A content that nobody reads."""

    name: str
    size: int

    def read(self, offset: int) -> Iterator[bytes]:
        raise AssertionError("nobody reads it")
