"""What attempts of some jobs have taken, as numbers that people plan by; and what the next ones should ask for."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from cluster.domain.base.quantities import format_cpus, format_size
from cluster.domain.job import endings
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spread import Spread, spread
from cluster.domain.job.states import TaskState

SHORT = 0.1  # seconds: of a shorter run the beginning and the end of the program tell more than its work
MARGIN = 1.2  # times the most memory that any took
MOST_REASONS = 5  # why attempts failed
_MIB = 1 << 20


class Advice(NamedTuple):
    """What the next ones should ask for, and why, in one line each; 0: nothing can be said."""

    millicpus: int = 0
    cpus_because: str = ""
    memory: int = 0  # bytes
    memory_because: str = ""


class TaskStats(NamedTuple):
    attempts: int  # that were looked at
    failed: int  # of these; neither successes nor cancelled ones
    reasons: tuple[tuple[str, int], ...]  # for which they failed, the most frequent first, and how often
    since: float  # when the first and the last of them ended, Unix seconds; 0: there are none
    until: float
    run: Spread  # seconds
    cpus: Spread  # cpu time by run time
    memory: Spread  # bytes at the peak
    advice: Advice


def stats_of(ends: Sequence[TaskEnd], millicpus: int, memory: int) -> TaskStats:
    """`millicpus` and `memory` (bytes, 0: nothing): what these have asked for. Run time, cpus and memory are those of
    the successes; where there are none, of all that ran."""
    failed = [end for end in ends if end.state is TaskState.FAILED]
    ran = [end for end in ends if end.started_at and end.ended_at]
    measured = [end for end in ran if end.state is TaskState.SUCCEEDED] or ran
    runs = [(end, max(0.0, end.ended_at - end.started_at)) for end in measured]
    cpus = spread([end.cpu_seconds / run for end, run in runs if run >= SHORT])
    peaks = spread([end.peak_memory for end in measured if end.peak_memory])
    ended = [end.ended_at for end in ends if end.ended_at]
    too_little = sum(end.reason == endings.OOM for end in failed)
    return TaskStats(
        attempts=len(ends),
        failed=len(failed),
        reasons=tuple(Counter(end.reason for end in failed).most_common(MOST_REASONS)),
        since=min(ended, default=0.0),
        until=max(ended, default=0.0),
        run=spread([run for _, run in runs]),
        cpus=cpus,
        memory=peaks,
        advice=Advice(*_cpus(cpus, millicpus), *_memory(peaks, memory, too_little)),
    )


def _cpus(used: Spread, asked: int) -> tuple[int, str]:
    """A quarter is the smallest step, and above two cpus a whole one."""
    if not used.of:
        return 0, ""
    step = 250 if used.p95 <= 2 else 1000
    wanted = max(step, ceil(round(used.p95 * 1000) / step) * step)
    return wanted, f"95 of 100 kept at most {used.p95:.2f} cpus busy, half of them {used.median:.2f}{_of(asked)}"


def _of(asked: int) -> str:
    return f"; {format_cpus(asked)} were asked for" if asked else ""


def _memory(peaks: Spread, asked: int, too_little: int) -> tuple[int, str]:
    """In steps of 16 MiB, above 1 GiB of 128 MiB."""
    if too_little and asked:
        return 2 * asked, f"{too_little} took more than the {format_size(asked)} that they had asked for: twice that"
    if not peaks.of:
        return 0, ""
    wanted = int(peaks.most * MARGIN)
    step = (16 if wanted <= 1024 * _MIB else 128) * _MIB
    asking = f"; {format_size(asked)} were asked for" if asked else ""
    because = f"the most that any took was {format_size(int(peaks.most))}, and a fifth more is spare{asking}"
    return ceil(wanted / step) * step, because
