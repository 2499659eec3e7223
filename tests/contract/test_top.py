"""`cluster top` without a terminal: what keys mean, what is drawn for a size, and what of that is written."""

import re
import subprocess
import sys

import pytest

from cluster.cli.table import width_of
from cluster.cli.top.drawing import Row, draw
from cluster.cli.top.keys import KeyReader
from cluster.cli.top.model import LATELY, Intent, Model, OpenedJob, Pane, View
from cluster.cli.top.output_lines import MOST_LINES, OutputLines
from cluster.cli.top.painting import paint
from cluster.cli.top.throughput import Throughput
from cluster.client.job_fields import Counts
from cluster.client.types import Job, QueueStatus, Task, Worker
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.worker_states import Drain, WorkerState

NOW = 1000.0
HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\n\t漢字🎉e\u0301\u202e" + "x" * 300


def job(number: int, state: TaskState = TaskState.RUNNING, name: str = "", succeeded: int = 0, more: int = 1) -> Job:
    counts = Counts(**{state.word: more}) if state is not TaskState.SUCCEEDED else Counts()
    counts = counts._replace(succeeded=succeeded)
    ended = NOW if state.ended else 0.0
    spec = JobSpec(("echo", HOSTILE), name=name)
    return Job(number, f"id{number}", "ann", spec, state, "", counts, 1.0, NOW - 90, ended, 0, (), False, "", "")


def worker(name: str, drain: Drain | None = None) -> Worker:
    state = WorkerState.DRAINING if drain else WorkerState.ONLINE
    return Worker(f"id-{name}", name, state, 4000, 1000, 1, 0, "", "1", 1.0, NOW, drain=drain)


def model_of(*jobs: Job, workers: tuple[Worker, ...] = (worker("box1"), worker("box2"))) -> Model:
    model = Model("head:50000")
    model.see(jobs, workers, QueueStatus(None, sum(not job.state.ended for job in jobs), 0), NOW)
    return model


def text(rows: list[Row]) -> list[str]:
    return ["".join(words for _, words in row) for row in rows]


def press(model: Model, *keys: str) -> list[Intent]:
    return [intent for key in keys if (intent := model.press(key)) is not None]


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (30, 8), (29, 7), (1, 1)])
@pytest.mark.parametrize("view", View)
def test_every_view_fits_its_size_whatever_names_and_output_hold(size: tuple[int, int], view: View) -> None:
    width, height = size
    model = model_of(*(job(number, name=HOSTILE) for number in range(1, 70)), workers=(worker(HOSTILE),) * 40)
    task = Task(0, 1, TaskState.FAILED, 1, HOSTILE, 1, "", "", "w", HOSTILE, 1.0, 2.0, 0.0, 0)
    array = job(5, name=HOSTILE, more=3)
    model.view, model.opened, model.message, model.absent = view, "5", HOSTILE, HOSTILE
    model.open_job, model.output = OpenedJob(array, [task] * 40, [HOSTILE], [HOSTILE] * 20), [HOSTILE] * 100
    rows = draw(model, width, height, NOW)
    assert len(rows) == height
    for line in text(rows):
        assert width_of(line) <= width, line
        assert line.isprintable(), line


def test_the_overview_counts_jobs_tasks_and_cpus() -> None:
    model = model_of(job(1), job(2, TaskState.READY), job(3, TaskState.FAILED))
    model.failures = [NOW - 5, NOW - LATELY - 5]
    model.see(model.jobs, model.workers, model.queue, NOW)
    title, jobs, tasks, cpus = text(draw(model, 80, 24, NOW))[:4]
    assert title.strip() == "cluster  head:50000"
    assert jobs.strip() == "jobs   1 running  1 waiting  1 failed in the last hour"
    assert tasks.startswith("tasks  2 running  0 ended/s")
    assert cpus.strip().endswith("2 of 8 on 2 workers")
    shown = [line.split()[:2] for line in text(draw(model, 80, 24, NOW))[5:8]]
    assert shown == [["1", "running"], ["2", "ready"], ["3", "failed"]]
    model.absent = "head:50000 does not answer"
    assert "no answer: head:50000 does not answer" in text(draw(model, 80, 24, NOW))[0]


def test_throughput_is_what_jobs_have_ended_between_two_looks() -> None:
    seen = Throughput()
    seen.see([job(1, succeeded=500)], NOW)  # what had ended before is no throughput
    seen.see([job(1, succeeded=520), job(2, succeeded=20)], NOW + 2)
    assert seen.rate(NOW + 2) == 4.0
    assert seen.sparkline(NOW + 4, 4) == "▁▁█▁"
    seen.see([job(1, succeeded=530)], NOW + 4)
    assert seen.sparkline(NOW + 4, 3) == "▁█▃"
    assert Throughput().sparkline(NOW, 5) == ""


def test_the_cursor_stays_on_its_job_while_others_come_and_go() -> None:
    model = model_of(job(1), job(2), job(3))
    press(model, "down", "j", "up")
    assert model.chosen_job
    assert model.chosen_job.number == 2
    model.see([job(1), job(2), job(3), job(4), job(5)], model.workers, model.queue, NOW)
    assert model.chosen_job.number == 2
    model.see([job(1), job(3), job(4), job(5)], model.workers, model.queue, NOW)
    assert model.chosen_job.number == 4  # that is in its place
    press(model, "G")
    assert model.chosen_job.number == 1
    press(model, "pagedown", "pageup", "g")
    assert model.chosen_job.number == 5


