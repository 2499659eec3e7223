"""Results: `--out`, `job files`, `job fetch`, and `run` that brings files here."""

import os
import stat
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.acceptance.command import Command

pytestmark = pytest.mark.slow

MAKE = r"""
umask 022; mkdir -p out/sub out/empty; echo hello > out/plain; printf '#!/bin/sh\n' > out/run; chmod 755 out/run
ln -s plain out/link; ln -s /etc/passwd out/leaves; head -c 300000 /dev/zero | tr '\0' x > out/sub/large
: > out/none; printf odd > "out/$(printf 'line\nend')"
"""


def submitted(cluster: Command, *arguments: str) -> str:
    """The number of a job that has ended."""
    number = cluster.ok("job", "submit", "--quiet", *arguments).text.strip()
    cluster("job", "wait", number)
    return number


def tree_of(top: Path) -> dict[str, str]:
    """What lies there: of each path what it is."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "directory"
        else:
            found[name] = f"{stat.S_IMODE(path.stat().st_mode):o} {sha256(path.read_bytes()).hexdigest()[:8]}"
    return found


def test_run_brings_what_it_leaves_as_if_it_had_run_here(cluster: Command, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here, there):
        place.mkdir()
    done = cluster.ok("run", "--out", "out,nothing/*", "--", "sh", "-c", MAKE + "echo said", cwd=there)
    assert done.text == "said\n"
    assert "#1: nothing/* matched nothing\n" in done.err
    assert "#1: out/leaves is left out: a link to /etc/passwd, which leaves the tree\n" in done.err
    subprocess.run(["sh", "-c", MAKE], cwd=here, check=True)
    (here / "out" / "leaves").unlink()
    assert tree_of(there) == tree_of(here)
    assert not list(there.rglob("*cluster-part"))


def test_each_task_of_an_array_has_a_directory_of_its_own(cluster: Command, tmp_path: Path) -> None:
    script = "echo $CLUSTER_TASK > answer; exit $((CLUSTER_TASK == 3))"
    done = cluster("run", "--out", "answer", "--to", str(tmp_path), "--array", "2-4", "--", "sh", "-c", script)
    assert done.code == 1, "the job's own exit code"
    assert {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.glob("*/*")} == {
        **{"2/answer": "2\n", "3/answer": "3\n", "4/answer": "4\n"}
    }


def test_two_tasks_onto_one_name_are_refused_before_anything_is_written(cluster: Command, tmp_path: Path) -> None:
    script = "mkdir d; echo x > d/own$CLUSTER_TASK; echo $CLUSTER_TASK > d/answer"
    number = submitted(cluster, "--out", "d", "--array", "1-2", "--", "sh", "-c", script)
    refused = cluster("job", "fetch", number, "--flat", "--to", str(tmp_path / "a"))
    assert refused.code == 1
    assert f"d/answer is a result of {number}.1#1 and of {number}.2#1" in refused.err
    assert not list(tmp_path.iterdir())
    cluster.ok("job", "fetch", f"{number}.2", "--flat", "--to", str(tmp_path / "b"))
    assert sorted(tree_of(tmp_path / "b")) == ["d", "d/answer", "d/own2"]


@pytest.mark.parametrize("how", ["fails", "times out", "is cancelled"])
def test_whatever_its_end_an_attempt_leaves_its_files(cluster: Command, tmp_path: Path, how: str) -> None:
    end = {"fails": "exit 3", "times out": "exec sleep 1000", "is cancelled": "echo on; exec sleep 1000"}
    limit = ("--timeout", "0.5") if how == "times out" else ()
    script = f"echo so far > log; {end[how]}"
    number = cluster.ok("job", "submit", "-q", "--out", "log", *limit, "--", "sh", "-c", script).text.strip()
    if how == "is cancelled":
        with cluster.started("job", "logs", "-f", number) as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline() == b"on\n"
        cluster.ok("job", "cancel", number)
    assert cluster("job", "wait", number).code
    done = cluster.ok("job", "fetch", number, "--to", str(tmp_path / "to"))
    assert done.text.startswith("1 file in ")
    assert (tmp_path / "to" / "log").read_text() == "so far\n"


def test_what_is_there_does_not_come_again_and_what_differs_does(cluster: Command, tmp_path: Path) -> None:
    number = submitted(cluster, "--out", "*", "--", "sh", "-c", "echo a > a; head -c 200000 /dev/zero > b")
    assert "of which 195 KiB came" in cluster.ok("job", "fetch", number, "--to", str(tmp_path)).text
    assert "all of which were there already" in cluster.ok("job", "fetch", number, "--to", str(tmp_path)).text
    (tmp_path / "a").write_text("other")
    assert "of which 2 B came" in cluster.ok("job", "fetch", number, "--to", str(tmp_path)).text
    assert (tmp_path / "a").read_text() == "a\n"


def test_files_are_listed_with_sizes_and_hashes(cluster: Command, tmp_path: Path) -> None:
    number = submitted(cluster, "--out", "d", "--", "sh", "-c", "mkdir d; echo hello > d/x; ln -s x d/l")
    cluster.ok("job", "fetch", number, "--to", str(tmp_path))  # which waits for them
    (results,) = cluster.ok("job", "files", number, "--json").json
    assert (results["job"], results["attempt"], results["state"]) == (int(number), 1, "kept")
    directory, link, file = results["files"]
    assert (directory["kind"], directory["path"]) == ("directory", "d")
    assert (link["kind"], link["target"]) == ("link", "x")
    assert (file["path"], file["size"]) == ("d/x", 6)
    assert file["sha256"] == sha256(b"hello\n").hexdigest()
    rows = cluster.ok("job", "files", number).text.splitlines()
    assert rows[0].split("\t") == ["TASK", "SIZE", "SHA-256", "PATH"]
    assert rows[3].split("\t") == [f"{number}#1", "6 B", file["sha256"], "d/x"]
    shown = cluster.ok("job", "show", number, "--json").json
    assert (shown["out"], shown["results"]) == (
        ["d"],
        {"attempts": 1, "files": 2, "size": 6, "missing": 0, "deleted": ""},
    )
    assert "results       2 files, 6 B\n" in cluster.ok("job", "show", number).text
    assert cluster.ok("job", "files", number, "-q").text == "d\nd/l\nd/x\n"


def test_earlier_attempts_are_selected(cluster: Command, tmp_path: Path) -> None:
    script = "echo ${CLUSTER_ATTEMPT#*#} > n; test ${CLUSTER_ATTEMPT#*#} = 2"
    number = submitted(cluster, *("--out", "n", "--retries", "1", "--backoff", "0.1..0.1", "--", "sh", "-c", script))
    for words, expected in (([number], "2\n"), ([f"{number}#1"], "1\n"), ([number, "--attempt", "1"], "1\n")):
        cluster.ok("job", "fetch", *words, "--to", str(tmp_path / expected.strip()))
        assert (tmp_path / expected.strip() / "n").read_text() == expected
        (tmp_path / expected.strip() / "n").unlink()
    refused = cluster("job", "fetch", number, "--attempt", "3")
    assert (refused.code, refused.err) == (
        1,
        f"cluster: {number}: no attempt 3 has ended: `cluster job show` tells how many have\n",
    )


def test_a_link_in_the_way_is_not_followed(cluster: Command, tmp_path: Path) -> None:
    number = submitted(cluster, "--out", "out/x", "--", "sh", "-c", "mkdir out; echo new > out/x")
    away, to = tmp_path / "away", tmp_path / "to"
    away.mkdir()
    to.mkdir()
    (to / "out").symlink_to(away)
    refused = cluster("job", "fetch", number, "--to", str(to))
    assert refused.code == 74
    assert "or a link, which is not followed" in refused.err
    assert not list(away.iterdir())


def test_what_makes_no_sense_is_refused(cluster: Command) -> None:
    for words, arguments in {
        "--to needs --out": ("run", "--to", "x", "--", "true"),
        "--out and --cwd exclude each other": ("run", "--out", "x", "--cwd", "/tmp", "--", "true"),
        "it leaves the task's directory": ("run", "--out", "../x", "--", "true"),
    }.items():
        refused = cluster(*arguments)
        assert refused.code == 2
        assert words in refused.err
    number = submitted(cluster, "--", "true")
    refused = cluster("job", "fetch", number)
    assert refused.code == 1
    assert f"job {number} was submitted without --out" in refused.err
