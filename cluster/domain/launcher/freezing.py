"""Attempts that are frozen: everything of them stands still where it is, and so does the time that they may run.

The lease does not stand still, and whoever stops a frozen attempt thaws it by that. What has not begun is frozen as
soon as it has.
"""

from cluster.domain.launcher.messages import Effect, FreezeRequested, FreezeTree
from cluster.domain.launcher.slots import Attempt, Phase
from cluster.domain.launcher.stopping import Stopping


class Freezing(Stopping):
    def _on_freeze_requested(self, event: FreezeRequested, now: float, effects: list[Effect]) -> None:
        """Said twice is done once."""
        for key in event.keys:
            attempt = self.attempts.get(key)
            if attempt is None or attempt.frozen != event.thaw:
                continue
            attempt.frozen = not event.thaw
            if attempt.phase is Phase.RUNNING:
                self._obey_freeze(attempt, now, effects)

    def _obey_freeze(self, attempt: Attempt, now: float, effects: list[Effect]) -> None:
        """It runs: what is wished of it is done."""
        if attempt.frozen:
            attempt.left = None if attempt.deadline is None else max(0.0, attempt.deadline - now)
            attempt.deadline = None
        elif attempt.left is not None:
            self._set_deadline(attempt, now + attempt.left)
            attempt.left = None
        number = self._alone_in_slot(attempt, effects)
        effects.append(FreezeTree(number, attempt.key, thaw=not attempt.frozen))
