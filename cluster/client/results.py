"""What tasks have left for keeps, as the client shows it."""

from dataclasses import dataclass

from cluster.domain.job.results import ResultsState

DIGESTS_AT_ONCE = 2000  # contents in one call


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What one task has left for keeps: its last attempt, or the one that was selected."""

    job: int
    task_number: int  # 0 of a job that is no array
    index: int
    attempt: int
    state: ResultsState
    files: int  # links included
    size: int  # bytes of all files
    notes: tuple[str, ...]  # what matched nothing, what was left out, a line each
    worker: str  # its name, where they are not here yet
    tree: bytes  # digest of what they are; empty: there is nothing

    @property
    def name(self) -> str:
        """The attempt as people type it."""
        task = f".{self.task_number}" if self.task_number else ""
        return f"{self.job}{task}#{self.attempt}"
