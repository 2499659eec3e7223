"""Permits for large requests: few are taken in at a time, and nobody holds that up by sending slowly, or nothing.

For a moment (`sure`) nobody can lose a permit, unless an earlier request of theirs failed to arrive within `memory`.
After that moment a permit whose request has not arrived is *late*, and goes to a caller with a better claim, if one
waits. A caller's claim is the worse the more late permits it holds and the more of its requests have failed to arrive:
a caller with none of either gets a permit at once, however many others wait. Pure: times are seconds of any one clock.
"""

from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

MOST_FAILURES = 100  # that are remembered of a caller


@dataclass(eq=False, slots=True)
class Permit:
    """One caller's, for one request."""

    caller: Hashable
    held_since: float | None = None  # None: it waits
    arrived: bool = False  # its request is there


@dataclass(slots=True)
class _Caller:
    who: Hashable
    waiting: dict[Permit, None] = field(default_factory=dict)  # in order
    held: int = 0
    turn: int = 0  # counts up with every permit that anybody got
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FAILURES))


class Permits:
    """`most` at a time, and `most_of_one` of one caller, each sure for `sure` seconds; failures count for `memory`."""

    def __init__(self, most: int = 6, most_of_one: int = 2, sure: float = 0.5, memory: float = 60.0) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._sure, self._memory = sure, memory
        self._callers: dict[Hashable, _Caller] = {}
        self._waiting: dict[Hashable, _Caller] = {}  # those of them who wait; in a rush there are many
        self._failed: dict[Hashable, _Caller] = {}  # those with failures
        self._held: dict[Permit, None] = {}  # in the order in which they were given
        self._turns = 0

    def ask(self, who: Hashable) -> Permit:
        """A permit that waits until a `turn` answers it."""
        permit = Permit(who)
        caller = self._callers.setdefault(who, _Caller(who))
        caller.waiting[permit] = None
        self._waiting[who] = caller
        return permit

    def leave(self, permit: Permit, now: float) -> None:
        """It waits no more, or is given back. One that was cut is known to be."""
        if permit in self._held:
            self._release(permit, now)
        elif caller := self._callers.get(permit.caller):
            caller.waiting.pop(permit, None)
            self._tidy(caller)

    def turn(self, now: float) -> tuple[list[Permit], list[Permit]]:
        """Permits that are held from now on, and those that had been and are cut for them."""
        begun, cut = list[Permit](), list[Permit]()
        self._forget(now)
        while self._waiting:
            late = [permit for permit in self._held if self._is_late(permit, now)]
            if len(self._held) >= self._most and not late:
                break
            debts = Counter(permit.caller for permit in late)
            if (who := self._next(debts)) is None:
                break
            if len(self._held) >= self._most:
                # Of equals the oldest.
                worst = max(late, key=lambda permit: self._debt(self._callers[permit.caller], debts))
                if self._debt(who, debts) >= self._debt(self._callers[worst.caller], debts):
                    break
                self._release(worst, now)
                cut.append(worst)
            begun.append(self._give(who, now))
        return begun, cut

    def next_deadline(self, now: float) -> float | None:
        """The time of the next turn that may do something although nothing has happened; None: there is none."""
        ends = [self._sure_until(permit) for permit in self._held if not permit.arrived]
        if not ends or not any(self._may_have(caller) for caller in self._waiting.values()):
            return None
        return min((end for end in ends if end > now), default=None)

    def _give(self, caller: _Caller, now: float) -> Permit:
        permit = next(iter(caller.waiting))
        del caller.waiting[permit]
        permit.held_since = now
        self._turns += 1
        caller.held, caller.turn = caller.held + 1, self._turns
        self._held[permit] = None
        self._tidy(caller)
        return permit

    def _release(self, permit: Permit, now: float) -> None:
        caller = self._callers[permit.caller]
        del self._held[permit]
        caller.held -= 1
        if not permit.arrived:
            caller.failures.append(now)
            self._failed[caller.who] = caller
        self._tidy(caller)

    def _may_have(self, caller: _Caller) -> bool:
        return caller.held < self._most_of_one

    def _next(self, late: Counter[Hashable]) -> _Caller | None:
        """Whose turn it is, of those who wait and may have another."""
        able = (caller for caller in self._waiting.values() if self._may_have(caller))
        return min(able, key=lambda c: (self._debt(c, late), c.held, c.turn), default=None)

    def _debt(self, caller: _Caller, late: Counter[Hashable]) -> int:
        """`late`: how many permits each holds that are not sure any more."""
        return late[caller.who] + len(caller.failures)

    def _is_late(self, permit: Permit, now: float) -> bool:
        return not permit.arrived and now >= self._sure_until(permit)

    def _sure_until(self, permit: Permit) -> float:
        return (permit.held_since or 0.0) + (0.0 if self._callers[permit.caller].failures else self._sure)

    def _forget(self, now: float) -> None:
        """Failures of long ago."""
        for caller in list(self._failed.values()):
            while caller.failures and caller.failures[0] <= now - self._memory:
                caller.failures.popleft()
            self._tidy(caller)

    def _tidy(self, caller: _Caller) -> None:
        """Nobody is kept of whom nothing is left to know."""
        if not caller.waiting:
            self._waiting.pop(caller.who, None)
        if not caller.failures:
            self._failed.pop(caller.who, None)
        if not (caller.waiting or caller.held or caller.failures):
            self._callers.pop(caller.who, None)
