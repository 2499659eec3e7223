"""How long a client repeats its calls after its connection broke, and whom it tells."""

import asyncio
import time
from typing import Protocol

from cluster.domain.base.errors import Unreachable

# Seconds. Whoever follows a job waits longer than others: running jobs outlive an absence of 45 s (three quarters of
# --lost-after, which is 60 s unless given). The rest is for the workers, which must find the scheduler and report.
FOLLOW_PATIENCE = 60.0
PAUSE = 0.2  # seconds between two tries: a scheduler that answers only errors must not be asked without pause


class AbsenceListener(Protocol):
    """Hears when the cluster stops answering, and when it answers again."""

    def began(self, error: Unreachable) -> None:
        """A call broke and is repeated. Called once an absence, with its first error."""

    def ended(self) -> None:
        """The cluster answers again."""


class RetryPatience:
    """How long to go on trying: not at all before the first answer, FOLLOW_PATIENCE seconds from each break after
    one."""

    def __init__(self, listener: AbsenceListener | None = None) -> None:
        self._until: float | None = 0.0  # monotonic clock; None: nothing has broken since the last answer
        self._listener = listener
        self.is_absent = False  # since a break there was no answer

    def renew(self) -> None:
        """The cluster answers again."""
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
