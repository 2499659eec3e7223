"""A task that takes more memory than it asked for gets more at its next attempt. Real cgroups."""

import sys

import pytest

from cluster.launcher.memory_groups import MemoryGroups
from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not MemoryGroups("cluster-test-").can_limit,
        reason="no cgroup that limits memory can be made here (root, or delegation)",
    ),
]

EAT = "import os; x = bytearray(int(os.environ['CLUSTER_TASK']) << 20); print(os.environ['CLUSTER_ATTEMPT'])"
GROWING = ("--mem", "64M", "--retries", "3", "--backoff", "1ms", "--grow", "mem=2x,max=200M")


def test_a_task_that_took_too_much_memory_gets_more(cluster: Command) -> None:
    job = submit(cluster, "--array", "10,150,900", *GROWING, "--", sys.executable, "-c", EAT)
    assert cluster("job", "wait", job).text == f"job {job} failed (attempts_exhausted:oom)\n"
    assert cluster.ok("job", "logs", "--stdout", job).text == f"{job}.10#1\n{job}.150#3\n"
    tasks = {each["task"]: each for each in cluster.ok("job", "show", "--json", "--attempts", job).json["task_details"]}
    assert [each["reason"] for each in tasks[150]["attempts"]] == ["oom", "oom", "ok"]
    assert [each["reason"] for each in tasks[900]["attempts"]] == ["oom"] * 4
    assert tasks[900]["asks_for_memory"] == 200 << 20
    why = cluster.ok("job", "why", f"{job}.900").text
    assert "it took more memory than 200M, to which --grow had brought its --mem 64M, and the kernel ended it\n" in why


def test_what_would_never_grow_is_refused(cluster: Command) -> None:
    for words, said in (
        (("--grow", "mem=2x"), "--grow mem=2x needs --mem"),
        (("--grow", "2x", "--mem", "1G"), "'2x' does not say how memory grows"),
        (("--grow", "mem=2x", "--mem", "1G"), "needs --retries"),
    ):
        refused = cluster("job", "submit", *words, "--", "true")
        assert (refused.code, said in refused.err, refused.err.count("\n")) == (2, True, 1), refused.err
