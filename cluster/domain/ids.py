"""How jobs, tasks and attempts are written: `5`, `5.17`, `5.17#2`."""

import re
from typing import NamedTuple

_KEY = re.compile(r"(\d+)\.(\d+)#(\d+)")


class AttemptKey(NamedTuple):
    """One try to run a task: job number, index (not number) of the task, attempt counted from 1."""

    job: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls on a key
    attempt: int

    def __str__(self) -> str:
        return f"{self.job}.{self.index}#{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> "AttemptKey":
        """The reverse of str(). ValueError for anything else."""
        match = _KEY.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not JOB.INDEX#ATTEMPT")
        return cls(*map(int, match.groups()))
