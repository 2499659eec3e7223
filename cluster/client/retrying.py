"""How long a client goes on trying once its connection has broken, and what it tells of that."""

import asyncio
import time
from typing import Protocol

from cluster.domain.base.errors import Unreachable

# Seconds. Whoever follows a job waits longer than others: running jobs outlive an absence of 45 s (three quarters of
# --lost-after, which is 60 s unless given). The rest is for the workers, which must find the scheduler and report.
FOLLOW_PATIENCE = 60.0
PAUSE = 0.2  # seconds between two tries: one that serves errors only (its disk is full) must not be asked without end


class AbsenceListener(Protocol):
    """Whoever is told that the cluster does not answer while a client tries again, and that it answers again."""

    def began(self, error: Unreachable) -> None:
        """A call has broken, and is tried again. Comes once for each absence, with the first error."""

    def ended(self) -> None:
        """There was an answer."""


class RetryPatience:
    """How long to go on trying: not at all before the first answer, FOLLOW_PATIENCE seconds from each break after
    one."""

    def __init__(self, listener: AbsenceListener | None = None) -> None:
        self._until: float | None = 0.0  # monotonic clock; None: nothing has broken since the last answer
        self._listener = listener
        self.is_absent = False  # since a break there was no answer

    def renew(self) -> None:
        """There was an answer."""
        self._until = None
        if self.is_absent:
            self.is_absent = False
            if self._listener:
                self._listener.ended()

    def left(self) -> float:
        """Seconds; 0 when it is over. Counts from the first time that this is asked after an answer."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + FOLLOW_PATIENCE
        return max(0.0, self._until - now)

    async def pause(self, error: Unreachable) -> None:
        """Waits until it is time for another try. Raises the error where there is to be none."""
        if not self.left():
            raise error
        self.begin_absence(error)
        await asyncio.sleep(PAUSE)

    def begin_absence(self, error: Unreachable) -> None:
        """From now on there is no answer, until there is one."""
        if not self.is_absent:
            self.is_absent = True
            if self._listener:
                self._listener.began(error)
