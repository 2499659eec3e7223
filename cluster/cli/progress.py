"""How far jobs are, on stderr: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cluster.client.types import Job
from cluster.domain.base.quantities import format_duration
from cluster.domain.job.states import TaskState

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_INTERVAL = 10.0  # seconds between two lines in a pipe


class Progress(Protocol):
    """Something that shows progress until it is closed."""

    def update(self, jobs: Sequence[Job]) -> None:
        """Shows how far they are now."""

    def hide(self) -> None:
        """Makes room: something else is about to be written to the terminal."""

    def show(self) -> None:
        """Goes on after `hide`; the cursor is at the beginning of a line."""

    def close(self) -> None:
        """Leaves the terminal as it should be."""


def progress() -> Progress:
    """The kind that suits stderr."""
    return Bar() if sys.stderr.isatty() else Lines()


_NAMED = (TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED)  # beside how many have ended


def summary(jobs: Sequence[Job]) -> str:
    """`3 running, 10/100 ended, 1 failed`."""
    total = sum(job.counts.total for job in jobs)
    ended = sum(job.counts.ended for job in jobs)
    others = [(sum(job.counts.of(state) for job in jobs), state.word) for state in _NAMED]
    return ", ".join([f"{ended}/{total} ended", *(f"{count} {word}" for count, word in others if count)])


class Lines:
    """A line at most every PLAIN_INTERVAL seconds, and one at the end if there was any before."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._latest: Sequence[Job] = ()
        self._said = False

    def update(self, jobs: Sequence[Job]) -> None:
        self._latest = jobs
        if time.monotonic() - self._last >= PLAIN_INTERVAL:
            self._say()

    def hide(self) -> None:
        """Nothing to do: a line does not move."""

    def show(self) -> None:
        """Nothing to do: see `hide`."""

    def close(self) -> None:
        if self._said:
            self._say()

    def _say(self) -> None:
        self._last = time.monotonic()
        self._said = True
        took = format_duration(self._last - self._start)
        print(f"cluster: {summary(self._latest)} after {took}", file=sys.stderr)


class Bar:
    """A bar that redraws itself."""

    def __init__(self) -> None:
        from rich import progress as rich  # 90 ms, for terminals only
        from rich.console import Console

        self._bar = rich.Progress(
            rich.BarColumn(),
            rich.TaskProgressColumn(),
            rich.TextColumn("{task.description}"),
            rich.TimeElapsedColumn(),
            rich.TextColumn("eta"),
            rich.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._hidden = False

    def update(self, jobs: Sequence[Job]) -> None:
        total = sum(job.counts.total for job in jobs)
        ended = sum(job.counts.ended for job in jobs)
        if self._task is None:
            self._task = self._bar.add_task("", total=total)
            if not self._hidden:  # else some output came first, and has not ended its line
                self._bar.start()
        self._bar.update(self._task, completed=ended, total=total, description=summary(jobs))

    def hide(self) -> None:
        self._hidden = True
        self._bar.stop()

    def show(self) -> None:
        self._hidden = False
        if self._task is not None:
            self._bar.start()

    def close(self) -> None:
        self._bar.stop()
