"""How fast something goes, and how long the rest of it takes."""

from collections import deque

WINDOW = 30.0  # seconds: what went on before counts no more
MOST = 64  # sights that are kept


class Speed:
    """By what was done when it was looked at. `done` may be tasks or bytes; it falls where a start is made anew."""

    def __init__(self) -> None:
        self._sights: deque[tuple[float, float]] = deque()  # when, and how much was done

    def see(self, now: float, done: float) -> None:
        if self._sights and done < self._sights[-1][1]:
            self._sights.clear()
        if len(self._sights) > 1 and now - self._sights[-2][0] < WINDOW / MOST:
            self._sights.pop()  # close together: the newest of these is enough
        self._sights.append((now, done))
        while len(self._sights) > 2 and now - self._sights[1][0] > WINDOW:
            self._sights.popleft()

    @property
    def rate(self) -> float:
        """A second; 0: nobody knows yet."""
        if len(self._sights) < 2:
            return 0.0
        (begin, before), (end, after) = self._sights[0], self._sights[-1]
        return (after - before) / (end - begin) if end > begin else 0.0

    def left(self, total: float) -> float | None:
        """Seconds until all of that is done; None: nobody knows."""
        if not self._sights or self.rate <= 0:
            return None
        return max(0.0, total - self._sights[-1][1]) / self.rate
