"""`cluster job retry` and `rerun`: what has failed is tried again in its job, or all of it as a new job."""

import re
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow


def test_what_failed_is_mended_and_tried_again(cluster: Command, tmp_path: Path) -> None:
    script = f"test -e {tmp_path}/mended || exit $CLUSTER_TASK; echo $CLUSTER_ATTEMPT"
    number = submit(cluster, "--array", "0-3", "--", "sh", "-c", script)
    assert cluster("job", "wait", number).code == 3
    for arguments, code, words in (
        ([f"{number}.0"], 1, "nothing to try again: none of the selected tasks has failed; job"),
        (["--lost", number], 1, f"{number}:lost: no task is so now"),
        (["--failed", "--lost", number], 2, "--failed and --lost exclude each other"),
        (["--tasks", "1", f"{number}.2"], 2, f"{number}.2: it names tasks, and so does --tasks 1"),
        (["--tasks", "x", number], 2, "'x' names no task numbers"),
        ([f"{number}.1#1"], 2, "an attempt of job"),
        (["99999"], 1, "there is no job 99999"),
    ):
        refused = cluster("job", "retry", *arguments)
        assert (refused.code, refused.out, refused.err.count("\n")) == (code, b"", 1), refused
        assert words in refused.err
    assert cluster.ok("job", "retry", "--tasks", "1,2", number).text == f"job {number}: 2 tasks are tried again\n"
    assert cluster("job", "wait", number).code == 3
    (tmp_path / "mended").touch()
    told = cluster.ok("job", "retry", "--failed", "--json", number).json
    assert (told["tasks"], told["jobs"][0]["number"], told["jobs"][0]["ended_at"]) == (3, int(number), None)
    assert cluster.ok("job", "wait", number).text == f"job {number} succeeded\n"
    assert cluster.ok("job", "logs", number).text == f"{number}.1#3\n{number}.2#3\n{number}.3#2\n"
    (task,) = cluster.ok("job", "show", "--attempts", "--json", f"{number}.1").json["task_details"]
    assert [attempt["reason"] for attempt in task["attempts"]] == ["exit:1", "exit:1", "ok"]


def test_what_was_lost_alone_is_tried_again(cluster: Command, tmp_path: Path) -> None:
    """A slot that is killed takes its attempt along, and nobody knows how far that came."""
    script = (
        f"test -e {tmp_path}/mended && echo $CLUSTER_ATTEMPT && exit; test $CLUSTER_TASK = 2 && kill -9 $PPID; exit 3"
    )
    number = submit(cluster, "--array", "1-2", "--", "sh", "-c", script)
    assert cluster("job", "wait", number).code == 70
    tasks = cluster.ok("job", "show", "--json", number).json["task_details"]
    assert {task["task"]: (task["reason"], task["exit_code"]) for task in tasks} == {1: ("exit:3", 3), 2: ("lost", 70)}
    (tmp_path / "mended").touch()
    assert cluster.ok("job", "retry", "--lost", number).text == f"job {number}: 1 task is tried again\n"
    assert cluster("job", "wait", number).code == 3, "what has failed by itself stays as it is"
    assert cluster.ok("job", "logs", number).text == f"{number}.2#2\n"


def test_a_job_runs_again_as_a_new_one(cluster: Command) -> None:
    number = submit(cluster, "--name", "twofold", "--array", "5-6", "--", "sh", "-c", "echo $CLUSTER_TASK")
    again = cluster.ok("job", "rerun", "twofold").text
    assert again == f"job {int(number) + 1} submitted, as job {number} was\n"
    cluster.ok("job", "wait", number, str(int(number) + 1))
    assert cluster.ok("job", "logs", str(int(number) + 1)).text == "5\n6\n"
    shown = cluster.ok("job", "show", str(int(number) + 1)).text
    assert re.search(rf"^rerun of +{number}$", shown, re.MULTILINE)
    assert cluster.ok("job", "list", "--json", number).json[0]["rerun_of"] is None
    third = cluster.ok("job", "rerun", "--quiet", number).text.strip()
    assert cluster.ok("job", "show", "--json", third).json["rerun_of"] == int(number)
    refused = cluster("job", "rerun", f"{number}.5")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
