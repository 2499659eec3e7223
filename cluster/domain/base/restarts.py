"""How long to wait before a process is started again that has ended though it was to stay."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds; they double while it does not stay
STAYS = 60.0  # seconds after which it counts as one that stays


class Restarts:
    """Of one process."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def pause(self, lived: float) -> float:
        """Seconds to wait, now that it has ended after it lived for so many; 0 where it could not even be started."""
        pause = FIRST_PAUSE if lived >= STAYS else self._next
        self._next = min(2 * pause, LONGEST_PAUSE)
        return pause
