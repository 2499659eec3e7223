"""How the client's values show themselves in a notebook."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.client.job_fields import Counts
from cluster.client.progress_widget import ProgressWidget, progress_words
from cluster.client.types import Job, Task, Worker
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.speed import Speed
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.worker_states import WorkerState

HOSTILE = "<script>alert('x')</script><img src=x onerror=\"y\">&\x1b[2J"


def job(running: int, succeeded: int, failed: int = 0) -> Job:
    counts = Counts(running=running, succeeded=succeeded, failed=failed)
    spec = JobSpec(("echo", HOSTILE), name=HOSTILE)
    return Job(5, "id", HOSTILE, spec, TaskState.RUNNING, HOSTILE, counts, 1.0, 1.0, 0.0, 0, (), False, "", "")


class Watched:
    """What a client tells of jobs, one state after another."""

    def __init__(self, several: list[tuple[Job, ...]], error: Exception | None = None) -> None:
        self._several, self._error = several, error

    def watch(self, *selectors: str | int) -> Iterator[tuple[Job, ...]]:
        yield from self._several
        if self._error:
            raise self._error


def test_jobs_tasks_and_workers_are_tables_in_which_nothing_is_run() -> None:
    task = Task(0, 17, TaskState.FAILED, 2, HOSTILE, 1, "", HOSTILE, "id", HOSTILE, 1.0, 3.0, 0.0, 0)
    worker = Worker("id", HOSTILE, WorkerState.ONLINE, 4000, 1000, 1, 0, "", "1", 1.0, 1.0)
    shown: list[Any] = [job(1, 2), task, worker]
    for one in shown:
        html = one._repr_html_()
        assert html.startswith("<table><tr><th>")
        assert "&lt;script&gt;" in html
        assert "\\x1b[2J" in html
        assert not [tag for tag in ("<script", "<img", "\x1b") if tag in html]
    assert "<th>tasks</th><td>1 running, 2 succeeded</td>" in job(1, 2)._repr_html_()
    assert "<th>cpus</th><td>1 of 4 in use</td>" in worker._repr_html_()


def test_progress_is_told_with_rate_and_time_left() -> None:
    speed = Speed()
    speed.see(0.0, 0)
    assert progress_words([job(10, 0)], speed) == "0/10 ended"
    speed.see(2.0, 4)
    assert progress_words([job(6, 3, 1)], speed) == "4/10 ended, 1 failed; 2/s, 3.0s left"
    assert progress_words([job(0, 10)], speed) == "10/10 ended"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bar_lives_until_its_jobs_have_ended() -> None:
    client = Watched([(job(4, 0),), (job(1, 2, 1),), (job(0, 3, 1),)])
    widget = ProgressWidget(client, 5)
    assert widget.join(30)
    assert (widget.bar.value, widget.bar.max, widget.bar.bar_style) == (4, 4, "danger")
    assert widget.label.value == "4/4 ended, 1 failed"
    assert "application/vnd.jupyter.widget-view+json" in widget._repr_mimebundle_()
    widget = ProgressWidget(Watched([], NotFound("there is no job 5")), 5)
    assert widget.join(30)
    assert widget.label.value == "there is no job 5"


def test_without_ipywidgets_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(InvalidInput, match=r"pip install 'cluster\[notebook\]'"):
        ProgressWidget(Watched([]), 5)
