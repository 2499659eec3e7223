"""How far something is, on stderr: a bar on a terminal, now and then a line elsewhere. For all that takes long: jobs,
uploads, downloads, deleting."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from cluster.client.types import Job
from cluster.domain.base.quantities import format_duration, format_size
from cluster.domain.base.speed import Speed
from cluster.domain.job.states import TaskState

if TYPE_CHECKING:
    from rich.progress import TaskID

T = TypeVar("T")

PLAIN_INTERVAL = 10.0  # seconds between two lines in a pipe
FIRST_BAR = 0.5  # seconds before there is a bar of what may take a moment only


class Meter(Protocol):
    """Something that shows progress until it is closed."""

    def update(self, done: float, total: float, words: str) -> None:
        """Shows how far it is now, in tasks or bytes; `total` 0: nobody knows."""

    def hide(self) -> None:
        """Makes room: something else is about to be written to the terminal."""

    def show(self) -> None:
        """Goes on after `hide`; the cursor is at the beginning of a line."""

    def close(self) -> None:
        """Leaves the terminal as it should be."""


def meter(unit: Callable[[float], str]) -> Meter:
    """The kind that suits stderr. `unit`: a number of what is counted, for people."""
    return Bar(unit) if sys.stderr.isatty() else Lines(unit)


def tasks_in_words(count: float) -> str:
    return f"{count:.3g}"


def bytes_in_words(count: float) -> str:
    return format_size(round(count))


def speed_in_words(speed: Speed, total: float, unit: Callable[[float], str]) -> str:
    """`12/s, 3m left`; empty: nobody knows yet."""
    if speed.rate <= 0:
        return ""
    left = speed.left(total) if total else None
    return f"{unit(speed.rate)}/s{'' if left is None else f', {format_duration(left)} left'}"


_NAMED = (TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED)  # beside how many have ended


def summary(jobs: Sequence[Job]) -> str:
    """`3 running, 10/100 ended, 1 failed`."""
    total = sum(job.counts.total for job in jobs)
    ended = sum(job.counts.ended for job in jobs)
    others = [(sum(job.counts.of(state) for job in jobs), state.word) for state in _NAMED]
    return ", ".join([f"{ended}/{total} ended", *(f"{count} {word}" for count, word in others if count)])


class JobsProgress:
    """How far jobs are, by their tasks."""

    def __init__(self) -> None:
        self._meter = meter(tasks_in_words)
        self.hide, self.show, self.close = self._meter.hide, self._meter.show, self._meter.close

    def update(self, jobs: Sequence[Job]) -> None:
        """Shows how far they are now."""
        total = sum(job.counts.total for job in jobs)
        self._meter.update(sum(job.counts.ended for job in jobs), total, summary(jobs))


async def told(work: Awaitable[T], words: str, quiet: bool) -> T:
    """Waits for one call of which nobody hears how far it is; of one that takes long, tells that it goes on."""
    task = asyncio.ensure_future(work)
    shown = LateMeter(tasks_in_words, quiet)
    try:
        while not (await asyncio.wait([task], timeout=FIRST_BAR))[0]:
            shown.update(0, 0, words)
        return task.result()
    finally:
        task.cancel()
        shown.close()


class LateMeter:
    """Of what may take a moment only: shows nothing before FIRST_BAR, and nothing at all where somebody wants quiet."""

    def __init__(self, unit: Callable[[float], str], quiet: bool) -> None:
        self._unit, self._quiet = unit, quiet
        self._begin = time.monotonic()
        self._meter: Meter | None = None

    def update(self, done: float, total: float, words: str) -> None:
        if self._quiet or time.monotonic() - self._begin < FIRST_BAR:
            return
        if self._meter is None:
            self._meter = meter(self._unit)
        self._meter.update(done, total, words)

    def close(self) -> None:
        """Leaves the terminal as it should be. After that all begins anew."""
        if self._meter is not None:
            self._meter.close()
        self._meter, self._begin = None, time.monotonic()


class Lines:
    """A line at most every PLAIN_INTERVAL seconds, and one at the end if there was any before."""

    def __init__(self, unit: Callable[[float], str]) -> None:
        self._start = self._last = time.monotonic()
        self._speed, self._unit = Speed(), unit
        self._latest: tuple[float, str] = (0, "")
        self._said = False

    def update(self, done: float, total: float, words: str) -> None:
        now = time.monotonic()
        self._latest = total, words
        self._speed.see(now, done)
        if now - self._last >= PLAIN_INTERVAL:
            if total and done >= total:
                self._said = True  # `close` says it
            else:
                self._say(ended=False)

    def hide(self) -> None:
        """Nothing to do: a line does not move."""

    def show(self) -> None:
        """Nothing to do: see `hide`."""

    def close(self) -> None:
        if self._said:
            self._say(ended=True)

    def _say(self, *, ended: bool) -> None:
        self._last = time.monotonic()
        self._said = True
        total, words = self._latest
        took = format_duration(self._last - self._start)
        speed = "" if ended else speed_in_words(self._speed, total, self._unit)
        print(f"cluster: {words} after {took}{speed and f'; {speed}'}", file=sys.stderr)


class Bar:
    """A bar that redraws itself."""

    def __init__(self, unit: Callable[[float], str]) -> None:
        from rich import progress as rich  # 90 ms, for terminals only
        from rich.console import Console

        self._speed, self._unit = Speed(), unit
        self._bar = rich.Progress(
            rich.BarColumn(20),
            rich.TaskProgressColumn(),
            rich.TextColumn("{task.description}", markup=False),
            rich.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._hidden = False

    def update(self, done: float, total: float, words: str) -> None:
        self._speed.see(time.monotonic(), done)
        if self._task is None:
            self._task = self._bar.add_task("", total=total or None)
            if not self._hidden:  # else some output came first, and has not ended its line
                self._bar.start()
        speed = speed_in_words(self._speed, total, self._unit)
        self._bar.update(
            self._task, completed=done, total=total or None, description=f"{words}{speed and f', {speed}'}"
        )

    def hide(self) -> None:
        self._hidden = True
        self._bar.stop()

    def show(self) -> None:
        self._hidden = False
        if self._task is not None:
            self._bar.start()

    def close(self) -> None:
        self._bar.stop()
