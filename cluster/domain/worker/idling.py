"""Whether a worker has had nothing to do for so long that it is to leave."""

from cluster.domain.base.stalls import LISTENING, overslept


class Idling:
    """Asked after each turn of the agent, and when that is due."""

    def __init__(self, most: float | None) -> None:
        """`most`: seconds with nothing, after which it leaves; None: never."""
        self._most = most
        self._due: float | None = None

    def look(self, *, busy: bool, news: bool, now: float) -> bool:
        """Whether it is to leave now; that is said once. `busy`: it has something to run, to report or to push, or
        nobody could give it anything yet. `news`: attempts have begun or ended since the last look, perhaps all of one
        in between. `now` as of `due`."""
        if busy or self._most is None:
            self._due = None
        elif self._due is None or news:
            self._due = now + self._most
        elif overslept(self._due, now):  # what came meanwhile waits in sockets
            self._due = now + LISTENING
        if self._due is None or now < self._due:
            return False
        self._most = self._due = None
        return True

    def due(self) -> float | None:
        """When it is to leave if nothing comes, on the boot clock; None: nobody knows."""
        return self._due
