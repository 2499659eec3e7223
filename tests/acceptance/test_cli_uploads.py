"""Files that go with a job, and what is fed to `cluster run`, from a directory here to a task's there and back."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import Command

pytestmark = pytest.mark.slow
EVERY = bytes(range(256)) * 4096  # 1 MiB
LISTED = r"find . -printf '%y %m %l %p\0' | sort -z; find . -type f -exec sha256sum -z {} + | sort -z"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with odd things in it."""
    here = tmp_path / "project"
    (here / "sub" / "empty").mkdir(parents=True)
    (here / "sub" / "empty").chmod(0o750)
    (here / "large").write_bytes(EVERY)
    (here / "sub" / "new\nline").write_text("odd")
    Path(os.fsdecode(os.fsencode(here) + b"/\xff")).write_text("no UTF-8")
    (here / "run.sh").write_text('#!/bin/sh\necho ran "$@"; cat\n')
    (here / "run.sh").chmod(0o755)
    (here / "sub" / "up").symlink_to("../run.sh")
    (here / ".gitignore").write_text("*.o\n")
    here.chmod(0o700)
    return here


def test_a_task_finds_what_lies_here_and_writes_its_own(cluster: Command, here: Path) -> None:
    mine = subprocess.run(["sh", "-c", LISTED], cwd=here, capture_output=True, check=True).stdout
    (here / "left.o").write_text("ignored")
    found = cluster.ok("run", "--upload", ".", "--", "sh", "-c", f"chmod 700 .; {LISTED}; echo more >> large", cwd=here)
    assert found.out == mine
    assert (here / "large").read_bytes() == EVERY
    script = "test ! -e mark && touch mark && wc -c < large && ./run.sh $CLUSTER_TASK"
    done = cluster.ok("run", "-q", "--upload", ".", "--array", "1-4", "--", "sh", "-c", script, cwd=here)
    assert sorted(done.out.split()) == sorted(b"1048576 1048576 1048576 1048576 ran ran ran ran 1 2 3 4".split())


def test_what_is_fed_to_run_is_what_the_job_reads(cluster: Command, here: Path) -> None:
    with (here / "large").open("rb") as file:
        assert cluster.ok("run", "--", "cat", stdin=file).out == EVERY
        file.seek(0)
        assert cluster.ok("run", "--no-stdin", "--", "cat", stdin=file).out == b""
    with subprocess.Popen(["cat", here / "large"], stdout=subprocess.PIPE) as fed:
        done = cluster.ok("run", "--upload", "run.sh", "--", "./run.sh", "me", stdin=fed.stdout, cwd=here)
    assert done.out == b"ran me\n" + EVERY
    done = cluster.ok("run", "-q", "--stdin", "run.sh", "--array", "1-2", "--", "head", "-1", cwd=here)
    assert done.out == b"#!/bin/sh\n" * 2


def test_a_job_file_names_files_beside_it(cluster: Command, here: Path) -> None:
    (here / "jobs.toml").write_text(
        '[jobs.x]\ncommand = "sub/up"\nupload = ["run.sh", "sub"]\nstdin = "sub/new\\nline"\n'
    )
    assert cluster.ok("run", "-q", "--file", str(here / "jobs.toml")).out == b"ran\nodd"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--upload", "nowhere"], "--upload nowhere: No such file or directory"),
        (["--upload", ".", "--cwd", "/tmp"], "--upload and --cwd exclude each other"),
        (["--upload", "leaves"], "leaves is a link to /etc, which leaves the tree: leaves/ names what it leads to"),
        (["--upload-shared"], "--upload-shared needs --upload"),
        (["--stdin", "nowhere"], "--stdin nowhere: No such file or directory"),
        (["--stdin", "run.sh", "--no-stdin"], "--stdin run.sh and --no-stdin exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_uploaded_is_told_in_one_line(
    cluster: Command, here: Path, arguments: list[str], said: str
) -> None:
    (here / "leaves").symlink_to("/etc")
    done = cluster("run", *arguments, "--", "true", cwd=here)
    assert (done.code, done.out, done.err.count("\n")) == (2, b"", 1), done
    assert said in done.err


def test_a_job_uploads_nothing_itself(cluster: Command, here: Path) -> None:
    done = cluster("run", "--", "sh", "-c", f"cd {here}; cluster run --upload . -- true")
    assert (done.code, done.out) == (2, b"")
    assert "a job uploads nothing: --upload and --stdin are for users" in done.err
    with (here / "large").open("rb") as file:
        assert cluster.ok("run", "--", "sh", "-c", "cluster run -- cat; cat", stdin=file).out == EVERY
