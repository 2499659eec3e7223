"""What a follower of output has had, so that after a break nothing comes twice."""

from dataclasses import replace

from cluster.client.types import Output
from cluster.domain.intervals import IntervalSet


class Had:
    """Output comes task by task, in the same order each time that it is asked for. So bytes are counted for one task
    only, and of those before it their numbers are kept: an array of a million tasks costs a few ranges."""

    def __init__(self) -> None:
        self._whole: dict[int, IntervalSet] = {}  # job: tasks that were had to their end
        self._present: tuple[int, int] | None = None  # job and task
        self._bytes: dict[tuple[int, bool], int] = {}  # of the present task, by attempt and stream
        self._skip: dict[tuple[int, bool], int] = {}

    def begin(self) -> None:
        """It is asked for again, from the first byte."""
        self._skip = dict(self._bytes)

    def rest_of(self, piece: Output) -> Output | None:
        """What of the piece is new; None: nothing."""
        if piece.task in self._whole.get(piece.job, ()):
            return None
        if (piece.job, piece.task) != self._present:
            self._go_on_to(piece.job, piece.task)
        stream = (piece.attempt, piece.stderr)
        seen = min(self._skip.get(stream, 0), len(piece.data))
        if seen:
            self._skip[stream] -= seen
            piece = replace(piece, data=piece.data[seen:])
        self._bytes[stream] = self._bytes.get(stream, 0) + len(piece.data)
        return piece if piece.data else None

    def _go_on_to(self, job: int, task: int) -> None:
        if self._present:
            before, number = self._present
            self._whole.setdefault(before, IntervalSet()).add(number, number + 1)
        self._present, self._bytes, self._skip = (job, task), {}, {}
