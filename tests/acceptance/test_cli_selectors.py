"""What names tasks and attempts: by a job's number or name, with a task's number, with an attempt's."""

import os
from pathlib import Path

import pytest

from tests.acceptance.command import Command

pytestmark = pytest.mark.slow

# The first attempt fails, the second one does not.
SECOND = 'echo "$CLUSTER_ATTEMPT"; test "${CLUSTER_ATTEMPT#*#}" = 2'


def submit(cluster: Command, *arguments: str) -> str:
    """The number of a new job."""
    return cluster.ok("job", "submit", "--quiet", *arguments).text.strip()


def test_what_a_task_calls_itself_selects_that_attempt(cluster: Command) -> None:
    """`5.17#2` was the name of a job that does not exist, or numbers that are none."""
    number = submit(cluster, "--array", "4,9", "--retries", "1", "--", "sh", "-c", SECOND)
    assert cluster("job", "wait", number).code == 0
    for task in (f"{number}.4", f"{number}.9"):
        for attempt in (f"{task}#1", f"{task}#2"):
            assert cluster.ok("job", "logs", attempt).text == f"{attempt}\n"
        assert cluster.ok("job", "logs", task).text == f"{task}#1\n{task}#2\n"
        (first,) = cluster.ok("job", "show", f"{task}#1", "--json").json["task_details"]
        assert (first["attempt"], first["state"], first["reason"]) == (1, "failed", "exit:1")
        (last,) = cluster.ok("job", "show", f"{task}#2", "--json").json["task_details"]
        assert (last["attempt"], last["state"], last["reason"]) == (2, "succeeded", "ok")
    missing = cluster("job", "show", f"{number}.9#3")
    assert (missing.code, missing.err) == (1, f"cluster: there is no attempt {number}.9#3: its task has had 2\n")
    single = submit(cluster, "--", "sh", "-c", 'echo "$CLUSTER_ATTEMPT"')
    assert cluster.ok("job", "logs", "-f", f"{single}#1").text == f"{single}#1\n"


