"""When a launcher stops and kills attempts: they are asked to end, their time is over, or their lease.

To signal a tree takes a millisecond or so, and to give an attempt back some microseconds. So where many are to end at
once that is done in parts, a turn each, and whatever else happens is heard between them.
"""

from collections.abc import Iterable
from heapq import heappop

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Effect, Kill, KillSlot, RecallRequested, Signal, StopRequested
from cluster.domain.launcher.slots import IF_UNBEGUN, KILLED, STALE, Attempt, Phase
from cluster.domain.launcher.state import DYING, LauncherState
from cluster.domain.session.leashes import is_out

MOST_AT_ONCE = 1000  # of what is asked or due, that one turn does: each weighs 1, or what follows
STOP_WEIGHS = 20  # where a slot or its tree is spoken to
RECALL = RecallRequested([])  # as what is asked of an attempt


def cause_of(wanted: StopRequested | str | None) -> str | None:
    """What the end of an attempt is called that never got as far as to be stopped, but is to be."""
    if isinstance(wanted, StopRequested):
        return wanted.reason
    return endings.LEASE if wanted == endings.LEASE else None


class Stopping(LauncherState):
    def _ask(self, attempts: Iterable[Attempt], what: RecallRequested | StopRequested | str) -> None:
        """These are to be stopped, killed for that cause (or KILLED), or to go back unless they have begun. None of
        them that waits in the backlog is begun from now on."""
        for attempt in attempts:
            if attempt.phase is Phase.BACKLOG:
                attempt.wanted = IF_UNBEGUN
            self._asked.append((attempt, what))

    def _do_what_is_asked(self, now: float, effects: list[Effect]) -> None:
        while self._asked and self._room > 0:
            self._fulfil(*self._asked.popleft(), now, effects)

    def _fulfil(
        self, attempt: Attempt, what: RecallRequested | StopRequested | str, now: float, effects: list[Effect]
    ) -> None:
        """Stopping one that has ended succeeds and does nothing; so does recalling one that runs."""
        self._room -= 1
        if attempt.phase is Phase.BACKLOG:
            self._return(attempt, effects)
            return
        if attempt.phase is Phase.ENDED or (isinstance(what, RecallRequested) and attempt.phase is not Phase.STARTING):
            return
        self._room -= STOP_WEIGHS
        if attempt.phase is Phase.STARTING:
            self._want(attempt, what, now, effects)
        elif isinstance(what, StopRequested):
            self._stop(attempt, what, now, effects)
        elif isinstance(what, str):
            self._kill(attempt, None if what == KILLED else what, now, effects)

    def _stop(self, attempt: Attempt, stop: StopRequested, now: float, effects: list[Effect]) -> None:
        if attempt.phase not in (Phase.RUNNING, Phase.STOPPING):
            return
        grace = attempt.template.grace if stop.grace is None else stop.grace
        if attempt.phase is Phase.RUNNING:
            attempt.phase, attempt.cause, attempt.deadline = Phase.STOPPING, stop.reason, None
            attempt.frozen = False  # the signal thaws it, so that it can obey
        elif attempt.deadline is not None and now + grace >= attempt.deadline:
            return  # a second stop may only shorten the grace
        if grace <= 0:
            self._kill(attempt, attempt.cause, now, effects)
            return
        if attempt.sent is None:
            attempt.sent, attempt.asked = stop.signal, True
            number = self._alone_in_slot(attempt, effects)
            effects.append(Signal(number, attempt.key, stop.signal, attempt.pid))
        self._set_deadline(attempt, now + grace)

    def _kill(self, attempt: Attempt, cause: str | None, now: float, effects: list[Effect]) -> None:
        if attempt.phase in (Phase.RUNNING, Phase.STOPPING):
            attempt.phase, attempt.sent = Phase.KILLING, "SIGKILL"
            self._set_deadline(attempt, now + DYING)
            attempt.cause = attempt.cause or cause
            effects.append(Kill(self._alone_in_slot(attempt, effects), attempt.key))

    def _do_what_is_due(self, now: float, effects: list[Effect]) -> None:
        while self._deadlines and self._room > 0:
            due, key = self._deadlines[0]
            attempt = self.attempts.get(key)
            holds = attempt is not None and attempt.deadline == due
            if holds and due > now:
                break
            heappop(self._deadlines)
            if attempt is None or not holds:
                continue
            self._room -= STOP_WEIGHS
            if attempt.phase is Phase.STOPPING:
                self._kill(attempt, attempt.cause, now, effects)
            elif attempt.phase in (Phase.KILLING, Phase.STARTING) and attempt.slot is not None:
                effects.append(KillSlot(attempt.slot.number, key))
            else:
                stop = StopRequested([key], endings.TIMEOUT)
                self._stop(attempt, stop, now, effects)
        if self._leashes and is_out(now, self.confirmed_at, min(self._leashes)):
            self._cut_leashes(now)
            self._do_what_is_asked(now, effects)
        for slot in list(self._ahead.values()):
            if now >= slot.since + STALE:
                slot.mean = STALE  # until there are some short ones again
                self._clear(slot, effects)

    def _cut_leashes(self, now: float) -> None:
        """The scheduler is about to give these up: nothing of them may run, or start, from here on."""
        leashed = [(attempt, attempt.template.leash) for attempt in self.attempts.values() if attempt.leashed]
        out = [a for a, leash in leashed if leash is not None and is_out(now, self.confirmed_at, leash)]
        for attempt in out:
            self._drop_leash(attempt)
        self._ask(out, endings.LEASE)

    def _on_lease_confirmed(self, at: float) -> None:
        """A lease that was out and holds again is another one: what had not begun may have been given to others."""
        before, self.confirmed_at = self.confirmed_at, max(self.confirmed_at, at)
        if not self._leashes or not is_out(at, before, min(self._leashes)):
            return
        leashed = ((attempt, attempt.template.leash) for attempt in self.attempts.values())
        self._ask((a for a, leash in leashed if leash is not None and is_out(at, before, leash)), RECALL)
