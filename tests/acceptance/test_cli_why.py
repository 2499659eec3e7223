"""`cluster job why`: what keeps a job from running, and what ended it, for people and for programs."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow


def because(cluster: Command, selector: str) -> list[str]:
    lines = cluster.ok("job", "why", selector).text.splitlines()
    return [line.removeprefix("because").strip() for line in lines if line.startswith("because")]


def test_of_a_job_that_waits_it_says_for_what(cluster: Command) -> None:
    number = submit(cluster, "--cpus", "64", "--", "true")
    because_of = [
        "no worker that there is now can run it, however long it waits",
        "needs 64 cpus a task; the largest worker online, ",
    ]
    said = because(cluster, number)
    assert [line.startswith(words) for line, words in zip(said, because_of, strict=True)] == [True, True]
    told = cluster.ok("job", "why", number, "--json").json
    assert (told["state"], told["because"], told["task_details"][0]["because"]) == ("ready", said, said)
    cluster.ok("job", "cancel", number, "--reason", "too large")
    assert because(cluster, number) == ["admin cancelled it: too large"]


@pytest.mark.parametrize(
    ("options", "command", "says"),
    [
        (
            [],
            ["sh", "-c", "echo oops >&2; exit 3"],
            ["it left with exit code 3", "exit code     3", "stderr        oops"],
        ),
        (["--merge-output"], ["sh", "-c", "echo oops >&2; exit 3"], ["stdout        oops"]),
        ([], ["sh", "-c", "kill -SEGV $$"], ["failed (signal:SIGSEGV)", "SIGSEGV ended it", "exit code     139"]),
        (["--timeout", "0.2"], ["sleep", "60"], ["it ran longer than --timeout 0.2s, and was stopped"]),
        ([], ["/no/such/program"], ["it could not be started: cannot start '/no/such/program'", "exit code     127"]),
        ([], ["sh", "-c", "nosuch"], ["as a shell does that does not find a command", "nosuch: not found"]),
        ([], ["true"], ["state         succeeded\n", "it left with exit code 0", "worker        "]),
    ],
)
def test_of_one_that_ended_it_says_what_happened(
    cluster: Command, options: Sequence[str], command: Sequence[str], says: Sequence[str]
) -> None:
    number = submit(cluster, *options, "--", *command)
    cluster("job", "wait", number)
    said = cluster.ok("job", "why", number).text
    assert [words for words in says if words not in said] == []


def test_of_a_python_program_it_tells_the_exception_and_the_last_lines_of_stderr(
    cluster: Command, tmp_path: Path
) -> None:
    # S4.7: for people and for programs
    program = tmp_path / "load.py"
    program.write_text("import sys\nfor i in range(2000): print(i, file=sys.stderr)\nraise ValueError('bad row')\n")
    number = submit(cluster, "--array", "7", "--", sys.executable, str(program))
    cluster("job", "wait", number)
    told = cluster.ok("job", "why", f"{number}.7", "--json").json["task_details"][0]
    assert (told["exception"]["type"], told["exception"]["message"]) == ("ValueError", "bad row")
    assert (told["exception"]["file"], told["exception"]["line"]) == (str(program), 3)
    assert len(told["stderr"]) == 10
    assert told["stderr"][-1] == "ValueError: bad row"
    said = cluster.ok("job", "why", f"{number}.7").text
    assert "exception     ValueError: bad row (load.py:3)\n" in said
    assert said.endswith("              ValueError: bad row\n")


def test_of_many_tasks_it_explains_the_first_that_failed_and_says_how_many_more(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-9", "--", "sh", "-c", "test $CLUSTER_TASK -lt 4 || exit $CLUSTER_TASK")
    cluster("job", "wait", number)
    said = cluster.ok("job", "why", number).text
    assert "because       of 9 tasks 3 succeeded, 6 failed\n" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("task")] == [
        f"{number}.{task}" for task in (4, 5, 6)
    ]
    assert said.endswith(f"and 3 more failed: `cluster job why {number}.N` explains one of them\n")
    told = cluster.ok("job", "why", f"{number}.1-5", "--json").json
    assert (told["part"], told["because"], told["more_tasks"]) == ("1-5", ["of 5 tasks 3 succeeded, 2 failed"], 0)
    assert [(task["task"], task["because"]) for task in told["task_details"]] == [
        (4, ["it left with exit code 4"]),
        (5, ["it left with exit code 5"]),
    ]
    one = cluster.ok("job", "why", f"{number}.2-4").text.splitlines()
    assert (one[2], one[4]) == ("because       of 3 tasks 2 succeeded, 1 failed", f"task          {number}.4")
    fine = cluster.ok("job", "why", f"{number}.1-3").text
    assert "of 3 tasks 3 succeeded" in fine
    assert "task " not in fine.replace("tasks", "")


def test_each_attempt_is_explained(cluster: Command) -> None:
    number = submit(cluster, "--retries", "1", "--", "sh", "-c", "echo $CLUSTER_ATTEMPT >&2; exit 1")
    cluster("job", "wait", number)
    last, first = cluster.ok("job", "why", number).text, cluster.ok("job", "why", f"{number}#1").text
    assert "it is not tried again: it has failed more often than --retries 1" in last
    assert "state         failed (attempts_exhausted:exit:1)" in last
    assert ("attempt       2\n" in last, f"stderr        {number}#2" in last) == (True, True)
    assert ("attempt       1\n" in first, f"stderr        {number}#1" in first) == (True, True)
    assert "not tried again" not in first
    assert re.search(r"history       2 attempts: exit:1 on (\S+), exit:1 on \1\n", last)
    assert "history" not in first
    rows = [line.split() for line in cluster.ok("job", "show", "--attempts", number).text.splitlines()]
    assert [row[:4] for row in rows if row[:1] == [f"{number}#1"]] == [[f"{number}#1", "failed", "exit:1", "1"]]
    (task,) = cluster.ok("job", "show", "--attempts", "--json", number).json["task_details"]
    assert [(each["attempt"], each["reason"], each["exit_code"]) for each in task["attempts"]] == [
        (1, "exit:1", 1),
        (2, "exit:1", 1),
    ]
    assert all(each["started_at"] and each["ended_at"] and each["worker"] for each in task["attempts"])


def test_what_is_no_one_job_is_one_clear_line(cluster: Command) -> None:
    for _ in range(2):
        submit(cluster, "--name", "twice", "--", "true")
    for selector, code, words in (
        ("99999", 1, "there is no job 99999"),
        ("twice", 2, "selects 2 jobs"),
        ("last.5", 1, "has no task 5"),
        ("", 2, "an empty selector"),
    ):
        done = cluster("job", "why", selector)
        assert (done.code, done.out, done.err.count("\n")) == (code, b"", 1)
        assert words in done.err
        failed = cluster("job", "why", "--json", selector)
        assert (failed.code, failed.json["error"]["exit_code"]) == (code, code)
