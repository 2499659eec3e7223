"""What selected tasks must be like, as people type it after a colon: `5:failed`, `5:lost,timeout`, `sweep:exit:75`.

Each word is a state, or a reason for which tasks ended; `exit`, `signal` and `timeout` alone mean each of that kind.
"""

from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job import endings
from cluster.domain.job.named_reasons import meant
from cluster.domain.job.states import COUNTED, TaskState

_STATES = {state.word: state for state in COUNTED} | {endings.OK: TaskState.SUCCEEDED}
_REST = r"(?::[A-Za-z0-9_+-]+)?"  # of a reason
_WORD, _KNOWN = rf"[a-z_]+{_REST}", rf"(?:{'|'.join(_STATES)}|(?:{'|'.join(endings.KINDS)}){_REST})"
# Of what may be a condition, and of one whose words are known.
PATTERN, KNOWN = (rf"{word}(?:,{word})*" for word in (_WORD, _KNOWN))


class Condition(NamedTuple):
    """Tasks meet it that are in one of the states, or did not succeed for one of the reasons."""

    states: tuple[TaskState, ...] = ()
    reasons: tuple[str, ...] = ()  # a kind, as in `exit`, stands for all of that kind

    @property
    def of_ended(self) -> bool:
        """Whether only tasks meet it that have ended."""
        return all(state.ended for state in self.states)

    def has_reason(self, reason: str) -> bool:
        """Whether it names the reason, or its kind; where a task was tried too often also that of its last attempt."""
        last = endings.of_attempt(reason)
        names = {reason, endings.kind_of(reason), last, endings.kind_of(last)}
        return not names.isdisjoint(self.reasons)

    def is_met(self, state: TaskState, reason: str) -> bool:
        """By a task in that state; the reason is that of its end, empty before."""
        return state in self.states or (state.ended and self.has_reason(reason))

    def __str__(self) -> str:
        return ",".join((*(state.word for state in self.states), *self.reasons))


def parse_condition(text: str) -> Condition:
    """Of a text of that PATTERN. InvalidInput names the word that is no state and no reason."""
    states: dict[TaskState, None] = {}
    reasons: dict[str, None] = {}
    for word in text.split(","):
        if word in _STATES:
            states[_STATES[word]] = None
        elif endings.kind_of(word) in endings.KINDS:
            reasons[meant(word)] = None
        else:
            raise InvalidInput(f"{word!r} is no state and no reason: use {WORDS}")
    return Condition(tuple(states), tuple(reasons))


WORDS = ", ".join((*_STATES, *(kind for kind in endings.KINDS if kind not in _STATES), "exit:N or signal:NAME"))
