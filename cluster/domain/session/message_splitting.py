"""Cutting what goes down a session to responses of bounded size, none of which is too large for the other end.

Sizes are estimates of what a message has on the wire, never much too low.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from cluster.domain.base.intervals import Range
from cluster.domain.job.exec_limits import size_of
from cluster.domain.job.spec import JobSpec, texts_of
from cluster.domain.session.messages import Assign, Attempts, Disown, Downward, Freeze, Recall, Stop

MOST_BYTES = 1024 * 1024  # of what one response carries, unless a single piece has more: a spec may have 2 MiB
MOST_TASKS = 4096  # assigned in one response: what a worker takes up within some milliseconds
PIECE_BYTES, PIECE_TASKS = 512 * 1024, 2048  # of the lines in one assign, and of its tasks

_MESSAGE, _TEXT, _RANGE, _SEGMENT = 64, 8, 16, 40  # bytes beside what is in them


def pieces(message: Downward) -> Iterator[Downward]:
    """The same said in several messages, if it is an assign of many tasks or long lines."""
    if not isinstance(message, Assign) or _is_short(message):
        yield message
        return
    spec, job_id, owner, lines = message.spec, message.job_id, message.owner, iter(message.lines)
    for ranges, taken in _runs(message):
        attempts = Attempts(message.attempts.job, message.attempts.attempt, ranges)
        yield Assign(attempts, spec, message.leash, tuple(islice(lines, taken)), job_id, owner)
        spec, job_id, owner = None, "", ""  # the first has told


def _is_short(assign: Assign) -> bool:
    return assign.attempts.count <= PIECE_TASKS and sum(map(len, assign.lines)) <= PIECE_BYTES


def _runs(assign: Assign) -> Iterator[tuple[tuple[Range, ...], int]]:
    """The tasks of each piece, and how many lines go with them."""
    sizes = map(len, assign.lines)
    run: list[Range] = []
    count = size = 0
    for start, stop in assign.attempts.ranges:
        while start < stop:
            if assign.lines:
                end, size = start + 1, size + next(sizes)
            else:
                end = min(stop, start + PIECE_TASKS - count)
            if run and run[-1].stop == start:
                run[-1] = Range(run[-1].start, end)
            else:
                run.append(Range(start, end))
            count += end - start
            start = end
            if count >= PIECE_TASKS or size >= PIECE_BYTES:
                yield tuple(run), count if assign.lines else 0
                run, count, size = [], 0, 0
    if run:
        yield tuple(run), count if assign.lines else 0


def fitting(messages: Sequence[Downward]) -> int:
    """How many of the first of these one response may carry; one at least."""
    size = tasks = 0
    for count, message in enumerate(messages):
        size += _size(message)
        tasks += message.attempts.count if isinstance(message, Assign) else 0
        if count and (size > MOST_BYTES or tasks > MOST_TASKS):
            return count
    return len(messages)


def _size(message: Downward) -> int:
    match message:
        case Assign(attempts, spec, _, lines):
            own = sum(map(len, lines)) + _TEXT * len(lines) + (_size_of_spec(spec) if spec else 0)
        case Stop(attempts) | Recall(attempts) | Freeze(attempts) | Disown(attempts):
            own = 0
        case _:
            return _MESSAGE
    return _MESSAGE + _RANGE * len(attempts.ranges) + own


def _size_of_spec(spec: JobSpec) -> int:
    texts = sum(size_of(text) + _TEXT for text in texts_of(spec))
    return texts + _SEGMENT * len(spec.array) + len(spec.lines)
