"""How far a follower of output has come, so that after a break nothing comes twice."""

from dataclasses import dataclass

from cluster.client.types import Output


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """Output comes job by job, task by task and attempt by attempt, in the same order each time that it is asked for.
    So one place in it, with the bytes of its two streams, says what was had: however large the array is.

    Counted is what came. Of a kept stream without its middle that is not where it was written, so a break behind the
    gap brings the line about the gap, and what follows it, once more; nothing is missing.
    """

    job: int
    task: int  # its number
    attempt: int
    stdout: int = 0  # bytes
    stderr: int = 0


def read_on(before: ReadSoFar | None, piece: Output) -> ReadSoFar:
    """Where a reader is after one more piece."""
    if before is None or (before.job, before.task, before.attempt) != (piece.job, piece.task, piece.attempt):
        before = ReadSoFar(piece.job, piece.task, piece.attempt)
    stdout, stderr = (0, len(piece.data)) if piece.stderr else (len(piece.data), 0)
    return ReadSoFar(before.job, before.task, before.attempt, before.stdout + stdout, before.stderr + stderr)
