"""Reading the output of tasks in order: of an array task by task, of a task attempt by attempt.

A reader who follows a task that is tried again sees the first attempt to its end, then the next. With `tail_lines` a
task's reading begins with its last attempt. Followers wait for tasks that have not started, and end with them.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.records import SmallOutput, TaskEnd
from cluster.domain.job.states import ENDED
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.output.locating import FROM_THE_START, Piece, Sources, Wish
from cluster.store.interface import Store

# Tasks of an array that have ended are read together: their outputs are small, and most have none.
BATCH = 500
# Seconds that a follower of an array waits for a task to end before it asks its worker for live output. Most tasks of
# an array are short, and their output comes with their end; a stream for each would cost more than the task.
PATIENCE = 0.25

Output = tuple[int, int, Piece]  # (index, attempt, piece)


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """How far a reader of a job has come: to a place in an attempt's streams, and through all that comes before it."""

    index: int
    attempt: int
    given: Mapping[bool, int]  # stderr or stdout: bytes, as they were written


async def read_tasks(
    driver: Driver, sources: Sources, job: JobReader, tasks: Range, wish: Wish, position: ReaderPosition | None = None
) -> AsyncGenerator[Output, None]:
    """The output of some tasks of a job, one after another; what comes after `position`."""
    index, waiting_since = tasks.start, -PATIENCE  # for the first task nobody waits
    if position and position.index >= index:
        index = position.index + 1
        if position.index < tasks.stop:
            async with aclosing(_TaskReader(driver, sources, job, wish, position).read()) as reading:
                async for piece in reading:
                    yield piece
    async with aclosing(driver.watchers.changes([job.number], PATIENCE)) as changes:
        while index < tasks.stop:
            some = Range(index, tasks.stop)
            ended, untouched = await job.read(partial(_look_ahead, tasks=some))
            patient = wish.follow and driver.clock().mono < waiting_since + PATIENCE
            if ended and wish.tail_lines is None:
                reading = _read_ended(driver, sources, job.number, Range(index, ended), wish)
                index = ended
            elif untouched and not wish.follow:
                index = untouched
                continue
            elif ended or not patient:
                reading = _TaskReader(driver, sources, job, wish, ReaderPosition(index, 1, FROM_THE_START)).read()
                index += 1
            else:
                await anext(changes)
                continue
            async with aclosing(reading):
                async for piece in reading:
                    yield piece
            waiting_since = driver.clock().mono


def _look_ahead(job: Job, tasks: Range) -> tuple[int, int]:
    """How far the first of these tasks are alike: (where those end that have ended, where those end that were never
    begun), 0 for none."""
    stop = min(tasks.stop, tasks.start + BATCH)
    ended = IntervalSet(piece for state in ENDED for piece in job.sets[state].overlap(tasks.start, stop))
    if tasks.start in ended:
        return next(ended.ranges()).stop, 0
    if tasks.start in job.ready and not job.tries.attempts.of(tasks.start):
        return 0, job.tries.attempts.first_within(*next(job.ready.within(*tasks)))
    return 0, 0


async def _read_ended(
    driver: Driver, sources: Sources, job: int, tasks: Range, wish: Wish
) -> AsyncGenerator[Output, None]:
    """The output of tasks that have all ended."""
    small, large = await driver.fetch(
        lambda store: (store.small_outputs(job, *tasks), store.large_outputs(job, *tasks))
    )
    known = {(output.index, output.attempt) for output in small}  # of a lost one, too, if its worker came back
    outputs: list[SmallOutput | TaskEnd] = [*small, *(end for end in large if (end.index, end.attempt) not in known)]
    for item in sorted(outputs, key=lambda item: (item.index, item.attempt)):
        if isinstance(item, SmallOutput):
            for piece in sources.small(item, wish):
                yield item.index, item.attempt, piece
            continue
        async with aclosing(sources.large(item, wish)) as pieces:
            async for piece in pieces:
                yield item.index, item.attempt, piece


