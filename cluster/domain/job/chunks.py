"""The sets of a job in pieces of CHUNK indexes, for a job whose sets are made of many ranges.

A job is saved whole, as one record, as long as that is small: most are one or two ranges in each state. One that has
come into many pieces (every other task was cancelled, or failed) would cost a tenth of a second then for every change
of any of its tasks. It is saved in chunks from then on: the job's record has no sets any more, and a commit brings
those chunks that have changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job.records import Flat, Held, JobChunk, JobProgress, TaskSets

CHUNK = 65_536  # indexes
MANY_RANGES = 4096  # in a job's sets, beyond which it is saved in chunks

K = TypeVar("K")


def worth_it(tasks: int, ranges: Callable[[], int]) -> bool:
    """Whether a job of so many tasks, whose sets have so many ranges, is to be saved in chunks."""
    return tasks > CHUNK and ranges() > MANY_RANGES


def chunks_of(tasks: IntervalSet) -> set[int]:
    """The numbers of the chunks that any of these tasks is in."""
    found: set[int] = set()
    for start, stop in tasks.bounds():
        first, last = start // CHUNK, (stop - 1) // CHUNK
        if first == last:
            found.add(first)
        else:
            found.update(range(first, last + 1))
    return found


def parted(sets: Mapping[K, IntervalSet], chunks: set[int]) -> dict[int, dict[K, Flat]]:
    """What of each set is in each of these chunks, where there is anything, in the order of the sets. A set that
    reaches over few chunks is not asked for all."""
    found: dict[int, dict[K, Flat]] = {chunk: {} for chunk in chunks}
    for key, tasks in sets.items():
        if not tasks:
            continue
        reach = range(tasks.first() // CHUNK, tasks.last() // CHUNK + 1)
        for chunk in chunks.intersection(reach) if len(reach) < len(chunks) else chunks:
            if chunk in reach and (flat := tasks.part(chunk * CHUNK, (chunk + 1) * CHUNK).flat()):
                found[chunk][key] = tuple(flat)
    return found


def joined(progress: JobProgress, chunks: Sequence[JobChunk], held: Sequence[Held] = ()) -> JobProgress:
    """The record of a job as if it had been saved whole. `chunks` are all of its chunks, ascending; `held` is what
    workers hold, where that was saved apart."""
    sets = _joined([chunk.sets for chunk in chunks]) if progress.chunked else progress.sets
    sets = sets._replace(held=tuple(held)) if held else sets
    return progress._replace(sets=sets, held_apart=bool(held))


def _joined(parts: Sequence[TaskSets]) -> TaskSets:
    held = _gathered(parts, lambda sets: (((h.worker_id, h.attempt), h.flat) for h in sets.held))
    return TaskSets(
        states=tuple(sorted(_gathered(parts, lambda sets: sets.states).items())),
        held=tuple(Held(*holder, flat) for holder, flat in sorted(held.items())),
        attempts=tuple(sorted(_gathered(parts, lambda sets: sets.attempts).items())),
        cancelling=_chained(sets.cancelling for sets in parts),
        losses=tuple(sorted(_gathered(parts, lambda sets: sets.losses).items())),
        forgiven=tuple(sorted(_gathered(parts, lambda sets: sets.forgiven).items())),
        grown=tuple(sorted(_gathered(parts, lambda sets: sets.grown).items())),
    )


def _gathered(parts: Iterable[TaskSets], of: Callable[[TaskSets], Iterable[tuple[K, Flat]]]) -> dict[K, Flat]:
    found: dict[K, list[Flat]] = {}
    for sets in parts:
        for key, flat in of(sets):
            found.setdefault(key, []).append(flat)
    return {key: _chained(several) for key, several in found.items()}


def _chained(flats: Iterable[Flat]) -> Flat:
    """One set of several, each of which ends where the next begins or before."""
    bounds: list[int] = []
    for flat in flats:
        if bounds and flat and bounds[-1] == flat[0]:
            bounds.pop()
            flat = flat[1:]
        bounds += flat
    return tuple(bounds)