def test_an_attempt_that_is_over_is_not_cancelled_with_the_one_that_runs(cluster: Command, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    wait = f'test "${{CLUSTER_ATTEMPT#*#}}" = 2 || exit 1; echo up; read x < {gate}'
    number = submit(cluster, "--array", "7", "--retries", "1", "--", "sh", "-c", wait)
    with cluster.started("job", "logs", "-f", number) as logs:
        assert logs.stdout
        assert logs.stdout.readline() == b"up\n"
    assert "nothing to cancel" in cluster.ok("job", "cancel", f"{number}.7#1").text
    assert "cancelling 1 task" in cluster.ok("job", "cancel", f"{number}.7#2", "--grace", "0").text
    assert cluster.ok("job", "show", number, "--json").json["tasks"]["total"] == 1
    cluster("job", "wait", number)
    assert cluster.ok("job", "show", number, "--json").json["state"] == "cancelled"


def test_a_name_and_a_number_select_a_task(cluster: Command) -> None:
    number = submit(cluster, "--name", "sweeping", "--array", "20-25", "--", "sh", "-c", "echo task $CLUSTER_TASK")
    cluster.ok("job", "wait", "sweeping")
    assert cluster.ok("job", "logs", "sweeping.23").text == "task 23\n"
    single = submit(cluster, "--name", "sweeping", "--", "echo", "again")
    cluster.ok("job", "wait", "sweeping@last")
    assert cluster.ok("job", "logs", "-f", "sweeping@last").text == "again\n"
    both = cluster.ok("job", "logs", "sweeping")
    assert both.text.endswith("task 25\nagain\n")
    assert both.err == "cluster: sweeping means several jobs: the newest alone is sweeping@last\n"
    assert cluster.ok("job", "stats", "sweeping@last", "--json").json["jobs"]["count"] == 1
    cluster.ok("job", "delete", "--yes", single)
    assert cluster.ok("job", "logs", "-f", "sweeping.21-22").text == "task 21\ntask 22\n"
    (task,) = cluster.ok("job", "show", "sweeping.24", "--json").json["task_details"]
    assert task["task"] == 24
    assert cluster.ok("job", "list", "sweeping.25", "--quiet").text == f"{number}\n"
    missing = cluster("job", "show", "sweeping.26")
    assert (missing.code, missing.err) == (1, f"cluster: job {number} has no task 26: its tasks are 20-25\n")


def test_only_the_tasks_that_are_selected_are_waited_for(cluster: Command, tmp_path: Path) -> None:
    """Of `5.1` all of job 5 was waited for, and the highest exit code of them all came back."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"case $CLUSTER_TASK in 1) exit 3;; 2) exit 0;; 3) exit 7;; *) read x < {gate}; exit 9;; esac"
    number = submit(cluster, "--name", "parts", "--array", "1-4", "--cpus", "0.5", "--", "sh", "-c", script)
    for selector, code, said in [
        (f"{number}.1", 3, f"job {number}.1 failed (exit:3)"),
        ("parts.2", 0, f"job {number}.2 succeeded"),
        (f"{number}.1-2", 3, f"job {number}.1-2 failed (exit:3)"),
        ("last.1,3", 7, f"job {number}.1,3 failed (exit:3)"),
        (f"{number}.1#1", 3, f"job {number}.1 failed (exit:3)"),
    ]:
        done = cluster("job", "wait", selector)
        assert (done.code, done.text) == (code, f"{said}\n"), done
    (job,) = cluster("job", "wait", f"{number}.2-3", "--json").json
    assert (job["part"], job["tasks"]["total"], job["tasks"]["failed"], job["exit_code"]) == ("2-3", 2, 1, 7)
    assert cluster.ok("job", "show", number, "--json").json["state"] == "running"
    gate.write_text("go\n")
    done = cluster("job", "wait", number, f"{number}.1")
    assert done.code == 9
    assert done.text in [f"job {number} failed (exit:{code})\n" for code in (3, 7)]  # of the first one to end


def test_tasks_that_were_cancelled_before_they_ran_are_waited_for_too(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-3", "--cpus", "99", "--", "true")
    cluster.ok("job", "cancel", f"{number}.2-3")
    done = cluster("job", "wait", f"{number}.3")
    assert (done.code, done.text) == (143, f"job {number}.3 cancelled\n")
    cluster.ok("job", "cancel", number)


def test_tasks_that_are_asked_for_come_in_their_order(cluster: Command) -> None:
    """And of a whole job those that failed come first, which is what people look for there."""
    ends = ("--", "sh", "-c", "exit $((CLUSTER_TASK % 2))")
    number = submit(cluster, "--name", "ordered", "--array", "1-10", *ends)
    cluster("job", "wait", number)
    for selector in (f"{number}.5-8", "ordered.5-8", "last.5-8"):
        tasks = cluster.ok("job", "show", selector, "--json").json["task_details"]
        assert [task["task"] for task in tasks] == [5, 6, 7, 8]
    tasks = cluster.ok("job", "show", number, "--json").json["task_details"]
    assert [task["task"] for task in tasks] == [1, 3, 5, 7, 9, 2, 4, 6, 8, 10]


def test_a_task_is_shown_with_its_own_line_and_arguments(cluster: Command) -> None:
    lines = b"one\nthe second\n\xe9\n"
    number = submit_lines(cluster, lines, "--", "sh", "-c", "exit 0", "about {}", "{}")
    cluster.ok("job", "wait", number)
    shown = cluster.ok("job", "show", f"{number}.2").text.splitlines()
    assert "command       sh -c 'exit 0' 'about the second' 'the second'" in shown
    assert "line          the second" in shown
    (task,) = cluster.ok("job", "show", f"{number}.2", "--json").json["task_details"]
    assert (task["line"], task["command"][-2:]) == ("the second", ["about the second", "the second"])
    whole = cluster.ok("job", "show", number).text.splitlines()
    assert "command       sh -c 'exit 0' 'about {}' '{}'" in whole
    assert [row.split("\t")[-1] for row in whole[-4:]] == ["LINE", "one", "the second", r"\udce9"]


def submit_lines(cluster: Command, lines: bytes, *arguments: str) -> str:
    submitted = cluster.ok("job", "submit", "--quiet", "--each-line", "-", *arguments, stdin=lines)
    return submitted.text.strip()


def test_states_and_reasons_select_tasks(cluster: Command) -> None:
    script = 'echo "$CLUSTER_TASK"; case $CLUSTER_TASK in 2) exit 3;; 3) kill -9 $$;; 4) exec sleep 1000;; esac'
    number = submit(cluster, "--name", "mixed", "--array", "1-4", "--cpus", "0.2", "--", "sh", "-c", script)
    assert cluster("job", "wait", f"{number}.1-3").code == 137
    assert cluster.ok("job", "logs", f"{number}:failed").text == "2\n3\n"
    assert cluster.ok("job", "logs", "mixed:ok").text == "1\n"
    failed = cluster.ok("job", "show", "last:exit:3,signal", "--json").json["task_details"]
    assert [task["task"] for task in failed] == [2, 3]
    assert "SIGKILL ended it" in cluster.ok("job", "why", "mixed:signal").text
    waited = cluster("job", "wait", f"{number}:failed")
    assert (waited.code, waited.text) == (137, f"job {number}.2-3 failed (exit:3)\n")
    assert cluster.ok("job", "list", "--quiet", "mixed:lost").text == ""
    refused = cluster("job", "cancel", "mixed:failed")
    expected = (
        "cluster: mixed:failed: what has ended cannot be cancelled; name what goes on, as in mixed:ready,running\n"
    )
    assert (refused.code, refused.err) == (2, expected)
    wrong = cluster("job", "list", f"{number}:faild")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "'faild' is no state and no reason: use waiting" in wrong.err
    assert cluster.ok("job", "cancel", "--grace", "0", "mixed:running").text == "cancelling 1 task\n"
    assert cluster("job", "wait", number).code == 137
    assert cluster.ok("job", "wait", "mixed:running").text == "nothing to wait for: no task is so now\n"
    assert cluster.ok("job", "cancel", "mixed:running").text == "nothing to cancel: no task is so now\n"
    none = cluster("job", "show", "mixed:lost")
    assert (none.code, none.err) == (1, "cluster: mixed:lost: none of its tasks is so now\n")
