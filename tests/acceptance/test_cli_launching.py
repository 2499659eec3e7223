"""What is said of how a task was started is true: when, and why it could not be."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.client import Client
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = pytest.mark.slow

TASKS = 60


def test_a_task_starts_when_it_is_started(cluster: Command) -> None:
    """Tasks of one batch had all started when the first one had."""
    job = cluster.ok("job", "submit", "-q", "--cpus", "0.01", "--array", f"1-{TASKS}", "--", "true").text.strip()
    cluster.ok("job", "wait", job)
    with Client.connect(home=cluster.home) as client:
        _, tasks = client.get(job, max_tasks=TASKS)
    starts = {task.started_at for task in tasks}
    assert len(tasks) == TASKS
    assert len(starts) > TASKS * 0.9, f"{TASKS} tasks have {len(starts)} starts"  # two may start in one microsecond


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run jobs as another user")
def test_a_command_that_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    """It was called `Permission denied`, of a directory in PATH that is closed to the jobs' user."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    command = Command(tmp_path)
    with Daemons(command) as daemons:
        daemons.start_scheduler()
        with little_stack(), pytest.MonkeyPatch.context() as environment:
            environment.setenv("PATH", f"{closed}:/usr/bin:/bin")
            daemons.start_worker("w", "--run-as", "nobody")
        done = command("run", "--", "echo", *["x" * 100_000] * 4)
        assert done.code == 126
        assert "launch_failed" in done.err
        assert "its arguments and environment are longer than this machine can pass on" in done.err


@contextmanager
def little_stack() -> Iterator[None]:
    """What is started in the body gives its jobs 256 KiB for their arguments: a quarter of the stack."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
