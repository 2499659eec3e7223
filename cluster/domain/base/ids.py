"""What attempts are called: among us by the task's index, for people by its number (`5.17#2`)."""

import re
from typing import NamedTuple

_KEY = re.compile(r"(\d+)\.(\d+)#(\d+)")


class AttemptKey(NamedTuple):
    """One try to run a task: job number, index (not number) of the task, attempt counted from 1."""

    job: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls on a key
    attempt: int

    def __str__(self) -> str:
        """Between our own processes. Nobody is shown this: it looks like a number after the dot, and is an index."""
        return f"{self.job}.{self.index}#{self.attempt}"

    def shown(self, number: int) -> str:
        """The key as people write it, with the task's number for its index; 0: its job has but one task."""
        return f"{self.job}.{number}#{self.attempt}" if number else f"{self.job}#{self.attempt}"

    @property
    def in_words(self) -> str:
        """The key for logs of a worker, which does not know the task's number."""
        return f"attempt {self.attempt} of the task at index {self.index}"

    @classmethod
    def parse(cls, text: str) -> "AttemptKey":
        """The reverse of str(). ValueError for anything else."""
        match = _KEY.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not JOB.INDEX#ATTEMPT")
        return cls(*map(int, match.groups()))
