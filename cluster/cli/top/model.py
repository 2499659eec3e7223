"""What `cluster top` knows, and what a key means. Pure: no clock, no terminal, no calls.

The first frame is drawn by it before the client is loaded, so its types are named here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from cluster.cli.top.throughput import Throughput
from cluster.domain.job.states import RUN

if TYPE_CHECKING:
    from cluster.client.types import Job, QueueStatus, Task, Worker

LATELY = 3600.0  # seconds for which a failure counts


class View(StrEnum):
    LISTS = "lists"  # jobs and workers
    JOB = "job"
    OUTPUT = "output"
    HELP = "help"


class Pane(StrEnum):
    JOBS = "jobs"
    WORKERS = "workers"


class Intent(NamedTuple):
    """What somebody at the keyboard wants done: a verb, and the job's number or the worker's id or a text."""

    verb: str
    of: str = ""
    name: str = ""  # of it, for people


class OpenedJob(NamedTuple):
    """What is shown of one job."""

    job: Job
    tasks: Sequence[Task]
    because: Sequence[str]  # why it is where it is
    output: Sequence[str]  # its last lines


@dataclass
class Model:
    where: str  # the cluster's address
    jobs: Sequence[Job] = ()  # in the order in which they are shown
    workers: Sequence[Worker] = ()
    queue: QueueStatus | None = None
    failures: list[float] = field(default_factory=list)  # when jobs failed lately
    throughput: Throughput = field(default_factory=Throughput)
    view: View = View.LISTS
    pane: Pane = Pane.JOBS
    selected: dict[Pane, str] = field(default_factory=dict)  # number or id
    places: dict[Pane, int] = field(default_factory=dict)  # where that was, in case it goes
    opened: str = ""  # number of the job that is open
    open_job: OpenedJob | None = None  # None: not here yet
    output: Sequence[str] = ()  # of the job that is followed
    back: int = 0  # so many lines before the newest are shown
    filter: str = ""
    typed: str | None = None  # a filter that is being typed
    asked: Intent | None = None  # what waits for a yes
    message: str = ""
    absent: str = ""  # why there is no answer; empty: there is one
    page: int = 10  # rows of the list that is in front
    before_help: View = View.LISTS
    before_output: View = View.LISTS

    @property
    def shown_jobs(self) -> list[Job]:
        """Those that the filter lets through."""
        wanted = (self.filter if self.typed is None else self.typed).lower()
        return [job for job in self.jobs if not wanted or wanted in _text_of(job)]

    @property
    def rows(self) -> list[str]:
        """What the cursor moves over in the pane in front: numbers of jobs, or ids of workers."""
        if self.pane is Pane.JOBS:
            return [str(job.number) for job in self.shown_jobs]
        return [worker.id for worker in self.workers]

    def cursor(self, pane: Pane, rows: Sequence[str]) -> int:
        """In which row the cursor is. What it stood on may have moved, or gone: then it stays where it was."""
        chosen = self.selected.get(pane, "")
        if chosen in rows:
            return rows.index(chosen)
        return max(0, min(self.places.get(pane, 0), len(rows) - 1))

    def see(self, jobs: Sequence[Job], workers: Sequence[Worker], queue: QueueStatus | None, now: float) -> None:
        """The cluster as it is now."""
        self.jobs = sorted(jobs, key=lambda job: (_rank(job), -job.number))
        self.workers, self.queue = workers, queue
        self.throughput.see(jobs, now)
        self.failures = [at for at in self.failures if at > now - LATELY]

    @property
    def chosen_job(self) -> Job | None:
        """The job that a key is about."""
        if self.view is not View.LISTS:
            known = [*([self.open_job.job] if self.open_job else []), *self.jobs]
            return next((job for job in known if str(job.number) == self.opened), None)
        if self.pane is not Pane.JOBS or not (jobs := self.shown_jobs):
            return None
        return jobs[self.cursor(Pane.JOBS, [str(job.number) for job in jobs])]

    @property
    def chosen_worker(self) -> Worker | None:
        if self.view is not View.LISTS or self.pane is not Pane.WORKERS or not self.workers:
            return None
        return self.workers[self.cursor(Pane.WORKERS, self.rows)]

    def press(self, key: str) -> Intent | None:
        """A key was pressed. What is to be done beside showing something else."""
        self.message = ""
        if key == "interrupt":
            return Intent("interrupt")
        if key in ("suspend", "redraw"):
            return Intent(key)
        if self.typed is not None:
            return self._type(key)
        if self.asked:
            intent, self.asked = self.asked, None
            if key in "yY":
                return intent
            self.message = "not done"
            return None
        if self.view is View.HELP:
            self.view = self.before_help
            return None
        return self._command(key)

    def _command(self, key: str) -> Intent | None:
        match key:
            case "?" | "h":
                self.before_help, self.view = self.view, View.HELP
            case "q" if self.view is View.LISTS:
                return Intent("quit")
            case "q" | "escape" | "left" | "backspace":
                return self._go_back()
            case "up" | "down" | "k" | "j" | "pageup" | "pagedown" | "home" | "end" | "g" | "G":
                self._move(key)
            case "tab" | "backtab" if self.view is View.LISTS:
                self.pane = Pane.WORKERS if self.pane is Pane.JOBS else Pane.JOBS
            case "/" if self.view is View.LISTS:
                self.pane, self.typed = Pane.JOBS, self.filter
            case "enter" | "right" if self.view is View.LISTS and (job := self.chosen_job):
                self.view, self.opened, self.open_job = View.JOB, str(job.number), None
                return Intent("open", self.opened)
            case "f":
                return self._follow()
            case "c" | "r" | "p" | "d":
                return self._change(key)
        return None

    def _change(self, key: str) -> Intent | None:
        worker, job = self.chosen_worker, self.chosen_job
        if key == "d":
            if worker is None:
                self.message = "d drains a worker: tab goes to the workers"
                return None
            self.asked = Intent("resume_worker" if worker.drain else "drain", worker.id, worker.name)
            return None
        if job is None:
            self.message = "that is for jobs: tab goes to them"
            return None
        number, name = str(job.number), job.spec.name
        if key == "c":
            if job.state.ended:
                self.message = f"job {number} has ended: nothing to cancel"
            else:
                self.asked = Intent("cancel", number, name)
            return None
        verb = "retry" if key == "r" else "resume" if job.pause else "pause"
        self.asked = Intent(verb, number, name)
        return None

    def _follow(self) -> Intent | None:
        if self.view is View.OUTPUT:
            self.back = 0
            return None
        job = self.chosen_job
        if job is None:
            self.message = "f follows the output of a job: tab goes to the jobs"
            return None
        self.before_output = self.view
        self.view, self.opened, self.output, self.back = View.OUTPUT, str(job.number), (), 0
        return Intent("follow", self.opened)

    def _go_back(self) -> Intent | None:
        if self.view is View.LISTS:
            self.filter = ""
            return None
        self.view = View.LISTS if self.view is View.JOB else self.before_output
        return Intent("stay", self.opened if self.view is View.JOB else "")

    def _move(self, key: str) -> None:
        one = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -self.page, "pagedown": self.page}.get(key)
        if self.view is View.OUTPUT:
            whole = len(self.output)
            back = {"home": whole, "g": whole, "end": 0, "G": 0}.get(key, self.back - (one or 0))
            self.back = max(0, min(back, whole - 1))
            return
        rows = self.rows
        if self.view is not View.LISTS or not rows:
            return
        here = self.cursor(self.pane, rows)
        there = {"home": 0, "g": 0, "end": len(rows) - 1, "G": len(rows) - 1}.get(key, here + (one or 0))
        there = max(0, min(there, len(rows) - 1))
        self.selected[self.pane], self.places[self.pane] = rows[there], there

    def _type(self, key: str) -> Intent | None:
        """A key while a filter is typed."""
        assert self.typed is not None
        if key == "enter":
            self.filter, self.typed = self.typed, None
            return Intent("find", self.filter) if self.filter else None
        if key == "escape":
            self.filter, self.typed = "", None
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1 and len(self.typed) < 200:
            self.typed += key
        return None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Jobs that run, that wait, and that failed lately."""
        running = sum(job.state in RUN for job in self.jobs)
        if self.queue and self.queue.running_jobs is not None:
            running = self.queue.running_jobs  # of the jobs here are only some
        live = self.queue.jobs if self.queue else sum(not job.state.ended for job in self.jobs)
        return running, max(0, live - running), len(self.failures)

    @property
    def cpus(self) -> tuple[int, int]:
        """Thousandths of cpus in use, and there are, of workers that are there."""
        if not self.workers:
            return 0, 0
        from cluster.domain.scheduler.worker_states import WorkerState  # loaded once there are workers

        there = [w for w in self.workers if w.state not in (WorkerState.OFFLINE, WorkerState.UNREACHABLE)]
        return sum(worker.used_millicpus for worker in there), sum(worker.millicpus for worker in there)


def _rank(job: Job) -> int:
    return 2 if job.state.ended else 0 if job.state in RUN else 1


def _text_of(job: Job) -> str:
    words = (job.number, job.state.word, job.spec.name, job.owner, job.reason, *job.spec.argv)
    return " ".join(map(str, words)).lower()