def test_what_changes_anything_asks_first_and_the_rest_is_wished_at_once() -> None:
    model = model_of(job(7, name="sweep"))
    assert press(model, "c", "x") == []
    assert model.message == "not done"
    assert press(model, "c", "enter") == []
    assert press(model, "c", "y") == [Intent("cancel", "7", "sweep")]
    for key, verb in (("r", "retry"), ("p", "pause")):
        assert press(model, key, "escape") == []
        assert press(model, key) == []
        assert text(draw(model, 80, 24, NOW))[-1] == f"{verb} job 7 (sweep)? y: yes, any other key: no"
        assert press(model, "y") == [Intent(verb, "7", "sweep")]
    assert press(model, "enter", "f") == [Intent("open", "7"), Intent("follow", "7")]
    assert press(model, "escape", "q", "q")[-1] == Intent("quit")
    assert press(model, "interrupt") == [Intent("interrupt")]
    assert press(model_of(), "c", "enter", "f", "r") == []


def test_workers_are_drained_and_take_work_again() -> None:
    model = model_of(job(1), workers=(worker("box1"), worker("box2", Drain("ann", 1.0))))
    assert press(model, "d") == []
    assert "tab goes to the workers" in model.message
    assert press(model, "tab", "d", "n", "d") == []
    assert text(draw(model, 80, 24, NOW))[-1].startswith("drain worker box1? y: yes")
    assert press(model, "y", "down", "d") == [Intent("drain", "id-box1", "box1")]
    assert "worker box2 take work again?" in text(draw(model, 80, 24, NOW))[-1]
    assert press(model, "y") == [Intent("resume_worker", "id-box2", "box2")]
    assert press(model, "c") == []
    assert (model.pane, model.message) == (Pane.WORKERS, "that is for jobs: tab goes to them")


def test_a_filter_shows_jobs_with_a_word_in_them() -> None:
    model = model_of(job(1, name="nightly"), job(2, name="sweep"))
    press(model, "/", *"nighX", "backspace")
    assert [one.number for one in model.shown_jobs] == [1]
    assert text(draw(model, 80, 24, NOW))[-1] == "/nigh_"
    assert press(model, "enter") == [Intent("find", "nigh")]
    press(model, "escape")
    assert len(model.shown_jobs) == 2


def test_keys_are_read_whole_in_pieces_and_alone() -> None:
    keys = KeyReader()
    some = keys.feed(b"j\x1b[A\x1bOB\x1b[5~\t\r\x7f\x03")
    assert some == ["j", "up", "down", "pageup", "tab", "enter", "backspace", "interrupt"]
    assert (keys.feed(b"\x1b"), keys.waits, keys.feed(b"[B")) == ([], True, ["down"])
    assert (keys.feed(b"\x1b"), keys.flush(), keys.waits) == ([], ["escape"], False)
    assert keys.feed(b"\xc3") + keys.feed(b"\xa4") == ["ä"]
    assert keys.feed(b"\x1b[1;5C\x1b[99z\x00\x01q") == ["right", "q"]


def test_output_is_lines_that_move_nothing() -> None:
    lines = OutputLines()
    lines.feed(b"\x1b[31mred\x1b[0m\nslow\rfast\r\nbell\x07\n\xff\xc3")
    lines.feed(b"\xa4 12%\r 50%")
    assert lines.lines() == ["red", "fast", "bell\\x07", " 50%"]
    lines.feed(b"\n" * 5 + b"x" * 10_000_000)
    assert len(lines.lines()[-1]) <= 2000
    lines.feed(b"".join(b"\n%d" % n for n in range(5000)))
    assert lines.lines()[-1] == "4999"
    assert MOST_LINES <= len(lines.lines()) <= MOST_LINES + 1


def test_only_rows_that_changed_are_written_and_the_screen_is_cleared_for_no_other_reason() -> None:
    model = model_of(*(job(number) for number in range(1, 10)))
    before = draw(model, 80, 24, NOW)
    assert paint(None, before, 80, colours=True).count("\x1b[2J") == 1
    assert paint(before, draw(model, 80, 24, NOW), 80, colours=True) == ""
    press(model, "down")
    after = paint(before, draw(model, 80, 24, NOW), 80, colours=True)
    assert re.findall(r"\x1b\[(\d+);1H", after) == ["6", "7"]
    assert "\x1b[2J" not in after
    plain = paint(None, before, 80, colours=False)
    assert set(re.findall(r"\x1b\[(\d+(?:;\d+)?)m", plain)) <= {"0", "1", "7"}


def test_the_first_frame_needs_nothing_that_takes_long_to_load() -> None:
    source = """
import sys
from cluster.cli.top.command import top
from cluster.cli.top.model import Model
from cluster.cli.top.screen import Screen
from cluster.cli.top.terminal import Terminal
class Paper:
    is_busy, size = False, (80, 24)
    def write(self, text, then):
        assert "q quit" in text
Screen(Paper(), colours=True).show(Model(""))
print({"asyncio", "grpc", "ssl", "cluster.client.types", "cluster.client.aio"} & set(sys.modules))
"""
    assert subprocess.check_output([sys.executable, "-c", source], text=True) == "set()\n"
