"""How much one turn of the scheduler's core is given, so that it never takes long.

What takes long comes in parts: a report in several events, what is due in several turns. Between two of them anything
else may happen, as between two reports.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cluster.domain.job.records import JobProgress, OkEnds, SmallOutput, TaskEnd
from cluster.domain.scheduler.events import (
    CancelRequested,
    Event,
    JobsChanged,
    JobsPaused,
    JobsResumed,
    JobsSubmitted,
    JobSubmitted,
    ReopenRequested,
    ReportReceived,
    SessionOpened,
    WorkersDrained,
    WorkersResumed,
)
from cluster.domain.session.messages import Attempts, Report

# Entries of reports, jobs and ranges of cancels, that one turn is given: each takes some 40 µs. Also tasks that a turn
# gives up or tries again, ranges that it assigns.
MOST_AT_ONCE = 500
MOST_OK = 2048  # tasks of one range of successes: its worker may hold every other of them

PIECES_AN_ENTRY = 64  # numbers of a set, as it is saved, that are taken up in the time of an entry

_Entry = Attempts | OkEnds | TaskEnd


def weight(event: Event) -> int:
    """What the event costs a turn, in entries."""
    match event:
        case ReportReceived(report=report):
            return 1 + _weight(report)
        case CancelRequested(targets=targets):
            return sum(1 + len(target.ranges or ()) // 8 for target in targets)
        case ReopenRequested(tasks=tasks):
            return 1 + len(tasks) // 8
        case SessionOpened(hello=hello):
            told = (*hello.backlog, *hello.running, *hello.ended, *hello.frozen)
            return 1 + sum(len(a.ranges) for a in told) // 8
        case JobSubmitted() | JobsSubmitted():
            return sum(2 + len(job.spec.after) // 10 + len(job.spec.after_any) // 10 for job in event.jobs)
        case JobsPaused(jobs=jobs) | JobsResumed(jobs=jobs) | JobsChanged(jobs=jobs):
            return 1 + len(jobs)
        case WorkersDrained(workers=workers) | WorkersResumed(workers=workers):
            return 1 + len(workers)
        case _:
            return 1


def weight_of_kept(progress: JobProgress) -> int:
    """What a job costs that is taken up as it was saved, in entries."""
    sets = progress.sets
    flats = [*(flat for _, flat in (*sets.states, *sets.attempts)), *(held.flat for held in sets.held)]
    return 2 + len(sets.held) + sum(map(len, flats)) // PIECES_AN_ENTRY


def parts(report: Report, most: int = MOST_AT_ONCE) -> list[Report]:
    """The same said in several reports, of so many entries each. The last one has the sequence number, so that nothing
    is acknowledged before all of it is taken; all before it say that more follows."""
    if _weight(report) <= most and all(ok.count <= MOST_OK for ok in report.ok):
        return [report]
    outputs: dict[tuple[int, int], dict[int, SmallOutput]] = {}
    for output in report.outputs:
        outputs.setdefault((output.job, output.attempt), {})[output.index] = output
    cut = [_part(report, entries, outputs) for entries in _grouped(report, most)]
    cut[-1] = replace(cut[-1], sequence=report.sequence, more=False)
    return cut


def _weight(report: Report) -> int:
    ranges = sum(len(attempts.ranges) for attempts in (*report.started, *report.returned))
    return ranges + len(report.ok) + len(report.ended)


def _grouped(report: Report, most: int) -> Iterator[list[tuple[str, _Entry]]]:
    """All entries with the names of their fields, in the order in which they are taken."""
    group: list[tuple[str, _Entry]] = []
    size = 0
    for field in ("started", "ok", "ended", "returned"):
        for entry in getattr(report, field):
            for piece in _pieces(entry, most):
                weighs = _weight_of(piece)
                if group and size + weighs > most:
                    yield group
                    group, size = [], 0
                group.append((field, piece))
                size += weighs
    yield group


def _weight_of(entry: _Entry) -> int:
    return len(entry.ranges) if isinstance(entry, Attempts) else 1


def _pieces(entry: _Entry, most: int) -> Iterator[_Entry]:
    match entry:
        case Attempts(job, attempt, ranges):
            for at in range(0, len(ranges), most):
                yield Attempts(job, attempt, ranges[at : at + most])
        case OkEnds(first=first, stop=stop):
            for start in range(first, stop, MOST_OK):
                yield entry.part(start, min(stop, start + MOST_OK))
        case _:
            yield entry


def _part(
    report: Report, entries: list[tuple[str, _Entry]], outputs: dict[tuple[int, int], dict[int, SmallOutput]]
) -> Report:
    """A report of these entries, with the outputs of what ends in it."""
    fields: dict[str, list[_Entry]] = {}
    ride: list[SmallOutput] = []
    for field, entry in entries:
        fields.setdefault(field, []).append(entry)
        if not isinstance(entry, Attempts) and (mine := outputs.get((entry.job, entry.attempt))):
            ended = range(entry.first, entry.stop) if isinstance(entry, OkEnds) else (entry.index,)
            ride += [mine.pop(index) for index in ended if index in mine]
    whole: dict[str, tuple[Any, ...]] = {field: tuple(several) for field, several in fields.items()}
    return Report(0, **whole, outputs=tuple(ride), draining=report.draining, more=True)
