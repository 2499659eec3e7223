"""What a launcher's core knows: attempts, slots, leashes and reports; and what all that happens does to them.

What happens, and what is decided then, is in `core`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heapify, heappush

from cluster.domain.job import endings
from cluster.domain.launcher.allocation import Allocation
from cluster.domain.launcher.messages import (
    Effect,
    Ended,
    JournalReport,
    RecallFromSlot,
    RecallRequested,
    Retire,
    Spawn,
    Started,
    StopRequested,
)
from cluster.domain.launcher.slots import IF_UNBEGUN, Attempt, Phase, Slot, Slots
from cluster.domain.session.leashes import cut_at

DYING = 5.0  # seconds for a tree that was killed to be gone, and its slot to say so


class LauncherState:
    def __init__(self, capacity: int, seq: int = 0, unacked: Iterable[Started | Ended] = ()) -> None:
        """`capacity` in millicpus; `seq` and `unacked` are what the journal remembered."""
        self.allocation = Allocation(capacity)
        self.seq = seq
        self.unacked: deque[Started | Ended] = deque(unacked)
        self.attempts: dict[str, Attempt] = {}
        self.backlog: deque[Attempt] = deque()  # returned ones stay until they come to the head
        self.slots = Slots()
        self.confirmed_at = 0.0
        self.quitting = False
        self._alone_since: float | None = None  # no agent is connected
        self._more_since: float | None = None  # there is room for more than the last turn was given
        self._ended_unacked = {r.key: r.reason for r in self.unacked if isinstance(r, Ended)}
        self._asked: deque[tuple[Attempt, RecallRequested | StopRequested | str]] = deque()  # and has not been done
        self._room = 0  # what is left of MOST_AT_ONCE in this turn
        self._deadlines: list[tuple[float, str]] = []  # heap; entries that no longer hold are skipped
        self._leashes: dict[float, int] = {}  # leash -> how many attempts have it
        self._ahead: dict[int, Slot] = {}  # slots that have more than they can begin

    @property
    def works_ahead(self) -> bool:
        """Whether slots go on by themselves for a while, and more waits: so reports may wait for company."""
        return bool(self._ahead)

    # -- slots

    def _hand(self, slot: Slot, attempt: Attempt, now: float, effects: list[Effect]) -> None:
        attempt.phase, attempt.slot = Phase.STARTING, slot
        slot.hand(attempt, now)
        self._note_ahead(slot)
        leash = attempt.template.leash
        by = None if leash is None else cut_at(self.confirmed_at, leash)
        gpus = self.allocation.gpus_of(slot.number)
        effects.append(Spawn(slot.number, attempt.item, attempt.template, by, gpus))

    def _note_ahead(self, slot: Slot) -> None:
        if len(slot.queue) > 1:
            self._ahead[slot.number] = slot
        else:
            self._ahead.pop(slot.number, None)

    def _alone_in_slot(self, attempt: Attempt, effects: list[Effect]) -> int:
        """The number of its slot, which from then on begins nothing after it: what is sent there must reach nothing
        else."""
        slot = attempt.slot
        assert slot is not None
        if len(slot.queue) > 1:
            self._clear(slot, effects)
        return slot.number

    def _clear(self, slot: Slot, effects: list[Effect]) -> None:
        if not slot.clearing:
            slot.clearing = True
            effects.append(RecallFromSlot(slot.number))

    def _want(
        self, attempt: Attempt, what: RecallRequested | StopRequested | str, now: float, effects: list[Effect]
    ) -> None:
        """It was handed to a slot and may not have begun: if not, it is returned; else it gets what is wanted when it
        has started. A slot that does not get so far, because it hangs or was stopped, is killed after a while."""
        assert attempt.slot is not None
        if not isinstance(what, RecallRequested) and attempt.deadline is None:
            grace = attempt.template.grace if isinstance(what, StopRequested) and what.grace is None else 0.0
            self._set_deadline(attempt, now + grace + DYING)
        if isinstance(what, RecallRequested):
            attempt.wanted = attempt.wanted or IF_UNBEGUN
        elif not isinstance(attempt.wanted, str) or attempt.wanted == IF_UNBEGUN:
            attempt.wanted = what
        self._clear(attempt.slot, effects)

    def _requeue(self, attempts: Sequence[Attempt], effects: list[Effect]) -> None:
        """To the front again, in their order; those that somebody wished gone are returned."""
        for attempt in reversed(attempts):
            attempt.phase, attempt.slot, attempt.deadline = Phase.BACKLOG, None, None
            self.backlog.appendleft(attempt)
        for attempt in attempts:
            if attempt.wanted is not None:
                self._return(attempt, effects)

    def _leave(self, attempt: Attempt, effects: list[Effect], closed: bool = False) -> None:
        """It has ended in its slot, which goes on with what comes next."""
        slot = attempt.slot
        assert slot is not None
        slot.queue.remove(attempt)
        if closed:
            self._requeue(list(slot.queue), effects)
            slot.queue.clear()
            self.allocation.give_back(slot.number)
            self.slots.remove(slot)
            self._ahead.pop(slot.number, None)
            return
        if not slot.queue:
            self._rest(slot, effects)
        self._note_ahead(slot)

    def _rest(self, slot: Slot, effects: list[Effect]) -> None:
        self.allocation.give_back(slot.number)
        if not self.slots.rest(slot):
            effects.append(Retire(slot.number))

    # -- reports

    def _return(self, attempt: Attempt, effects: list[Effect]) -> None:
        self._give_back(attempt, "", effects)

    def _give_back(self, attempt: Attempt, why: str, effects: list[Effect]) -> None:
        """It has not started here. `why`: what this machine lacks for it, if that is the reason."""
        self._forget(attempt)
        self._report(Ended(self._next_seq(), attempt.key, endings.RETURNED, text=why), effects)

    def _report(self, report: Started | Ended, effects: list[Effect]) -> None:
        self.unacked.append(report)
        if isinstance(report, Ended):
            self._ended_unacked[report.key] = report.reason
        effects.append(JournalReport(report))

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _forget(self, attempt: Attempt) -> None:
        del self.attempts[attempt.key]
        self._drop_leash(attempt)
        attempt.phase = Phase.ENDED  # whatever still refers to it (the backlog) must not take it for waiting

    # -- clocks

    def _drop_leash(self, attempt: Attempt) -> None:
        leash = attempt.template.leash
        if leash is not None and attempt.leashed:
            attempt.leashed = False
            self._leashes[leash] -= 1
            if not self._leashes[leash]:
                del self._leashes[leash]

    def _set_deadline(self, attempt: Attempt, deadline: float) -> None:
        attempt.deadline = deadline
        heappush(self._deadlines, (deadline, attempt.key))
        if len(self._deadlines) > 64 + 2 * len(self.attempts):
            held = [(a.deadline, k) for k, a in self.attempts.items() if a.deadline is not None]
            self._deadlines = held
            heapify(held)
