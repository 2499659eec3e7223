"""How a stretch of the launcher's journal becomes one report to the scheduler."""

import struct
from collections.abc import Container, Iterable, Iterator, Sequence

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.base.printable import printable
from cluster.domain.job import endings
from cluster.domain.job.records import PACKED, OkEnds, TaskEnd
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.session.messages import Attempts, Report
from cluster.domain.session.report_checks import MAX_SECONDS
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.journal import JournalEntry

SMALL_OUTPUT = 16384  # bytes of each stream that may ride along with an end

# Characters. It may quote the command, which may be megabytes, and a scheduler takes no report with such a text.
MAX_DETAIL = 2000

MAX_BYTES = 2**63 - 1  # a job may make a file of that size, and another: no store holds the sum

_pack = struct.Struct(PACKED).pack
_MAX_U32 = 0xFFFFFFFF


def output_is_small(ended: Ended) -> bool:
    """There is output, and all of it may ride along."""
    return ended.out + ended.err > 0 and max(ended.out, ended.err) <= SMALL_OUTPUT


def output_is_large(ended: Ended) -> bool:
    return max(ended.out, ended.err) > SMALL_OUTPUT


def with_output(entries: Sequence[JournalEntry]) -> tuple[tuple[AttemptKey, ...], tuple[AttemptKey, ...]]:
    """The attempts that have ended with small outputs, and those with large ones."""
    ends = [(entry.key, entry.what) for entry in entries if isinstance(entry.what, Ended)]
    small = tuple(key for key, end in ends if output_is_small(end))
    return small, tuple(key for key, end in ends if output_is_large(end))


def build_report(
    entries: Sequence[JournalEntry], sequence: int, refused: Iterable[AttemptKey] = (), *, draining: bool = False
) -> Report:
    """The report on these entries, without outputs. A start whose end is there too goes unsaid.

    `refused`: attempts that never got as far as the launcher; they are given back too.
    """
    ends = {e.key for e in entries if isinstance(e.what, Ended)}
    started = [e.key for e in entries if isinstance(e.what, Started) and e.key not in ends]
    ok: list[tuple[AttemptKey, Ended]] = []
    ended: list[TaskEnd] = []
    returned = list(refused)
    for key, what in entries:
        if not isinstance(what, Ended):
            continue
        if what.reason == endings.OK:
            ok.append((key, what))
        elif what.reason == endings.RETURNED:
            returned.append(key)
        else:
            ended.append(_task_end(key, what))
    return Report(
        sequence=sequence,
        started=group(started),
        ok=tuple(_runs(sorted(ok, key=lambda pair: (pair[0].job, pair[0].attempt, pair[0].index)))),
        ended=tuple(ended),
        returned=group(returned),
        draining=draining,
    )


def group(keys: Iterable[AttemptKey]) -> tuple[Attempts, ...]:
    """The same attempts as ranges, in ascending order of job and attempt number."""
    by_job: dict[tuple[int, int], list[int]] = {}
    for job, index, attempt in keys:
        by_job.setdefault((job, attempt), []).append(index)
    return tuple(
        Attempts(job, attempt, tuple(_ranges(sorted(indexes)))) for (job, attempt), indexes in sorted(by_job.items())
    )


def in_groups(held: HeldAttempts, disowned: Container[AttemptKey]) -> dict[str, tuple[Attempts, ...]]:
    """What a hello says of what is held, but for what the scheduler has disowned."""
    return {
        "backlog": group(key for key in held.backlog if key not in disowned),
        "running": group(key for key in held.running if key not in disowned),
        "frozen": group(held.frozen),
    }


def _ranges(indexes: list[int]) -> Iterator[Range]:
    start = stop = indexes[0]
    for index in indexes:
        if index > stop:
            yield Range(start, stop)
            start = index
        stop = index + 1
    yield Range(start, stop)


def _runs(ok: list[tuple[AttemptKey, Ended]]) -> Iterator[OkEnds]:
    """Consecutive tasks of one job and attempt number become one record. `ok` is sorted that way."""
    begin = 0
    for i in range(1, len(ok) + 1):
        before = ok[i - 1][0]
        if i < len(ok) and ok[i][0] == (before.job, before.index + 1, before.attempt):
            continue
        first = ok[begin][0]
        yield OkEnds(first.job, first.attempt, first.index, i - begin, b"".join(_packed(e) for _, e in ok[begin:i]))
        begin = i


def _packed(ended: Ended) -> bytes:
    waiting = ended.out + ended.err if output_is_large(ended) else 0
    started, numbers = _seconds(ended.started_at), (ended.duration, ended.cpu, ended.peak, waiting)
    try:
        return _pack(started, *numbers)
    except struct.error:  # one of them is no such number
        return _pack(started, *(max(0, min(number, _MAX_U32)) for number in numbers))


def _task_end(key: AttemptKey, ended: Ended) -> TaskEnd:
    # The launcher kills what outlived its lease. By then the scheduler may count it as lost, so that is what it is.
    cut = ended.reason == endings.LEASE
    reason = endings.LOST if cut else ended.reason
    return TaskEnd(
        job=key.job,
        index=key.index,
        attempt=key.attempt,
        reason=reason,
        exit_code=endings.exit_code(reason, ended.code, ended.signal),
        signal=ended.signal or "",
        # It may quote what is no text: bytes of a command, as lone surrogates, which no message can carry.
        detail=printable(ended.text)[:MAX_DETAIL]
        or ("it was killed because the lease of its worker ran out" if cut else ""),
        started_at=_seconds(ended.started_at),
        ended_at=_seconds(ended.started_at + ended.duration),
        cpu_seconds=_seconds(ended.cpu),
        peak_memory=min(max(0, ended.peak * 1024), MAX_BYTES),
        output_bytes=min(ended.out + ended.err, MAX_BYTES) if output_is_large(ended) else 0,
    )


def _seconds(micros: int) -> float:
    """None (0) where this machine's clock is before 1970 or centuries ahead: nobody takes that for a time."""
    return micros / 1e6 if 0 <= micros <= MAX_SECONDS * 1e6 else 0.0
