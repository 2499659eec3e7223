"""When a worker leaves by itself: it has had nothing to do for so long, or its time is over and nothing runs there."""

from cluster.domain.base.quantities import format_duration
from cluster.domain.base.stalls import LISTENING, overslept


class Idling:
    """Asked after each turn of the agent, and when that is due. Times are seconds of the boot clock."""

    def __init__(self, most: float | None, leaves_at: float | None = None) -> None:
        """`most`: seconds with nothing, after which it leaves; None: never. `leaves_at`: from then on it leaves as soon
        as it has nothing; None: it stays."""
        self._most, self._leaves_at = most, leaves_at
        self._due: float | None = None

    def look(self, *, busy: bool, news: bool, now: float) -> str:
        """Why it is to leave now, in words, which is said once; empty: it stays. `busy`: it has something to run, to
        report or to push, or nobody could give it anything yet. `news`: attempts have begun or ended since the last
        look, perhaps all of one in between."""
        if busy:
            self._due = None
        elif self._due is None or news:
            self._due = self._next(now)
        elif overslept(self._due, now):  # what came meanwhile waits in sockets
            self._due = now + LISTENING
        if self._due is None or now < self._due:
            return ""
        is_over = self._leaves_at is not None and now >= self._leaves_at
        why = "its time is over" if is_over else f"nothing to do for {format_duration(self._most or 0.0)}"
        self._most = self._leaves_at = self._due = None
        return why

    def _next(self, now: float) -> float | None:
        idle = None if self._most is None else now + self._most
        over = None if self._leaves_at is None else max(now, self._leaves_at)
        return min((at for at in (idle, over) if at is not None), default=None)

    def due(self) -> float | None:
        """When it is to leave if nothing comes; None: nobody knows."""
        return self._due
