"""How long something has taken, again and again: counted by its length."""

from bisect import bisect_left
from itertools import accumulate

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Durations:
    """`total` is in seconds. Adding one takes less than a microsecond."""

    def __init__(self) -> None:
        self.total = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """One more."""
        self.total += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def up_to(self) -> list[tuple[float, int]]:
        """How many took at most so long, for each of BOUNDS and for infinity."""
        return list(zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True))
