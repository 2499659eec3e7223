"""Bounding guesses: whoever fails too often must wait. Pure; times are seconds of any one clock."""

from collections import deque
from collections.abc import Hashable

from cluster.domain.base.errors import Exhausted


class FailureThrottle:
    """Refuses a source that failed `limit` times within the last `window` seconds; others are not touched.

    Remembers at most `sources` of them; then the one that failed longest ago is forgotten, so memory is bounded.
    """

    def __init__(self, limit: int = 10, window: float = 60.0, sources: int = 1024) -> None:
        self._limit = limit
        self._window = window
        self._sources = sources
        self._failures: dict[Hashable, deque[float]] = {}  # in the order of the last failure

    def check(self, source: Hashable, now: float) -> None:
        """Raise Exhausted when the source must wait."""
        failures = self._failures.get(source)
        if failures is not None and len(failures) == self._limit and now - failures[0] < self._window:
            seconds = self._window - (now - failures[0])
            raise Exhausted(f"too many failed attempts from {source}; try again in {seconds:.0f} seconds")

    def failed(self, source: Hashable, now: float) -> None:
        """The source failed once more."""
        failures = self._failures.pop(source, None) or deque(maxlen=self._limit)
        failures.append(now)
        self._failures[source] = failures
        if len(self._failures) > self._sources:
            del self._failures[next(iter(self._failures))]
