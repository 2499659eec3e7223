"""Reading what attempts have written, and taking it in from their workers."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import Range
from cluster.domain.job.records import JobRecord
from cluster.domain.job.selectors import Selection
from cluster.domain.job.spec import JobSpec
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import are_runs, select_some
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.output.files import NewOutput, OutputFiles
from cluster.scheduler.output.locating import Piece, Sources, Wish
from cluster.scheduler.output.reader import ReaderPosition, read_tasks
from cluster.scheduler.own_attempts import own_among

MOST_TASKS, MOST_BYTES = 100, 64 * 1024  # of a job whose output comes with the answer that it has ended
_ALL = Wish(stdout=True, stderr=True, follow=False, tail_lines=None)


class ReadPosition(NamedTuple):
    """How far a reader has come: the ends of an attempt's streams, and all that comes before that attempt."""

    job: int
    task_number: int
    attempt: int
    stdout: int  # bytes, as they were written
    stderr: int


class OutputPiece(NamedTuple):
    """Some bytes of an attempt's output, or words about it."""

    job: int
    task_number: int
    attempt: int
    piece: Piece


class OutputOperations:
    def __init__(self, driver: Driver, sources: Sources, files: OutputFiles) -> None:
        self._driver = driver
        self._sources = sources
        self._files = files

    async def read(
        self, caller: Caller, selector: str, wish: Wish, position: ReadPosition | None = None
    ) -> AsyncGenerator[OutputPiece, None]:
        """The output of the selected tasks, in order, from `position` on. A schedule writes nothing itself: in its
        place comes its last run, alone where a name means it and its runs. NotFound where it has had none."""
        selection = await select_some(self._driver, caller, [selector])
        numbers = selection.numbers()
        wish = replace(wish, attempt=max(selection.attempts.values(), default=0))  # the same of all jobs of a name
        if position and position.job in numbers:
            numbers = numbers[numbers.index(position.job) :]
        async for number in self._without_schedules(selection, numbers, position.job if position else 0):
            job, selected = JobReader(self._driver, number), selection.tasks(number) if number in numbers else None
            spec = await job.spec()
            if expired := await self._driver.fetch(lambda store, number=number: store.keeping.output_expired(number)):  # type: ignore[misc]
                yield OutputPiece(number, spec.number_of(0), 0, Piece(False, b"", 0, expired.said))
                continue
            begin = _begin(position, spec) if position and position.job == number else None
            for tasks in (Range(0, spec.task_count),) if selected is None else selected.ranges():
                reading = read_tasks(self._driver, self._sources, job, tasks, wish, begin)
                async with aclosing(reading) as pieces:
                    async for index, attempt, piece in pieces:
                        if attempt == selection.attempts.get((number, index), attempt):
                            yield OutputPiece(number, spec.number_of(index), attempt, piece)

    async def small(self, job: JobRecord) -> list[OutputPiece] | None:
        """All that a job has written that has ended, where that is not much and in the store; None: it is not."""
        number, tasks = job.number, job.spec.task_count
        if tasks > MOST_TASKS:
            return None
        outputs, whole = await self._driver.fetch(
            lambda store: (
                store.small_outputs(number, 0, tasks),
                not (store.large_outputs(number, 0, tasks) or store.keeping.output_expired(number)),
            )
        )
        if not whole or sum(len(output.stdout) + len(output.stderr) for output in outputs) > MOST_BYTES:
            return None
        return [
            OutputPiece(number, job.spec.number_of(output.index), output.attempt, piece)
            for output in sorted(outputs, key=lambda output: (output.index, output.attempt))
            for piece in self._sources.small(output, _ALL)
        ]

    async def _without_schedules(
        self, selection: Selection, numbers: Sequence[int], known: int
    ) -> AsyncGenerator[int, None]:
        """These jobs, and instead of each schedule its last run, or the run `known` where a reader goes on."""
        given: set[int] = set()
        for place, number in enumerate(numbers):
            job = JobReader(self._driver, number)
            is_schedule = bool((await job.spec()).every)
            shown = await self._run_of(job, known) if is_schedule else number
            if shown not in given:
                given.add(shown)
                yield shown
            if is_schedule and not place and await are_runs(self._driver, selection, numbers):
                return

    async def _run_of(self, schedule: JobReader, known: int) -> int:
        number = schedule.number
        if known and any(r.schedule == number for r in await self._driver.fetch(lambda store: store.records([known]))):
            return known
        course = await schedule.read(lambda job: job.course)
        if course is None or not course.last_run:
            raise NotFound(f"job {number} comes again (--every), and has had no run yet: it writes nothing itself")
        return course.last_run

    async def new(self, caller: Caller, key: AttemptKey) -> NewOutput:
        """A new output of an attempt of the calling worker, to be kept. NotFound unless the attempt is, or was, its."""
        if not await own_among(self._driver, caller.identity.name, [key]):
            raise NotFound(f"job {key.job}: {key.in_words} is not known as yours")
        spec = await JobReader(self._driver, key.job).spec()
        return self._files.new(key, spec.max_output)


def _begin(position: ReadPosition, spec: JobSpec) -> ReaderPosition:
    index = spec.index_of(position.task_number) if spec.is_array else 0
    if index is None or not position.attempt:
        raise InvalidInput(f"the job has no task {position.task_number}#{position.attempt} to go on from")
    return ReaderPosition(index, position.attempt, {False: position.stdout, True: position.stderr})
