"""Whether a task is tried again after an attempt of it has ended, and after which pause.

What a program does and what befalls it count apart: `--retries 3` lets a program fail three times more, and a worker
that dies under it takes none of these away, of which there may be three as well. So a task has at most 1 + 2 · 3
attempts. What a drain of its worker stopped counts for nothing, and so do all attempts before somebody asked for new
ones (`cluster job retry`).
"""

from enum import Enum

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_duration, format_number
from cluster.domain.job import endings
from cluster.domain.job.named_reasons import meant

# What may be named as a cause: the first part of an end's reason.
CAUSES = tuple(kind for kind in endings.KINDS if kind not in endings.FINAL)
_EXAMPLE = "exit:75,oom,lost,signal,timeout"
_BEFELL = (endings.LOST, endings.STOPPED)  # what the program did not do
DEFAULT_BACKOFF = (1.0, 60.0)  # seconds
MAX_PAUSE = 1e9  # seconds: 31 years
_DOUBLINGS = 64  # of a pause, beyond which it is the longest anyway
JITTER = 0.25  # of a pause, by how much it may be shorter


class Verdict(Enum):
    AGAIN = "again"
    OVER = "over"  # what ended it is nothing that is tried again
    EXHAUSTED = "exhausted"  # it would be tried again if it had not been so often already


def wrong_causes(causes: tuple[str, ...]) -> str:
    """What keeps them from being what `--retry-on` names, and what to do; empty: nothing."""
    for cause in causes:
        if endings.kind_of(cause) not in CAUSES:
            return f"{cause!r} is no cause: use some of {', '.join(CAUSES)}, as in {_EXAMPLE}"
        try:
            meant(cause)
        except InvalidInput as error:
            return str(error)
    return ""


def wrong_backoff(backoff: tuple[float, ...]) -> str:
    """The same of a pair of pauses, the first and the longest."""
    if len(backoff) != 2 or not all(0 <= seconds <= MAX_PAUSE for seconds in backoff):
        return f"use two durations from 0 to {format_number(MAX_PAUSE)}, the first pause and the longest, as in 2s..5m"
    first, longest = backoff
    if first > longest:
        return f"it goes backwards, from {format_duration(first)} to {format_duration(longest)}: give the shorter first"
    if not first and longest:
        return "a pause of 0 never grows: give 0 alone for none, or a first one as in 1s..5m"
    return ""


def judge(reason: str, retries: int, causes: tuple[str, ...], failures: int, losses: int) -> Verdict:
    """What follows from an end for that reason, of a task that has failed and was lost so often, this time included.
    `causes`: those that are tried again; none: all failures."""
    if not retries or (causes and not names(causes, reason)):
        return Verdict.OVER
    return Verdict.AGAIN if (losses if befell(reason) else failures) <= retries else Verdict.EXHAUSTED


def names(causes: tuple[str, ...], reason: str) -> bool:
    """Whether an end for that reason is one of these."""
    return any(_is(cause, reason) for cause in causes)


def befell(reason: str) -> bool:
    """Whether the program is not at fault."""
    return reason in _BEFELL


def _is(cause: str, reason: str) -> bool:
    try:
        return meant(cause) in (reason, endings.kind_of(reason))
    except InvalidInput:  # of a job that was taken when all words were
        return False


def pause_after(count: int, backoff: tuple[float, ...], luck: float) -> float:
    """Seconds from the count-th failure, or loss, to the next attempt. It doubles from the first to the longest.
    `luck` from 0 to 1: tasks that have failed together do not all come back together."""
    first, longest = backoff
    return min(longest, first * 2.0 ** min(count - 1, _DOUBLINGS)) * (1.0 - JITTER * luck)


def luck_of(job_id: str, index: int, attempt: int) -> float:
    """A number from 0 to 1 for each attempt. What is random in it came with the job: its UUID."""
    from hashlib import blake2b  # which clients do without

    return int.from_bytes(blake2b(f"{job_id}.{index}#{attempt}".encode(), digest_size=4).digest()) / 2**32
