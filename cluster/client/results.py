"""What tasks have left for keeps, as the client shows it."""

import os
from dataclasses import dataclass
from typing import Any

from cluster.domain.files.tree import Entry, EntryKind
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


def entry_told(entry: Entry) -> dict[str, Any]:
    """For JSON. Bytes of a path that are no UTF-8 stand as lone surrogates."""
    is_file = entry.kind is EntryKind.FILE
    return {
        "path": os.fsdecode(entry.path),
        "kind": entry.kind.name.lower(),
        "size": entry.size if is_file else None,
        "sha256": entry.digest.hex() if is_file else None,
        "mode": f"{entry.mode:03o}" if entry.kind is not EntryKind.LINK else None,
        "target": os.fsdecode(entry.target) if entry.kind is EntryKind.LINK else None,
    }