class _TaskReader:
    """Reads one task's attempts one after another."""

    def __init__(self, driver: Driver, sources: Sources, job: JobReader, wish: Wish, position: ReaderPosition) -> None:
        self._driver = driver
        self._sources = sources
        self._job = job
        self._index = position.index
        self._wish = wish
        self._shown = position.attempt - 1  # the last attempt that was given in full
        self._given = dict(position.given)  # where its streams were read to in the attempt after that
        self._over = False
        self._moved = False  # the task is not where it was any more when its worker had nothing of it, or had gone

    async def read(self) -> AsyncGenerator[Output, None]:
        async with aclosing(self._driver.watchers.changes([self._job.number])) as changes:
            async for _ in changes:
                self._moved = True
                while self._moved:
                    async with aclosing(self._read_on()) as pieces:
                        async for attempt, piece in pieces:
                            yield self._index, attempt, piece
                if self._over or not self._wish.follow:
                    return

    async def _read_on(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """All that is to be had before the task changes again."""
        self._moved = False
        place = self._over, worker_id, attempt, before = await self._where()
        # Asked after the core, so that every end that the core knows of is among them; and not at each change of an
        # array, if nothing of this task has ended since.
        ended = await self._driver.fetch(self._outputs) if self._over or before > self._shown else []
        if wanted := self._wish.attempt:
            ended = [(end, small) for end, small in ended if end.attempt == wanted]
            worker_id = worker_id if attempt == wanted else ""
            self._over = self._over or bool(ended)
        elif self._wish.tail_lines is not None:
            ended = [] if worker_id else ended[-1:]
        for end, small in ended:
            if end.attempt <= self._shown:
                continue
            if small:
                for piece in self._sources.small(small, self._wish, self._given):
                    yield end.attempt, piece
            elif end.output_bytes or end.reason == endings.LOST:
                async with aclosing(self._sources.large(end, self._wish, self._given)) as pieces:
                    async for piece in pieces:
                        yield end.attempt, piece
            self._next_attempt(end.attempt)
        if worker_id and attempt > self._shown:
            async with aclosing(self._read_live(place)) as live:
                async for piece in live:
                    yield attempt, piece

    async def _read_live(self, place: "_Place") -> AsyncGenerator[Piece, None]:
        _, worker_id, attempt, _ = place
        key = AttemptKey(self._job.number, self._index, attempt)
        try:
            async with aclosing(self._sources.live(key, worker_id, self._wish, dict(self._given))) as pieces:
                async for piece in pieces:
                    self._given[piece.stderr] = piece.end
                    yield piece
            self._next_attempt(attempt)
        except (NotFound, Unreachable) as error:
            # It has not begun or has just ended, or its worker is away. What follows is a change, for which only a
            # follower waits; others would take one that has ended for silent, or for out of reach.
            self._moved = await self._where() != place
            resumable = self._wish.tail_lines is None or not any(self._given.values())
            if isinstance(error, Unreachable) and not (resumable and (self._moved or self._wish.follow)):
                raise
            # Goes on where it is now, or when the worker is back, or the attempt lost.

    def _outputs(self, store: Store) -> list[tuple[TaskEnd, SmallOutput | None]]:
        """The ends of the task, each with its output if it was small."""
        job, index = self._job.number, self._index
        ends = store.ends_of_task(job, index)  # first: there may be a commit before the next question
        small = {output.attempt: output for output in store.small_outputs(job, index, index + 1)}
        return [(end, small.get(end.attempt)) for end in ends]

    def _next_attempt(self, shown: int) -> None:
        self._shown = shown
        self._given = dict(FROM_THE_START)

    async def _where(self) -> "_Place":
        return await self._job.read(lambda job: _place_of(job, self._index))


class _Place(NamedTuple):
    """Where a task is: whether it has ended, the worker that holds it, in which attempt; and the last attempt that has
    ended, as long as it has not."""

    over: bool
    worker_id: str = ""
    attempt: int = 0
    before: int = 0


def _place_of(job: Job, index: int) -> _Place:
    for (worker_id, attempt), tasks in job.held.items():
        if index in tasks:
            return _Place(False, worker_id, attempt, attempt - 1)
    before = job.last_attempt(index)
    return _Place(True) if before is None else _Place(False, before=before)
