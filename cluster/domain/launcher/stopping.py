"""When a launcher stops and kills attempts: they are asked to end, their time is over, or their lease."""

from heapq import heappop

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Effect, Kill, KillSlot, RecallRequested, Signal, StopRequested
from cluster.domain.launcher.slots import STALE, Attempt, Phase
from cluster.domain.launcher.state import DYING, LauncherState
from cluster.domain.session.leashes import is_out


class Stopping(LauncherState):
    def _stop(self, attempt: Attempt, stop: StopRequested, now: float, effects: list[Effect]) -> None:
        if attempt.phase not in (Phase.RUNNING, Phase.STOPPING):
            return
        grace = attempt.template.grace if stop.grace is None else stop.grace
        if attempt.phase is Phase.RUNNING:
            attempt.phase, attempt.cause, attempt.deadline = Phase.STOPPING, stop.reason, None
        elif attempt.deadline is not None and now + grace >= attempt.deadline:
            return  # a second stop may only shorten the grace
        if grace <= 0:
            self._kill(attempt, attempt.cause, now, effects)
            return
        if attempt.sent is None:
            attempt.sent = stop.signal
            number = self._alone_in_slot(attempt, effects)
            effects.append(Signal(number, attempt.key, stop.signal))
        self._set_deadline(attempt, now + grace)

    def _kill(self, attempt: Attempt, cause: str | None, now: float, effects: list[Effect]) -> None:
        if attempt.phase in (Phase.RUNNING, Phase.STOPPING):
            attempt.phase, attempt.sent = Phase.KILLING, "SIGKILL"
            self._set_deadline(attempt, now + DYING)
            attempt.cause = attempt.cause or cause
            effects.append(Kill(self._alone_in_slot(attempt, effects), attempt.key))

    def _do_what_is_due(self, now: float, effects: list[Effect]) -> None:
        while self._deadlines:
            due, key = self._deadlines[0]
            attempt = self.attempts.get(key)
            holds = attempt is not None and attempt.deadline == due
            if holds and due > now:
                break
            heappop(self._deadlines)
            if attempt is None or not holds:
                continue
            if attempt.phase is Phase.STOPPING:
                self._kill(attempt, attempt.cause, now, effects)
            elif attempt.phase in (Phase.KILLING, Phase.STARTING) and attempt.slot is not None:
                effects.append(KillSlot(attempt.slot.number, key))
            else:
                stop = StopRequested([key], endings.TIMEOUT)
                self._stop(attempt, stop, now, effects)
        if self._leashes and is_out(now, self.confirmed_at, min(self._leashes)):
            self._cut_leashes(now, effects)
        for slot in list(self._ahead.values()):
            if now >= slot.since + STALE:
                slot.mean = STALE  # until there are some short ones again
                self._clear(slot, effects)

    def _cut_leashes(self, now: float, effects: list[Effect]) -> None:
        """The scheduler is about to give these up: nothing of them may run, or start, from here on."""
        for attempt in list(self.attempts.values()):
            leash = attempt.template.leash
            if leash is None or not attempt.leashed or not is_out(now, self.confirmed_at, leash):
                continue
            if attempt.phase is Phase.BACKLOG:
                self._return(attempt, effects)
                continue
            if attempt.phase is Phase.STARTING:
                self._want(attempt, endings.LEASE, now, effects)
            else:
                self._kill(attempt, endings.LEASE, now, effects)
            self._drop_leash(attempt)

    def _on_lease_confirmed(self, at: float, now: float, effects: list[Effect]) -> None:
        """A lease that was out and holds again is another one: what had not begun may have been given to others."""
        before, self.confirmed_at = self.confirmed_at, max(self.confirmed_at, at)
        if not self._leashes or not is_out(at, before, min(self._leashes)):
            return
        for attempt in list(self.attempts.values()):
            leash = attempt.template.leash
            if leash is None or not is_out(at, before, leash):
                continue
            if attempt.phase is Phase.BACKLOG:
                self._return(attempt, effects)
            elif attempt.phase is Phase.STARTING:
                self._want(attempt, RecallRequested([attempt.key]), now, effects)
