"""What is odd about a job is told when it is handed in, in one line on stderr; the job is taken all the same."""

from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--worker", "nosuch"], ["no worker is called 'nosuch'", "cluster worker list"]),
        (["--cpus", "99"], ["needs 99 cpus a task", "the largest worker online", "has 2"]),
        (["--cpus", "99", "--array", "1-10"], ["needs 99 cpus a task"]),
    ],
)
def test_a_job_that_no_worker_can_run_is_told_of_at_once(
    cluster: Command, options: list[str], words: list[str]
) -> None:
    """It waited for ever, without a word."""
    done = cluster.ok("job", "submit", "--quiet", *options, "--", "true")
    number = done.text.strip()
    shown = cluster.ok("job", "show", number, "--json").json
    cluster.ok("job", "cancel", number)
    assert done.err.startswith(f"cluster: job {number} waits, because no worker that there is now can run it: ")
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert (shown["state"], shown["no_worker_can"]) == ("ready", True)


def test_a_job_that_waits_for_its_turn_is_not_odd(cluster: Command) -> None:
    first = cluster.ok("job", "submit", "--quiet", "--cpus", "2", "--", "sleep", "1000").text.strip()
    done = cluster.ok("job", "submit", "--quiet", "--cpus", "2", "--", "true")
    assert done.err == ""
    assert not cluster.ok("job", "show", done.text.strip(), "--json").json["no_worker_can"]
    cluster.ok("job", "cancel", first, done.text.strip())


def test_a_worker_that_is_gone_for_now_is_named(tmp_path: Path) -> None:
    with Daemons(Command(tmp_path)) as daemons:
        daemons.start_scheduler()
        daemons.start_worker("w1")
        assert daemons.command.ok("job", "submit", "--", "true").err == ""
        daemons.command.ok("job", "wait", "last")
        (tmp_path / "mine.sh").write_text("echo")
        for command in (["./mine.sh"], ["--name", "x", "--", "./mine.sh", "1"]):
            done = daemons.command.ok("job", "submit", *command, cwd=tmp_path)
            words = (
                "./mine.sh is looked for on the worker, and is here; `cluster run - < ./mine.sh` sends a script along"
            )
            assert done.err == f"cluster: {words}\n"
        for command in (["./other.sh"], ["--cwd", str(tmp_path), "./mine.sh"], ["-q", "/bin/true"]):
            assert daemons.command.ok("job", "submit", *command, cwd=tmp_path).err == ""
        daemons.stop("w1")
        assert "worker w1 is offline" in daemons.command.ok("job", "submit", "--", "true").err


def test_a_directory_that_is_not_there_is_told_of(cluster: Command, tmp_path: Path) -> None:
    """Jobs of an embedded cluster run on this machine; an earlier one may make it."""
    missing = tmp_path / "later"
    done = cluster.ok("job", "submit", "--cwd", str(missing), "--", "true")
    assert f"--cwd {missing}: there is no such directory here now" in done.err
    assert done.err.count("\n") == 1
    assert cluster.ok("job", "submit", "--cwd", str(tmp_path), "--", "true").err == ""


def test_lines_without_a_place_in_the_command_are_told_of(cluster: Command) -> None:
    each = ("job", "submit", "--each-line", "-", "--")
    done = cluster.ok(*each, "echo", "x", stdin=b"a\nb\n")
    assert done.err == (
        "cluster: --each-line: there is no {} in the command: tasks find their lines in the variable CLUSTER_LINE "
        "alone\n"
    )
    for words in (["echo", "x{}"], ["sh", "-c", 'echo "$CLUSTER_LINE"']):
        assert cluster.ok(*each, *words, stdin=b"a\nb\n").err == ""


def test_an_option_behind_the_command_is_told_of_unless_all_is_the_commands(cluster: Command) -> None:
    words = "--cpus went to the command true: options for us stand before it (and -- before it says so)\n"
    assert cluster.ok("run", "true", "--cpus", "2").err == f"cluster: {words}"
    for fine in (("run", "--", "true", "--cpus", "2"), ("run", "true", "--colour")):
        assert cluster.ok(*fine).err == ""


def test_a_count_of_one_is_one_task(cluster: Command) -> None:
    assert cluster.ok("job", "submit", "--array", "7", "--", "true").text.endswith(" submitted (1 task)\n")
