"""How far jobs are: nothing is drawn into a line that has not ended, and nothing is said when all is quick."""

import pytest

from cluster.cli.progress import PLAIN_INTERVAL, Bar, Lines
from cluster.client.job_fields import Counts
from cluster.client.types import Job
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState


def array(running: int, succeeded: int) -> Job:
    counts = Counts(running=running, succeeded=succeeded)
    state = TaskState.RUNNING if running else TaskState.SUCCEEDED
    return Job(5, "id", "ann", JobSpec(("true",)), state, "", counts, 1.0, 1.0, 0.0, 0, (), False, "", "")


def test_a_bar_that_learns_of_the_job_after_its_first_output_waits_for_the_end_of_the_line() -> None:
    bar = Bar()
    bar.hide()  # output that does not end its line is about to come
    bar.update([array(3, 0)])
    assert not bar._bar.live.is_started
    bar.show()
    assert bar._bar.live.is_started
    bar.close()


def test_in_a_pipe_lines_come_now_and_then_and_at_the_end_if_any_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    quick, slow = Lines(), Lines()
    for _ in range(3):
        now += PLAIN_INTERVAL / 4
        quick.update([array(1, 2)])
    quick.close()
    assert capsys.readouterr().err == ""
    now += PLAIN_INTERVAL / 4
    slow.update([array(1, 2)])
    assert capsys.readouterr().err == "cluster: 2/3 ended, 1 running after 10s\n"
    slow.update([array(0, 3)])
    slow.close()
    assert capsys.readouterr().err == "cluster: 3/3 ended after 10s\n"
