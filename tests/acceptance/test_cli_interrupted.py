"""Signals that come while the command line waits for an answer. The scheduler is a double that gives none."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.domain.states import TaskState
from tests.acceptance.command import Command
from tests.integration.jobs_double import Double
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with Double(tmp_path).serving() as double:
        double.jobs.hold = True
        yield double


@contextmanager
def started(command: Command, double: Double, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    line, env = command.line(*arguments), command.environment(double.environment)
    with subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_was_handed_in_without_an_answer_is_cancelled(
    command: Command, double: Double, number: signal.Signals
) -> None:
    double.jobs.silent = {"Submit"}
    with started(command, double, "run", "true") as process:
        assert double.jobs.unanswered.get(timeout=PATIENCE) == "Submit"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
        assert process.stderr
        assert b"job 1 is being cancelled" in process.stderr.read()
    assert double.jobs.jobs[1].tasks[0].state is TaskState.CANCELLED


def test_whoever_waits_for_neither_answer_hears_that_the_job_may_go_on(command: Command, double: Double) -> None:
    double.jobs.silent = {"Submit", "Cancel"}
    with started(command, double, "run", "true") as process:
        for call in ("Submit", "Cancel"):
            assert double.jobs.unanswered.get(timeout=PATIENCE) == call
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 130
        assert process.stderr
        assert f"cluster job cancel {double.jobs.jobs[1].record.id}".encode() in process.stderr.read()
