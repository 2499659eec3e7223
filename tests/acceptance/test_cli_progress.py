"""How far jobs, uploads, fetches and deleting are: nothing is drawn into a line that has not ended, nothing is said
when all is quick, and nothing where somebody wants quiet."""

import asyncio
import re
from collections.abc import Callable

import pytest

from cluster.cli.fetch_progress import FetchProgress
from cluster.cli.progress import PLAIN_INTERVAL, Bar, JobsProgress, Lines, summary, tasks_in_words, told
from cluster.cli.upload_progress import UploadProgress
from cluster.client.job_fields import Counts
from cluster.client.types import Job
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState


class Clock:
    """A monotonic clock that somebody sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def array(running: int, succeeded: int) -> Job:
    counts = Counts(running=running, succeeded=succeeded)
    state = TaskState.RUNNING if running else TaskState.SUCCEEDED
    return Job(5, "id", "ann", JobSpec(("true",)), state, "", counts, 1.0, 1.0, 0.0, 0, (), False, "", "")


def test_a_bar_that_learns_of_the_job_after_its_first_output_waits_for_the_end_of_the_line() -> None:
    bar = Bar(tasks_in_words)
    bar.hide()  # output that does not end its line is about to come
    bar.update(0, 3, summary([array(3, 0)]))
    assert not bar._bar.live.is_started
    bar.show()
    assert bar._bar.live.is_started
    bar.close()


def test_in_a_pipe_lines_come_now_and_then_and_at_the_end_if_any_came(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    quick, slow = JobsProgress(), JobsProgress()
    for _ in range(3):
        clock.now += PLAIN_INTERVAL / 4
        quick.update([array(1, 2)])
    quick.close()
    assert capsys.readouterr().err == ""
    clock.now += PLAIN_INTERVAL / 4
    slow.update([array(1, 2)])
    assert capsys.readouterr().err == "cluster: 2/3 ended, 1 running after 10s\n"
    slow.update([array(0, 3)])
    slow.close()
    assert capsys.readouterr().err == "cluster: 3/3 ended after 10s\n"
    late = JobsProgress()
    clock.now += PLAIN_INTERVAL
    late.update([array(0, 3)])
    late.close()
    assert capsys.readouterr().err == "cluster: 3/3 ended after 10s\n", "once"


def test_a_line_tells_the_rate_and_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(tasks_in_words)
    for done in range(0, 21, 2):
        lines.update(done, 100, f"{done}/100 ended")
        clock.now += 1
    assert capsys.readouterr().err == "cluster: 20/100 ended after 10s; 2/s, 40s left\n"


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("kind", [UploadProgress, FetchProgress])
def test_uploads_and_fetches_tell_how_far_they_are_unless_quiet(
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    kind: Callable[[bool], UploadProgress | FetchProgress],
    quiet: bool,
) -> None:
    progress = kind(quiet)
    if isinstance(progress, UploadProgress):
        progress._total = 100 << 20
        more = progress.sent
    else:
        progress.expects(100 << 20)
        more = progress.came
    for _ in range(12):
        clock.now += 1
        more(1 << 20)
    progress.close()
    said = capsys.readouterr().err
    what = "uploaded" if kind is UploadProgress else "fetched"
    pattern = rf"cluster: 11.0 MiB of 100 MiB {what} after 10s; 1.0 MiB/s, 1m29s left\n.*12.0 MiB .* after 11s\n"
    assert said == "" if quiet else re.fullmatch(pattern, said), said


@pytest.mark.parametrize("quiet", [False, True])
def test_a_long_call_tells_that_it_goes_on_unless_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    monkeypatch.setattr("cluster.cli.progress.FIRST_BAR", 0.0)
    monkeypatch.setattr("cluster.cli.progress.PLAIN_INTERVAL", 0.0)

    async def deleting() -> str:
        for _ in range(100):
            await asyncio.sleep(0)
        return "done"

    assert asyncio.run(told(deleting(), "deleting job 5", quiet)) == "done"
    lines = capsys.readouterr().err.splitlines()
    assert all(re.fullmatch(r"cluster: deleting job 5 after \S+", line) for line in lines), lines
    assert bool(lines) is not quiet
