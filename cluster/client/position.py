"""How far a reader of output has come: after a break it goes on from there, and nothing comes twice."""

from dataclasses import dataclass, replace

from cluster.client.types import Output


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the output of one attempt. Output comes job by job, task by task and attempt by attempt, each time in
    the same order: so whatever comes before this place was read, however large the array is.
    """

    job: int
    task: int  # its number
    attempt: int
    stdout: int = 0  # bytes, as they were written
    stderr: int = 0


def read_on(before: Position | None, piece: Output) -> Position:
    """Where a reader is after one more piece, which is no note."""
    if before is None or (before.job, before.task, before.attempt) != (piece.job, piece.task, piece.attempt):
        before = Position(piece.job, piece.task, piece.attempt)
    return replace(before, stderr=piece.end) if piece.stderr else replace(before, stdout=piece.end)
