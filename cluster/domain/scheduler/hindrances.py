"""Why a job waits, worker by worker, as it is told: apart from how it is found out, since clients start fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Hindrance(NamedTuple):
    """Workers that are kept from a task by the same."""

    workers: tuple[str, ...]  # names of the first
    number: int  # how many they are
    reason: str  # what keeps them, in words
    fix: str = ""  # what would let one of them take it; empty: nothing that is as simple


class Candidate(NamedTuple):
    """One worker that could ever run a task of the job, as it is ranked for the next one."""

    worker: str
    preferred: bool
    tasks_there: int  # of the job
    tasks_that_fit: int  # now
    free_millicpus: int


@dataclass(frozen=True, slots=True)
class Explanation:
    hindrances: Sequence[Hindrance] = ()  # the largest first
    candidates: Sequence[Candidate] = ()  # the first in rank first
    more: int = 0  # candidates that are not told


NOT_EXPLAINED = Explanation()
