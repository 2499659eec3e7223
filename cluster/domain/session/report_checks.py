"""What of a worker's report can be believed, entry by entry.

A worker repeats a report until it is acknowledged. If one entry that cannot be (a clock in the year 1900, a file of
more bytes than a store can count) refused the whole, no other end of that worker would ever arrive. So of such an entry
we take what is still known: that an attempt ended, if not when. One that names no task at all is left out alone.
"""

from collections.abc import Iterable
from dataclasses import replace
from struct import Struct

from cluster.domain.base.intervals import Range
from cluster.domain.base.printable import printable
from cluster.domain.job import endings
from cluster.domain.job.records import PACKED, OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.spec import MAX_TASKS
from cluster.domain.session.messages import Attempts, Report

MAX_NUMBER = 2**63 - 1  # of any number that a store keeps
MAX_SECONDS = 1e10  # some 300 years: more than any time that is meant, less than any clock or calendar here fails at
MAX_EXIT = 255  # what a process can answer; 256 would be 0 again for whoever passes it on
MAX_WORDS = 10_000  # characters of a reason or detail
MOST_OUTPUT = 64 * 1024  # bytes of one stream that may ride along with an end; workers send less

_packed = Struct(PACKED)


def believable(report: Report) -> tuple[Report, int]:
    """The report with what can be believed of it, and how many of its entries were not as they should be. That there
    are not too many is checked before."""
    taken = Report(
        report.sequence,
        started=_attempts(report.started),
        ok=tuple(ok for ok in map(_ok, report.ok) if ok),
        ended=tuple(_end(end) for end in report.ended if end.index < MAX_TASKS),
        returned=_attempts(report.returned),
        outputs=tuple(map(_output, report.outputs)),
        draining=report.draining,
    )
    return taken, 0 if taken == report else sum(map(_difference, _entries(report), _entries(taken)))


def _entries(report: Report) -> list[tuple[object, ...]]:
    return [report.started, report.ok, report.ended, report.returned, report.outputs]


def _difference(before: tuple[object, ...], after: tuple[object, ...]) -> int:
    return len(before) - len(after) or sum(old != new for old, new in zip(before, after, strict=True))


def _attempts(several: Iterable[Attempts]) -> tuple[Attempts, ...]:
    return tuple(
        attempts
        if all(map(_is_range, attempts.ranges))
        else replace(attempts, ranges=tuple(filter(_is_range, attempts.ranges)))
        for attempts in several
    )


def _is_range(tasks: Range) -> bool:
    return tasks.start < tasks.stop <= MAX_TASKS


def _ok(ok: OkEnds) -> OkEnds | None:
    if not _is_range(Range(ok.first, ok.stop)):
        return None
    if len(ok.packed) != ok.count * _packed.size:
        return replace(ok, packed=bytes(ok.count * _packed.size))
    tasks = list(_packed.iter_unpack(ok.packed))
    if all(_is_time(start) for start, *_ in tasks):
        return ok
    return replace(ok, packed=b"".join(_packed.pack(_time(start), *rest) for start, *rest in tasks))


def _end(end: TaskEnd) -> TaskEnd:
    words = (end.reason, end.signal, end.detail)
    reason, signal, detail = (word if _is_text(word) else printable(word)[:MAX_WORDS] for word in words)
    reason = endings.LOST if reason in ("", endings.OK) else reason  # plain successes are told in another way
    taken = replace(
        end,
        reason=reason,
        exit_code=end.exit_code if 0 <= end.exit_code <= MAX_EXIT else 0,
        signal=signal,
        detail=detail,
        started_at=_time(end.started_at),
        ended_at=_time(end.ended_at),
        cpu_seconds=_time(end.cpu_seconds),
        peak_memory=min(end.peak_memory, MAX_NUMBER),
        output_bytes=min(end.output_bytes, MAX_NUMBER),
    )
    return end if taken == end else taken


def _output(output: SmallOutput) -> SmallOutput:
    if max(len(output.stdout), len(output.stderr)) <= MOST_OUTPUT:
        return output
    return replace(output, stdout=output.stdout[:MOST_OUTPUT], stderr=output.stderr[:MOST_OUTPUT])


def _is_text(text: str) -> bool:
    return len(text) <= MAX_WORDS and "\0" not in text


def _is_time(seconds: float) -> bool:
    return 0 <= seconds <= MAX_SECONDS


def _time(seconds: float) -> float:
    """0, which stands for none, where it is no time at all (a NaN is not either)."""
    return seconds if _is_time(seconds) else 0.0
