"""What is kept of the files that attempts leave: their results."""

from dataclasses import dataclass
from enum import IntEnum

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.spec import JobSpec

MAX_NOTES, MAX_NOTE = 100, 400  # notes of one attempt; characters of one
MAX_TOTAL = 1 << 62  # bytes: more than any disk holds
# What a worker notes, alone, of an attempt whose directory somebody has removed.
VANISHED = "the directory that it ran in has vanished from its worker, with all that it left there"


@dataclass(frozen=True, slots=True)
class KeptResults:
    """The results of one attempt. Persisted once: of several for one attempt the first counts."""

    job: int
    index: int
    attempt: int
    tree: str = ""  # the digest of their tree, in hex; empty: there are none
    files: int = 0  # links included
    size: int = 0  # bytes of all files
    notes: tuple[str, ...] = ()  # what is to be said about them, a line each: what matched nothing, what was left out

    @property
    def key(self) -> AttemptKey:
        return AttemptKey(self.job, self.index, self.attempt)

    @property
    def have_vanished(self) -> bool:
        """Whether they were gone before they could be read."""
        return self.notes == (VANISHED,)

    def check(self) -> None:
        """InvalidInput for what no worker says."""
        if len(self.notes) > MAX_NOTES or any(len(note) > MAX_NOTE for note in self.notes):
            raise InvalidInput(f"{self.key.in_words}: more notes about its results than {MAX_NOTES} of {MAX_NOTE}")
        if self.size > MAX_TOTAL or (self.tree and len(self.tree) != 64):
            raise InvalidInput(f"{self.key.in_words}: no results are like these")


class ResultsState(IntEnum):
    """Where an attempt's results are. The numbers are those of cluster.v1.ResultsState."""

    KEPT = 1  # all of them are with the scheduler
    COMING = 2  # on their way from a worker that is connected, or just was
    AWAY = 3  # on a worker that is not; they come when it is back
    NONE = 4  # there are none: it has never begun
    GONE = 5  # they are not there any more, as their notes say


@dataclass(frozen=True, slots=True)
class WantedResults:
    """What of the files of a job's attempts is to be kept."""

    patterns: tuple[str, ...]
    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """The last attempt of a task that has ended."""

    index: int
    attempt: int
    worker_id: str
    reason: str
    began: bool = True  # or nobody knows; else it has left nothing


@dataclass(frozen=True, slots=True)
class ResultsTotal:
    """What is kept of a job's results, all together."""

    attempts: int = 0  # that have left any
    files: int = 0
    size: int = 0  # bytes
    missing: int = 0  # attempts that have ended, of which nothing is known yet
    deleted: str = ""  # when and why the files went, in words; empty: they did not


def wanted_results(spec: JobSpec) -> WantedResults | None:
    """None: none are."""
    return WantedResults(spec.out, spec.max_files, spec.max_results) if spec.out else None
