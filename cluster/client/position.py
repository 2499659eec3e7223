"""How far a follower of output has come, so that after a break nothing comes twice."""

from dataclasses import dataclass, replace

from cluster.client.types import Output


@dataclass(frozen=True, slots=True)
class Position:
    """Output comes job by job, task by task and attempt by attempt, in the same order each time that it is asked for.
    So one place in it, with the place in its two streams, says what was had: however large the array is.
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
