"""The kind of option that holds several commands."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import WORDS, Several

MAX_COMMANDS = 1000  # of one job


class _Commands(Several):
    """Commands, a list of words each."""

    def told(self, value: Any) -> Any:
        return [list(words) for words in value] or None

    def texts(self, value: Any) -> Sequence[str]:
        return tuple(chain.from_iterable(value))

    def checked(self, value: Any) -> Any:
        if any(isinstance(words, str) for words in super().checked(value)):
            raise InvalidInput(
                "has a command that is one text: give a list of words for each, as in [['make', 'test']]"
            )
        return tuple(map(WORDS.checked, value))


def wrong_commands(commands: Sequence[Sequence[str]]) -> str:
    """What is wrong with those that follow the first, and what to do; empty: nothing."""
    if len(commands) >= MAX_COMMANDS:
        return f"the job has {len(commands) + 1} commands, and the most are {MAX_COMMANDS}: put them into a script"
    for place, words in enumerate(commands, start=2):
        if not (words and words[0]):
            return f"command {place} is empty: give its words, or leave it out"
    return ""


COMMANDS = _Commands()
