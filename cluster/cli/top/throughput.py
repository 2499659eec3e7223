"""How many tasks end in a second, by the counts of jobs as they are seen one after another. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.client.types import Job

SECONDS = 2.0  # that a bar of the sparkline stands for
MOST = 120  # of these that are kept
BARS = "▁▂▃▄▅▆▇█"


class Throughput:
    def __init__(self) -> None:
        self._ended: Mapping[int, int] | None = None  # tasks that had ended, of each job, when they were seen last
        self._newest = 0  # number of the newest job that was seen
        self._buckets: deque[tuple[float, float]] = deque(maxlen=MOST)  # when each begins, how many ended

    def see(self, jobs: Iterable[Job], now: float) -> None:
        """The jobs as they are now. What had ended when they were seen first counts only of jobs that came since."""
        ended = {job.number: job.counts.ended for job in jobs}
        begin = now - now % SECONDS
        if not self._buckets or self._buckets[-1][0] != begin:
            self._buckets.append((begin, 0.0))
        if self._ended is not None:
            for number, count in ended.items():
                known = self._ended.get(number, 0 if number > self._newest else count)
                self._buckets[-1] = (begin, self._buckets[-1][1] + max(0, count - known))
        self._ended = ended if self._ended is None else {**self._ended, **ended}
        self._newest = max([self._newest, *ended])
        if len(self._ended) > 2000:  # jobs that nobody sees any more
            self._ended = ended

    def rate(self, now: float, seconds: float = 10.0) -> float:
        """Tasks a second, of the last `seconds`."""
        return sum(count for begin, count in self._buckets if begin > now - seconds) / seconds

    def sparkline(self, now: float, width: int) -> str:
        """The last `width` bars, the newest at the right; empty while nothing has ended."""
        counts = dict(self._buckets)
        newest = now - now % SECONDS
        shown = [counts.get(newest - SECONDS * place, 0.0) for place in range(min(width, MOST) - 1, -1, -1)]
        most = max(shown, default=0.0)
        if not most:
            return ""
        return "".join(BARS[min(len(BARS) - 1, round(count / most * (len(BARS) - 1)))] for count in shown)
