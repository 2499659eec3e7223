"""A bar that lives in a notebook, where ipywidgets is there (the extra `notebook`)."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from cluster.client.types import Job
from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_duration
from cluster.domain.base.speed import Speed


class Watching(Protocol):
    """A client, as far as this needs one."""

    def watch(self, *selectors: str | int) -> Iterator[tuple[Job, ...]]:
        """Yields the jobs after each change, until all have ended."""


def progress_words(jobs: Sequence[Job], speed: Speed) -> str:
    """`20/100 ended, 3 failed; 2/s, 40s left`."""
    ended, total = sum(job.counts.ended for job in jobs), sum(job.counts.total for job in jobs)
    failed = sum(job.counts.failed for job in jobs)
    words = f"{ended}/{total} ended{f', {failed} failed' if failed else ''}"
    left = speed.left(total)
    return words if left is None or ended == total else f"{words}; {speed.rate:.3g}/s, {format_duration(left)} left"


class ProgressWidget:
    """A bar in a notebook that goes on while other cells run. It shows itself where it is a cell's last value.

    InvalidInput where ipywidgets is not there."""

    def __init__(self, client: Watching, *selectors: str | int) -> None:
        try:
            import ipywidgets
        except ImportError:
            raise InvalidInput("a live bar needs ipywidgets: pip install 'cluster[notebook]', or ipywidgets") from None
        self._client, self._selectors = client, selectors
        self.bar: Any = ipywidgets.IntProgress(value=0, max=1)
        self.label: Any = ipywidgets.Label("…")  # which shows text as it is, and no HTML
        self.box: Any = ipywidgets.HBox([self.bar, self.label])
        self._thread = threading.Thread(target=self._watch, name="cluster-progress", daemon=True)
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until the jobs have ended, so many seconds at most. Whether they have."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _watch(self) -> None:
        speed = Speed()
        try:
            for jobs in self._client.watch(*self._selectors):
                ended = sum(job.counts.ended for job in jobs)
                speed.see(time.monotonic(), ended)
                self.bar.max = max(1, sum(job.counts.total for job in jobs))
                self.bar.value = ended
                self.bar.bar_style = "danger" if any(job.counts.failed for job in jobs) else ""
                self.label.value = printable(progress_words(jobs, speed))
        except ClusterError as error:
            self.label.value = printable(str(error))

    def _repr_mimebundle_(self, **wanted: Any) -> Any:
        return self.box._repr_mimebundle_(**wanted)
